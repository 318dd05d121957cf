"""Observing only some steps changes nothing but what is known of the steps between.

When a run ends, and how, is the market's own and asked at every step. Between observations the
gradient is not computed; in a loop it is solved from another start then, so that its last digits
may differ: 1e-12 of the numbers, and more where an alignment is of moves that are little else than
rounding. Everything else is the same bit for bit.
"""

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.profiles import examples
from support.strategies import chains, copy_dags, loops, rival_dags

from market_abm import Experiment, from_text, run
from market_abm.errors import MarketError

PROGRAMS = st.sampled_from([chains, copy_dags, rival_dags, lambda: loops("copy")])


def outcome(economy, settings, every):
    try:
        return run(Experiment.of(economy, observe_every=every, **settings))
    except MarketError as error:
        return str(error)


def assert_part_of(whole, part, every):
    """``part`` is what ``whole`` was, at every so many steps and at the last."""
    assert (part.status, part.steps) == (whole.status, whole.steps)
    for name in ("quantities", "prices", "inputs", "shares", "bids"):
        np.testing.assert_array_equal(getattr(part.last, name), getattr(whole.last, name))
    np.testing.assert_allclose(part.last_gradients, whole.last_gradients, rtol=1e-12)
    assert part.times.tolist() == sorted({*range(0, whole.steps + 1, every), whole.steps})
    np.testing.assert_array_equal(part.prices, whole.prices[part.times])
    np.testing.assert_allclose(part.gradients, whole.gradients[part.times], rtol=1e-12)
    np.testing.assert_allclose(part.path.welfare, whole.path.welfare[part.times], rtol=1e-12)
    known = (part.times % every == 0) | (part.times % every == 1)  # the step before was observed
    assert np.all(np.isnan(part.path.alignment[~known]))
    expected = whole.path.alignment[part.times[known]]
    np.testing.assert_allclose(part.path.alignment[known], expected, rtol=1e-3, atol=1e-3)
    within = whole.errors[part.times] <= whole.experiment.run.tolerance
    for good, first in enumerate(part.first_steps):
        outside = np.flatnonzero(~within[:, good])
        first_place = outside[-1] + 1 if outside.size else 0
        assert first == (part.times[first_place] if first_place < len(within) else -1)


@given(
    st.data(),
    st.sampled_from(["agents", "arrays"]),
    st.sampled_from(["simultaneous", "sequential"]),
    st.sampled_from([2, 3, 7, 1000]),
    st.sampled_from([1e-2, 1e-6]),
)
@settings(max_examples=examples(12))
def test_random_economies(data, engine, activation, every, tolerance):
    """Loose tolerances, too: a market that only passes by its rest ends there all the same."""
    program = data.draw(data.draw(PROGRAMS)())
    chosen = {
        "engine": engine,
        "activation": activation,
        "tolerance": tolerance,
        "steps": data.draw(st.sampled_from([13, 60])),
        "share_rate": data.draw(st.sampled_from([0.05, 0.5, 2.0])),
    }
    economy = from_text(**program.arguments)
    whole, part = (outcome(economy, chosen, each) for each in (1, every))
    if isinstance(whole, str):
        assert part == whole
        return
    event(whole.status)
    assert_part_of(whole, part, every)


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"market.share_rate": 30.0},
        pytest.param({"market.mechanism": "trading-post"}, marks=pytest.mark.slow),
        pytest.param(
            {"market.mechanism": "tatonnement", "market.auction_rate": 0.1},
            marks=pytest.mark.slow,
        ),
        pytest.param({"market.mechanism": "posted-price"}, marks=pytest.mark.slow),
    ],
)
def test_mechanisms(engine, changed):
    overrides = {"run.engine": engine, "run.steps": 400, **changed}
    whole, part = (
        run("mechanisms", overrides={**overrides, "run.observe_every": every}) for every in (1, 7)
    )
    assert_part_of(whole, part, 7)


@pytest.mark.slow
def test_shocks_and_divergence():
    """A step before a shock is observed in the economy that it belongs to."""
    whole, part = (run("shocks", overrides={"run.observe_every": every}) for every in (1, 9))
    assert_part_of(whole, part, 9)
    grows = from_text("a = x + 2*a\nb = a", {"x": 1}, reuse="copy")
    whole, part = (run(grows, steps=1000, observe_every=every) for every in (1, 9))
    assert whole.status == "diverged" and part.ending.detail == whole.ending.detail
    assert_part_of(whole, part, 9)


def test_a_thinner_record_has_the_same_alignment():
    whole, thin = (run("mechanisms", overrides={"record.every": every}) for every in (1, 7))
    assert thin.times[-1] == whole.steps
    np.testing.assert_array_equal(thin.path.alignment, whole.path.alignment[thin.times])


def test_only_observed_steps_are_recorded():
    result = run("mechanisms", overrides={"record.every": 4, "run.observe_every": 6})
    assert result.times.tolist() == [*range(0, result.steps, 12), result.steps]
    assert any("every 6 steps" in each for each in sentences(result))
    assert not any("run.observe_every" in each for each in sentences(run("mechanisms")))


def sentences(result):
    from market_abm.views.words.run import run_sentences

    return run_sentences(result)
