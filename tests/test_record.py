"""What a run records, and that recording less changes nothing but what is kept."""

import numpy as np
import pytest

from market_abm import from_text, run
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.simulation.record import BUYER_FIELDS, MAX_RECORDED_BUYERS

TEXT = """
[economy]
program = '''
a = sqrt(x)
b = x ** 0.3
y = ces(a, b, elasticity=0.8)
'''
[supply.x]
quantity = 2.0
[run]
steps = 43
[market]
share_rate = 0.05
"""


def result_of(**record):
    settings = {f"record.{key}": value for key, value in record.items()}
    return run(Experiment.parse(TEXT, settings=settings))


@pytest.mark.parametrize("every", [1, 4, 7, 100])
@pytest.mark.parametrize("goods", [None, ["b", "x"], "y"])
def test_a_thinner_record_is_part_of_the_whole(every, goods):
    """Bit for bit; the last step is always there, of all goods."""
    whole = result_of()
    thin = result_of(every=every, **({} if goods is None else {"goods": goods}))
    times = sorted({*range(0, 44, every), 43})
    kept = [g for g in whole.goods if goods is None or g in goods]
    assert thin.times.tolist() == times
    assert list(thin.recorded) == kept
    places = [whole.goods.index(good) for good in kept]
    for name in ("prices", "quantities", "gradients", "errors"):
        expected = getattr(whole, name)[np.ix_(times, places)]
        np.testing.assert_array_equal(getattr(thin, name), expected)
    buyers = np.flatnonzero(np.isin(whole.experiment.economy.buyers.good, places))
    for name in BUYER_FIELDS if len(buyers) else ():
        expected = getattr(whole.trajectory, name)[np.ix_(times, buyers)]
        np.testing.assert_array_equal(getattr(thin.trajectory, name), expected)
    assert thin.table().equals(whole.table())
    for key in ("status", "steps", "error", "welfare", "equilibrium"):
        assert thin.summary()[key] == whole.summary()[key]
    rows = thin.frame()
    assert len(rows) == len(times) * len(kept) and set(rows.good) == set(kept)
    assert rows.step.max() == 43


def test_the_figure_of_a_thinned_run_has_its_steps_on_the_axis():
    result = result_of(every=10, goods=["x"])
    prices, errors = result.convergence_figure().axes
    for axes in (prices, errors):
        line = max(axes.get_lines(), key=lambda each: len(each.get_xdata()))
        np.testing.assert_array_equal(line.get_xdata(), [0, 10, 20, 30, 40, 43])


def test_theory_is_drawn_at_the_steps_that_were_recorded():
    economy = from_text("a = 2 * x\nb = 3 * a\nc = b", {"x": 1.0})
    result = run(Experiment.of(economy, bid_rate=0.5, steps=200))
    text = TEXT.replace(
        "a = sqrt(x)\nb = x ** 0.3\ny = ces(a, b, elasticity=0.8)", "a = 2*x\nc = a"
    )
    thin = run(Experiment.parse(text, settings={"record.every": 5, "market.bid_rate": 0.5}))
    assert thin.prediction.shape == thin.prices.shape
    np.testing.assert_allclose(thin.prices, thin.prediction, rtol=1e-14)
    np.testing.assert_allclose(result.prices, result.prediction, rtol=1e-14)


def test_books_of_many_buyers_are_of_the_last_step_only():
    economy = from_text("y = sqrt(x)", {"x": 1.0}, population={"firms": MAX_RECORDED_BUYERS + 1})
    result = run(economy, engine="arrays", steps=3)
    assert result.trajectory.shares.shape[0] == 0
    assert result.last.shares.shape == (MAX_RECORDED_BUYERS + 1,)
    assert result.last.shares.sum() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("goods", "told"),
    [
        (["a", "z"], r"there is no good 'z'"),
        ([], r"record.goods is \[\]; must be a list of at least one name"),
        (3, r"record.goods is 3; must be a list of names"),
    ],
)
def test_what_cannot_be_recorded(goods, told):
    with pytest.raises(MarketError, match=told):
        result_of(goods=goods)


@pytest.mark.parametrize("record", [{}, {"every": 4, "goods": "x"}])
def test_the_table_of_buyers_is_the_record_by_name(record):
    """Of unit bids: x = s S with the S of the step before, and the shares of a good sum to 1."""
    settings = {f"record.{key}": value for key, value in record.items()}
    result = run(Experiment.parse(TEXT, settings={**settings, "industries.a.firms": 3}))
    table = result.buyers()
    keys = ["step", "industry", "firm", "place"]
    assert list(table.columns) == [*keys, "good", "input", "share", "bid"]
    assert not table.duplicated(keys).any()
    assert set(table["step"]) == set(result.times) and set(table["good"]) <= set(result.recorded)
    assert len(table) == len(result.times) * (4 if record else 6)
    if not record:
        before = result.frame().assign(step=lambda frame: frame["step"] + 1)
        wide = table[table["step"] > 0].merge(before, on=["step", "good"])
        np.testing.assert_allclose(wide["input"], wide["share"] * wide["quantity"], rtol=1e-14)
    np.testing.assert_allclose(table.groupby(["step", "good"])["share"].sum(), 1.0, rtol=1e-14)
    uses, last = result.economy.buyers.uses, table[table["step"] == result.steps]
    for row in last.itertuples():
        use = uses[row.industry][row.place - 1]
        assert row.bid == result.last.bids[use.start + row.firm - 1]
    assert {(row.industry, row.place, row.good) for row in last.itertuples()} >= {("b", 1, "x")}
