"""Figures say what they are for: axes end where nothing more happens, theory beside measurement."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.legend import Legend
from matplotlib.text import Text
from support.figures import assert_legends_are_drawn, assert_nothing_is_cut_off

import market_abm
from market_abm import Experiment, run
from market_abm.views.palette import welfare_shades
from market_abm.views.plots.style import Title, cell_edges, new_figure
from market_abm.views.plots.sweep import sweep_figure
from market_abm.views.ranges import connected, shown_until
from market_abm.views.report.sweep_figures import sweep_figures
from market_abm.views.words.settings import TABLES, setting_label

# --- runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["rival-diamond-unstable"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("spiral", "twenty-firms", "shocks")],
)
def test_axes_of_steps_end_where_nothing_more_happens(name):
    """Prices to a third beyond their last move of 1 %; errors until the last is rounding.

    All that is cut off is as it was at the end, and what is shown does move: at three quarters of
    the axis of prices, and at nine tenths of that of errors.
    """
    result = run(name)
    figure = result.convergence_figure()
    *prices, errors = figure.axes
    assert_legends_are_drawn(figure)
    paths = np.concatenate([result.prices, result.gradients], axis=1)
    away = np.abs(paths - paths[-1]) > 0.01 * np.abs(paths - paths[-1]).max(axis=0)
    moved = result.times[away.any(axis=1)].max()
    inexact = result.times[(result.errors > 1e-14).any(axis=1)].max()
    for axes, last, part in ((prices[0], moved, 1.3), (errors, inexact, 1.06)):
        end = axes.get_xlim()[1]
        assert last <= end <= max(1.05 * (part * last + 1), 1.05 * result.steps)
        assert end > result.steps or end <= 0.95 * result.steps
        assert f"of {result.steps}" in axes.get_xlabel() or end >= result.steps or axes is prices[0]
    assert prices[0].get_xlim() == prices[-1].get_xlim()


def test_a_long_curve_of_errors_passes_over_coincidences_and_ends_where_it_stays_exact():
    steps = np.arange(10)
    errors = np.array([1, 0, 0.1, 1e-16, 1e-2, 0, 0, 1.0, 0, 0])
    assert steps[connected(steps, errors)].tolist() == [0, 2, 4, 7, 8, 9]
    after = connected(steps, errors, breaks=(7,))  # before the shock it had become exact
    assert steps[after].tolist() == [0, 2, 4, 5, 6, 7, 8, 9]
    assert shown_until(np.arange(101), 20) == 26.0
    assert shown_until(np.arange(101), 80) == 100.0  # nearly all: all
    assert shown_until(np.arange(11), 0) == 10.0


def test_titles_are_within_the_figure():
    """In lines, whatever the length of question, name and settings."""
    title = Title("Why " + "is it so " * 30 + "?", "a name of many words " * 12, 7.2)
    figure = new_figure(7.2, 4.0)
    title.draw(figure)
    assert_nothing_is_cut_off(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [each for each in figure.findobj(Text) if each.get_text()]
    lowest = min(each.get_window_extent(renderer).y0 for each in texts)
    assert lowest / figure.dpi >= 4.0 - title.height - 0.05


# --- sweeps ---------------------------------------------------------------------------------------


def table_of(axes, status=lambda row: "converged", **columns):
    """A table of a sweep over these axes."""
    grid = np.meshgrid(*axes.values(), indexing="ij")
    table = pd.DataFrame({key: each.ravel() for key, each in zip(axes, grid, strict=True)})
    table["status"] = [status(row) for row in table.to_dict("records")]
    empty = ("steps", "rate", "predicted_rate", "alignment", "welfare", "best_welfare", "error")
    for key in empty:
        table[key] = columns.get(key, lambda t: 1.0)(table)
    for key in set(columns) - set(empty):
        table[key] = columns[key](table)
    return table


FIRMS, ELASTICITY, RATE = "industries.firms", "demand.y.elasticity", "market.share_rate"


def test_a_law_is_drawn_through_the_points_it_predicts():
    """The kept sweep of Cournot: a line for each elasticity, straight and of slope -1 in logs."""
    axes = {FIRMS: [1, 2, 5, 10, 100], ELASTICITY: np.geomspace(1.25, 8, 5)}

    def law(table):
        return 1 / (table[FIRMS] * table[ELASTICITY])

    table = table_of(axes, lambda row: "max_steps", error=law, predicted_error=law)
    figure = sweep_figure(table, list(axes), "cournot", "How far?")
    panel = figure.axes[0]
    points = [line for line in panel.get_lines() if line.get_marker() == "o"]
    dashed = [line for line in panel.get_lines() if line.get_linestyle() == "--"]
    assert len(points) == len(dashed) == 5
    for one, other in zip(points, dashed, strict=True):
        assert np.array_equal(one.get_xydata(), other.get_xydata())
        x, y = np.log(one.get_xydata()).T
        assert np.polyfit(x, y, 1)[0] == pytest.approx(-1, rel=1e-12)
    assert panel.get_xscale() == panel.get_yscale() == "log"
    ticks = panel.get_xticks()
    assert np.all(ticks == np.round(ticks)) and ticks.min() >= 1  # no half firms
    assert panel.get_xlabel() == "firms per industry"
    shown = [text.get_text() for each in figure.findobj(Legend) for text in each.get_texts()]
    assert "out of steps, not oscillating" not in shown
    assert_legends_are_drawn(figure)
    assert_nothing_is_cut_off(figure)
    curves, plane = sweep_figures(table, list(axes))  # the same in a report
    measured, predicted = curves["series"][:5], curves["series"][5:]
    assert [each["y"] for each in measured] == [each["y"] for each in predicted]
    assert all(each["points"] for each in measured) and all(each["dash"] for each in predicted)
    assert plane["kind"] == "grid" and "predicted rate" not in plane["note"]


def test_a_map_of_errors_has_no_statuses_in_its_legend():
    axes = {FIRMS: [1, 2, 4, 8], ELASTICITY: np.geomspace(1, 100, 20)}
    table = table_of(axes, lambda row: "max_steps", error=lambda t: 1 / t[ELASTICITY])
    figure = sweep_figure(table, list(axes), "map")
    assert not figure.legends and len(figure.axes) == 2  # the bar of its colours
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    "values", [np.geomspace(0.2, 10, 7), np.linspace(0.1, 1, 7), np.geomspace(0.5, 4, 9)]
)
def test_cells_of_even_values_have_one_width_on_their_axis(values):
    axes = {RATE: values, "market.lag": [0, 1, 2]}
    table = table_of(axes, lambda row: "converged" if row[RATE] < 0.9 else "diverged")
    figure = sweep_figure(table, list(axes), "cells")
    panel = figure.axes[0]
    edges = panel.transData.transform([(x, 0.0) for x in cell_edges(values)])[:, 0]
    assert np.ptp(np.diff(edges)) < 1e-6 * np.diff(edges).mean()
    middles = panel.transData.transform([(x, 0.0) for x in values])[:, 0]
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, middles)
    ticks = panel.get_yticks()
    assert np.all(ticks == np.round(ticks))
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("share rate κ", "lag (steps)")
    assert_legends_are_drawn(figure)
    assert_nothing_is_cut_off(figure)


def test_failed_runs_have_a_mark_and_moving_ones_no_end():
    """A cross for each run without steps; welfare of settled runs alone sets its axis."""

    def status(row):
        return "failed" if row[RATE] > 0.8 else "diverged" if row[RATE] > 0.5 else "converged"

    table = table_of(
        {RATE: np.linspace(0.1, 1, 10)},
        status,
        steps=lambda t: np.where(t[RATE] > 0.8, np.nan, 10.0),
        welfare=lambda t: np.where(t[RATE] > 0.5, 1e30, 1.0),
        rate=lambda t: np.where(t[RATE] > 0.5, 9.0, t[RATE] * 1.5),
        predicted_rate=lambda t: t[RATE] * 1.5,
    )
    figure = sweep_figure(table, [RATE], "curves")
    steps, rate, _, welfare = figure.axes
    crosses = [each for each in steps.get_lines() if each.get_marker() == "x"]
    (crosses,) = [each for each in crosses if len(each.get_xdata())]
    assert crosses.get_xdata() == pytest.approx([0.9, 1.0])
    assert welfare.get_ylim()[1] < 2
    assert rate.get_ylim()[1] < 2
    (beyond,) = [
        each
        for each in rate.get_lines()
        if "^" in each.get_marker() and each.get_xdata().size and each.get_color() == "#D55E00"
    ]
    assert beyond.get_xdata() == pytest.approx([0.6, 0.7, 0.8])
    assert_legends_are_drawn(figure)
    assert_nothing_is_cut_off(figure)


def test_settings_are_named_in_words_with_the_symbol_of_their_description():
    """Every key that can be swept; a symbol only where all mechanisms agree on it."""
    assert setting_label("economy.parameters.sigma") == "parameter σ"
    assert setting_label('supply."10.1".elasticity') == "supply elasticity η of 10.1"
    assert setting_label("market.auction_rate") == "auction rate λ (money per unit²)"
    assert setting_label("market.price_rate") == "price rate"  # λ in one mechanism, α in another
    assert [setting_label(each) for each in ("depth", "a.b.c.d", 'x"')] == [
        "depth",
        "a.b.c.d",
        'x"',
    ]
    for table, classes in TABLES.items():
        owner = ".x" if table in ("supply", "demand") else ""
        for settings in classes:
            for each in market_abm.fields.describe(settings):
                label = setting_label(f"{table}{owner}.{each.key}")
                assert "_" not in label and not label.startswith(f"{table}.")


# --- comparisons ----------------------------------------------------------------------------------


def test_lines_of_mechanisms_end_at_rounding_and_fall():
    """Each line is the largest distance from its step on, down to 1e-13 at most."""
    figure = market_abm.compare_mechanisms("rival-diamond", ["unit-bid", "trading-post"]).figure()
    panel = figure.axes[0]
    assert panel.get_ylim()[0] == 1e-13
    bold = [line for line in panel.get_lines() if line.get_linewidth() == 1.9]
    assert len(bold) == 3
    for line in bold:
        y = np.asarray(line.get_ydata())
        assert np.all(np.diff(y) <= 0) and np.all(y[:-2] > 1e-13)
    dots = [line for line in panel.get_lines() if line.get_marker() == "o"]
    assert len(dots) == 3 and all(line.get_ydata()[0] <= 1e-6 for line in dots)
    assert_legends_are_drawn(figure)
    assert_nothing_is_cut_off(figure)


@pytest.mark.slow
def test_welfare_is_light_where_it_is_high_and_rounding_small_in_every_view():
    figure = market_abm.compare(Experiment.load("spiral")).figure()
    *_, distances, contours = figure.axes
    bands = contours.collections[0]
    brightness = [sum(to_rgb(color)) for color in bands.get_facecolors()]
    assert brightness == sorted(brightness) and brightness[-1] == 3.0
    assert brightness == [sum(to_rgb(color)) for color in welfare_shades(len(brightness))]
    assert distances.get_ylim()[1] >= 1.0
    assert_legends_are_drawn(figure)
    assert_nothing_is_cut_off(figure)


def test_log_axes_have_ticks_without_markup():
    changes = {"market.mechanism": "tatonnement", "run.steps": 15}
    figure = market_abm.compare(Experiment.load("mechanisms", changes)).figure()
    figure.canvas.draw()
    for axes in figure.axes:
        for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            assert not re.search(r"[\\${}]", text.get_text())
