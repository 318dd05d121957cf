"""The documentation builds without a warning, and has an entry for all that is public."""

import html
import re
import subprocess
import sys

import pytest
from support.pages import ROOT, text_of

import market_abm
from market_abm.cli.commands import main


def test_the_reference_names_all_that_is_public():
    entries = re.findall(r":: market_abm\.(\w+)$", text_of("docs/reference/python.rst"), re.M)
    assert set(entries) - {"errors"} == set(market_abm.__all__)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    strict = ("-q", "-W", "--keep-going", "-d", folder / "trees")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *strict, ROOT / "docs", folder / "html"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.slow
def test_names_and_commands_have_entries(built):
    python = (built / "reference/python.html").read_text(encoding="utf-8")
    for name in market_abm.__all__:
        assert f'id="market_abm.{name}"' in python, name
    commands = (built / "reference/commands.html").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f'id="market-abm-{name}"' in commands, name
        for option in (each for each in command.params if each.param_type_name == "option"):
            assert option.opts[0] in commands, (name, option.opts)


@pytest.mark.slow
def test_the_pages_are_there_and_need_no_network(built):
    for source in (*(ROOT / "docs").glob("*.md"), ROOT / "docs/reference/analysis.rst"):
        page = (
            source.relative_to(ROOT / "docs").with_suffix("").as_posix().replace("README", "index")
        )
        text = (built / f"{page}.html").read_text(encoding="utf-8")
        assert not re.search(r'(?:src|<link[^>]*href)="(?:https?:)?//', text), page
        assert "$$" not in text, page
    theory = html.unescape((built / "theory.html").read_text(encoding="utf-8"))
    assert theory.count("<math") > 100
    assert not re.search(r"<math[^>]*>(?:(?!</math>).)*\\[a-z]", theory)  # no command is left over
