"""Which optimiser each mechanism is: the table of docs/model.md, and what its levels rest on."""

from __future__ import annotations

import re
import runpy
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from support.pages import ROOT, text_of

import market_abm
from market_abm import Experiment, market_settings
from market_abm.language import expression as ex
from market_abm.studies.comparisons import OptimizerComparison
from market_abm.twins import registry
from market_abm.twins.base import largest_distance
from market_abm.twins.mirror_ascent import LogGradientAscent
from market_abm.twins.registry import TWINS, twin
from market_abm.views.words.comparison import comparison_sentences

TABLE = runpy.run_path(str(ROOT / "experiments/optimisers.py"))


def diamond(steps: int) -> market_abm.Result:
    return market_abm.run(Experiment.load("rival-diamond", {"run.steps": steps}))


# --- what a price is the derivative of ------------------------------------------------------------


def test_a_price_is_the_derivative_of_a_change_that_goes_back_in_time() -> None:
    """The program typed in anew, with the market's own batches, and differentiated by autograd.

    A unit of x at step t is split by the shares of t; each way makes more in its batch of t - 1,
    and these more of y in its batch of t - 2. The other way round, as goods travel, x of t - 4 goes
    into the batches of t - 3 and t - 2. The market's price is the first, to rounding, and 4 % from
    the second at step 6.
    """
    result = diamond(20)
    path, economy = result.trajectory, result.experiment.economy
    mine = economy.buyers.good == economy.index["x"]
    x, left, right, _ = path.quantities.T

    def y(one: Any, other: Any) -> Any:
        return 1 / (0.4 / one + 0.6 / other)  # an elasticity of 1/2

    def made(more: Any, shares: Any, way: int, last: int) -> Any:
        used = path.shares[way][mine] * x[way - 1] + shares * more
        grown = (2 * anp.sqrt(used[0]) - left[way], anp.log(1 + used[1]) - right[way])
        return y(left[last - 1] + grown[0], right[last - 1] + grown[1])

    market, travelling = [], []
    for t in range(4, 20):
        back = grad(lambda more, t=t: made(more, path.shares[t][mine], t - 1, t - 2))(0.0)
        assert path.prices[t, 0] == pytest.approx(back, rel=1e-13)
        forth = grad(lambda more, t=t: made(more, path.shares[t - 3][mine], t - 3, t - 2))(0.0)
        market.append(path.prices[t, 0])
        travelling.append(forth)
    apart = np.array(market) - travelling
    assert abs(apart[2] / market[2]) == pytest.approx(0.0434, abs=1e-4)
    mixed = twin(economy, result.experiment.market, 19).mixed_dates
    assert mixed is not None
    np.testing.assert_allclose(mixed[4:, 0], apart, atol=1e-13)


def test_on_identity_lines_bids_are_gradients_some_steps_old_but_their_mean_is_not() -> None:
    """One line alone bends: what it pays is of one date. A price weighs it by the latest split."""
    economy = market_abm.from_text(
        "a = x\nb = x\ny = ces(a, b, elasticity=0.6, weights=(0.7, 0.3))", supply={"x": 4}
    )
    optimiser = LogGradientAscent(economy, market_settings(share_rate=0.2))
    prices, signals = [], []
    for _ in range(12):
        optimiser.step()
        goods, buyers = np.split(optimiser.program.mixed_dates(), [len(economy.goods)])
        signals.append(np.abs(buyers).max())
        prices.append(np.abs(goods[0]))
    assert max(signals) < 1e-15
    assert max(prices) > 1e-3


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post", "posted-price"])
def test_a_wrong_derivative_in_the_market_is_seen(mechanism: str, monkeypatch: Any) -> None:
    """The twin uses values of lines, no rule for a derivative: it cannot make the same mistake."""
    rule = ex.Operation(np.sqrt, lambda _k, y, _u: 0.51 / y)
    monkeypatch.setitem(ex.OPERATIONS, "sqrt", rule)
    economy = market_abm.from_text("a = sqrt(x)\nb = x**0.4\ny = (a + b)**0.9", supply={"x": 2})
    result = market_abm.run(economy, mechanism=mechanism, steps=10, tolerance=1e-300)
    other = twin(economy, market_settings(mechanism), 10)
    end = other.identical_until + 1
    shares = result.trajectory.shares[: end + 1], other.shares[: end + 1]
    assert largest_distance(*shares)[0] > 1e-4


# --- the table ------------------------------------------------------------------------------------


def cells(mechanism: str) -> list[str]:
    (row,) = re.findall(rf"^\| `{mechanism}` \| (.*) \|$", text_of("docs/model.md"), re.M)
    return row.split(" | ")


@pytest.mark.parametrize(
    ("mechanism", "name"),
    [("unit-bid", "rival-diamond"), ("unit-bid", "spiral"), ("trading-post", "split")],
)
def test_the_table_says_what_is_measured(mechanism: str, name: str) -> None:
    """Its cheap members again: rounding from the twin, and the textbook's distance as printed."""
    found = TABLE["compared"](TABLE["market"](name, mechanism))
    _, identical, _, _, textbook, _, dates = cells(mechanism)
    assert found["identical"] < 1e-14
    assert f"{name} {found['textbook']:.1e}" in textbook or found["textbook"] < 1e-14
    assert f"{name} {found['dates']:.1e}" in dates
    assert name in identical


@pytest.mark.parametrize("mechanism", TWINS)
def test_near_rest_it_is_the_textbooks_optimiser_with_the_markets_gradients(mechanism: str) -> None:
    """Eigenvalues of both steps, differentiated each by itself: 1e-6; rounding is 1e-10, and 1e-7
    on the side of rest on which posted prices ration nothing.

    With gradients of the present point they would be others (but for an auction, which has these).
    """
    same, rates = TABLE["at_rest"](mechanism)
    assert same < 1e-6
    if mechanism != "tatonnement":
        assert abs(rates[0] - rates[1]) > 1e-3


def test_posted_prices_are_their_twin_from_every_state_in_which_nothing_is_short() -> None:
    """One step from each state of the market's own path: rounding there, and nowhere else."""
    applies, identical, other = TABLE["single_steps"]("mechanisms", 120)
    assert 0 < applies < 120
    assert identical < 1e-14 and other > 1e-2


# --- the budget -----------------------------------------------------------------------------------


def test_a_search_that_used_up_its_budget_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr(registry, "BUDGET", 400_000)
    comparison = OptimizerComparison.of(Experiment.load("rival-diamond"))
    assert 2 < comparison.twin.steps < comparison.result.steps
    assert not comparison.twin.complete
    told = " ".join(comparison_sentences(comparison))
    assert f"budget of the twin was used up: steps after {comparison.twin.steps}" in told
    assert comparison.summary()["compared"]["twin"] == comparison.twin.steps
    assert max(size for size, _ in comparison.distances.values()) < 1e-14
    assert comparison.figure() and comparison.frame()["twin_price"].isna().any()
