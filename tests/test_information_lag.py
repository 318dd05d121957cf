"""``market.lag``: everybody who sells hears prices some steps late."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.economies import split
from support.engines import assert_each_its_own, numbers_for
from support.profiles import examples, members
from support.strategies import rival_dags

from market_abm import Experiment, MarketError, from_text, market_settings, run
from market_abm.analysis.prediction import rate
from market_abm.analysis.stability import stability
from market_abm.market.arrays import ArrayEngine
from market_abm.studies.sweep import Sweep, run_sweep
from market_abm.twins.registry import twin


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_price_climbs_a_stage_in_one_step_and_the_lag(lag, engine):
    """Each firm hears the price of its good ``lag`` steps late: n stages take n (1 + lag) steps.

    Sequential, each stage takes only the lag.
    """
    economy = from_text("a = 2*x\nb = 3*a\nc = 5*b", {"x": 1.0})
    for activation, stage in (("simultaneous", 1 + lag), ("sequential", lag)):
        result = run(economy, activation=activation, lag=lag, engine=engine, steps=50)
        assert result.status == "converged"
        first = dict(zip(result.goods, result.first_steps.tolist(), strict=True))
        expected = {"c": 0, "b": stage, "a": 2 * stage, "x": 3 * stage}
        if lag == 0 and activation == "sequential":
            expected = {"c": 0, "b": 1, "a": 1, "x": 1}  # nobody acts in step 0
        assert first == expected


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@given(program=rival_dags(), data=st.data())
@settings(max_examples=examples(6))
def test_both_engines_hear_alike(mechanism, activation, program, data):
    """1e-12 at every step, as in tests/test_two_engines.py, with suppliers who respond."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    economies = [numbers_for(program, rng, firms=2, noise=0.0, positive=True) for _ in range(3)]
    lag = data.draw(st.integers(1, 4))
    shares = {"share_rate": 0.03} if mechanism == "unit-bid" else {}
    markets = [
        market_settings(mechanism=mechanism, activation=activation, lag=lag, bid_rate=0.6, **shares)
    ] * 3
    assert assert_each_its_own(economies, markets, [1, 2, 3]) > 0.9


def grows(economies, markets, steps: int) -> np.ndarray:
    """Whether the first share (or quantity) swings more in the third quarter than in the second.

    Later, a share that swings as far as 0 may stay there.
    """
    market = ArrayEngine(economies, markets, [1] * len(economies))
    path = []
    for _ in range(steps):
        market.step()
        path.append(np.stack([market.state.shares[:, 0], market.state.quantities[:, 0]], axis=-1))
    path = np.array(path)
    quarter = steps // 4
    early, late = (np.ptp(path[k * quarter : (k + 1) * quarter], axis=0) for k in (1, 2))
    return ~(late.max(axis=-1) < early.max(axis=-1))


@pytest.mark.parametrize(
    ("lag", "depth", "activation"),
    members(
        itertools.product((1, 2, 5), (1, 2), ("simultaneous", "sequential")),
        quick=[(1, 2, "simultaneous"), (2, 1, "sequential"), (5, 1, "simultaneous")],
    ),
)
def test_stale_information_narrows_the_bound(depth, lag, activation):
    """κ/σ < 2 sin(π/(2(2τ+1))), τ = 2d + 1 + d lag, or d lag if sequential.

    The CES firm sells at a price that stands still and sees its own batch at once: it is the d
    firms above it who hear late. 1 % below the bound swings shrink, 1 % above they grow, by 0.05 %
    a step or more, over 2,000 steps.
    """
    delay = depth * lag + (2 * depth + 1 if activation == "simultaneous" else 0)
    bound = 2 * np.sin(np.pi / (2 * (2 * delay + 1)))
    economy = split(depth, 1.0)
    markets = [
        market_settings(activation=activation, lag=lag, share_rate=k * bound) for k in (0.99, 1.01)
    ]
    for settings_, above in zip(markets, (False, True), strict=True):
        told = rate(economy, settings_)
        assert (told > 1.0) is above and abs(told - 1.0) < 0.02
    assert grows([economy] * 2, markets, 2000).tolist() == [False, True]


@pytest.mark.parametrize("lines", [1, 2])
@pytest.mark.parametrize("lag", [0, 2])
def test_a_cobweb_swings_slower_with_a_lag(lines, lag):
    """ln q obeys q(t+τ+1) = -(η/ε) q(t): a period of 2(τ + 1), τ = 2 lines + (lines + 1) lag."""
    program = "\n".join(f"g{k + 1} = g{k}" for k in range(lines))
    supply = {"quantity": 1.1, "elasticity": 0.9}
    economy = from_text(program, {"g0": supply}, {f"g{lines}": {"elasticity": 1.0, "quantity": 1}})
    result = run(economy, lag=lag, steps=60, tolerance=1e-12)
    log = np.log(result.quantities[:, 0]) - np.log(1.1) / 1.9  # at rest q = 1.1 q^-0.9
    jump = 2 * lines + (lines + 1) * lag + 1
    np.testing.assert_allclose(log[30 + jump :], -0.9 * log[30:-jump], rtol=1e-9)


def test_lags_can_be_swept(tmp_path):
    base = Experiment.load("rival-diamond", {"market.share_rate": 0.1, "run.steps": 2000})
    table = run_sweep(Sweep.of(base, {"market.lag": "0..3"}), tmp_path / "s")
    assert set(table["status"]) == {"converged"}
    for row in table.to_dict("records"):
        alone = run(
            Experiment.load(
                "rival-diamond",
                {
                    "market.share_rate": 0.1,
                    "run.steps": 2000,
                    "market.lag": row["market.lag"],
                    "run.engine": "arrays",
                },
            )
        )
        assert row["steps"] == alone.steps


def test_what_does_not_go_with_a_lag():
    economy = from_text("y = x", {"x": 1.0})
    market = market_settings(lag=1)
    assert stability(economy, market) is None
    with pytest.raises(MarketError, match="observed 1 steps late"):
        twin(economy, market, 1)
    with pytest.raises(MarketError, match="lag is -1"):
        market_settings(lag=-1)
    assert run(economy, lag=3).prediction is None
