"""Lines in groups and sums in segments: what is computed together is what each is alone."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import FIELDS
from support.profiles import examples
from support.tables import made_up

from market_abm import from_input_output, from_text, market_settings
from market_abm.economy import groups, slots
from market_abm.economy.economy import Economy
from market_abm.economy.industry import production
from market_abm.economy.order import topological_components
from market_abm.economy.slots import Table
from market_abm.language.ces import log_ces
from market_abm.language.segments import Segments
from market_abm.language.threads import MIN_NUMBERS
from market_abm.market.arrays import ArrayEngine
from market_abm.market.mechanisms.registry import array_market

# --- sums -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes",
    [
        [1] * 7,
        [3, 1, 2, 8, 5],
        [100, 3, 1, 5000, 64, 65],
        [20_000],
        [9, 1, 1, 1],
        [1, 2, 3, 9, 1, 2, 8] * 300,
    ],
)
def test_a_sum_has_the_same_bits_in_any_company(sizes):
    """One run or many, in either order of memory, in one piece or in blocks; 1e-14 of the sum."""
    segments = Segments.of_sizes(np.array(sizes))
    values = np.random.default_rng(0).lognormal(size=(37, segments.size))
    alone = np.vstack([segments.total(row[None].copy()) for row in values])
    expected = np.add.reduceat(values.astype(np.longdouble), segments.starts, axis=1)
    np.testing.assert_allclose(alone, expected.astype(float), rtol=1e-14)
    for array in (values, np.asfortranarray(values)):
        assert np.array_equal(segments.total(array), alone)
        lowest = np.minimum.reduceat(values, segments.starts, axis=1)
        assert np.array_equal(segments.lowest(array), lowest)
        for width in (1, 100, 300, 10**6):
            sums = np.full((37, len(segments.leaves)), np.nan)
            for block in segments.blocks(width):
                block.reduce_into(sums, array[:, block.elements])
                spread = np.broadcast_to(block.spread(alone), array[:, block.elements].shape)
                assert np.array_equal(spread, alone[:, segments.of][:, block.elements])
            assert np.array_equal(segments.of_leaves(sums), alone)


def test_the_sign_of_a_sum_of_zeros_is_that_of_numpy():
    """Many short segments are summed in another way, in which -0 would become 0."""
    segments = Segments.of_sizes(np.full(2000, 3))
    values = np.random.default_rng(0).choice([-0.0, 0.0, 1.0, np.nan], segments.size)
    expected = np.add.reduceat(values, segments.starts)
    total = segments.total(values[None])[0]
    np.testing.assert_array_equal(total, expected)
    assert np.array_equal(np.signbit(total), np.signbit(expected))


# --- lines ----------------------------------------------------------------------------------------

MIXED = """
a = x ** 0.5
b = 2 * x ** 0.3
b2 = 3 * a ** 0.4
c = ces(a, b, elasticity=0.7, weights=(0.4, 0.6))
d = ces(b2, c, elasticity=sigma, weights=(0.5, 0.5))
e = ces(d, x, elasticity=1, weights=(0.3, 0.7)) ** 0.5 + 0 * f
f = ces(d, e, elasticity=0.9, weights=(0.1, 0.9)) ** 0.3
g = f
"""


def mixed(k: int, firms: int, **options: object) -> Economy:
    supply = {"x": {"quantity": 2.0 + k, "price": 0.3, "elasticity": 0.3 * k, "adjustment": 0.2}}
    population = {"firms": firms, "weight_spread": 0.3, "productivity_spread": 0.1}
    return from_text(
        MIXED,
        supply,
        {"g": {"elasticity": 2.0 + k, "quantity": 1.0}},
        parameters={"sigma": 0.5 + k},
        population=population,
        population_of={"c": {"firms": 2}},
        **options,
    )


def national(**options: object) -> Economy:
    return from_input_output("us-2023", min_share=0.02, **options)


@pytest.mark.parametrize(
    ("economies", "groups"),
    [
        ([mixed(0, 1)], 6),
        ([mixed(0, 3)], 6),
        ([mixed(k, 3) for k in range(3)], 6),
        ([national(substitution_elasticity=0.3)], 1),
        ([national(firms=2, factors=("labour", "capital"), factor_elasticity=0.4)], 2),
        ([national(materials_elasticity=0.6, substitution_elasticity=s) for s in (0.3, 1.0)], 2),
    ],
)
def test_a_group_makes_what_each_line_makes(economies, groups):
    """Output and marginal products, of groups and of levels; 1e-13: sums are in another order."""
    economy = Economy.vectorized(economies)
    inputs = np.random.default_rng(1).lognormal(size=(len(economies), economy.buyers.size))
    expected, outputs = np.empty_like(inputs), np.empty((len(economies), len(economy.goods)))
    for industry in economy.topological_order:
        places = economy.buyers.of_industry[industry.good]
        of_line = np.moveaxis(inputs[:, places], 1, 0)
        made, products = production(
            industry.technology, of_line, industry.weights, industry.productivity
        )
        for use, product in zip(economy.buyers.uses[industry.good], products, strict=True):
            expected[:, use] = product
        outputs[:, economy.index[industry.good]] = made.sum(axis=-1)
    assert len(economy.groups) == groups
    for together in (economy.groups, sum(economy.network.levels, ())):
        products, lines = np.full_like(inputs, np.nan), []
        for group in together:
            made, found = group.production([slot.of(inputs) for slot in group.slots])
            for slot, product in zip(group.slots, found, strict=True):
                slot.write(products, product)
                goods = np.broadcast_to(slot.good, slot.size)
                assert np.array_equal(goods, economy.buyers.good[slot.buyers])
            lines += group.goods.tolist()
            total = group.members.total(np.broadcast_to(made, (len(economies), group.size)))
            np.testing.assert_allclose(total, outputs[:, group.goods], rtol=1e-13)
        np.testing.assert_allclose(products, expected, rtol=1e-13)
        assert sorted(lines) == list(range(len(economy.supply), len(economy.goods)))


@given(st.integers(0, 2**32))
@settings(max_examples=examples(40))
def test_the_topological_order_is_that_of_networkx(seed):
    rng = np.random.default_rng(seed)
    names = [f"g{k}" for k in rng.permutation(int(rng.integers(1, 12)))]
    goods = [*names, "x"]
    lines = tuple((n, tuple(rng.choice(goods, rng.integers(0, 4)).tolist())) for n in names)
    network = nx.DiGraph()
    network.add_nodes_from(range(len(names)))
    for k, (_, inputs) in enumerate(lines):
        network.add_edges_from((names.index(good), k) for good in inputs if good in names)
    found = nx.condensation(network)
    first = {n: min(found.nodes[n]["members"]) for n in found}
    order = nx.lexicographical_topological_sort(found, key=first.get)
    expected = tuple(tuple(sorted(found.nodes[n]["members"])) for n in order)
    assert topological_components(lines) == expected


# --- runs -----------------------------------------------------------------------------------------


def assert_same_bits(economies, markets, company, steps):
    """The first runs of a batch, which the ``company`` joins, are what each is alone."""
    count = len(economies)
    batch = array_market([*economies, *company], [*markets, *markets[:1] * len(company)],
                         range(count + len(company)))  # fmt: skip
    alone = [
        array_market([e], [m], [k]) for k, (e, m) in enumerate(zip(economies, markets, strict=True))
    ]
    for step in range(steps):
        for row, single in enumerate(alone):
            for field in FIELDS:
                one, other = getattr(single.state, field)[0], getattr(batch.state, field)[row]
                assert np.array_equal(one, other), f"{field} of run {row} at step {step}"
        for market in (batch, *alone):
            market.step()


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
def test_a_run_has_the_same_bits_in_any_company(mechanism, activation):
    """Beside few and many; beside one that bids below 0, or stops, and one with other rates."""
    own = {"share_rate": 0.1} if mechanism == "unit-bid" else {}
    markets = [
        market_settings(mechanism=mechanism, activation=activation, bid_rate=rate, **own)
        for rate in (1.0, 0.6)
    ]
    economies = [mixed(k, 2) for k in range(2)]
    odd = mixed(1, 2).with_values({"demand.g.price": -1.0, "economy.parameters.sigma": 1e-12})
    assert_same_bits(economies, markets, [odd], 12)
    assert_same_bits(economies, markets, [odd, *[mixed(2, 2)] * 40], 12)


MONEY = market_settings(mechanism="trading-post")
UNITS = market_settings(share_rate=0.05)
NESTED = {"factors": ("labour", "capital"), "factor_elasticity": 0.4, "materials_elasticity": 0.6}


@pytest.mark.parametrize(
    ("market", "options"),
    [
        (MONEY, {"substitution_elasticity": 0.7}),
        (MONEY, {"firms": 2}),
        (MONEY, {**NESTED, "substitution_elasticity": 1.0}),
        (UNITS, {**NESTED, "substitution_elasticity": 0.9}),
    ],
)
def test_firms_that_buy_the_same_goods_do_so_as_a_table(monkeypatch, market, options):
    """A dense table but for the household; 1e-13 from links in a list, whose sums are in pairs.

    The bits of a run are those that it has in company, and in blocks.
    """
    codes = [f"i{k}" for k in range(20)]
    economy = from_input_output(made_up(20, codes=codes, names=codes), **options)
    few = [economy.with_values({"industries.i3.productivity": z}) for z in (1.0, 1.5)]
    states = []
    for least, largest, company in (
        (10**9, 10**6, 0),
        (100, 10**6, 0),
        (100, 60, 0),
        (100, 10**6, 60),
    ):
        monkeypatch.setattr(slots, "MIN_TABLE", least)
        monkeypatch.setattr(groups, "TABLE_BLOCK", largest)
        batch = few + [economy] * company
        engine = array_market(batch, [market] * len(batch), range(len(batch)))
        tables = [type(group.slots[0]) is Table for group in engine.economy.groups]
        assert tables.count(True) == (least == 100), tables
        for _ in range(5):
            engine.step()
        assert not engine.failed
        states.append(engine.state)
    for field in FIELDS:
        by_links, by_table, *others = (getattr(state, field)[:2] for state in states)
        np.testing.assert_allclose(by_table, by_links, rtol=1e-13)
        for other in others:
            assert np.array_equal(by_table, other), field


SIGMAS = (1e-12, 0.02, 0.5, 0.9, 1.0 - 1e-9, 1.0, 1.3, 20.0)


@pytest.mark.parametrize("least", [100, 10**9])
@pytest.mark.parametrize("nests", [{}, {"factors": ("labour", "capital")}])
@pytest.mark.parametrize("firms", [1, 2])
def test_what_inputs_make_is_their_marginal_product_times_their_units(
    monkeypatch, least, nests, firms
):
    """Some inputs are 0 or nearly; 1e-12: at σ = 0.02 both have fifty times the rounding of logs.

    The bits of a run do not depend on the elasticities of the others.
    """
    monkeypatch.setattr(slots, "MIN_TABLE", least)
    codes = [f"i{k}" for k in range(12)]
    economy = from_input_output(
        made_up(12, codes=codes, names=codes), firms=firms, substitution_elasticity=0.3, **nests
    )
    key = "economy.parameters.substitution_elasticity"
    runs = [
        economy.with_values({key: sigma, "industries.i2.productivity": 1.5}) for sigma in SIGMAS
    ]
    rng = np.random.default_rng(3)
    units = economy.buyers.initial_shares * rng.lognormal(size=(len(runs), economy.buyers.size))
    units[:, rng.permutation(units.shape[1])[:5]] = [0.0, 1e-300, 1e-30, 1e30, 0.0]
    on_sale = np.ones((len(runs), len(economy.goods)))

    def contributions(several, units, on_sale):
        together = Economy.vectorized(several)
        entries, outputs, expected = np.full_like(units, np.nan), [], np.full_like(units, np.nan)
        for group in together.groups:
            outputs.append(
                group.contributions(
                    lambda slot, out=None: slot.delivered(units, on_sale, out), entries
                )
            )
            inputs = [slot.of(units) for slot in group.slots]
            made, products = group.production(inputs)
            for slot, product, own in zip(group.slots, products, inputs, strict=True):
                slot.room(expected)[...] = product * own
            np.testing.assert_allclose(outputs[-1], made, rtol=1e-12)
        return entries, expected

    with np.errstate(all="ignore"):
        found, expected = contributions(runs, units, on_sale)
        for k, run in enumerate(runs):
            alone, _ = contributions([run], units[k : k + 1], on_sale[k : k + 1])
            assert np.array_equal(alone[0], found[k], equal_nan=True), SIGMAS[k]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-200)
    assert np.isfinite(found).mean() > 0.5


@pytest.mark.parametrize("elasticity", [1.0, 0.5])
def test_an_aggregate_of_one_input_is_that_input(elasticity):
    """Of as many that results are written over temporary arrays."""
    logs = np.linspace(-1.0, 1.0, 5000)
    each = Segments.of_sizes(np.ones(logs.size, int))
    log_output, gaps = log_ces(logs, np.ones(logs.size), elasticity, each)
    assert np.array_equal(log_output, logs) and not gaps.any()


@given(st.data())
@settings(max_examples=examples(25))
def test_a_table_of_places_anywhere(data):
    """Inputs in any order, near or far from each other; all firms, or some."""
    firms, inputs = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    gaps = data.draw(st.lists(st.sampled_from([0, 0, 1, 3]), min_size=inputs, max_size=inputs))
    first = np.cumsum(gaps) + firms * np.arange(inputs)
    first = first[data.draw(st.permutations(range(inputs)))]
    goods = np.random.default_rng(1).permutation(inputs)
    rng = np.random.default_rng(0)
    values, on_sale = rng.random((2, int(first.max()) + firms + 2)), rng.random((2, inputs))
    if data.draw(st.booleans()):
        values = np.asfortranarray(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "MIN_TABLE", 1)
        table = Table.of_places(first[:, None] + np.arange(firms), goods, 2)
    begin = data.draw(st.integers(0, firms - 1))
    part = table.part(slice(begin, firms))
    places = first[:, None] + np.arange(begin, firms)
    assert np.array_equal(part.buyers, places.ravel())
    own = np.moveaxis(values[:, places], 1, 0)
    assert np.array_equal(part.of(values), own)
    delivered = part.delivered(values, on_sale)
    assert np.array_equal(delivered, own * on_sale[:, goods].T[:, :, None])
    written = values.copy(order="K")
    part.write(written, -delivered)
    values[:, places] = -np.moveaxis(delivered, 0, 1)
    assert np.array_equal(written, values)
    entries = np.zeros((2, 2 + inputs * firms))
    part.room(entries)[...] = own
    assert np.array_equal(
        entries[:, 2:].reshape(2, inputs, firms)[..., begin:], np.moveaxis(own, 0, 1)
    )


def test_the_number_of_threads_changes_no_bit():
    economy = from_text(
        "y = ces(a, b, elasticity=0.7, weights=(0.4, 0.6))",
        {"a": 2.0, "b": 3.0},
        population={"firms": MIN_NUMBERS // 2, "weight_spread": 0.3},
    )
    states = []
    for count in (1, 2, 3):
        market = ArrayEngine([economy], [market_settings(share_rate=0.1)], [1], threads=count)
        for _ in range(4):
            market.step()
        states.append(market.state)
    for state in states[1:]:
        for field in FIELDS:
            assert np.array_equal(getattr(states[0], field), getattr(state, field))


def test_a_state_first_read_after_its_shares_were_revised_is_that_before():
    states = []
    for late in (False, True):
        market = array_market([mixed(0, 2)], [market_settings(share_rate=0.1)], [1])
        for _ in range(9):
            market.step()
        if late:
            market.finish()
        states.append(market.state)
        market.finish()
        assert not np.array_equal(market.shares, market.state.shares)
    for field in FIELDS:
        assert np.array_equal(*(getattr(state, field) for state in states)), field


def test_a_state_can_be_read_until_the_next_step():
    """In a small market also later; in a large one, what has been read."""
    for firms, readable in ((10, True), (100_000, False)):
        economy = from_text("y = a ** 0.5 + b", {"a": 2.0, "b": 1.0}, population={"firms": firms})
        market = array_market([economy], [market_settings()], [1])
        market.step()
        state, shares = market.state, market.state.shares.copy()
        market.step()
        assert np.array_equal(state.shares, shares)
        if readable:
            assert np.all(state.inputs > 0.0)
        else:
            with pytest.raises(RuntimeError, match=r"left step 1: read state\.inputs"):
                state.inputs  # noqa: B018


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_what_firms_made_stays_until_the_step_after_the_next(activation):
    """So that an observer compares two steps without copies of arrays over buyers."""
    settings = market_settings(share_rate=0.1, activation=activation)
    engine = ArrayEngine([mixed(0, 2)], [settings], [1])
    for _ in range(3):
        engine.step()
        batch = engine.batch
        kept = batch.shares.copy(), batch.products.copy()
        engine.step()
        assert np.array_equal(batch.shares, kept[0]) and np.array_equal(batch.products, kept[1])
        assert not np.array_equal(engine.shares, kept[0])


def test_a_state_that_was_read_stays_as_the_market_moves_on():
    """A state holds the arrays of the engine, which copies them before it changes them."""
    economy = from_text("y = x ** 0.5\nz = 2 * x ** 0.3", {"x": 1.0})
    engine = ArrayEngine([economy], [market_settings()], [1])
    for change in (engine.step, lambda: setattr(engine, "memory", {"shares": [[0.5, 0.5]]})):
        engine.step()
        state = engine.state
        read = {name: getattr(state, name) for name in ("shares", "bids", "inputs")}
        before = {name: array.copy() for name, array in read.items()}
        change()
        assert not np.array_equal(engine.state.shares, before["shares"])
        for name, array in read.items():
            assert getattr(state, name) is array
            assert np.array_equal(array, before[name])
