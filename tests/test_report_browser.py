"""The page of ``market-abm report`` in a browser: one file, that asks for nothing."""

import itertools

import numpy as np
import pytest

from market_abm import run
from market_abm.views.report.report import report

HOSTILE = "</script><img src=x onerror=alert(1)> $$x$$"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The report of a run whose question is a script, as a file's URL."""
    folder = tmp_path_factory.mktemp("report")
    result = run("rival-diamond", overrides={"question": HOSTILE})
    return report(result.save(folder / "results"), folder / "page.html").resolve().as_uri()


FIGURES = """[...document.querySelectorAll(".plot svg")].map((each) => {
  const box = each.getBoundingClientRect()
  const marks = each.querySelectorAll("path, line, rect, circle, text, polyline").length
  return {width: box.width, height: box.height, marks}
}).filter((each) => each.width > 100)"""
"""The plots, without the small marks of their legends."""

NETWORK = """[...document.querySelectorAll(".network text")].map((each) => {
  const text = each.getBoundingClientRect()
  const boxes = [...document.querySelectorAll(".network rect")]
    .map((box) => box.getBoundingClientRect())
  const inside = boxes.filter((box) => box.left <= text.left && text.right <= box.right
    && box.top <= text.top + 2 && text.bottom - 2 <= box.bottom)
  return {inside: inside.length, height: text.height, words: each.textContent,
    left: text.left, right: text.right, top: text.top, bottom: text.bottom}
})"""
"""The texts of the network, and how many boxes each is in; letters are 2 pixels from its bounds."""


def test_figures_are_drawn_and_nothing_is_asked_for(page_file, open_page):
    page = open_page(page_file)
    figures = page.evaluate(FIGURES)
    assert len(figures) >= 2
    for figure in figures:
        assert figure["width"] > 200 and figure["height"] > 100 and figure["marks"] > 10
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert open_page.heard.requests == [page_file]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_by_day_and_night(page_file, open_page, scheme):
    page = open_page(page_file, color_scheme=scheme, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    brightness = [np.mean([int(n) for n in c[4:-1].split(",")]) for c in (paper, ink)]
    assert (brightness[0] < 80 < 170 < brightness[1]) == (scheme == "dark")
    assert (brightness[1] < 80 < 170 < brightness[0]) == (scheme == "light")
    figures = page.evaluate(FIGURES)
    assert len(figures) >= 2 and all(figure["marks"] > 10 for figure in figures)


@pytest.mark.parametrize("width", [390, 1200])
def test_the_network_can_be_read(page_file, open_page, width):
    """Each name and note is whole in one box, in letters of 9 pixels or more, apart from others."""
    page = open_page(page_file, viewport={"width": width, "height": 844})
    texts = page.evaluate(NETWORK)
    assert {"x", "left", "right", "y"} <= {each["words"] for each in texts}
    assert all(each["inside"] == 1 and each["height"] >= 9 for each in texts), texts
    for one, other in itertools.combinations(texts, 2):
        across = min(one["right"], other["right"]) - max(one["left"], other["left"])
        over = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
        assert min(across, over) <= 4, (one, other)


def test_a_figure_answers_to_the_pointer_and_to_keys(page_file, open_page):
    page = open_page(page_file)
    readout = page.locator("[id$=readout]").first
    figure = page.locator(".plot svg:not([aria-hidden])").first
    figure.scroll_into_view_if_needed()
    told = [readout.inner_text()]
    box = figure.bounding_box()
    for part in (0.4, 0.8):
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
        told.append(readout.inner_text())
    figure.focus()
    page.keyboard.press("ArrowLeft")
    told.append(readout.inner_text())
    assert len(set(told)) == 4, told
