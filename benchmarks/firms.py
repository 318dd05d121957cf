"""One market of many firms: agents, arrays, and the same law by hand in Mesa and in NumPy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
from measure import (
    DifferentPricesError,
    Goal,
    Outcome,
    Row,
    Size,
    agreement,
    interleaved,
    same_prices,
    seconds,
    slope,
    upper_half,
)
from peers import MesaMarket, NumPyMarket

from market_abm import Economy, MarketModel, from_text, market_settings
from market_abm.market.arrays import ArrayEngine

ELASTICITY, SHARES = 0.7, (0.4, 0.6)
SUPPLY = {"a": 2.0, "b": 3.0}
SHARE_RATE = 0.1
MARKET = market_settings(share_rate=SHARE_RATE)
CACHED_NUMBERS = 16_384
"""Elements of an array of which several stay in the cache."""
HAS_THREADS = "threads" in signature(ArrayEngine).parameters
CHECKED_STEPS = 3
"""Steps after which prices are compared."""


def many_firms(firms: int) -> Economy:
    """One industry of unequal firms with two CES inputs."""
    line = f"y = ces(a, b, elasticity={ELASTICITY}, weights={SHARES})"
    population = {"firms": firms, "weight_spread": 0.3, "productivity_spread": 0.2}
    return from_text(line, SUPPLY, population=population)


def array_engine(economy: Economy, market: Any = MARKET, threads: int | None = 1) -> ArrayEngine:
    """A single run of an economy in arrays; on one thread where there is no choice.

    With ``threads`` None on as many as it takes by itself.
    """
    options = {"threads": threads} if HAS_THREADS else {}
    return ArrayEngine([economy], [market], [1], **options)


def by_hand(kind: Callable[..., Any], economy: Economy) -> Any:
    """The market of :func:`many_firms` as one of the peers."""
    (industry,) = economy.topological_order
    supply = (SUPPLY["a"], SUPPLY["b"])
    return kind(industry.weights, industry.productivity, supply, ELASTICITY, SHARES, SHARE_RATE)


def markets(economy: Economy, kinds: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The same market in several programs, a few steps on, and how far their prices differ.

    Parameters
    ----------
    economy
        That of :func:`many_firms`.
    kinds
        Of ``agents``, ``Mesa``, ``NumPy`` and ``arrays``.
    """
    make: dict[str, Callable[[], Any]] = {
        "agents": lambda: MarketModel(economy, MARKET),
        "Mesa": lambda: by_hand(MesaMarket, economy),
        "NumPy": lambda: by_hand(NumPyMarket, economy),
        "arrays": lambda: array_engine(economy),
    }
    made = {kind: make[kind]() for kind in kinds}
    for market in made.values():
        for _ in range(CHECKED_STEPS):
            market.step()
    prices = [input_prices(market) for market in made.values()]
    return made, max(same_prices(prices[0], each) for each in prices[1:])


def input_prices(market: Any) -> np.ndarray:
    """The prices of a and b."""
    state = getattr(market, "state", None)
    return np.array(market.prices if state is None else state.prices.ravel()[:2], float)


# --- a firm's step -------------------------------------------------------------------------------


def agents(size: Size) -> Outcome:
    """Agents against the agents that a Mesa user writes by hand, and against arrays."""
    rows: list[Row] = []
    series: dict[str, list[tuple[float, float]]] = {"agents": [], "Mesa": []}
    for firms in (10, 100) if size.quick else (10, 100, 1_000, 10_000, 100_000):
        made, far = markets(many_firms(firms), ("agents", "Mesa", "arrays"))
        times = interleaved({kind: market.step for kind, market in made.items()})
        a_firm = {kind: time / firms for kind, time in times.items()}
        for kind, points in series.items():
            points.append((float(firms), a_firm[kind]))
        if firms < 1000 and not size.quick:
            continue
        rows += [
            Row(
                f"agents-over-mesa-{firms}",
                f"agents over a Mesa firm written by hand, {firms:,} firms",
                a_firm["agents"] / a_firm["Mesa"],
                detail=f"{seconds(a_firm['agents'])} : {seconds(a_firm['Mesa'])} a firm and step; "
                f"prices agree {agreement(far)}",
                goal=Goal(1.5),
            ),
            Row(
                f"agents-over-arrays-{firms}",
                f"agents over arrays, {firms:,} firms",
                a_firm["agents"] / a_firm["arrays"],
                detail=f"{seconds(a_firm['agents'])} : {seconds(a_firm['arrays'])} a firm and step",
                goal=Goal(100, least=True) if firms >= 10_000 else None,
            ),
        ]
    return Outcome(rows, series)


def arrays(size: Size) -> Outcome:
    """Arrays against plain NumPy, and against the logarithms and exponentials that they need."""
    powers = np.arange(1.0, 4.1) if size.quick else np.arange(1.0, np.log10(size.firms) + 0.1, 0.5)
    functions = transcendental_functions()
    rows: list[Row] = []
    series: dict[str, list[tuple[float, float]]] = {"arrays": [], "NumPy": []}
    for firms in (10**powers).astype(int).tolist():
        made, far = markets(many_firms(firms), ("arrays", "NumPy"))
        works = {kind: market.step for kind, market in made.items()}
        times = interleaved({**works, "functions": functions})
        a_firm = {kind: times[kind] / firms for kind in works}
        a_firm["functions"] = times["functions"] / CACHED_NUMBERS
        for kind, points in series.items():
            points.append((float(firms), a_firm[kind]))
        if firms == (1000 if size.quick else 1_000_000):
            rows = _against_numpy(firms, a_firm, far)
    cost = Row(
        "arrays-slope",
        f"slope of the cost of a step against firms (upper half of 10 to {firms:,}), arrays",
        1.0 + slope(upper_half(series["arrays"])),
        goal=Goal(1.05),
    )
    return Outcome([*rows, cost], series)


def _against_numpy(firms: int, a_firm: dict[str, float], far: float) -> list[Row]:
    """The rows of :func:`arrays` for one number of firms, from seconds per firm and step."""
    return [
        Row(
            f"arrays-over-functions-{firms}",
            f"arrays over NumPy's own logarithms and exponentials for it, {firms:,} firms, "
            "one thread",
            a_firm["arrays"] / a_firm["functions"],
            detail=f"{seconds(a_firm['arrays'])} : {seconds(a_firm['functions'])} a firm and step",
            goal=Goal(2),
        ),
        Row(
            f"arrays-over-numpy-{firms}",
            f"arrays over the market in plain NumPy, {firms:,} firms",
            a_firm["arrays"] / a_firm["NumPy"],
            detail=f"{seconds(a_firm['arrays'])} : {seconds(a_firm['NumPy'])} a firm and step; "
            f"prices agree {agreement(far)}",
        ),
    ]


def threads(size: Size) -> Outcome:
    """A large market on two threads, by the clock on the wall; both must give the same bits."""
    firms = 10_000 if size.quick else 1_000_000
    work = f"two threads over one, {firms:,} firms: how many times faster, by the clock"
    row = Row(f"threads-{firms}", work, None, "×", goal=Goal(1.7, least=True))
    if not HAS_THREADS:
        return Outcome([replace(row, note="no threads")])
    one, two = (array_engine(many_firms(firms), threads=count) for count in (1, 2))
    for _ in range(CHECKED_STEPS):
        one.step()
        two.step()
    if not np.array_equal(one.state.shares, two.state.shares):
        raise DifferentPricesError("one thread and two differ in the last bits of shares")
    times = interleaved({"one": one.step, "two": two.step}, clock=time.perf_counter)
    detail = f"{seconds(times['one'])} : {seconds(times['two'])} a step; the same bits"
    return Outcome([replace(row, value=times["one"] / times["two"], detail=detail)])


def transcendental_functions() -> Callable[[], None]:
    """NumPy's logarithms and exponentials alone, a lower bound.

    A firm with two CES inputs needs log and expm1 of each input, log1p and exp of their mean, exp
    for each marginal product, and log and exp for each share. Arrays fit in the cache.
    """
    x, y = np.full(CACHED_NUMBERS, 1.5), np.empty(CACHED_NUMBERS)
    counts = {np.log: 4, np.expm1: 2, np.log1p: 1, np.exp: 5}

    def work() -> None:
        for function, count in counts.items():
            for _ in range(count):
                function(x, out=y)

    return work
