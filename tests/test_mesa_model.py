"""The Mesa model: agents, timing, randomness, and a bidding rule of one's own."""

import gc
import tracemalloc
import weakref

import mesa
import numpy as np
import pytest

from market_abm import Firm, MarketError, MarketModel, from_text, market_settings, run
from market_abm.market.agent_engine import AgentEngine
from market_abm.market.agents import Consumer, Supplier
from market_abm.market.mechanisms.registry import array_market
from market_abm.market.mechanisms.unit_bid import UnitBid, UnitBidSettings

CHAIN = "a = x**0.5\nb = 1 - 1/(a+1)\nc = ln(b)"
SPLIT = "left = 2*sqrt(x)\nright = ln(1+x)\ny = ces(left, right, elasticity=0.7)"


def trajectory(model, steps):
    states = [model.state]
    for _ in range(steps):
        model.step()
        states.append(model.state)
    return np.array([np.concatenate([s.prices, s.quantities, s.shares, s.bids]) for s in states])


def test_it_is_a_mesa_model_of_mesa_agents():
    model = MarketModel(from_text(CHAIN, {"x": 4}, population={"firms": 3}))
    assert isinstance(model, mesa.Model)
    kinds = [type(agent) for agent in model.agents]
    assert (kinds.count(Firm), kinds.count(Supplier), kinds.count(Consumer)) == (9, 1, 1)
    model.step()
    assert model.clock == model.steps == 1


def test_step_zero_has_quantities_but_no_prices():
    state = MarketModel(from_text(CHAIN, {"x": 4})).state
    assert state.quantities == pytest.approx([4, 2, 2 / 3, np.log(2 / 3)], rel=1e-15)
    assert state.prices.tolist() == [0, 0, 0, 1]


def test_goods_take_one_step_a_stage():
    """Exact timing: a supplier's change reaches the n-th line n steps later; prices, one a step."""
    model = MarketModel(from_text("a = 2*x\nb = a**2\nc = b**2", {"x": 1}))
    for _ in range(4):
        model.step()
    rest = model.state
    model.suppliers.do(lambda supplier: setattr(supplier, "quantity", np.float64(3)))
    seen = []
    for _ in range(6):
        model.step()
        seen.append(model.state)
    assert [s.quantities.tolist() for s in seen[:4]] == [
        [3, 2, 4, 16],
        [3, 6, 4, 16],
        [3, 6, 36, 16],
        [3, 6, 36, 1296],
    ]
    # Learned from the batch sold: c's firm sees b = 36 go in at step 4, values it at step 5.
    assert [s.prices[2] for s in seen] == [8, 8, 8, 8, 72, 72]
    assert rest.prices[1] == 32
    assert [s.prices[1] for s in seen] == [32, 32, 32, 96, 96, 864]


def test_learning_values_the_batch_just_sold():
    """The bid at t + 1 is p(t) times the marginal product of what went into the batch of step t."""
    model = MarketModel(from_text(SPLIT, {"x": 4}), market_settings(share_rate=0.3))
    buyers = model.economy.buyers
    for _ in range(6):
        model.step()
    before = model.state
    model.step()
    left = buyers.of_industry["left"][0, 0]
    product = 1 / np.sqrt(before.inputs[left])
    price = before.prices[model.economy.index["left"]]
    assert model.state.bids[left] == pytest.approx(price * product, rel=1e-14)
    # What is on sale was made of what had been bought in the step before, at the shares of then.
    x = before.quantities[model.economy.index["x"]]
    assert model.state.inputs[left] == pytest.approx(model.state.shares[left] * x, rel=1e-14)


def revised_shares(shares, bids, quantity, *, bidding, share_rate):
    """With several share rates, as of several runs."""
    settings = UnitBidSettings.vectorized(
        [UnitBidSettings(share_rate=float(rate)) for rate in np.ravel(share_rate)]
    )
    if np.ndim(share_rate) == 0 or np.ndim(shares) == 1:
        settings = settings.select_runs(lambda array: array[0, 0])
    return UnitBid.revised_shares(shares, bids, quantity, bidding=bidding, settings=settings)


def test_shares_follow_bids_by_exponentiated_gradient():
    shares, bids = np.array([0.2, 0.3, 0.5]), np.array([1.0, 2.0, 4.0])
    assert UnitBid.pool_price(shares, bids, 1.0) == pytest.approx([2.8], rel=1e-15)
    after = revised_shares(shares, bids, 1.0, bidding=True, share_rate=0.5)
    grown = shares * np.sqrt(bids / 2.8)
    assert after == pytest.approx(grown / grown.sum(), rel=1e-15)


def test_a_leading_axis_of_runs_gives_the_same():
    """The rules serve one market and many: each run of a stack is what it is alone."""
    rng = np.random.default_rng(0)
    shares, bids = rng.random((4, 5)), rng.random((4, 5))
    rates = np.array([[0.1], [0.5], [1.0], [0.0]])
    ones = np.ones((4, 1))
    for bidding in (rng.random((4, 5)) < 0.8, np.ones((4, 5), bool)):
        together = revised_shares(shares, bids, ones, bidding=bidding, share_rate=rates)
        for k in range(4):
            alone = revised_shares(
                shares[k], bids[k], ones[k], bidding=bidding[k], share_rate=rates[k]
            )
            assert together[k] == pytest.approx(alone, rel=1e-15)


def test_where_all_bid_alike_the_short_way_is_the_long_way():
    """One run whose bids differ in sign sends the others through all the masks."""
    rng = np.random.default_rng(1)
    shares, bids = rng.random((3, 4)), rng.random((3, 4))
    odd = np.vstack([bids, -bids[:1] * [1, -1, 1, -1]])
    short = revised_shares(shares, bids, 1.0, bidding=True, share_rate=0.7)
    long = revised_shares(np.vstack([shares, shares[:1]]), odd, 1.0, bidding=True, share_rate=0.7)
    assert long[:3] == pytest.approx(short, rel=1e-15)
    assert long[3].tolist() == shares[0].tolist()


def test_who_has_not_bid_yet_keeps_its_share():
    shares, bids = np.array([0.2, 0.3, 0.5]), np.array([0.0, 1.0, 2.0])
    bidding = np.array([False, True, True])
    after = revised_shares(shares, bids, 1.0, share_rate=1.0, bidding=bidding)
    assert after == pytest.approx([0.2, 0.8 * 3 / 13, 0.8 * 10 / 13], rel=1e-15)
    heard = revised_shares(shares, bids, 1.0, share_rate=1.0, bidding=~np.zeros(3, bool))
    assert heard == pytest.approx([0, 3 / 13, 10 / 13], rel=1e-15)  # now 0 is what it bids
    silent = revised_shares(shares, 0 * bids, 1.0, share_rate=1.0, bidding=np.zeros(3, bool))
    assert silent.tolist() == shares.tolist()


def test_firms_that_bid_with_different_signs_keep_their_shares():
    shares, bids = np.array([0.2, 0.8]), np.array([-0.6, 0.4])
    after = revised_shares(shares, bids, 1.0, share_rate=0.5, bidding=np.array([True, True]))
    assert after.tolist() == shares.tolist()


def test_a_line_that_gains_nothing_from_a_good_loses_it():
    """It has heard a price, and bids exactly 0: the other user gets everything."""
    result = run(from_text("y = 2*x\nz = 0*x", {"x": 3}))
    assert result.status == "converged"
    assert result.quantities[-1].tolist() == [3, 6, 0]


def test_users_at_different_depths_all_survive():
    """One user hears a price at step 1, the other at step 4; both end at one price."""
    text = "a = sqrt(x)\nb = 2*a\nc = ln(1+b)\ny = c + sqrt(x)"
    result = run(from_text(text, {"x": 2}), share_rate=0.1)
    assert result.status == "converged"
    assert result.trajectory.shares[-1].min() > 0.1


@pytest.mark.parametrize("line", ["y = 10 - x**2", "y = ln(x)*2"])
def test_unequal_firms_settle_where_money_is_negative(line):
    """A nuisance, or a negative quantity, handed out among unequal firms: still at rest."""
    text = f"{line}\nz = y*1.5"
    demand = {"z": -1.0} if line.startswith("y = ln") else None
    options = {"firms": 2, "weights": [0.3, 0.7]}
    result = run(from_text(text, {"x": 0.5}, demand, population=options), steps=300)
    one = run(from_text(text, {"x": 0.5}, demand))
    assert result.status == "converged"
    assert result.prices[-1] == pytest.approx(one.prices[-1], rel=1e-9)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential", "random"])
def test_same_seed_same_bits(activation):
    economy = from_text(SPLIT, {"x": 4}, population={"firms": 3, "bid_noise": 0.1})
    settings = market_settings(activation=activation, share_rate=0.1)
    runs = [trajectory(MarketModel(economy, settings, seed=s), 25) for s in (7, 7, 8)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_mesas_own_randomness_is_never_used():
    """Whatever is drawn from Mesa's generators on the side, the path is the same."""
    economy = from_text(SPLIT, {"x": 4}, population={"firms": 2, "bid_noise": 0.1})
    settings = market_settings(activation="random", share_rate=0.1)
    quiet = MarketModel(economy, settings, seed=3)
    nosy = MarketModel(economy, settings, seed=3)
    nosy.random.random()
    nosy.rng.random(5)
    nosy.agents.shuffle(inplace=True)
    assert np.array_equal(trajectory(quiet, 10), trajectory(nosy, 10))


def test_a_bidding_rule_of_ones_own():
    class Haggler(Firm):
        """Bids nine tenths of what the input is worth to it."""

        def revise_bids(self, values):
            return 0.9 * super().revise_bids(values)

    result = run(from_text(CHAIN, {"x": 4}), firm=Haggler, steps=10)
    assert result.status == "max_steps"
    expected = np.array([1 / 24, 1 / 6, 1.5, 1]) * 0.9 ** np.array([3, 2, 1, 0])
    assert result.prices[-1] == pytest.approx(expected, rel=1e-14)


def test_a_rival_good_that_nobody_bids_for_any_more():
    """Both users' lines go flat: there is nothing to split x by, and it says so."""
    text = "a = tanh(x)\nb = tanh(2*x)\ny = a + b"
    model = MarketModel(from_text(text, {"x": 1.0}))
    for _ in range(3):
        model.step()
    model.suppliers.do(lambda supplier: setattr(supplier, "quantity", np.float64(1e6)))
    with pytest.raises(MarketError, match="at step [0-9]+, .*all bids for it are zero"):
        for _ in range(10):
            model.step()


@pytest.mark.parametrize("price", [0.0, 1.0])
@pytest.mark.parametrize("share_rate", [0.0, 0.5])
def test_a_rival_good_that_nobody_bids_for_yet(share_rate: float, price: float) -> None:
    """Nothing is worth anything until the price of s has come up: prices are 0, and shares stay.

    The makers of a and b sell at 0 at first, to p and to the consumer of b, and bid 0 for x. By
    hand: a step a line, and with shares that stay all of s is half of a half of x.
    """
    program = "a = x\nb = x\np = a\nq = a\nr = q\ns = r"
    economy = from_text(program, {"x": 4.0}, {"b": 0.0, "p": 0.0, "s": price})
    settings = market_settings(share_rate=share_rate)
    model, engine = MarketModel(economy, settings), array_market([economy], [settings], [0])
    for step in range(1, 20):
        model.step()
        engine.step()
        assert not engine.failed
        assert model.state.prices.tolist() == engine.state.prices[0].tolist()
        assert model.state.shares.tolist() == engine.state.shares[0].tolist()
        if step < 4:
            assert model.state.prices[0] == 0.0
            assert model.state.shares[:4].tolist() == [0.5] * 4
    worth = price / 4 if share_rate == 0.0 else price  # else all goes to s
    assert model.state.prices[0] == pytest.approx(worth, abs=1e-12)


def test_many_models_do_not_share_books():
    economy = from_text(CHAIN, {"x": 4})
    first, second = MarketModel(economy), MarketModel(economy)
    first.step()
    assert second.state.prices.tolist() == [0, 0, 0, 1]
    assert economy.buyers.initial_shares.tolist() == [1, 1, 1]


@pytest.mark.parametrize("supply", [4, -4])
def test_no_model_stays_in_memory(supply):
    """Neither one that has run, nor one whose start is refused; cycles are collected."""

    models = []

    class Watched(MarketModel):
        def __init__(self, *given, **named):
            models.append(weakref.ref(self))
            super().__init__(*given, **named)

    for _ in range(3):
        try:
            Watched(from_text("y = ln(x)", {"x": supply}, population={"firms": 3})).step()
        except MarketError:
            assert supply < 0
    gc.collect()
    assert [model() for model in models] == [None] * 3


def test_thirty_runs_leave_nothing_in_memory():
    """No model, and hardly any memory: 28 runs add less than 3 models (NumPy pools scalars)."""
    economy = from_text("b = 2*a\nc = b**0.5", {"a": 1}, population={"firms": 20})

    def memory():
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        for _ in range(3):
            run(economy, steps=1)
        before = memory()
        model = MarketModel(economy)
        with_model = memory()
        del model
        for _ in range(28):
            run(economy, steps=1)
        assert memory() - before < 3 * (with_model - before)
    finally:
        tracemalloc.stop()
    assert not any(isinstance(each, MarketModel) for each in gc.get_objects())


def test_the_error_of_a_run_does_not_keep_its_model():
    """Neither by its traceback nor by the error that it was made of."""
    engine = AgentEngine(MarketModel(from_text("a = tanh(x)\nb = tanh(2*x)\ny = a + b", {"x": 1})))
    engine.step()
    engine.model.suppliers.do(lambda supplier: setattr(supplier, "quantity", 1e6))
    for _ in range(9):
        engine.step()
    error, model = engine.failed[0], weakref.ref(engine.model)
    assert "all bids for it are zero" in str(error)
    del engine
    gc.collect()
    assert model() is None
