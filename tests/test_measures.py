"""The measures: errors, convergence, staleness, alignment, and the predicted path."""

import numpy as np
import pytest
from scipy import stats

from market_abm import Firm, MarketError, MarketModel, from_text, market_settings, run, sweep
from market_abm.analysis.alignment import Allocation, GradientAlignment
from market_abm.analysis.measures import MEASURES, Measure, PathMeasures
from market_abm.analysis.observer import Comparison, GradientObserver, relative_error
from market_abm.analysis.prediction import predicted_price_path
from market_abm.economy.production import marginal_products
from market_abm.market.state import State
from market_abm.simulation.endings import Status
from market_abm.simulation.record import BUYER_FIELDS, Trajectory
from market_abm.views.numbers import format_number
from market_abm.views.report.report import report_html
from market_abm.views.words.run import measures_sentence

SPLIT = "a = 0.3 * ln(x)\nb = 0.7 * ln(x)"


def test_relative_error():
    errors = relative_error(np.array([1.1, -2.0, 0.5, 0.0]), np.array([1.0, -1.0, 0.0, 0.0]))
    assert errors == pytest.approx([0.1, 1.0, 0.5, 0.0])


def test_since_means_from_then_on():
    """By hand: the tolerance is 0.5, and gradients are p_c = 1 times 1, 2 and 4."""
    economy = from_text("b = 2*a\nc = 2*b", {"a": 1.0})
    errors = [[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]]
    witness = GradientObserver(economy, 0.5)
    for step, (a, b, c) in enumerate(errors):
        prices = np.array([4 + 4 * a, 2 + 2 * b, 1 + c], float)
        ones = np.ones(2)
        state = State(step, np.array([1.0, 2.0, 4.0]), prices, np.array([1.0, 2.0]), ones, ones)
        since = witness(state)["since"]
    assert since.tolist() == [3, -1, 0]


def test_a_market_that_hardly_moves_has_not_converged():
    """With a tiny share rate nothing changes much in a step; the users' bids still disagree."""
    result = run(from_text(SPLIT, {"x": 2}), share_rate=1e-9, steps=20)
    assert np.abs(np.diff(result.quantities[-2:], axis=0)).max() < 1e-9
    assert result.errors[-1].max() < 1e-9
    assert result.status == "max_steps"
    assert "firms still have a reason to change" in result.ending.detail


def test_frozen_shares_converge_on_the_gradient_at_those_shares():
    result = run(from_text(SPLIT, {"x": 2}), share_rate=0, steps=20)
    assert result.status == "converged"
    # y = x1^.3 x2^.7 at x1 = x2 = 1: an extra unit of x, split in halves, makes 0.15 + 0.35 of y.
    assert result.table().price["x"] == pytest.approx(0.5, rel=1e-14)


def test_the_witness_needs_rest_as_well_as_exact_prices():
    """A loop's quantities move on by themselves while a sequential market's prices are exact."""
    economy = from_text("a = x + 0.5*a\nb = a", {"x": 1}, reuse="copy")
    model = MarketModel(economy, market_settings(activation="sequential"))
    witness = GradientObserver(economy, 1e-9)
    settled = [witness(model.state)["settled"]]
    for _ in range(60):
        model.step()
        settled.append(witness(model.state)["settled"])
    assert not any(settled[:25])
    assert settled[-1]
    assert model.state.quantities[-1] == pytest.approx(2.0, rel=1e-9)


def path_of(prices, gradients):
    zeros = np.zeros((len(prices), 1))
    trajectory = Trajectory(np.ones_like(prices), prices, zeros, zeros + 1, zeros)
    comparison = Comparison(gradients, np.ones(len(prices)), np.ones(len(prices)))
    return PathMeasures(trajectory, comparison)


@pytest.mark.parametrize("lag", [0, 1, 4, 9])
def test_staleness_finds_a_known_lag(lag):
    rng = np.random.default_rng(lag)
    gradients = 3 + rng.standard_normal((60, 2)).cumsum(axis=0)
    prices = np.vstack([np.repeat(gradients[:1], lag, axis=0), gradients[: 60 - lag]])
    path = path_of(prices, gradients)
    assert path.staleness_of_good.tolist() == [lag, lag]
    assert path.mean_staleness == lag
    assert (path.staleness[lag + 1 :] == lag).all()


def test_a_price_that_does_not_track_its_gradient_has_no_staleness():
    """Noise around a gradient that falls by a fifth; and a steady rise, seen a lag later."""
    rng = np.random.default_rng(1)
    falling = 2.0 - 0.4 * np.arange(80) / 80
    gradients = np.stack([falling, falling], axis=1)
    late = np.concatenate([np.full(3, falling[0]), falling[:-3]])
    path = path_of(np.stack([2 + rng.standard_normal(80), late], axis=1), gradients)
    assert np.isnan(path.staleness_of_good[0]) and path.staleness_of_good[1] == 3
    assert path.tracking == (1, 2) and path.mean_staleness == 3
    off = run("externality")
    assert np.isnan(off.path.mean_staleness)
    assert "No price follows its gradient" in measures_sentence(off)


def test_a_monotone_rise_is_uphill_at_every_step():
    """Ten lines deep, goods of one date: W is not blurred by what is still in the pipe."""
    lines = ["a0 = x", "b0 = x", *(f"{s}{k + 1} = {s}{k}" for k in range(4) for s in "ab")]
    last = "y = ces(a4, b4, elasticity=1, weights=(0.3, 0.7))"
    slow = run(from_text("\n".join([*lines, last]), {"x": 2}), share_rate=0.02, steps=300)
    assert slow.path.ascent_fraction == 1.0
    assert np.all(slow.path.welfare <= slow.equilibrium.welfare * (1 + 1e-14))


def test_a_gradient_that_stands_still_has_no_staleness():
    path = path_of(np.ones((9, 2)), np.full((9, 2), 2.0))
    assert np.isnan(path.mean_staleness)
    assert np.isnan(path.staleness_of_good).all()
    assert np.isnan(path.staleness).all()


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_price_is_as_old_as_goods_and_prices_take(depth):
    """Goods of new shares take depth + 1 steps to the consumer, a price one for each stage back."""
    lines = ["a0 = x", "b0 = x"] + [
        f"{side}{k + 1} = {side}{k}" for k in range(depth) for side in "ab"
    ]
    last = f"y = ces(a{depth}, b{depth}, elasticity=1, weights=(0.3, 0.7))"
    result = run(from_text("\n".join([*lines, last]), {"x": 2}), share_rate=0.02, steps=60)
    path = result.path
    for k in range(depth + 1):
        place = result.goods.index(f"a{k}")
        assert path.staleness_of_good[place] == (depth + 1) + (depth + 1 - k)


def test_fresh_small_steps_are_aligned_with_the_gradient():
    """One step of exponentiated gradient with fresh prices: cosine 1, up to second order in κ."""
    result = run(from_text(SPLIT, {"x": 2}), activation="sequential", share_rate=1e-3, steps=50)
    alignment = result.path.alignment[2:]
    assert alignment == pytest.approx(np.ones(len(alignment)), abs=1e-5)
    assert result.path.ascent_fraction == 1.0


def test_alignment_with_three_buyers_is_a_real_angle():
    """With two buyers there is one direction only; with three the cosine is computed by hand."""
    economy = from_text("a = x**0.5\nb = 2*x**0.5\nc = 3*x**0.5", {"x": 3})
    result = run(economy, activation="sequential", share_rate=0.5, steps=3)
    s, after = result.trajectory.shares[1], result.trajectory.shares[2]
    value = 0.5 * np.array([1, 2, 3]) / np.sqrt(3 * s)
    uphill, move = value / (s @ value), np.log(after / s)
    uphill, move = uphill - s @ uphill, move - s @ move
    cosine = (s @ (uphill * move)) / np.sqrt((s @ uphill**2) * (s @ move**2))
    assert 0.9 < cosine < 1
    assert result.path.alignment[2] == pytest.approx(cosine, rel=1e-10)


def test_moves_against_the_gradient_have_cosine_minus_one():
    """Shares that run the other way: the same path, walked backward."""
    result = run(from_text(SPLIT, {"x": 2}), activation="sequential", share_rate=0.1, steps=12)
    economy, path = result.experiment.economy, result.trajectory
    alignment = GradientAlignment(economy)
    cosines = []
    for t in range(12, 1, -1):
        arrays = {name: getattr(path, name)[t] for name in ("quantities", "prices", *BUYER_FIELDS)}
        state = State(step=12 - t, **arrays)
        products = marginal_products(economy, state.inputs)
        slopes = economy.uses.slopes(products, state.shares)
        at = Allocation(state.shares, state.quantities, products, slopes, result.gradients[t])
        cosines.append(alignment(state, at, np.zeros(0)))
    assert np.isnan(cosines[0])  # no move has led there
    assert np.max(cosines[1:]) == pytest.approx(-1.0, abs=1e-9)


def test_no_free_variables_no_alignment():
    result = run("essay-chain")
    assert np.isnan(result.path.alignment).all()
    assert result.summary()["alignment"] is None


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.9, 1.0])
def test_the_predicted_climb_is_negative_binomial(alpha):
    # SciPy's distribution is another road to the same number; betainc is good to about 1e-14.
    lines = "\n".join(f"g{k + 1} = 2*g{k}" for k in range(6))
    economy = from_text(lines, {"g0": 1.0})
    found = predicted_price_path(economy, market_settings(bid_rate=alpha), 80)
    steps = np.arange(81)
    for k in range(7):
        n = 6 - k
        expected = stats.nbinom(n, alpha).cdf(steps - n) if n else np.ones(81)
        assert found[:, k] == pytest.approx(expected, abs=1e-13)


def test_nothing_is_predicted_where_theory_is_silent():
    market = market_settings()
    chain = from_text("b = a", {"a": 1})
    assert predicted_price_path(chain, market, 3) is not None
    assert predicted_price_path(chain, market_settings(activation="random"), 3) is None
    assert predicted_price_path(from_text(SPLIT, {"x": 1}), market, 3) is None
    assert (
        predicted_price_path(from_text("b = a", {"a": 1}, population={"firms": 2}), market, 3)
        is None
    )
    assert predicted_price_path(from_text("b = a + b*0.1\nc = b", {"a": 1}), market, 3) is None


@pytest.mark.slow
def test_endings_are_told_plainly():
    slow = run(from_text("b = a**0.5", {"a": 1}), bid_rate=0.1, steps=5)
    assert slow.ending.status is Status.MAX_STEPS
    assert slow.ending.good == "a"
    assert "not settled after 5 steps: the price of a is 0.59 (relative)" in slow.ending.detail
    swing = run("rival-diamond-unstable")
    assert swing.status == "oscillating"
    assert "swings between" in swing.ending.detail
    # Theory: 2 (2τ + 1) = 14 steps a period at the boundary, τ = 3. Turning points are counted over
    # 75 steps: the period is known to one part in ten; just above the boundary it is shorter.
    period = float(swing.ending.detail.split("about every ")[1].split()[0])
    assert 12.6 < period < 14.6
    grown = run(from_text("a = x + 2*a\nb = a", {"x": 1}, reuse="copy"), steps=1000)
    assert grown.status == "diverged"
    assert f"diverged at step {grown.steps + 1}" in grown.ending.detail
    assert np.isfinite(grown.prices).all()


def test_noise_is_not_called_an_oscillation():
    economy = from_text(SPLIT, {"x": 2}, population={"bid_noise": 0.05})
    assert run(economy, steps=200).status == "max_steps"


def test_a_user_that_loses_everything_is_no_hindrance():
    """A corner: b makes twice of x what a does. a's share shrinks for ever; the rest is settled."""
    result = run(from_text("a = x\nb = 2*x\ny = a + b", {"x": 1}))
    assert result.status == "converged"
    assert result.table().price["x"] == pytest.approx(2.0, rel=1e-8)
    assert result.quantities[-1, -1] == pytest.approx(2.0, rel=1e-8)


def test_theory_is_about_the_standard_firm():
    class Slow(Firm):
        def revise_bids(self, values):
            return 0.5 * super().revise_bids(values)

    result = run("essay-chain", firm=Slow, steps=9)
    assert result.prediction is None
    assert result.summary()["firm"] == "Slow"


def test_a_collapsed_economy_is_not_at_rest():
    """An input of 1e-100 units makes nothing that floats can tell, and all gradients are 0.

    The firm left without it still bids as much as ever: it is the bids that say so.
    """
    settings = {"economy.parameters.sigma": 0.2, "market.share_rate": 0.316228}
    result = None
    try:
        result = run("split-elasticity", overrides={**settings, "run.engine": "arrays"})
    except MarketError as error:
        assert "all bids for it are zero" in str(error) or "units of it" in str(error)
    assert result is None or result.status != "converged"


def test_no_path_is_foretold_where_a_supplier_responds():
    """Quantities then move, and the climb of a signal through standing ones is not what happens."""
    settings = {"demand.tupperware.elasticity": 0.5, "supply.natgas.elasticity": 0.1}
    assert run("essay-chain", overrides=settings).prediction is None
    fixed = run("essay-chain", overrides={"demand.tupperware.elasticity": 0.5}, bid_rate=0.4)
    np.testing.assert_allclose(fixed.prices, fixed.prediction, rtol=1e-12)


def test_a_new_measure_is_one_entry(tmp_path):
    """It appears in the summary, the table of sweeps, the sentence, the report and the notebook."""
    MEASURES.append(Measure("range", "range of errors", "", lambda run: np.ptp(run.last_errors)))
    try:
        result = run("rival-diamond", steps=20)
        expected = float(np.ptp(result.last_errors))
        assert result.summary()["range"] == expected > 0
        table = sweep("rival-diamond", {"market.share_rate": [0.05, 0.1]}, jobs=1)
        assert (table["range"] >= 0).all()
        shown = format_number(expected)
        assert f"range of errors {shown}" in measures_sentence(result)
        page = report_html(result.save(tmp_path / "kept"))
        assert (
            "range of errors" in page.lower() and "range of errors" in result._repr_html_().lower()
        )
    finally:
        MEASURES.pop()
    assert "range" not in run("essay-chain").summary()
