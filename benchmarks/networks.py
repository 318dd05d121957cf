"""Networks: many different lines, the United States, and a dense table of 400 industries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from firms import CHECKED_STEPS, MARKET, SHARE_RATE, array_engine, input_prices, many_firms
from measure import (
    Goal,
    Outcome,
    Row,
    Size,
    agreement,
    interleaved,
    once,
    same_prices,
    seconds,
    slope,
    upper_half,
)
from peers import DenseMarket, DenseProduct, NumPyMarket
from scipy.special import betaincc

from market_abm import (
    Economy,
    InputOutputTable,
    MarketModel,
    from_input_output,
    from_text,
    market_settings,
    read_table,
    run,
)
from market_abm.market.arrays import ArrayEngine
from market_abm.market.state import State

MONEY = market_settings(mechanism="trading-post")
WARM_STEPS = 5
"""Steps of a national economy until every good has been bid for, and prices are its own."""

# --- many lines ----------------------------------------------------------------------------------

FORMULAS = (
    "{c} * {x} ** {e}",
    "{c} * {x} ** {e} * {y} ** {f}",
    "{c} * ces({x}, {y}, elasticity={s}, weights=({w}, {v})) ** {d}",
    "{c} * ces({x}, {y}, {z}, elasticity={s}) ** {d}",
    "{c} * cobb_douglas({x}, {y}, {z}, exponents=({e}, {f}, {f}))",
    "{c} * ln(1 + {x} ** {d})",
    "{c} - {c} / (1 + {x} ** {d})",
    "{c} * sqrt({x} ** {d} + {y} ** {f} * {z} ** {e})",
    "{c} * (1 - exp(-sqrt({x})))",
    "sqrt({x}) + {c} * {y} ** {e}",
)
"""The right sides of a random program: increasing, positive, and with decreasing returns."""


def random_program(lines: int, seed: int = 1) -> tuple[str, dict[str, float]]:
    """A program of that many lines, and the supply of its raw goods.

    A line has one of ``FORMULAS`` with numbers of its own, and reads different goods of those
    before it, each with the same probability. One good for a hundred lines, at least four, is raw,
    and read by one of the first lines. What no line reads is sold to consumers at a price of 1.
    """
    rng = np.random.default_rng(seed)
    raw = max(4, lines // 100)
    goods = [f"r{k}" for k in range(raw)]
    text = []
    for k in range(lines):
        chosen = rng.choice(len(goods), 3, replace=False).tolist()
        if k < raw and k not in chosen:
            chosen[0] = k
        numbers = {
            "c": rng.uniform(1.5, 2.5),
            "d": rng.uniform(0.6, 0.8),
            "e": rng.uniform(0.3, 0.5),
            "f": rng.uniform(0.1, 0.2),
            "s": rng.uniform(0.4, 1.6),
            "w": (weight := round(rng.uniform(0.3, 0.7), 3)),
            "v": 1.0 - weight,
        }
        formula = FORMULAS[rng.integers(len(FORMULAS))].format(
            **{name: goods[place] for name, place in zip("xyz", chosen, strict=True)},
            **{name: f"{number:.3f}" for name, number in numbers.items()},
        )
        goods.append(f"g{k}")
        text.append(f"g{k} = {formula}")
    return "\n".join(text), {f"r{k}": 100.0 for k in range(raw)}


def different_lines(lines: int) -> tuple[Economy, NumPyMarket]:
    """Lines of one firm with two CES inputs, no two alike, in the package and in plain NumPy."""
    rng = np.random.default_rng(1)
    elasticity = np.round(rng.uniform(0.4, 1.6, lines), 4)
    weight = np.round(rng.uniform(0.3, 0.7, lines), 4)
    text = "\n".join(
        f"y{k} = ces(a, b, elasticity={s}, weights=({w}, {1.0 - w}))"
        for k, (s, w) in enumerate(zip(elasticity.tolist(), weight.tolist(), strict=True))
    )
    supply = {"a": 2.0 * lines, "b": 3.0 * lines}
    one = np.ones(lines)
    peer = NumPyMarket(
        one, one, (supply["a"], supply["b"]), elasticity, (weight, 1.0 - weight), SHARE_RATE
    )
    return from_text(text, supply), peer


def in_step(economy: Economy, peer: NumPyMarket) -> tuple[ArrayEngine, float]:
    """The market in arrays, after as many steps as the peer, and how far prices differ."""
    engine = array_engine(economy)
    for _ in range(CHECKED_STEPS):
        engine.step()
        peer.step()
    return engine, same_prices(input_prices(engine), peer.prices)


def lines(size: Size) -> Outcome:
    """A thousand different lines of one firm against one line of a thousand firms."""
    count = 100 if size.quick else 1000
    economy, peer = different_lines(count)
    many, far = in_step(economy, peer)
    one = array_engine(many_firms(count))
    times = interleaved({"lines": many.step, "firms": one.step, "NumPy": peer.step})
    row = Row(
        f"lines-over-firms-{count}",
        f"{count:,} different lines of one firm over one line of {count:,} firms, arrays",
        times["lines"] / times["firms"],
        detail=f"{seconds(times['lines'])} : {seconds(times['firms'])} a step; by hand in NumPy "
        f"{seconds(times['NumPy'])}; prices agree {agreement(far)}",
        goal=Goal(3),
    )
    return Outcome([row])


def program(size: Size) -> Outcome:
    """A random program of ten formulas: set-up, cost of a step, and how it grows with lines."""
    counts = (100, 1000) if size.quick else (100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)
    series: dict[str, list[tuple[float, float]]] = {"program": [], "program by agents": []}
    for count in counts:
        text, supply = random_program(count)
        reading, economy = once(partial(from_text, text, supply))
        making, engine = once(partial(array_engine, economy))
        works: dict[str, Callable[[], Any]] = {"program": engine.step}
        if count <= 10_000:
            agents = MarketModel(economy, MARKET)
            far = check_engines(agents, engine)
            works["program by agents"] = agents.step
        for kind, time in interleaved(works).items():
            series[kind].append((float(count), time / count))
        if engine.failed:
            raise RuntimeError(f"the random program fails: {engine.failed[0]}")
    a_firm = series["program"][-1][1]
    rows = [
        Row(
            f"program-step-{count}",
            f"random program of 10 formulas, {count:,} lines of one firm, arrays: a firm and step",
            1e9 * a_firm,
            "ns",
            f"{seconds(a_firm * count)} a step; prices of agents agree {agreement(far)}",
            Goal(60),
        ),
        Row(
            f"program-setup-{count}",
            f"the same: set-up of {count:,} lines",
            reading + making,
            "s",
            f"program to economy {seconds(reading)}, economy to engine {seconds(making)}",
            Goal(5),
        ),
        Row(
            f"program-slope-{count}",
            "the same: slope of the cost of a step against lines "
            f"(upper half of {counts[0]} to {count:,})",
            1.0 + slope(upper_half(series["program"])),
            goal=Goal(1.05),
        ),
    ]
    return Outcome(rows, series)


def check_engines(agents: MarketModel, arrays: ArrayEngine) -> float:
    """How far the prices of agents and of arrays differ after some steps."""
    for _ in range(CHECKED_STEPS):
        agents.step()
        arrays.step()
    priced = agents.state.prices != 0.0  # the others have not been bid for yet
    return same_prices(arrays.state.prices[0][priced], agents.state.prices[priced])


# --- national economies --------------------------------------------------------------------------


class National:
    """The economy of a table, and its market in matrices of industries by goods.

    Parameters
    ----------
    table
        The table; goods are its industries, then what is primary.
    elasticity
        Of substitution in all industries.
    """

    def __init__(self, table: InputOutputTable, elasticity: float = 1.0) -> None:
        self.economy = from_input_output(table, substitution_elasticity=elasticity)
        self.goods = np.array([self.economy.index[good] for good in (*table.codes, "primary")])
        self.cost_shares = np.column_stack([table.shares.T, table.primary_shares])
        self.final_shares = np.asarray(table.final_shares)
        self.elasticity = elasticity

    def engine(self) -> ArrayEngine:
        """Its market in arrays, after some steps, when all goods have prices."""
        engine = array_engine(self.economy, MONEY)
        for _ in range(WARM_STEPS):
            engine.step()
        return engine

    def prices(self, state: State) -> np.ndarray:
        """Those of all goods but the household's, shape (goods,)."""
        return state.prices[..., self.goods].ravel()

    def seen(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities and prices, (goods,), and the money of industries, (industries, goods)."""
        buyers, size = self.economy.buyers, len(self.economy.goods)
        bids = np.zeros((size, size))
        bids[buyers.maker, buyers.good] = state.bids[0]
        money = bids[np.ix_(self.goods[:-1], self.goods)]
        return state.quantities[0, self.goods], self.prices(state), money

    def by_hand(self, *steps: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Any:
        """The peer, at the second of three consecutive steps as they were seen."""
        (made, paid, _), (quantities, prices, money), (_, _, values) = steps
        shares = self.cost_shares, self.final_shares
        if self.elasticity == 1.0:
            return DenseProduct(*shares, quantities, quantities * prices, (made * paid)[:-1])
        return DenseMarket(*shares, self.elasticity, quantities, money, values)

    def with_peer(self) -> tuple[ArrayEngine, Any, float]:
        """The market in arrays and by hand, at the same step, and how far prices differ."""
        engine = self.engine()
        steps = [self.seen(engine.state)]
        for _ in range(CHECKED_STEPS + 1):
            engine.step()
            steps.append(self.seen(engine.state))
        peer = self.by_hand(*steps[:3])
        for _ in range(CHECKED_STEPS):
            peer.step()
        return engine, peer, same_prices(self.prices(engine.state), peer.prices)


def united_states(size: Size) -> Outcome:
    """The United States by agents, by arrays, and solved by hand as two matrix products."""
    economy = National(read_table("us-2023"))
    arrays, peer, far = economy.with_peer()
    agents = MarketModel(economy.economy, MONEY)
    for _ in range(arrays.clock):
        agents.step()
    far = max(far, same_prices(economy.prices(arrays.state), economy.prices(agents.state)))
    times = interleaved({"agents": agents.step, "arrays": arrays.step, "product": peer.step})
    row = Row(
        "us-agents-over-arrays",
        "United States, 71 industries: agents over arrays",
        times["agents"] / times["arrays"],
        detail=f"{seconds(times['agents'])} : {seconds(times['arrays'])} a step; solved by hand as "
        f"two matrix products {seconds(times['product'])}; prices agree {agreement(far)}",
        goal=Goal(40, least=True),
    )
    return Outcome([row])


def dense_table(industries: int) -> InputOutputTable:
    """A table in which every industry buys from all, with random shares."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(industries + 1), industries).T[:-1] + 0.1 / industries
    shares *= 0.5 / shares.sum(axis=0)
    final = rng.dirichlet(np.ones(industries))
    output = np.linalg.solve(np.eye(industries) - shares, final)
    codes = tuple(f"i{k}" for k in range(industries))
    return InputOutputTable(codes, codes, shares * output, output, final)


def dense(size: Size) -> Outcome:
    """A dense table in arrays, against the logarithms and exponentials of one matrix."""
    count = 50 if size.quick else 400
    rows = []
    product = one_product(count)
    for elasticity, name in ((1.0, "Cobb-Douglas"), (0.5, "CES of σ = 0.5")):
        arrays, peer, far = National(dense_table(count), elasticity).with_peer()
        times = interleaved({"arrays": arrays.step, "product": product, "peer": peer.step})
        by_hand = "two matrix products" if elasticity == 1.0 else "matrices in plain NumPy"
        rows.append(
            Row(
                f"dense-{count}-{elasticity}",
                f"{count} industries, dense, {name}: arrays over one {count} × {count} "
                "matrix-vector product with log and exp of each entry",
                times["arrays"] / times["product"],
                detail=f"{seconds(times['arrays'])} : {seconds(times['product'])} a step; by hand "
                f"as {by_hand} {seconds(times['peer'])}; prices agree {agreement(far)}",
                goal=Goal(4),
            )
        )
    return Outcome(rows)


def one_product(size: int) -> Callable[[], Any]:
    """The logarithm and the exponential of each entry of a matrix, and its product with a vector.

    What a CES line of that many inputs needs at the very least, for that many lines.
    """
    rng = np.random.default_rng(1)
    matrix, vector = rng.uniform(0.5, 1.5, (size, size)), np.ones(size)
    logs, result = np.empty_like(matrix), np.empty(size)

    def work() -> None:
        np.log(matrix, out=logs)
        np.exp(logs, out=logs)
        np.matmul(logs, vector, out=result)

    return work


# --- depth ---------------------------------------------------------------------------------------

BID_RATE = 0.5
"""The part of its gap that a bid closes in a step, in chains of different depths."""

NEAR = 1e-9
"""The relative error up to which such a chain is run."""


def depth(size: Size) -> Outcome:
    """Steps to converge against the depth of a chain."""
    depths = (1, 2, 4, 8) if size.quick else (1, 2, 4, 8, 16, 32, 64, 128)
    measured = [(float(d), float(steps_to_converge(d))) for d in depths]
    theory = [(float(d), float(predicted_steps(d))) for d in depths]
    row = Row(
        f"depth-{depths[-1]}",
        f"slope of steps to converge against depth (last two of {depths[0]} to {depths[-1]} lines)",
        slope(measured[-2:]),
        detail="tends to 1",
    )
    return Outcome([row], {"depth": measured, "depth predicted": theory})


def steps_to_converge(lines: int) -> int:
    """Steps until all prices of a chain of this depth are within ``NEAR`` of their gradients."""
    text = "\n".join(f"g{k + 1} = 2 * g{k} ** 0.9" for k in range(lines))
    settings: dict[str, Any] = {"bid_rate": BID_RATE, "steps": 100_000, "tolerance": NEAR / 100}
    result = run(from_text(text, {"g0": 1.0}), engine="arrays", **settings)
    assert result.status == "converged"
    return int(result.times[result.errors.max(axis=1) > NEAR].max()) + 1


def predicted_steps(lines: int) -> int:
    """The first step at which the negative binomial law puts the last price within tolerance."""
    t = np.arange(lines, 100 + 10 * lines)
    return int(t[betaincc(lines, t - lines + 1, BID_RATE) <= NEAR][0])
