"""The observer: what it takes from the engine, and alignment against its definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.profiles import examples
from support.strategies import chains, copy_dags, loops, rival_dags

from market_abm import from_text, market_settings
from market_abm.analysis.alignment import Allocation, GradientAlignment
from market_abm.analysis.observer import GradientObserver, allocation
from market_abm.economy import uses as uses_module
from market_abm.language import threads as threads_module
from market_abm.market.arrays import ArrayEngine
from market_abm.market.state import State

PROGRAMS = st.sampled_from([chains, copy_dags, rival_dags, lambda: loops("copy")])


@given(st.data(), st.sampled_from(["simultaneous", "sequential"]), st.booleans())
@settings(max_examples=examples(15))
def test_what_the_engine_has_computed_changes_no_bit(data, activation, together):
    """Lines that bought just what the forward pass makes are not computed again.

    One after another, all firms outside of loops have; at once, those that buy raw goods of fixed
    endowments, and all at rest. Sums over firms are the engine's own, so that nothing is rounded.
    """
    program = data.draw(data.draw(PROGRAMS)())
    economy = from_text(**program.arguments)
    market = market_settings(activation=activation, share_rate=0.2, bid_rate=0.7)
    runs = 3 if together else 1
    engine = ArrayEngine([economy] * runs, [market] * runs, [1] * runs)
    for _ in range(6):
        state, batch = engine.state, engine.batch
        alone, known = (
            allocation(
                engine.economy,
                engine.mechanism,
                engine.reference,
                state.shares,
                state.quantities,
                known=each,
            )
            for each in (None, batch)
        )
        for one, other in zip(alone, known, strict=True):
            np.testing.assert_array_equal(one, other)
        if activation == "sequential" and not economy.has_loops:
            np.testing.assert_array_equal(known.quantities, state.quantities)
            if isinstance(economy.network.entries, slice):
                assert known.products is batch.products
        engine.step()


def test_a_market_whose_state_was_set_has_no_batch():
    economy = from_text("a = x**0.5\nb = 2*x**0.5", {"x": 3})
    engine = ArrayEngine([economy], [market_settings()], [1])
    engine.step()
    assert engine.batch is not None
    engine.memory = {"shares": np.array([[0.3, 0.7]])}
    assert engine.batch is None
    engine.step()
    assert engine.batch is not None


@pytest.mark.parametrize("firms", [1, 3, 40, 1500])
@pytest.mark.parametrize("size", [1e-9, 0.1, 30.0])
def test_alignment_is_its_definition(firms, size, monkeypatch):
    """Against exact sums (math.fsum), for moves of any size, in one part and in many.

    Where shares move by 30 in logarithms nearly all of the move is its mean in the pool. Moves of
    1e-9 keep seven digits of shares of 1e-16 precision.
    """
    economy = from_text(
        "a = x**0.5\nb = 2*x**0.5\nc = a**0.5 + b", {"x": 3}, population={"firms": firms}
    )
    rng, buyers = np.random.default_rng(firms), economy.buyers
    draw = lambda n, s: np.exp(s * rng.standard_normal(n))  # noqa: E731

    def normalised(shares):
        return shares / np.add.reduceat(shares, buyers.starts)[buyers.pool]

    before = normalised(draw(buyers.size, 1.0))
    after = normalised(before * draw(buyers.size, size))
    products, gradient = draw(buyers.size, 0.5), draw(len(economy.goods), 0.5)
    quantities = draw(len(economy.goods), 0.5)
    worth = gradient[buyers.maker] * products * quantities[buyers.good]
    sums = np.zeros(3)
    for pool in buyers.shared_pools:
        s, v = before[pool.buyers], worth[pool.buyers]
        mean = math.fsum(s * v)
        uphill, move = v / abs(mean) - np.sign(mean), np.log(after[pool.buyers] / s)
        move = move - math.fsum(s * move)
        terms = uphill * move, uphill * uphill, move * move
        sums += [abs(mean) * math.fsum(s * each) for each in terms]
    for block in (10**6, 2048):
        monkeypatch.setattr(uses_module, "BLOCK", block)
        economy.__dict__.pop("uses", None)
        alignment = GradientAlignment(economy)
        slopes = economy.uses.slopes(products, before)
        for step, shares in enumerate((before, after)):
            at = Allocation(shares, quantities, products, slopes, gradient)
            state = State(step, quantities, gradient, before, shares, before)
            cosine = alignment(state, at, np.zeros(0))
        assert cosine == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]), rel=1e-5, abs=1e-7)
        if size > 1e-3:
            assert cosine == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]), abs=1e-11)


def test_threads_change_no_bit(monkeypatch):
    economy = from_text(
        "y = ces(a, b, elasticity=0.7)",
        {"a": 2.0, "b": 3.0},
        population={
            "firms": threads_module.MIN_NUMBERS // 2,
            "weight_spread": 0.3,
            "productivity_spread": 0.2,
        },
    )
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(threads_module, "cores", lambda count=threads: count)
        engine = ArrayEngine([economy], [market_settings(share_rate=0.2)], [1])
        observer = GradientObserver(
            engine.economy, 1e-9, rules=engine.mechanism, reference=engine.reference
        )
        observer(engine.state, engine.batch)
        for _ in range(3):
            engine.step()
            seen = observer(engine.state, engine.batch)
        found.append(seen)
    assert np.isfinite(found[0]["alignment"]).all()
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=5), st.sampled_from([1, 2, 50]))
@settings(max_examples=examples(15))
def test_sums_over_buyers_have_the_same_bits_in_any_batch(firms, runs):
    """And are sums: a thousand terms of one sign lose a few units in the last place."""
    lines = "\n".join(f"y{k} = a + 2 * b" for k in range(len(firms)))
    population = {f"y{k}": {"firms": count} for k, count in enumerate(firms)}
    economy = from_text(lines, {"a": 1.0, "b": 1.0}, population_of=population)
    rng, uses = np.random.default_rng(runs), economy.uses
    numbers = rng.random((2, runs, economy.buyers.size))
    found = uses.slopes(*numbers)
    for order in "CF":
        together = uses.slopes(*(np.asarray(each, order=order) for each in numbers))
        np.testing.assert_array_equal(together, found)
    for run in range(runs):
        alone = uses.slopes(*numbers[:, run : run + 1])
        np.testing.assert_array_equal(alone[0], found[run])
    for k, (start, size) in enumerate(zip(uses.buyers.starts, uses.buyers.sizes, strict=True)):
        part = slice(int(start), int(start + size))
        exact = math.fsum((numbers[0, 0] * numbers[1, 0])[part])
        assert found[0, k] == pytest.approx(exact, rel=1e-14)
