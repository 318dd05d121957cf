# make run    set everything up and run the main job: the essay's supply chain
# make test   set everything up and pass the tests
# make docs   set everything up and build the documentation as HTML in build/docs
# Nothing else is needed first but Python 3.11 or later, with pip.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test test-slow test-all docs lint experiments bench settings notebook screenshots clean

run: $(VENV)/.run
	@$(BIN)/market-abm run essay-chain

test: export HYPOTHESIS_PROFILE = quick
test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow"

test-slow test-all: export HYPOTHESIS_PROFILE = thorough

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow
	$(BIN)/python tests/every_python.py

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest
	$(BIN)/python tests/every_python.py

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "Written to build/docs/index.html"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

experiments: $(VENV)/.run
	$(BIN)/python experiments/run_all.py

bench: $(VENV)/.run
	$(BIN)/python benchmarks/bench.py

screenshots: $(VENV)/.dev
	$(BIN)/python docs/make_screenshots.py

settings: $(VENV)/.run
	@$(BIN)/python docs/make_settings.py

notebook: $(VENV)/.dev
	$(BIN)/python docs/make_notebook.py

clean:
	rm -rf $(VENV)* build .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; try: make PYTHON=python3.11 ...")'
	@echo "Setting up $(VENV), once ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Setting up the tests in $(VENV), once ..."
	@$(INSTALL) -e ".[dev]"
	@touch $@
