"""The notebooks run, and show what they show here: ``make notebook`` brings them up to date."""

import re
import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
CELLS_SHOWN = {"tutorial": 30, "digits": 8}
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
DIVERGENCE_LIMIT = 500_000


def path_of(name):
    return ROOT / "docs" / f"{name}.ipynb"


def committed(name):
    return nbformat.read(path_of(name), as_version=4)


def executed(name, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder))
        patch.setenv("PYTHONPATH", str(ROOT))
        return runpy.run_path(str(ROOT / "docs" / "make_notebook.py"))["executed"](path_of(name))


def texts(cell):
    """What a cell shows in words, and what kinds of pictures; of drawings only what is told."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield f"{output.name}: {output.text}"
            continue
        for kind, content in sorted(output.data.items()):
            if kind.startswith("text/"):
                yield "".join(re.split(r"<(?:path|rect|polygon|text)\b.*\n", content))
            else:
                yield kind


def assert_same(one, other):
    """The same words, and numbers that differ by no more than rounding does between machines."""
    one, other = (re.sub(r'<data value="[^"]*">', "<data>", text) for text in (one, other))
    one, other = (_small_as_zero(text) for text in (one, other))
    assert NUMBER.sub("#", one) == NUMBER.sub("#", other)
    was, is_now = (
        [float(each.replace(",", "")) for each in NUMBER.findall(text)] for text in (one, other)
    )
    assert was == pytest.approx(is_now, rel=2e-5, abs=1e-9)


def _small_as_zero(text):
    """Numbers below a billionth, which are mere rounding, as 0."""
    text = re.sub(r"(?:[\d.]+ × )?10⁻(?:⁹|[¹²]\S)", "0", text)
    return re.sub(r"\d(?:\.\d+)?e-(?:09|[1-9]\d)", "0", text)


@pytest.mark.parametrize("name", ["tutorial", pytest.param("digits", marks=pytest.mark.slow)])
def test_each_shows_what_it_did(name, tmp_path):
    kept, today = committed(name), executed(name, tmp_path)
    assert [cell.id for cell in kept.cells] == [cell.id for cell in today.cells]
    shown = 0
    for before, now in zip(kept.cells, today.cells, strict=True):
        if before.cell_type != "code":
            continue
        was, is_now = list(texts(before)), list(texts(now))
        assert len(was) == len(is_now), before.id
        for one, other in zip(was, is_now, strict=True):
            assert_same(one, other)
            shown += 1
    assert shown > CELLS_SHOWN[name]


def test_the_comparison_can_fail():
    assert_same("price 0.25 of 4e-10, 1.2 × 10⁻¹³", "price 0.25000001 of 0, 0")
    for one, other in (("price 0.25", "price 0.26"), ("price 1", "cost 1"), ("1 2", "1")):
        with pytest.raises(AssertionError):
            assert_same(one, other)


@pytest.mark.parametrize("name", CELLS_SHOWN)
def test_nothing_in_it_is_of_one_machine_or_one_day(name):
    kept, text = committed(name), path_of(name).read_text("utf-8")
    assert len(text.encode()) < DIVERGENCE_LIMIT
    assert kept.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert len({cell.id for cell in kept.cells}) == len(kept.cells)
    for cell in kept.cells:
        assert cell.metadata == {}
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr" and output.output_type != "error"
    assert not re.search(r"site-packages|/home/|/root/|/tmp/|/work/|object at 0x", text)


@pytest.mark.parametrize("name", CELLS_SHOWN)
def test_its_links_lead_somewhere(name):
    for cell in committed(name).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)\)", cell.source):
                assert (path_of(name).parent / target).exists(), target
