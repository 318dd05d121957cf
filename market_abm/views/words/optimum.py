"""Sentences about the best known allocation or the equilibrium, and where a run rests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from market_abm.analysis.observer import relative_error
from market_abm.gradient.budgets import Budgets
from market_abm.gradient.equilibrium import is_general
from market_abm.gradient.optimality import Kind
from market_abm.runs.optimum import rest_summary
from market_abm.views.numbers import format_error, format_plain
from market_abm.views.words.text import sentence

if TYPE_CHECKING:
    from market_abm.runs.result import Result


def welfare_text(welfare: float) -> str:
    """Total surplus as words and a number."""
    return f"welfare {format_plain(float(welfare))}"


CLOSED = (
    "nobody outside pays: prices are known up to a scale, and compared with the dominant "
    "eigenvector of the slopes"
)
"""Why a closed system has no optimum to compare with."""

GROWTH = "Welfare is the logarithm of the factor by which quantities grow in a step"
"""What welfare is in a closed system."""


GATHERS = 1.1
"""How many times as much must come from outside as goes there, for money to gather."""


def optimum_sentence(result: Result) -> str:
    """How far prices and quantities ended from the best known allocation."""
    distance, best = result.distance(), result.equilibrium
    if result.economy.closed:
        first, last = (format_plain(result.path.welfare[k]) for k in (0, -1))
        return f"{sentence(CLOSED)} {GROWTH}, {first} at the start and {last} now."
    if distance is None and result.steady_state_prices is not None and result.status != "diverged":
        prices = format_error(relative_error(result.last.prices, result.steady_state_prices).max())
        return f"Distance to the steady state (closed form): prices {prices} (relative)."
    if distance is None or best is None:
        first, last = (format_plain(result.path.welfare[k]) for k in (0, -1))
        name, why = "optimum", optimum_unknown()
        if is_general(result.economy):
            name, why = "equilibrium", equilibrium_unknown()
        return (
            f"The {name} was not computed: {why}. Welfare was {first} at the start and is {last}."
            f"{_money_gathers(result)}"
        )
    if not distance["solved"]:
        return sentence(no_optimum(distance["kind"], complete=distance["complete"]))
    welfare = format_plain(distance["best_welfare"])
    name = optimum_name(distance["kind"])
    source = f" ({optimum_source(distance)})"
    if result.status == "diverged":
        return f"Welfare at the {name}{source}: {welfare}."
    gaps = (
        f"Distance to the {name}{source}: prices {format_error(distance['prices'])}, "
        f"quantities {format_error(distance['quantities'])} (relative)"
    )
    if best.weights is not None:
        return f"{gaps}."
    return f"{gaps}; {welfare_text(result.path.welfare[-1])} of {welfare}{_of_plans(result)}."


def _money_gathers(result: Result) -> str:
    """That households get more from outside than they pay there, after a run without rest."""
    budgets = Budgets(result.economy)
    if result.at_rest or not budgets.count or budgets.closed:
        return ""
    paid, earned = map(float, budgets.outside(result.last.prices, result.last.quantities))
    if not paid > GATHERS * earned:
        return ""
    return (
        f" In the last step consumers other than households paid {format_plain(paid)}, and "
        f"suppliers that no household owns got {format_plain(earned)}: money gathers with "
        "households, and prices rise without end unless they buy more of what is from outside."
    )


def _of_plans(result: Result) -> str:
    """Why welfare may exceed the optimum, where plans are made and no goods are traded."""
    plans = not result.experiment.market.rules.trades and not result.at_rest
    return " (of plans that need not be possible together)" if plans else ""


def optimum_name(kind: Any) -> str:
    """What to call an allocation of this kind (a value of ``Kind``): the optimum, if it is certain.

    Where it is only the best of several, or older results do not say, it is the best known one.
    """
    if kind in GENERAL:
        return "equilibrium"
    return "optimum" if kind == Kind.GLOBAL_MAXIMUM.value else "best known allocation"


GENERAL = (Kind.EQUILIBRIUM.value, Kind.PARETO_OPTIMUM.value)
"""What equilibria with households or taxes are."""


def optimum_source(distance: Mapping[str, Any]) -> str:
    """How the allocation was found, and, unless it is certain that it is the best, what it is."""
    if distance["kind"] == Kind.GLOBAL_MAXIMUM.value:
        return "Newton's method"
    ended = "" if distance["complete"] else ", when the budget of the search was used up"
    if "reached" in distance:
        return _equilibrium_source(distance) + ended
    return f"Newton's method: a {distance['kind']}, the best of {distance['starts']} starts{ended}"


def _equilibrium_source(distance: Mapping[str, Any]) -> str:
    """How an equilibrium was found, and whether there are others, or better allocations."""
    text = f"Newton's method from {distance['reached']} of {distance['starts']} starts"
    if distance["equilibria"] > 1:
        text = f"one of {distance['equilibria']} that were found; {text}"
    if distance["kind"] == Kind.PARETO_OPTIMUM.value:
        text += "; Pareto-optimal, as lines are concave and utilities quasi-concave"
    return text


def no_optimum(kind: str, *, complete: bool) -> str:
    """Why a search found no optimum."""
    if kind == Kind.UNBOUNDED.value:
        return "there is no optimum: welfare grows beyond any bound that was tried"
    if not complete:
        return "no optimum was found within the budget of the search"
    return "no optimum was found"


def rest_sentence(result: Result) -> str:
    """What the allocation is at which the market rests; empty if it is the optimum, or unknown."""
    rest = rest_summary(result.rest, result.equilibrium)
    if rest is None or rest["kind"] in (Kind.UNKNOWN.value, *GENERAL):
        return ""
    known = result.equilibrium is not None and result.equilibrium.solved
    if rest["kind"] == Kind.GLOBAL_MAXIMUM.value and known:
        return ""
    return sentence(rest_text(rest))


def rest_text(rest: Mapping[str, Any]) -> str:
    """What the allocation is at which the market rests."""
    text = {
        Kind.GLOBAL_MAXIMUM.value: "the market rests at the maximum of welfare",
        Kind.PARETO_OPTIMUM.value: "the market rests at a Pareto-optimal equilibrium",
        Kind.EQUILIBRIUM.value: "the market rests at an equilibrium",
        Kind.LOCAL_MAXIMUM.value: "the market rests at a local maximum of welfare",
        Kind.SADDLE.value: "the market rests at a saddle point of welfare, which rises along some "
        "changes of the allocation and falls along others",
        Kind.MINIMUM.value: "the market rests at a local minimum of welfare, which any small "
        "change of the allocation raises",
        Kind.NOT_STATIONARY.value: "where the market rests, welfare could still be raised by small "
        "changes of the allocation",
    }.get(rest["kind"], f"what the allocation is at which the market rests is {rest['kind']}")
    better = rest.get("better_known")
    return f"{text}; a better allocation is known" if better else text


def optimum_unknown() -> str:
    """Why there is no optimum to compare with."""
    from market_abm.gradient.equilibrium import MAX_VARIABLES

    return f"more than {MAX_VARIABLES} free variables, or numbers beyond what a solver can handle"


def equilibrium_unknown() -> str:
    """Why there is no equilibrium to compare with."""
    return (
        "none was found from several starts within the budget of the search (equilibrium(economy, "
        f"work=...) sets another), or there are {optimum_unknown()}"
    )


def optimum_distance(kind: Any) -> str:
    """The label of the distance to the best allocation."""
    return f"distance to the {optimum_name(kind)}, relative"
