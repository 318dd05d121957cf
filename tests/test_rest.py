"""Rest is decided by the market alone: it is where further steps change nothing."""

import dataclasses

import numpy as np
import pytest
from support.profiles import members

from market_abm import Experiment, MarketError, run
from market_abm.market.rest import Rest
from market_abm.runs.start import start_runs

MARKETS = [
    "essay-chain",
    "rival-diamond",
    "spiral",
    "loop",
    "trading-post",
    "posted-price",
    "mechanisms",
    "copy-diamond",
    "externality",
    "cournot",
    "negative-prices",
    "local-optimum",
    "increasing-returns",
    "activation-sequential",
    "us-economy",
]


@pytest.mark.parametrize("name", members(MARKETS, quick=["spiral", "externality", "cournot"]))
def test_at_rest_further_steps_change_nothing(name):
    """200 more steps move no price or quantity by more than 1e-7, where runs rest at 1e-9.

    (A market that approaches at the rate r is still 1e-9 / (1 - r) away: here at most 1e-7.)
    """
    experiment = Experiment.load(name, {"shocks": []})
    result = run(experiment)
    assert result.status in ("converged", "off_gradient")
    market, _ = start_runs([experiment], engine=experiment.run.engine)
    for _ in range(result.steps):
        market.step()
    np.testing.assert_array_equal(market.state.prices[0], result.last.prices)
    for _ in range(200):
        market.step()
    for array in ("prices", "quantities"):
        after, before = (getattr(each, array) for each in (market.state, result.last))
        np.testing.assert_allclose(after[0], before, rtol=1e-7, atol=1e-12)


def test_prices_off_their_gradients_do_not_hinder_rest():
    """An externality rests off its gradient; with its users paying ("copy") it converges.

    The bees' gradient is twice their price: two users value them alike, one pays (by hand in
    test_market_failures.py).
    """
    off = run("externality")
    assert off.status == "off_gradient" and off.ending.status.exit_code == 6
    assert off.ending.good == "bees" and off.last_errors.max() == pytest.approx(0.5, rel=1e-6)
    settled = run("externality", overrides={"reuse.bees": "copy"})
    assert settled.status == "converged" and settled.ending.status.exit_code == 0


@pytest.mark.parametrize("field", ["prices", "quantities", "shares", "bids", "inputs"])
def test_each_part_of_the_state_counts(field):
    """Moved by one part in a million, any of them gives somebody a reason to move.

    Quantities, so that prices of the elastic consumer stay on the demand curve, are those of x.
    """
    result = run("rival-diamond")
    economy, rules = result.economy, result.experiment.market.rules
    last = result.last
    reference = last.quantities[economy.final]
    for moved in (False, True):
        rest = Rest(economy, rules, 1e-8)
        rest(last, reference)
        array = getattr(last, field).copy()
        array[0] *= 1 + 1e-6 * moved
        state = dataclasses.replace(last, **{field: array})
        assert rest(state, reference) == (not moved)


def test_the_books_alone_mix_dates_off_rest():
    """They give another number while goods of new shares are in the pipe, and agree at rest."""
    result = run("mechanisms")
    with np.errstate(all="ignore"):
        distance = np.abs(result.book_gradients / result.gradients - 1).max(axis=1)
    assert distance[3:6].min() > 0.05 and distance[3:6].max() < 0.25
    assert distance[-1] < 1e-9
    sparse = run("mechanisms", overrides={"record.goods": ["tools"]})
    with pytest.raises(MarketError, match="books of every good"):
        _ = sparse.book_gradients
    with pytest.raises(MarketError, match="of several economies"):
        _ = run("shocks").book_gradients
