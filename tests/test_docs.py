"""Every block of Python in the documentation runs; the README shows what the commands print."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from market_abm import Experiment, run
from market_abm.experiment import RunSettings
from market_abm.model import MarketSettings

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for kind, body in BLOCK.findall(text) if kind == language]


@pytest.mark.parametrize("number", range(len(blocks("docs/python.md", "python"))))
def test_python_blocks_run(number, tmp_path):
    script = tmp_path / "block.py"
    script.write_text(blocks("docs/python.md", "python")[number], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*\)\s+# (\S.*)$", script.read_text("utf-8"), re.M):
        if not said.startswith("a pandas"):
            assert said in done.stdout


def test_the_readme_shows_what_the_command_prints(tmp_path):
    block = next(b for b in blocks("README.md", "") if b.startswith("Do the firms'"))
    done = subprocess.run(
        [sys.executable, "-c", "from market_abm.cli import main; main()", "run", "essay-chain"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    shown = [line.strip() for line in block.splitlines() if line.strip()]
    printed = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert shown == printed


def test_the_readmes_own_program_runs():
    text, shock = blocks("README.md", "toml")
    result = run(Experiment.parse(text))
    assert result.status == "converged"
    shaken = run(Experiment.parse(text + shock))
    assert shaken.status == "converged" and shaken.steps > 120
    assert shaken.last.quantities[shaken.goods.index("labour")] == 1.0


def test_the_readme_lists_every_key_with_its_default():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for table, settings in (("market", MarketSettings()), ("run", RunSettings())):
        for key, value in vars(settings).items():
            shown = (
                f'"{value}"' if isinstance(value, str) else f"{value:g}".replace("1e-09", "1e-9")
            )
            assert f"| `{table}.{key}` | `{shown}` |" in readme or (
                f"| `{table}.{key}` | {shown} |" in readme
            ), key


def test_links_lead_somewhere():
    for page in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/python.md",
        "docs/model.md",
        "results/README.md",
    ):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_versions_agree():
    import market_abm

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["version"]["path"] == "market_abm/__init__.py"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {market_abm.__version__}" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {market_abm.__version__}" in changelog
