"""The documentation runs: every block of Python, and every command with what it prints."""

import itertools
import re
import runpy
import tomllib
from importlib import import_module
from pkgutil import iter_modules

import pytest
from support import pages
from support.pages import PAGES, ROOT, blocks, broken_links, matches, run_page, text_of
from support.profiles import members

import market_abm
from market_abm import Experiment, run
from market_abm.language import expression as ex

QUICK = ("README.md", "docs/functions.md", "docs/language.md")
"""Pages whose blocks are run by the quick tests, too."""


@pytest.mark.parametrize("page", members([page for page in PAGES if blocks(page)], QUICK))
def test_what_a_page_shows_is_so(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run_page(page)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_known_kind(page):
    assert {block.language for block in blocks(page)} <= {"", "python", "console", "toml", "sh"}
    assert text_of(page).count("```") == 2 * len(blocks(page))


def test_what_is_shown_is_compared():
    printed = ["a  b 1.5 2.1e-16", "", "rest of it", "end"]
    assert matches(["a b 1.5 0", "rest ...", "end"], printed)
    assert matches(["...", "end"], printed) and matches(["a ...", "..."], printed)
    for shown in (
        ["a b 1.5 0"],
        ["a b 1.6 0", "..."],
        ["a b 1.5 1e-9", "..."],
        ["..."] + ["end"] * 2,
        ["rest of it", "end"],
        [],
    ):
        assert not matches(shown, printed), shown


def test_blocks_are_found_and_their_words_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "docs/python.md"
    with pytest.raises(AssertionError, match="docs/python.md:7"):
        pages.run_python(pages.Block(page, 7, "python", "print(1 + 1)  # 3\n"))
    with pytest.raises(AssertionError, match="there is no file"):
        pages.run_console(pages.Block(page, 7, "console", "$ market-abm check no.toml\nfine\n"))
    with pytest.raises(AssertionError, match="only market-abm"):
        pages.run_console(pages.Block(page, 7, "console", "$ rm -r results\n"))


def test_the_readmes_own_program_runs():
    (text,) = (block.text for block in blocks("README.md", "toml"))
    (shock,) = (block.text for block in blocks("docs/tour.md", "toml"))
    result = run(Experiment.parse(text))
    assert result.status == "converged"
    shaken = run(Experiment.parse(text + shock))
    assert shaken.status == "converged" and shaken.steps > 120
    assert shaken.last.quantities[shaken.goods.index("labour")] == 1.0


def test_the_page_of_settings_is_what_its_fields_say():
    """``make settings`` writes it again."""
    made = runpy.run_path(str(ROOT / "docs/make_settings.py"))["page"]()
    assert text_of("docs/settings.md") == made


def test_the_page_of_the_language_names_every_function():
    for name in ex.OPERATIONS:
        assert name == "neg" or f"`{name}" in text_of("docs/language.md"), name


def test_the_page_of_the_architecture_lists_the_folders_in_their_order():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    listed = re.findall(r"^\| `(\w+)` \|", text_of("docs/architecture.md"), re.M)
    assert listed == layers[::-1]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert not list(broken_links(page))


PACKAGE = ROOT / "market_abm"
MODULES = {module.name for module in iter_modules(market_abm.__path__)}


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/odd.md", "docs/theory.md"])
def test_the_functions_that_a_page_names_exist(page):
    dotted = set(re.findall(r"`((?:\w+\.)+\w+)`", text_of(page)))
    keys = set(re.findall(r"^\| `([\w.]+)` \|", text_of("docs/settings.md"), re.M))
    named = {name for name in dotted if name.partition(".")[0] in MODULES} - keys
    assert page != "docs/odd.md" or len(named) > 40
    for name in sorted(named):
        assert found(name.split(".")), name


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_exist(page):
    for name in re.findall(r"`((?:\w+/)+\w+\.(?:py|md|toml|js|csv))`", text_of(page)):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), name


def found(parts):
    """Whether there is a module, class, function or method of that name in the package."""
    for size in range(len(parts), 0, -1):
        try:
            here = import_module(".".join(["market_abm", *parts[:size]]))
        except ModuleNotFoundError:
            continue
        for part in parts[size:]:
            here = getattr(here, part, None)
        return here is not None
    return False


def test_the_odd_has_all_its_elements():
    text = text_of("docs/odd.md")
    elements = (
        "Purpose and patterns",
        "Entities, state variables and scales",
        "Process overview and scheduling",
        "Design concepts",
        "Initialization",
        "Input data",
        "Submodels",
    )
    assert re.findall(r"^## \d\. (.*)$", text, re.M) == list(elements)
    concepts = text.partition("## 4.")[2].partition("## 5.")[0]
    assert re.findall(r"^\*\*(.*)\.\*\*", concepts, re.M) == [
        "Basic principles",
        "Emergence",
        "Adaptation",
        "Objectives",
        "Learning",
        "Prediction",
        "Sensing",
        "Interaction",
        "Stochasticity",
        "Collectives",
        "Observation",
    ]


def test_nothing_says_to_install_the_package_of_another_project():
    """On the index the name market-abm is taken: pip would install a stranger's package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "market-backprop" and "market-abm" in project["scripts"]
    extras = project["optional-dependencies"]
    for requirement in itertools.chain(*extras.values()):
        assert not re.match(r"market.?abm", requirement), requirement
    installs = r"(pip3?|uv|pipx|conda)\b[^\n`]*\b(install|add)\b[^\n`]*"
    wrong = re.compile(rf"{installs}market[-_]abm|market-abm\[")
    folders = ("market_abm", "docs", "experiments", "benchmarks", "tools", "tests")
    files = [ROOT, *itertools.chain(*((ROOT / folder).rglob("*") for folder in folders))]
    for path in (*files, *ROOT.iterdir()):
        if (
            path.suffix in (".py", ".md", ".toml", ".cff", ".ipynb", ".rst")
            or path.stem == "Makefile"
        ):
            told = None if path.name == "test_docs.py" else wrong.search(path.read_text("utf-8"))
            assert told is None, (path.name, told[0])
    hints = [path.read_text("utf-8") for path in (ROOT / "market_abm").rglob("*.py")]
    hinted = {each for text in hints for each in re.findall(r'installing\("(.*?)"\)', text)}
    assert hinted == {*extras["web"], *extras["dask"]}  # the versions that are tested


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["version"]["path"] == "market_abm/__init__.py"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {market_abm.__version__}" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {market_abm.__version__}" in changelog
