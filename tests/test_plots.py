"""Figures: what they show, and that nothing on them overlaps or is cut off."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from support.figures import assert_nothing_is_cut_off, texts_of

from market_abm import from_text, run
from market_abm.views.animation.drawing import Road
from market_abm.views.convergence import (
    FLOOR,
    FLOOR_POWER,
    ConvergencePicture,
    error_axis,
    error_ticks,
)
from market_abm.views.layout import BOX, Diagram, layout
from market_abm.views.numbers import format_label, format_power_of_ten
from market_abm.views.palette import OKABE_ITO
from market_abm.views.report.figures import MAX_GOODS
from market_abm.views.report.run_figures import run_figures

NAMES = ["essay-chain", "deep-chain", "rival-diamond", "loop", "twenty-firms", "copy-diamond"]


@pytest.fixture(scope="module", params=NAMES)
def result(request):
    return run(request.param)


def test_nothing_is_global(result):
    figures = [result.convergence_figure(), result.network_figure()]
    assert all(isinstance(figure, Figure) for figure in figures)
    assert plt.get_fignums() == []


def test_the_network_is_legible(result):
    """No two boxes, no two texts in boxes overlap; nothing is cut off."""
    plan = layout(Diagram.of_goods(result.experiment.economy))
    centres = list(plan.boxes.values())
    for k, (x0, y0) in enumerate(centres):
        for x1, y1 in centres[:k]:
            assert abs(x0 - x1) > BOX[0] or abs(y0 - y1) > BOX[1]
    figure = result.network_figure()
    assert_nothing_is_cut_off(figure)
    shown = " ".join(text.get_text() for text in texts_of(figure))
    for good in result.goods:
        assert good in shown


def test_labels_do_not_cover_each_other(result):
    """No two texts of the network overlap by more than a sliver (a fifth of the smaller one)."""
    figure = result.network_figure()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts_of(figure)]
    for k, (text, box) in enumerate(boxes):
        for other, area in boxes[:k]:
            width = min(box.x1, area.x1) - max(box.x0, area.x0)
            height = min(box.y1, area.y1) - max(box.y0, area.y0)
            smaller = min(box.width * box.height, area.width * area.height)
            assert width <= 0 or height <= 0 or width * height < 0.2 * smaller, (text, other)


def test_the_convergence_figure_shows_prices_and_their_targets(result):
    figure = result.convergence_figure()
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert dashed
    drawn = [np.asarray(line.get_ydata(), float) for line in lines]

    def is_drawn(path):
        return any(np.array_equal(path, each, equal_nan=True) for each in drawn)

    intermediate = [
        k for k, g in enumerate(result.goods) if g not in result.experiment.economy.demand
    ]
    for k in intermediate:
        error = result.errors[:, k]
        if result.steps > 60:  # a long line passes over steps that are exact by coincidence
            inexact = np.flatnonzero(error > 1e-14)
            over = (error <= 1e-14) & (np.arange(len(error)) < inexact[-1])
            error = error[~over]
        assert is_drawn(np.clip(error, FLOOR, None))
        if len(intermediate) <= 6:
            assert is_drawn(result.prices[:, k])
            assert is_drawn(result.gradients[:, k])
    assert_nothing_is_cut_off(figure)


def test_all_renderers_draw_one_picture(result):
    """Goods, colours and the error axis of the figure, the report and the notebook."""
    picture = ConvergencePicture.of(result)
    final = result.experiment.economy.demand
    assert [each.good for each in picture.series] == [g for g in result.goods if g not in final]
    below = result.convergence_figure().axes[-1 if picture.layout == "panels" else 1]
    assert below.get_ylim() == picture.error_axis.limits
    labels = {line.get_label(): line.get_color() for line in below.get_lines()}
    if picture.layout == "panels":
        assert {
            each.good: OKABE_ITO[each.color] for each in picture.series
        }.items() <= labels.items()
    path = result.frame()
    _, errors, *_ = run_figures(path, None, tolerance=picture.tolerance)
    if len(result.goods) <= MAX_GOODS and not picture.others.size:
        assert errors["y"]["range"][1] == picture.error_axis.limits[1]
    low, high = picture.error_axis.decades
    assert 10.0**low <= picture.error_axis.limits[0] * (1 + 1e-9)
    drawn = result._repr_html_()
    assert f">{'0' if low == FLOOR_POWER else format_power_of_ten(10.0**low)}<" in drawn
    assert high >= 1


def test_the_error_axis_holds_all_errors_and_0_at_its_floor():
    errors = np.array([[2.0, 1e-3], [np.nan, 1e-5], [np.inf, 1e-12]])
    assert error_axis(errors, 1e-9).limits == (1e-12, 10.0)
    assert error_axis(errors[:2], 1e-9).limits == pytest.approx((1e-11, 10.0))
    assert error_axis(np.array([0.0, 4e3]), 1e-9).limits == (FLOOR, 1e4)
    assert error_axis(np.array([0.3, 2e-3]), 1e-9).limits == (1e-3, 10.0)  # far from the tolerance
    assert error_ticks(error_axis(np.array([0.0, 1.0]), 1e-9), 7)[0] == FLOOR
    assert error_axis(np.array([1e308]), None).limits[1] == 1e300


def test_the_prediction_is_drawn_beside_the_measurement():
    result = run("partial-adjustment")
    crosses = [
        line
        for axes in result.convergence_figure().axes
        for line in axes.get_lines()
        if line.get_marker() == "x"
    ]
    assert len(crosses) == 6  # three goods, in their panels and in the error panel
    steps = np.asarray(crosses[0].get_xdata(), int)
    expected = result.prediction[steps, 0]
    assert np.array_equal(np.asarray(crosses[0].get_ydata()), expected)


def test_a_run_of_no_steps_and_one_good_can_be_drawn():
    result = run(from_text("y = 3", {}), steps=0)
    assert result.convergence_figure() and result.network_figure()
    result = run(from_text("y = x", {"x": 1}), steps=0)
    assert result.convergence_figure() and result.network_figure()


def test_large_networks_are_drawn_without_numbers():
    lines = "\n".join(f"b{k} = x{k}\nc{k} = b{k}*2" for k in range(20))
    final = "y = " + " + ".join(f"c{k}" for k in range(20))
    economy = from_text(f"{lines}\n{final}", {f"x{k}": 1 + k for k in range(20)})
    result = run(economy)
    result.network_figure().canvas.draw()
    result.convergence_figure().canvas.draw()


def test_numbers():
    assert format_label(0.0416666) == "0.04167"
    assert format_label(-2e-9) == "−2e−09"
    assert format_power_of_ten(1e-12) == "10⁻¹²"


LOOPS = [
    "a = x ** 0.5 * a ** 0.3\nt = x ** 0.5\ny = a ** 0.5 * t ** 0.3",  # by itself
    "a = x ** 0.3 * c ** 0.2\nb = a ** 0.5\nc = b ** 0.5\ny = c ** 0.5 * a ** 0.2",
    "a = x ** 0.2 * a ** 0.2 * b ** 0.2\nb = x ** 0.2 * a ** 0.2 * b ** 0.2\n"
    "c = x ** 0.2 * c ** 0.2 * d ** 0.2\nd = x ** 0.2 * c ** 0.2\n"
    "y = a ** 0.2 * b ** 0.2 * c ** 0.2 * d ** 0.2",
]


@pytest.mark.parametrize("program", LOOPS)
def test_no_arrow_passes_behind_a_box(program):
    """Arrows touch boxes at their ends only: the right side of one, the left of another."""
    economy = from_text(program, {"x": 1.0}, reuse="rival")
    plan = layout(Diagram.of_goods(economy))
    half = np.array(BOX) / 2
    for (user, slot), route in plan.routes.items():
        inputs = {industry.good: industry.technology.inputs for industry in economy.industries}
        good = inputs[user][slot]
        points = Road(route).line
        (x0, y0), (x1, y1) = plan.boxes[good], plan.boxes[user]
        assert points[0][0] == pytest.approx(x0 + half[0]) and abs(points[0][1] - y0) < half[1]
        assert points[-1][0] == pytest.approx(x1 - half[0]) and abs(points[-1][1] - y1) < half[1]
        for centre in plan.boxes.values():
            inside = (np.abs(points[1:-1] - np.array(centre)) < half - 1e-9).all(axis=1)
            assert not inside.any(), (good, user)
        for centre in plan.boxes.values():
            assert (np.abs(np.array(plan.labels[user, slot]) - centre) > half).any()
