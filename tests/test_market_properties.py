"""What must hold along the way, whatever the program: docs/model.md, 1 to 4, as properties."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st
from support.economies import split, two_uses
from support.profiles import examples
from support.strategies import RandomProgram, chains, copy_dags, in_order, market_shares, rival_dags

import market_abm

ACTIVATIONS = ["simultaneous", "sequential", "random"]

DIAMOND = """\
left = sqrt(x)
right = 2 * x**0.4
y = ces(left, right, elasticity=0.8, weights=(0.4, 0.6))
"""


def diamond(**options: Any) -> market_abm.Economy:
    return market_abm.from_text(DIAMOND, supply={"x": 3}, demand={"y": 2}, **options)


# --- replicas ----------------------------------------------------------------------------------


@given(
    program=st.one_of(chains(), copy_dags(), rival_dags()),
    firms=st.integers(2, 6),
    activation=st.sampled_from(["simultaneous", "sequential"]),
)
@settings(max_examples=examples(40))
def test_equal_firms_walk_the_path_of_one_firm(
    program: RandomProgram, firms: int, activation: str
) -> None:
    """f_i(x) = w f(x / w): M equal firms are one firm, at every step and not only at rest.

    Sums of M terms and 12 steps of products: 1e-10 leaves room for growth of 1e-15 by cancellation.
    """
    alone = program.arguments | {"population_of": {}}
    many = alone | {"population": {"firms": firms}}
    paths = [
        market_abm.run(
            market_abm.from_text(**arguments),
            activation=activation,
            bid_rate=0.8,
            share_rate=0.05,
            steps=12,
        )
        for arguments in (alone, many)
    ]
    assert paths[0].steps == paths[1].steps
    for name in ("quantities", "prices", "gradients"):
        one, all_of_them = (getattr(path, name) for path in paths)
        np.testing.assert_allclose(all_of_them, one, rtol=1e-10, atol=1e-12)


def test_sizes_of_firms_do_not_matter_without_differences_of_skill() -> None:
    sizes = {"firms": 3, "weights": [0.6, 0.3, 0.1]}
    one, three = (
        market_abm.run(diamond(population=population), share_rate=0.1, steps=40)
        for population in ({"firms": 1}, sizes)
    )
    # 40 steps of roundings of 1e-16.
    np.testing.assert_allclose(three.prices, one.prices, rtol=1e-13)
    np.testing.assert_allclose(three.quantities, one.quantities, rtol=1e-13)


def test_a_better_firm_ends_with_more() -> None:
    """z w (x/w)**a: equal marginal products give x/w in proportion to z**(1/(1 - a)), by hand."""
    economy = market_abm.from_text(
        "y = sqrt(x)",
        supply={"x": 1},
        population={"firms": 2, "weights": [0.5, 0.5], "productivity": [1.0, 2.0]},
    )
    result = market_abm.run(economy, activation="sequential", share_rate=0.5, tolerance=1e-12)
    assert result.status == "converged"
    first, second = result.trajectory.shares[-1][economy.buyers.of_industry["y"][0]]
    # Stopped at 1e-12, with shares halving their distance each step or so: 1e-10.
    assert second / first == pytest.approx(4, rel=1e-10)


# --- markets -----------------------------------------------------------------------------------


@given(program=copy_dags(), activation=st.sampled_from(ACTIVATIONS))
@settings(max_examples=examples(40))
def test_copy_goods_cost_what_their_users_bids_add_up_to(
    program: RandomProgram, activation: str
) -> None:
    """One firm an industry, so each buyer is a user. A sum of a few numbers: 1e-13 of its terms."""
    economy = market_abm.from_text(**(program.arguments | {"population_of": {}}))
    result = market_abm.run(economy, activation=activation, bid_rate=0.6, steps=10)
    for k, good in enumerate(result.goods):
        if good in program.demand:
            assert np.all(result.prices[:, k] == program.demand[good])
            continue
        bids = result.trajectory.bids[:, economy.buyers.good == k]
        error = np.abs(result.prices[:, k] - bids.sum(axis=1))
        assert np.all(error <= 1e-13 * np.abs(bids).sum(axis=1))


@given(program=rival_dags(), activation=st.sampled_from(["simultaneous", "sequential"]))
@settings(max_examples=examples(30))
def test_what_is_bought_is_what_was_on_sale(program: RandomProgram, activation: str) -> None:
    """No unit lost or made: inputs into the batch of step t are the good's sale of step t - 1.

    (``sequential``: of the same forward pass.) Copy goods: each place gets all of it. Sums: 1e-13.
    """
    economy = market_abm.from_text(**program.arguments)
    lag = 1 if activation == "simultaneous" else 0
    result = market_abm.run(economy, activation=activation, share_rate=0.1, steps=10)
    for k, good in enumerate(result.goods):
        users = economy.buyers.good == k
        if good in program.demand:
            assert not users.any()
            continue
        bought = result.trajectory.inputs[1:, users].sum(axis=1)
        sold = result.quantities[1 - lag : len(result.quantities) - lag, k]
        np.testing.assert_allclose(bought, sold, rtol=1e-13)
        np.testing.assert_allclose(result.trajectory.shares[:, users].sum(axis=1), 1.0, rtol=1e-13)


def test_all_users_of_a_copy_good_get_all_of_it() -> None:
    economy = market_abm.from_text(
        "a = 2 - x\nb = x**2 + x\ny = a*b", supply={"x": 0.7}, reuse="copy"
    )
    result = market_abm.run(economy, steps=6)
    users = economy.buyers.good == result.goods.index("x")
    assert users.sum() == 2  # the line of b reads x twice, and buys it once
    assert np.all(result.trajectory.inputs[:, users] == 0.7)


@given(program=rival_dags(most_lines=3))
@settings(max_examples=examples(8))
def test_at_rest_all_users_of_a_rival_good_face_one_price(program: RandomProgram) -> None:
    """Shares move until every bid is the price. Stopped at 1e-12 of the gradient.

    Shares then move by less than about 1e-12 relative a step, which is share_rate times the gap
    between bid and price: 1e-10 for the gap leaves a factor of ten over 1e-12 / 0.1.
    """
    economy = market_abm.from_text(**program.arguments)
    result = market_abm.run(
        economy, activation="sequential", share_rate=0.1, steps=6000, tolerance=1e-12
    )
    assert result.status == "converged"
    paid = result.prices[-1][economy.buyers.good]
    np.testing.assert_allclose(result.trajectory.bids[-1], paid, rtol=1e-10)


@given(program=rival_dags(), share_rate=st.sampled_from([0.0, 0.1, 0.4]))
@settings(max_examples=examples(30))
def test_sequential_prices_are_exact_even_out_of_equilibrium(
    program: RandomProgram, share_rate: float
) -> None:
    """One forward and one backward pass a step, with bid_rate 1, is backprop at those shares.

    Exact at every step from the first, by the model's own account and by autograd: rounding only.
    """
    economy = market_abm.from_text(**program.arguments)
    result = market_abm.run(
        economy, activation="sequential", share_rate=share_rate, steps=8, tolerance=1e-15
    )
    order = in_order(program, result.goods)
    assert np.all(result.errors[1:] <= 1e-12)
    for step in range(1, result.steps + 1):
        shares = market_shares(program, economy, result.trajectory.shares[step])
        np.testing.assert_allclose(result.prices[step], program.gradient(shares)[order], rtol=1e-11)
        quantities = program.quantities(shares)[order]
        np.testing.assert_allclose(result.quantities[step], quantities, rtol=1e-12)


def test_the_market_climbs() -> None:
    """Small steps with fresh prices: welfare rises in every step, along the gradient."""
    result = market_abm.run(diamond(), activation="sequential", share_rate=0.1, steps=30)
    assert np.all(np.diff(result.path.welfare[1:]) > 0)
    assert result.path.ascent_fraction == 1
    assert result.path.welfare[-1] == pytest.approx(2 * result.quantities[-1, -1], rel=1e-15)
    alignment = result.path.alignment[np.isfinite(result.path.alignment)]
    # A small exponentiated-gradient step is along the gradient up to its own length.
    assert len(alignment) > 20
    assert np.all(alignment > 0.99)
    assert np.all(alignment <= 1 + 1e-12)


@pytest.mark.parametrize(("activation", "each"), [("simultaneous", 1), ("sequential", 0)])
def test_prices_are_gradients_as_old_as_the_goods_and_prices_that_made_them(
    activation: str, each: int
) -> None:
    """With bid_rate 1 and identities p(t) = g(t - lag) itself, while shares move.

    The two stages that goods of new shares pass to the consumer, and the k stages back of a price:
    the lag is k + 2 steps.

    Not so for x: its price weighs old bids by new shares, which at constant returns (Euler) is
    the new price to first order.
    """
    program = "a1 = x\na = a1\nb1 = x\nb = b1\ny = ces(a, b, elasticity=0.8, weights=(0.1, 0.9))"
    economy = market_abm.from_text(program, supply={"x": 1})
    result = market_abm.run(economy, activation=activation, share_rate=0.03, steps=60)
    for stages, pair in enumerate([("a", "b"), ("a1", "b1")], start=1):
        for good in pair:
            at, lag = result.goods.index(good), (stages + 2) * each
            late = result.prices[3 + stages :, at]
            then = result.gradients[3 + stages - lag : 61 - lag, at]
            np.testing.assert_allclose(late, then, rtol=1e-13)  # products of a few numbers
            assert np.ptp(then) > 0.1  # the gradient does move
            assert result.path.staleness_of_good[at] == lag
    if each == 0:
        assert result.path.mean_staleness == 0


# --- randomness --------------------------------------------------------------------------------


def bits(result: Any) -> list[bytes]:
    return [
        np.ascontiguousarray(part).tobytes()
        for part in (
            result.prices,
            result.quantities,
            result.gradients,
            result.trajectory.bids,
            result.trajectory.shares,
            result.trajectory.inputs,
        )
    ]


@pytest.mark.parametrize(
    ("activation", "population"),
    [("random", {"firms": 4}), ("simultaneous", {"firms": 4, "bid_noise": 0.1})],
)
def test_the_same_seed_gives_the_same_bits(activation: str, population: dict) -> None:
    def path(seed: int) -> list[bytes]:
        economy = diamond(population=population)
        return bits(
            market_abm.run(economy, activation=activation, share_rate=0.1, steps=25, seed=seed)
        )

    assert path(3) == path(3)
    assert path(3) != path(4)


def test_global_random_state_is_neither_read_nor_moved() -> None:
    economy = diamond(population={"firms": 3, "bid_noise": 0.1})
    settings_of = {"activation": "random", "share_rate": 0.1, "steps": 10}
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = bits(market_abm.run(economy, **settings_of))
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    np.random.seed(99)  # noqa: NPY002
    assert bits(market_abm.run(economy, **settings_of)) == first


def test_drawn_firms_depend_on_the_seed_of_the_economy_alone() -> None:
    drawn = {"firms": 5, "weight_spread": 0.5, "productivity_spread": 0.2}

    def path(economy_seed: int, seed: int) -> list[bytes]:
        economy = diamond(population=drawn, seed=economy_seed)
        return bits(market_abm.run(economy, share_rate=0.1, steps=10, seed=seed))

    assert path(1, 1) == path(1, 2)
    assert path(1, 1) != path(2, 1)


@given(program=st.one_of(copy_dags(), chains()), seed=st.integers(0, 99))
@settings(max_examples=examples(25))
def test_random_activation_reaches_the_same_prices(program: RandomProgram, seed: int) -> None:
    """Every firm acts once a step, so news comes up at least one industry a step.

    One firm an industry: several are disturbed by hearing of prices in turn, see below.
    """
    economy = market_abm.from_text(**(program.arguments | {"population_of": {}}))
    in_turn = market_abm.run(economy, steps=20)
    at_random = market_abm.run(economy, activation="random", seed=seed, steps=20)
    assert at_random.status == in_turn.status == "converged"
    assert at_random.steps <= program.depth
    # The same products of the same numbers: a few roundings of their terms.
    scale = program.contributions()[in_order(program, in_turn.goods)]
    assert np.all(np.abs(at_random.prices[-1] - in_turn.prices[-1]) <= 1e-13 * scale)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("firms", [2, 5])
def test_random_activation_with_firms_whose_bids_change_sign(firms: int, seed: int) -> None:
    """a is worth -0.3 to b, then, with c's bid, 0.7: for a while firms bid for x with both signs.

    Bidding of both signs within one industry must not end the market (docs/model.md, 3). The price
    of x is 2 * 0.7 = 1.4, to 1e-8: the firms' shares come back at a linear rate, and the run stops
    at 1e-9.
    """
    economy = market_abm.from_text(
        "a = 2*x\nb = 1 - 0.3*a\nc = 1*a\ny = c + 1",
        supply={"x": 1},
        reuse="copy",
        population={"firms": firms},
    )
    result = market_abm.run(economy, activation="random", seed=seed)
    assert result.status == "converged", result.summary()["message"]
    assert result.prices[-1, result.goods.index("x")] == pytest.approx(1.4, rel=1e-8)


def test_random_activation_finds_the_same_split() -> None:
    paths = [
        market_abm.run(
            diamond(population={"firms": 3}),
            activation=activation,
            share_rate=0.15,
            steps=2000,
            tolerance=1e-12,
        )
        for activation in ACTIVATIONS
    ]
    for path in paths:
        assert path.status == "converged"
        # Stopped at 1e-12 with modes of about 0.9 a step left: 1e-10.
        np.testing.assert_allclose(path.prices[-1], paths[0].prices[-1], rtol=1e-10)
        np.testing.assert_allclose(path.quantities[-1], paths[0].quantities[-1], rtol=1e-10)


# --- signs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("firms", [1, 20])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_negative_prices_and_quantities_in_a_chain(firms: int, activation: str) -> None:
    economy = market_abm.from_text(
        "waste = 2 - 5*x\nload = 3 - waste**3\ny = 1 - load",
        supply={"x": 1},
        demand={"y": 2},
        population={"firms": firms},
    )
    result = market_abm.run(economy, activation=activation)
    # By hand: waste -3, load 30, y -29; dy/dload -1, dy/dwaste 27, dy/dx -135; y sells at 2.
    expected = {"x": (1, -270), "waste": (-3, 54), "load": (30, -2), "y": (-29, 2)}
    assert result.status == "converged"
    for good, (quantity, price) in expected.items():
        at = result.goods.index(good)
        # Sums over 20 firms of numbers up to 1e3: 1e-13. At random, firms learn of prices in turn,
        # which moves their shares; they come back at a linear rate, and the run stops at 1e-9.
        tolerance = 1e-8 if activation == "random" and firms > 1 else 1e-13
        assert result.quantities[-1, at] == pytest.approx(quantity, rel=tolerance)
        assert result.prices[-1, at] == pytest.approx(price, rel=tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_negative_prices_with_copies(activation: str) -> None:
    economy = market_abm.from_text(
        "a = 1 - x\nb = 0.3*x - 2\ny = a*b + x", supply={"x": 1.5}, reuse="copy"
    )
    result = market_abm.run(economy, activation=activation)

    def y(x: float) -> float:
        return (1 - x) * (0.3 * x - 2) + x

    assert result.status == "converged"
    at = result.goods.index("x")
    assert result.prices[-1, at] == pytest.approx(grad(y)(1.5), rel=1e-14)
    assert result.prices[-1, result.goods.index("a")] < 0


NEGATIVE_PRICE = "left = 1 - x\nright = 2 - x"


@pytest.mark.parametrize(
    ("program", "steps"),
    [
        (NEGATIVE_PRICE, 1),
        # A user of two steps' standing: the bids for x are positive until the loss gets there.
        ("left = sqrt(x)\nright = 2*x\nworse = 3 - right", 2),
    ],
)
def test_a_rival_good_at_a_negative_price_is_refused_with_the_step(
    program: str, steps: int
) -> None:
    economy = market_abm.from_text(program, supply={"x": 1})
    with pytest.raises(market_abm.MarketError) as refusal:
        market_abm.run(economy)
    message = str(refusal.value)
    assert re.search(rf"\bstep {steps}\b", message), message
    assert "'x'" in message
    assert "copy" in message
    # And the remedy works.
    copied = market_abm.run(market_abm.from_text(program, supply={"x": 1}, reuse="copy"))
    assert copied.status == "converged"


@pytest.mark.parametrize("endowment", [1, 5])
def test_a_rival_good_of_negative_or_zero_quantity_is_refused_with_the_step(
    endowment: float,
) -> None:
    program = "a = x - 5\nleft = 2*a\nright = 3*a"
    with pytest.raises(market_abm.MarketError) as refusal:
        market_abm.run(market_abm.from_text(program, supply={"x": endowment}))
    message = str(refusal.value)
    assert "'a'" in message
    assert "copy" in message
    assert re.search(r"\bstep 0\b|\bstart\b", message), message


def test_a_rival_good_that_turns_negative_later_is_refused_with_the_step() -> None:
    """A loop whose good rises round by round, and a line that runs out of it."""
    program = "grow = 1 + 0.5*grow\nwaste = 2.2 - 1.2*grow\nleft = 2*waste\nright = 3*waste"
    economy = market_abm.from_text(
        program + "\nraw_user = x", supply={"x": 1}, reuse_of={"grow": "copy"}
    )
    # grow goes 1, 1.5, 1.75, ... towards 2, whatever pass is counted as the start: waste falls from
    # 1 to -0.2 and passes zero where grow passes 11/6, so the error comes during the run.
    with pytest.raises(market_abm.MarketError) as refusal:
        market_abm.run(economy)
    message = str(refusal.value)
    assert re.search(r"\bstep [1-9]\b", message), message
    assert "'waste'" in message
    assert "copy" in message


# --- endings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "reuse"),
    [
        ("a = 2*b + o\nb = 2*a\ny = sqrt(a)", "copy"),  # grows fourfold a round
        ("a = exp(b) + o\nb = 2*a\ny = 1*a", "copy"),  # overflows within four rounds
        ("a = sqrt(3.9 - b) + o\nb = 1.5*a\ny = 1*a", "copy"),  # a negative root: NaN
    ],
)
def test_overflow_and_nan_are_a_diverged_run_with_its_record(program: str, reuse: str) -> None:
    economy = market_abm.from_text(program, supply={"o": 1}, reuse=reuse)
    result = market_abm.run(economy, steps=5000)
    assert result.status == "diverged"
    assert result.steps < 5000
    shape = (result.steps + 1, len(result.goods))
    for record in (result.prices, result.quantities, result.gradients, result.errors):
        assert record.shape == shape
    assert np.all(np.isfinite(result.prices))
    assert np.all(np.isfinite(result.quantities))
    # What was recorded is the run, as a model without an end would have it.
    model = market_abm.MarketModel(economy, market_abm.market_settings())
    for step in range(result.steps + 1):
        np.testing.assert_array_equal(model.state.quantities, result.quantities[step])
        np.testing.assert_array_equal(model.state.prices, result.prices[step])
        if step < result.steps:
            model.step()
    assert result.summary()["status"] == "diverged"
    assert "step" in result.summary()["message"]


@pytest.mark.parametrize("factor", [1.01, 1.03])
@pytest.mark.parametrize(
    ("activation", "depth", "bound"),
    [("simultaneous", 0, 1.0), ("simultaneous", 1, 0.4450), ("sequential", 0, 2.0),
     ("sequential", 1, 2.0)],
)  # fmt: skip
@pytest.mark.parametrize("sigma", [0.5, 0.8])
def test_a_share_rate_beyond_the_bound_is_reported_as_oscillating(
    activation: str, depth: int, bound: float, sigma: float, factor: float
) -> None:
    """Just beyond the bound the swings of the shares grow for good, and are of order 1 by step 60.

    (|ln s_a / s_b| starts at sigma ln(7/3) from its optimum, and never comes nearer.)
    """
    result = market_abm.run(
        split(depth, sigma),
        activation=activation,
        share_rate=factor * bound * sigma,
        steps=60,
    )
    ratio = np.log(result.trajectory.shares[-20:, 0] / result.trajectory.shares[-20:, 1])
    off = ratio - sigma * math.log(3 / 7)
    assert np.max(off) > 0.1  # it does swing, to both sides
    assert np.min(off) < -0.1
    assert result.status == "oscillating", result.summary()["message"]


@pytest.mark.parametrize(
    ("program", "activation", "share_rate"),
    [
        (two_uses(2), "simultaneous", 2.1),
        (two_uses(2), "simultaneous", 2.4),
        (two_uses(2), "simultaneous", 4.0),
        (two_uses(0.5), "simultaneous", 0.6),
        (two_uses(0.5), "sequential", 1.2),
        ("a = tanh(x)\nb = x**0.3\nc = ln(1 + x)", "sequential", 8.0),
        ("a = tanh(x)\nb = x**0.3\nc = ln(1 + x)", "simultaneous", 4.0),
    ],
)
def test_a_market_that_has_settled_nothing_does_not_say_so(
    program: str, activation: str, share_rate: float
) -> None:
    """Far beyond the bound all of x goes to one user at a time, and the price is that user's bid.

    Then prices equal gradients and (rounded) quantities stand still for a step or two, though the
    others bid far more and their shares are multiplied each step: not an equilibrium. Nor are
    shares that stopped only because a bid underflowed to zero.
    """
    economy = market_abm.from_text(program, supply={"x": 2})
    result = market_abm.run(economy, activation=activation, share_rate=share_rate, steps=400)
    calm = market_abm.run(economy, activation="sequential", share_rate=0.2, steps=2000)
    assert calm.status == "converged"
    if result.status == "converged":
        # The tolerance of a run is 1e-9, and welfare is flat at the optimum: 1e-6 is generous.
        assert result.path.welfare[-1] == pytest.approx(calm.path.welfare[-1], rel=1e-6)
        paid = result.prices[-1][economy.buyers.good]
        np.testing.assert_allclose(result.trajectory.bids[-1], paid, rtol=1e-6)
    else:
        assert result.status in {"oscillating", "diverged"}, result.summary()["message"]


def test_a_blow_up_of_the_shares_says_when() -> None:
    """Bids that underflow to zero after having been positive leave a rival good without a price.

    That is either a run that diverged, with its record, or (issue 2: "a rival good at a zero
    price") a refusal that names the step; but never a run that stands still as if at rest.
    """
    try:
        result = market_abm.run(
            split(1, 0.8), share_rate=1.5 * 0.445 * 0.8, steps=150, tolerance=1e-9
        )
    except market_abm.MarketError as refusal:
        assert re.search(r"\bstep \d+\b", str(refusal)), str(refusal)
    else:
        assert result.status in {"oscillating", "diverged"}
        assert result.steps > 20


@pytest.mark.parametrize("program", ["y = x**2 + 1", "y = 3 + 0*x"])
def test_a_gradient_of_zero_is_no_trouble(program: str) -> None:
    """Nothing to divide by: an error of 0, not NaN, and no warning from any report."""
    result = market_abm.run(market_abm.from_text(program, supply={"x": 0.0}))
    assert result.status == "converged"
    assert np.all(result.errors == 0)
    assert result.summary()["status"] == "converged"
    assert result.table().loc["x", "price"] == 0


def test_an_end_for_want_of_steps() -> None:
    result = market_abm.run(diamond(), share_rate=0.05, steps=7)
    assert result.status == "max_steps"
    assert result.steps == 7
    assert result.prices.shape == (8, 4)
    longer = market_abm.run(diamond(), share_rate=0.05, steps=9)
    assert longer.prices[:8].tobytes() == result.prices.tobytes()


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_many_firms_average_out_the_scatter_of_their_errors_but_not_the_mean(noise):
    """A lognormal error has mean e^(v²/2), so each stage of firms adds that factor to a price.

    By hand: flour, bought by one stage, is e^(v²/2) times its gradient in the limit of many firms;
    wheat, bought by two, e^(v²). Here 1000 firms, mean of steps 60 to 200. The scatter of a stage
    is v (α/(2 − α))^½ / 1000^½ = .018 v at α = .5; from step to step half of it stays, so 140 steps
    count as 47, and 4 standard errors are .011 v for one stage, .015 v for two: less than a quarter
    of the bias that is to be seen.
    """
    settings = {"industries.firms": 1000, "industries.bid_noise": noise, "run.engine": "arrays"}
    result = market_abm.run("firms-noise", overrides=settings)
    wheat, flour, bread = (result.prices / result.gradients)[60:].mean(axis=0)
    assert bread == pytest.approx(1.0, abs=1e-12)
    assert flour == pytest.approx(np.exp(noise**2 / 2), abs=0.011 * noise)
    assert wheat == pytest.approx(np.exp(noise**2), abs=0.015 * noise)
