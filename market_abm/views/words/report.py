"""Titles, notes and captions of a report, and what it leaves out.

An argument ``html`` is markup; whatever else comes from a folder the report escapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from market_abm.views.numbers import format_fixed, format_label, format_plain
from market_abm.views.words.text import STEEPEST_ASCENT, status_counts

# --- the page -------------------------------------------------------------------------------------

FIGURES_NOTE = (
    "Point at a figure, or move along it with the arrow keys, to read its values; "
    "its buttons hide and show lines."
)
NO_SCRIPT = "The figures need JavaScript; the same numbers are in the folder's CSV files."
HIDE_LINES = "Show or hide"
SHOW_TABLE = "Show the table"


def footer(version: str) -> str:
    """By which program the page was written; ``version`` of that of the results, if known."""
    results = f", from results of market-abm {version}" if version else ""
    return f"Written by market-abm report{results}."


def show_lines(count: int) -> str:
    """What opens the folded derivations."""
    return f"Show {count} lines"


# --- what is left out -----------------------------------------------------------------------------

NO_CONFIGURATION = "the folder does not hold the configuration"
NOT_COMPUTED = "it was not computed"


def not_in_folder(what: str) -> str:
    """What cannot be shown, because the folder does not hold it."""
    return f"{what}: the folder does not hold it."


def no_figures(file: str) -> str:
    """That there are no figures, because a file is missing or damaged."""
    return f"The figures: {file} is missing or cannot be read."


def left_out(what: str, why: object) -> str:
    """What is left out, and why."""
    return f"{what}: {why}."


def first_rows(shown: int, total: int) -> str:
    """How many rows of a table are shown."""
    return f" The first {shown} of {total:,}."


def largest_goods(shown: int, total: int) -> str:
    """How many goods are drawn."""
    return f" Of {total:,} goods, the {shown} with the largest sales."


def thinned(shown: int, total: int, what: str) -> str:
    """How many steps or runs are drawn."""
    return f" Of {total:,} {what}, {shown:,} are drawn, at equal distances."


def large_network(goods: int) -> str:
    """Why the network is not drawn."""
    return f"The picture of the network: the folder does not hold that of {goods:,} goods."


# --- sections of all results ----------------------------------------------------------------------

NETWORK_CAPTION = "Goods flow along the arrows; raw goods are orange, final ones green."

FLOWS_ALT = "The industries with the largest sales, and the largest payments between them"

HOW_TO_REPRODUCE = "How to reproduce it"
ALL_SETTINGS = "Every setting, defaults included, as an experiment file."
THE_CONFIGURATION = "the configuration below"
THE_EXPERIMENT = "the experiment below, as it was written,"
AS_WRITTEN = "As it was written:"


def table_program(html: str) -> str:
    """What stands in the place of a program; ``html`` names the files of the table."""
    return (
        f"An input–output table, {html}: each industry is a line of constant elasticity of "
        "substitution, and a household buys the final uses."
    )


MORE_TERMS = "other goods with supply or demand"


def supply_of(good: str) -> str:
    """What the terms of a supplier are called."""
    return f"supply of {good}"


def demand_for(good: str) -> str:
    """What the terms of a consumer are called."""
    return f"demand for {good}"


def save_as(what: str, html: str) -> str:
    """How to make a file before a command is run; ``html`` is its name."""
    return f"Save {what} as {html}; then:"


def price_note(price: float) -> str:
    """The price of a good, in its box of the network."""
    return f"price {format_label(price)}"


def shock_response(entry: Mapping[str, Any]) -> str:
    """How far prices left their gradients after a shock, and when they were back."""
    error, back = entry.get("error"), entry.get("back")
    if not isinstance(error, float):
        return ""
    good, at = entry.get("good"), entry.get("at")
    off = f"prices off by up to {format_plain(100.0 * error, 3)} % ({good}, step {at})"
    return f"{off}, " + ("not back" if back is None else f"back at step {back}")


def own_bids(html: str) -> str:
    """Why no command reproduces a run; ``html`` names the rule of bidding."""
    return (
        f"The firms bid by a rule of their own, {html}, which is Python code and not in the "
        "folder: no command reproduces this run."
    )


def no_command(what: str) -> str:
    """That no command reproduces a sweep with these axes or settings."""
    return f"No command has these {what}; see sweep.json."


def unreadable_experiment(why: str) -> str:
    """Why no command reproduces a sweep."""
    return f"The folder's experiment cannot be read: {why}."


# --- a run ----------------------------------------------------------------------------------------

AT_THE_END = "Prices and gradients at the end"
AT_THE_END_CAPTION = (
    "At the last step. The first step is that from which on the error stays within tolerance."
)
ACCOUNTS_CAPTION = (
    "Money per step, at the prices of the last step: of a good that several use at once each pays "
    "its own price. The margin is profit over revenue."
)
NEAR_THE_STEADY_STATE = "Near the steady state"
DISTANCE_TO_THE_OPTIMUM = "Distance to the best known allocation"
BEST_WELFARE = "welfare at the best known allocation, money per step"
THEORY_ERROR = "largest distance from theory"

STABILITY_LABELS = {
    "regime": "a small disturbance",
    "radius": "predicted factor of a step",
    "rate": "measured factor of a step",
    "rate_uncertainty": "uncertainty of the measured factor",
    "period": "period, steps",
    "half_life": "half-life, steps",
}
"""Keys of ``near_rest`` in ``summary.json``, and their labels."""

OPTIMUM_LABELS = {
    "solved": "found, without a market",
    "prices": "largest relative difference of a price",
    "quantities": "largest relative difference of a quantity",
    "welfare": "missing welfare, money",
    "best_welfare": "welfare there, money",
    "kind": "what it is",
    "starts": "starts of the search",
    "complete": "the search ended within its budget",
    "reached": "starts that led there",
    "equilibria": "equilibria that were found",
}
"""Keys of ``equilibrium`` in ``summary.json``, and their labels."""

WHERE_IT_RESTS = "the market"
"""The label of what the allocation is at which the market rests."""

PRICES_TITLE = "Prices and their exact gradients"
PRICES_NOTE = "Solid: market prices. Dotted: gradients by backprop."
ERRORS_TITLE = "Errors of prices"
ERRORS_NOTE = "The relative distance of each price from its gradient, on a logarithmic axis."
QUANTITIES_NOTE = "Units on sale."
EXACT_PASSED_OVER = " A line passes over steps at which a price is exact and does not stay so."

MEASURES = {
    "welfare": ("Welfare", "Total surplus, in money."),
    "alignment": (
        "Alignment of moves with the gradient",
        f"The cosine between the move of a step and the gradient of welfare: {STEEPEST_ASCENT}.",
    ),
    "gain_fraction": (
        "Gains of moves along the gradient",
        "What a move adds to welfare at the weights of households before it, over the most that a "
        "move of its size can to first order.",
    ),
}
"""Titles and notes of the columns of ``measures.csv`` that are drawn."""


def tolerance_line(tolerance: float) -> str:
    """What a horizontal line means."""
    return f" Horizontal line: the tolerance, {format_plain(tolerance)}."


def first_steps(shown: float, total: float) -> str:
    """Which steps are drawn; empty if all are."""
    return "" if shown >= total else f" The first {shown:,.0f} of {total:,.0f} steps."


def optimum_line(best: float) -> str:
    """What a horizontal line means."""
    shown = format_plain(best)
    return f" Horizontal line: the best known allocation, {shown}, found without a market."


def measure_description(title: str, steps: int, last: float) -> str:
    """A figure of a measure in words."""
    return f"{title} over {steps:,} steps, at the end {format_plain(last)}"


def path_description(what: str, first: float, last: float, ends: Mapping[str, float]) -> str:
    """A figure of a path in words: the steps, and the last value of each good."""
    values = "; ".join(f"{good} {format_plain(value)}" for good, value in ends.items())
    return (
        f"{what} over steps {format_fixed(first, 0)} to {format_fixed(last, 0)}. "
        f"At the end: {values}."
    )


# --- a comparison ---------------------------------------------------------------------------------

LARGEST_DISTANCE = "The largest distance between their paths"
IDENTICAL_UNTIL = "identical up to step"
TEXTBOOK = "the textbook's optimiser"
FROM = {"twin": "from the twin", "textbook": "from the textbook's"}
BOTH_PATHS_NOTE = "Solid: the market. Dotted: its twin, computed from formulas alone."
DISTANCE_TITLE = "The distance between them"
DISTANCE_NOTE = "The largest difference of any good, relative to its largest size on the path."
DISTANCE_DESCRIPTION = "The distance between market and twin, step by step"
STEPS_TITLE = "Steps until all prices and quantities stay at the best known allocation"
STEPS_NOTE = "A mechanism that did not get there has no bar."


def both_paths_title(what: str) -> str:
    """The title of a figure of prices or quantities."""
    return f"{what} of the market and its twin"


def steps_description(steps: Sequence[tuple[str, float]]) -> str:
    """The steps of each mechanism in words."""
    counts = "; ".join(f"{name} {round(count):,}" for name, count in steps)
    return f"Steps of each mechanism: {counts}"


# --- a sweep --------------------------------------------------------------------------------------

AXES_CAPTION = "The axes of the sweep."
STEPS_OF_RUNS = "The steps that each run made."
RATE_NOTE = (
    "The factor by which moves shrank in a step, where it could be measured, and, dashed, "
    "the one that theory predicts."
)
ALIGNMENT_TITLE = "Mean alignment with the gradient"
OPTIMUM_NOTE = (
    "At the end of the runs, and, dashed, at the best known allocation, found without a market."
)
BEYOND_THE_AXIS = " What is beyond the axis is drawn at its edge."
STATUS_TITLE = "Status of the runs"


def runs_sentence(runs: int, counts: Mapping[Any, int]) -> str:
    """How many runs a sweep has, and how they ended."""
    return f"{runs:,} runs: {status_counts(counts)}."


def runs_caption(shown: int, total: int) -> str:
    """What a row of the table of runs is, and how many are shown."""
    some = f" {shown} of {total:,}, at equal distances." if shown < total else ""
    return f"A row a run.{some}"


def title_of(what: str, good: str) -> str:
    """The title of a panel: Welfare, or Quantity of bread."""
    return f"{what.capitalize()} of {good}" if good else what.capitalize()


def curve_description(title: str, runs: int, axis: str) -> str:
    """A curve in words."""
    return f"{title} of {runs:,} runs along {axis}"


def upward(axis: str) -> str:
    """What the vertical axis of a diagram is."""
    return f"Upward: {axis}."


def status_description(axes: tuple[str, str], runs: int, counts: Sequence[tuple[str, int]]) -> str:
    """A phase diagram in words."""
    shown = ", ".join(f"{count:,} {label}" for label, count in counts)
    return f"The status of {runs:,} runs, by {axes[0]} and {axes[1]}: {shown}"


FINAL_ERRORS_TITLE = "Errors at the end"


def final_errors_note(axis: str, shown: int, total: int, *, predicted: bool) -> str:
    """What the curves of errors at the end are, one for each of some values of the other axis."""
    some = f", {shown} of {total} values" if shown < total else ""
    theory = " Dots: measured. Dashed: what theory predicts." if predicted else ""
    return f"A curve for each {axis}{some}.{theory}"


def grid_note(axis: str, stride: int, largest_error: float | None, *, boundary: bool) -> str:
    """What is drawn in a grid: every ``stride``-th value, shades up to the largest error."""
    thinning = "" if stride == 1 else f" Every {stride}th value of each axis is shown."
    shades = (
        ""
        if largest_error is None
        else f" A stronger colour is a larger final error, up to {format_plain(largest_error, 2)}."
    )
    line = " The dark line: where the predicted rate is 1." if boundary else ""
    return f"{upward(axis)}{line}{thinning}{shades}"
