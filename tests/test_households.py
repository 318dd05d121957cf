"""Households: budgets and money in both engines, equilibria solved elsewhere, wrong input."""

import runpy
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import fsolve
from support.engines import assert_each_its_own
from support.households import Exchange, earned, random_economy, spent
from support.profiles import examples, members

from market_abm import Experiment, MarketModel, from_text, market_settings, run, sweep
from market_abm.economy.households import Household, ownership
from market_abm.errors import MarketError
from market_abm.experiment.toml import toml_text
from market_abm.market.mechanisms.registry import array_market
from market_abm.market.rest import Rest
from market_abm.runs.start import run_together
from market_abm.views.words.households import household_sentences

ROOT = Path(__file__).parents[1]
EXCHANGE = runpy.run_path(str(ROOT / "experiments/exchange.py"))

ACTIVATIONS = ("simultaneous", "sequential")
WORK = {"endowment": {"labour": 1}}


def post(**keys):
    return market_settings("trading-post", **keys)


# --- money and budgets, at every step -------------------------------------------------------------


@given(
    st.integers(0, 2**32),
    st.booleans(),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from([0.2, 0.5, 0.8]),
    st.sampled_from([0, 0, 2]),
)
@settings(max_examples=examples(20))
def test_budgets_and_money_in_both_engines(seed, loop, activation, rate, lag):
    """1e-12 at every step: sums of some tens of numbers, each good to 1e-16, over twenty steps."""
    economy = random_economy(np.random.default_rng(seed), loop=loop)
    market = post(activation=activation, bid_rate=rate, lag=lag)
    compared = assert_each_its_own([economy], [market], [1], 20)
    model, states = MarketModel(economy, market), []
    states.append(model.state)
    for _ in range(round(20 * compared)):
        try:
            model.step()
        except MarketError:
            break
        states.append(model.state)
    money = sum(own.money for own in economy.households.values())
    for before, state in pairwise(states[1:]):
        own = spent(economy, state.bids)
        paid = before.bids if activation == "sequential" else state.bids
        np.testing.assert_allclose(own, earned(economy, before, paid), rtol=1e-12, atol=1e-13)
        total = own.sum() if activation == "sequential" else state.bids.sum()
        assert abs(total - money) <= 1e-12 * money
        bought = state.bids.sum() - np.dot(state.prices, state.quantities)
        final = np.dot(state.prices[economy.final], state.quantities[economy.final])
        assert abs(bought + final) <= 1e-12 * money  # all that is on sale is paid for


def test_one_household_who_works_and_eats():
    """Money in the two markets: what the food market has more shrinks by 1 - 2α in each step."""
    economy = from_text("food = 2 * labour", households={"h": {"utility": "food"} | WORK})
    for rate in (0.3, 0.5, 0.9):
        model, gaps = MarketModel(economy, post(bid_rate=rate)), []
        for _ in range(8):
            model.step()
            labour, food = model.state.bids
            gaps.append(food - labour)
        np.testing.assert_allclose(gaps, (1 - 2 * rate) ** np.arange(8), rtol=1e-9, atol=1e-15)
    with pytest.raises(MarketError, match="lower market.bid_rate"):
        run(economy, mechanism="trading-post")  # α = 1: all money is in one market, then the other


def test_a_market_continues_from_a_state_that_was_set():
    """Spending shares are those of the bids: so stability differentiates the market's own step."""
    economy = random_economy(np.random.default_rng(3))
    for activation in ACTIVATIONS:
        market = post(activation=activation, bid_rate=0.4)
        first, second = (array_market([economy], [market], [1]) for _ in range(2))
        for _ in range(5):
            first.step()
        second.memory = first.memory
        for _ in range(3):
            first.step()
            second.step()
        for name in ("prices", "bids", "quantities"):
            one, other = getattr(first.state, name), getattr(second.state, name)
            np.testing.assert_allclose(one, other, rtol=1e-12)


# --- equilibria that are solved without a market --------------------------------------------------


@pytest.mark.parametrize("count", members([6, 240], [6]))
def test_exchange_clears_an_independent_excess_demand(count):
    """At rest to 1e-13 (the tolerance), excess demand is 0 to 1e-10: its slopes are below 100."""
    rng = np.random.default_rng(7)
    sizes = [(2, 2)] if count == 6 else [(h, g) for h in (2, 3, 4, 6) for g in (2, 3, 4, 5, 6)]
    for households, goods in sizes:
        worlds = [Exchange.random(rng, households, goods) for _ in range(count // len(sizes))]
        keys = {"mechanism": "trading-post", "bid_rate": 0.3, "tolerance": 1e-13, "steps": 500}
        results = run_together([Experiment.of(world.economy, **keys) for world in worlds])
        for world, result in zip(worlds, results, strict=True):
            assert result.status == "converged"
            prices = result.last.prices[:goods]
            assert np.abs(world.excess(prices)).max() < 1e-10
            bought = [list(account.spending.values()) for account in result.households.values()]
            np.testing.assert_allclose(bought / prices, world.demand(prices), rtol=1e-9)


def test_shoven_and_whalley():
    """The published equilibrium (1984), and all digits of their formulas solved afresh.

    The market is at rest to 1e-12 (its tolerance), and prices follow to ten times that.
    """
    economy = Experiment.load("shoven-whalley")
    result = run(economy)
    assert result.status == "converged"
    table = result.table()
    prices = (table.price / table.price["labour"]).loc[["q1", "q2", "capital"]].to_numpy()
    units = table.quantity[["q1", "q2"]].to_numpy()
    rent, (p, q, labour, capital) = _shoven_whalley()
    np.testing.assert_allclose(prices, [*p, rent], rtol=1e-11)
    np.testing.assert_allclose(units, q, rtol=1e-11)
    np.testing.assert_allclose(prices, [1.399, 1.093, 1.373], atol=5e-4)
    np.testing.assert_allclose(units, [24.942, 54.378], atol=5e-4)
    used = {
        good: result.last.inputs[result.economy.buyers.of_industry[good]]
        for good in table.index[2:4]
    }
    np.testing.assert_allclose(
        [*used["q1"][:, 0], *used["q2"][:, 0]],
        [labour[0], capital[0], labour[1], capital[1]],
        rtol=1e-10,
    )
    rich, poor = result.households["rich"], result.households["poor"]
    assert rich.income == pytest.approx(25 * table.price["capital"], rel=1e-10)
    assert poor.income == pytest.approx(60 * table.price["labour"], rel=1e-10)
    assert "poor earns 0.636019 in a step from labour" in household_sentences(result)[0]
    for account in (rich, poor):
        assert account.spent == pytest.approx(account.income, rel=1e-10)
        assert account.weight == pytest.approx(account.spent / account.utility, rel=1e-10)


def _shoven_whalley():
    """The rent, and prices, outputs, labour and capital of the sectors, wages being 1."""
    scale, labour_weight, sigma = np.array([1.5, 2.0]), np.array([0.6, 0.7]), np.array([2.0, 0.5])
    taste, elasticity = np.array([[0.5, 0.5], [0.3, 0.7]]), np.array([[1.5], [0.75]])

    def at(rent):
        inner = labour_weight**sigma + (1 - labour_weight) ** sigma * rent ** (1 - sigma)
        p = inner ** (1 / (1 - sigma)) / scale
        labour = p * labour_weight**sigma / inner
        capital = p * (1 - labour_weight) ** sigma * rent**-sigma / inner
        income = np.array([[25 * rent], [60.0]])
        each = taste * income / p**elasticity
        q = (each / (taste * p ** (1 - elasticity)).sum(axis=1, keepdims=True)).sum(axis=0)
        return p, q, labour * q, capital * q

    rent = fsolve(lambda r: at(r[0])[3].sum() - 25, [1.3], xtol=1e-14)[0]
    return rent, at(rent)


def test_profits_are_what_a_factor_of_their_owner_would_earn():
    """Decreasing returns are constant returns with a fixed factor, which the owner has one of."""
    households = {
        "owner": {"utility": "cobb_douglas(x, y)", "endowment": {"labour": 1}},
        "worker": {"utility": "ces(x, y, labour, elasticity=0.6)", "endowment": {"labour": 3}},
        "other": {"utility": "sqrt(x) + 2 * sqrt(y)", "endowment": {"labour": 1}},
    }
    owns = {"owner": {"x": 0.75, "y": 0.0}, "worker": {"x": 0.25}, "other": {"y": 1.0}}
    decreasing = from_text(
        "x = labour ** 0.6\ny = (labour * x) ** 0.4",
        households={name: {**own, "owns": owns[name]} for name, own in households.items()},
    )
    factors = {"owner": {"a": 0.75}, "worker": {"a": 0.25}, "other": {"b": 1}}
    constant = from_text(
        "x = labour ** 0.6 * a ** 0.4\ny = (labour * x) ** 0.4 * b ** 0.2",
        households={
            name: {**own, "endowment": own["endowment"] | factors[name]}
            for name, own in households.items()
        },
    )
    keys = {"bid_rate": 0.8, "activation": "sequential", "tolerance": 1e-11}
    results = [run(each, mechanism="trading-post", **keys) for each in (decreasing, constant)]
    tables = [result.table().loc[["labour", "x", "y"]] for result in results]
    relative = [table.price / table.price["labour"] for table in tables]
    np.testing.assert_allclose(relative[0], relative[1], rtol=1e-9)
    np.testing.assert_allclose(tables[0].quantity, tables[1].quantity, rtol=1e-9)
    wages = [table.price["labour"] for table in tables]
    for name in households:
        one, other = (result.households[name] for result in results)
        assert one.utility == pytest.approx(other.utility, rel=1e-9)
        dividends = sum(one.profits.values()) / wages[0]
        rents = sum(other.endowments[good] for good in factors[name]) / wages[1]
        assert dividends == pytest.approx(rents, rel=1e-8)


def test_what_households_own_of_a_made_good_is_sold_beside_it():
    """As if a line joined what is made with a raw good of the same kind."""
    utility = "ces(y, x, elasticity=0.7)"
    owned = {"a": {"y": 0.4, "x": 1.0}, "b": {"x": 2.0}}
    keys = {"mechanism": "trading-post", "bid_rate": 0.4, "tolerance": 1e-12, "steps": 2000}
    joined = {"a": {"found": 0.4, "x": 1.0}, "b": {"x": 2.0}}

    def of(program, endowments):
        return from_text(
            program,
            households={
                name: {"utility": utility, "endowment": own} for name, own in endowments.items()
            },
            population_of={program.split(" ")[0]: {"firms": 2}},
        )

    one = run(of("y = 1.3 * x ** 0.7", owned), **keys)
    two = run(of("made = 1.3 * x ** 0.7\ny = made + found", joined), **keys)
    np.testing.assert_allclose(
        one.table().price["y"] / one.table().price["x"],
        two.table().price["y"] / two.table().price["x"],
        rtol=1e-9,
    )
    assert one.table().quantity["y"] == pytest.approx(two.table().quantity["y"], rel=1e-9)
    assert one.households["a"].utility == pytest.approx(two.households["a"].utility, rel=1e-9)
    profit = one.accounts().profit["y"]  # of what the firms made: 0.3 of their sales
    revenue = one.table().price["y"] * (one.table().quantity["y"] - 0.4)
    assert profit == pytest.approx(0.3 * revenue, rel=1e-8)


def test_leisure_is_an_endowment_that_is_also_wanted():
    """Cobb-Douglas: the share 1 - a of its time, whatever the wage."""
    economy = from_text(
        "food = 3 * labour",
        households={"h": {"utility": "food ** 0.6 * labour ** 0.4", "endowment": {"labour": 24}}},
    )
    result = run(economy, mechanism="trading-post", bid_rate=0.5, tolerance=1e-12)
    leisure = result.households["h"].spending["labour"] / result.table().price["labour"]
    assert leisure == pytest.approx(0.4 * 24, rel=1e-10)
    assert result.table().quantity["food"] == pytest.approx(3 * 0.6 * 24, rel=1e-10)


# --- gradients at the present weights -------------------------------------------------------------

RICH_AND_POOR = """
[economy]
program = \"\"\"
wheat = ces(labour, land, elasticity=0.7) ** 0.8
bread = cobb_douglas(wheat, labour)
\"\"\"
[households.rich]
utility = "ces(bread, labour, elasticity=0.5)"
endowment = { land = 2, labour = 1 }
owns = { wheat = 1 }
[households.poor]
utility = ["sqrt(bread)", "2 * ln(1 + wheat)"]
endowment = { labour = 3 }
[market]
mechanism = "trading-post"
bid_rate = 0.3
"""


def test_prices_are_compared_with_the_gradient_at_the_weights_of_the_step():
    """Central differences of Σ α U by each endowment, at the shares and weights of a step: 1e-7."""
    economy = Experiment.parse(RICH_AND_POOR).economy
    result = run(economy, mechanism="trading-post", bid_rate=0.3, steps=9)
    for step in (1, 4, 9):
        shares = result.trajectory.shares[step]
        weights = result.prices[step, economy.claims.good]
        welfare = lambda raw: weights @ _utilities(economy, shares, raw)  # noqa: E731, B023
        raw = result.quantities[step, :2]
        for k in (0, 1):
            by = 1e-5 * raw * (np.arange(2) == k)
            slope = (welfare(raw + by) - welfare(raw - by)) / (2 * by[k])
            assert result.gradients[step, k] == pytest.approx(slope, rel=1e-7)
        former = _utilities(economy, result.trajectory.shares[step - 1], raw)
        before = result.prices[step - 1, economy.claims.good]
        gain = before @ (_utilities(economy, shares, raw) - former)
        assert result.path.comparison.gains[step] == pytest.approx(gain, rel=1e-9, abs=1e-15)


def _utilities(economy, shares, raw):
    """What the households get at these shares, by the program's own formulas."""
    uses = {good: [shares[use][0] for use in uses] for good, uses in economy.buyers.uses.items()}
    labour, land = raw
    ces = lambda a, b, s: ((a ** (1 - 1 / s) + b ** (1 - 1 / s)) / 2) ** (1 / (1 - 1 / s))  # noqa: E731
    wheat = ces(uses["wheat"][0] * labour, uses["wheat"][1] * land, 0.7) ** 0.8
    bread = np.sqrt(uses["bread"][0] * wheat * uses["bread"][1] * labour)
    rich = ces(uses["rich"][0] * bread, uses["rich"][1] * labour, 0.5)
    poor = np.sqrt(uses["poor"][0] * bread) + 2 * np.log(1 + uses["poor"][1] * wheat)
    return np.array([rich, poor])


@pytest.mark.parametrize("what", ["nothing", "weight", "budget"])
def test_no_market_rests_before_weights_and_budgets_do(what):
    economy = Experiment.parse(RICH_AND_POOR).economy
    result = run(economy, mechanism="trading-post", bid_rate=0.7, tolerance=1e-10)
    last, weight = result.last, result.prices[-1, economy.claims.good]
    before = replace(last, step=last.step - 1, prices=last.prices.copy())
    if what == "weight":
        before.prices[economy.claims.good[0]] *= 1 + 1e-6
    if what == "budget":  # a transfer that nobody has counted with yet
        economy = economy.with_values(
            {"households.rich.transfer": -1e-6, "households.poor.transfer": 1e-6}
        )
    rest = Rest(economy, post().rules, 1e-8)
    rest(before, weight)
    assert rest(last, weight) == (what == "nothing")


# --- numbers that change, files, and what is wrong ------------------------------------------------


def test_endowments_and_transfers_change_in_runs_and_sweeps():
    """A shock arrives where an economy with the new numbers does: to 1e-9, ten tolerances."""
    keys = {"run.tolerance": 1e-10, "run.engine": "arrays", "market.bid_rate": 0.7}
    shock = {
        "step": 20,
        "households.rich.endowment.labour": 2.0,
        "households.rich.transfer": -0.05,
        "households.poor.transfer": 0.05,
    }
    rest = {key: value for key, value in shock.items() if key != "step"}
    after = run(Experiment.parse(RICH_AND_POOR, settings=keys | {"shocks": [shock]}))
    new = run(Experiment.parse(RICH_AND_POOR, settings=keys | rest))
    assert after.status == new.status == "converged" and after.steps > 20
    np.testing.assert_allclose(after.last.prices, new.last.prices, rtol=1e-8)
    np.testing.assert_allclose(after.last.quantities, new.last.quantities, rtol=1e-8)
    assert after.households["poor"].transfer == 0.05
    money = after.trajectory.bids.sum(axis=1)[1:]
    np.testing.assert_allclose(money, 2.0, rtol=1e-12)
    slow = keys | {"shocks": [shock], "run.engine": "agents", "run.steps": 25}
    agents = run(Experiment.parse(RICH_AND_POOR, settings=slow))
    np.testing.assert_allclose(agents.prices, after.prices[:26], rtol=1e-12)

    first = Experiment.parse(RICH_AND_POOR, settings=keys)
    (told,) = first.with_shock_texts(["endowment.poor.labour=-50%@7"]).shocks
    assert told.entry == {"step": 7, "households.poor.endowment.labour": 1.5}
    with pytest.raises(MarketError, match="no household owns 'poor.land'"):
        first.with_shock_texts(["endowment.poor.land=1"])
    axes = {"households.rich.endowment.land": [1, 2, 4]}
    table = sweep(first, axes, measures=["welfare"])
    alone = Experiment.parse(RICH_AND_POOR, settings=keys | {"households.rich.endowment.land": 4})
    assert table.status.tolist() == ["converged"] * 3
    assert table.welfare.iloc[2] == pytest.approx(run(alone).path.welfare[-1], rel=1e-9)


def test_a_resolved_experiment_is_the_same_experiment():
    settings = {"supply.land.price": 2.0, "households.poor.owns.bread": 1}
    first = Experiment.parse(RICH_AND_POOR, settings=settings)
    told = run(first.with_steps(5)).summary()
    again = Experiment.parse(toml_text(told["configuration"]))
    assert again.economy.supply == first.economy.supply
    assert again.economy.households == first.economy.households
    assert run(again).summary()["households"] == told["households"]
    made = Experiment.of(first.economy, mechanism="trading-post", bid_rate=0.3, steps=5)
    assert run(made).summary()["households"] == told["households"]


WRONG = {
    "households.poor.endowment.wool = 1": "no line and no household uses 'wool'",
    "households.poor.endowment.labour = -1": "households.poor.endowment.labour is -1",
    "households.poor.transfer = 0.1": "transfers of households sum to 0.1; make them sum to 0",
    "households.poor.owns.wheat = 0.5": "households own 1.5 of the firms that make 'wheat'",
    "households.rich.owns.wool = 1": "no line makes 'wool'",
    'households.poor.utility = "wool"': "the household 'poor' wants 'wool', which nobody makes",
    'households.poor.utility = "2"': "households.poor.utility reads no good",
    'households.poor.utility = "bread +"': "households.poor.utility: cannot read",
    'households.poor.utility = "rich"': "'poor' reads 'rich', and that is a household",
    'households.poor.utility = "bread - labour"': "more 'labour' is worth less than nothing",
    'households.wheat.utility = "bread"': "'wheat' is also a good; rename the household",
    "households.poor.money = 0": "households.poor.money is 0; must be finite and > 0",
    "households.poor.wealth = 1": "unknown key 'households.poor.wealth'",
    "demand.poor.price = 2": "'poor' is a household, which pays what it earns",
    "supply.labour.quantity = 2": "households own 'labour' and supply what they own",
    "supply.labour.elasticity = 2": "households own 'labour' and supply what they own",
    "industries.poor.firms = 2": "the program has no such industry",
    'market.activation = "random"': "firms that act one by one have not paid out their profits",
    'market.mechanism = "unit-bid"': "a bid per unit cannot promise a budget; set market.mechanism",
    'market.mechanism = "posted-price"': "may cost more when it is delivered",
    'market.mechanism = "excess-demand"': "the published model has one household of its own",
    "demand.silk.price = 2": "the consumer of 'silk' brings money to households in each step",
    'reuse.wheat = "external"': "'wheat' is external, and households pay for all that they use",
}


SILK = "wheat = sqrt(labour * land)\nbread = wheat\nsilk = wheat"


def test_those_who_say_nothing_of_a_line_divide_what_is_left_of_it():
    state, others = Household("x", owns=0.0), Household("x")
    found = ownership({"state": state, "a": others, "b": Household("x", owns={"x": 0.3})}, ["x"])
    assert [each["x"] for each in found.values()] == pytest.approx([0.0, 0.7, 0.3], rel=1e-15)
    with pytest.raises(MarketError, match="households own 0.8 of the firms that make 'x'"):
        ownership({"a": Household("x", owns=0.5), "b": Household("x", owns=0.3)}, ["x"])


def test_who_owns_nothing_and_gets_nothing_is_refused():
    ours = {"utility": "x", "endowment": {"x": 1.0}}
    with pytest.raises(MarketError, match="'b' owns nothing, and has no other income"):
        from_text("", households={"a": ours, "b": {"utility": "x", "endowment": {"x": 0.0}}})
    for tables in ({"households": [ours]}, {"taxes": [{"good": "x"}]}):
        with pytest.raises(MarketError, match=r"is \[{.*give each a name"):
            from_text("y = x", {"x": 1.0}, **tables)
    with pytest.raises(MarketError, match="the income of a date is known only after it was spent"):
        run(from_text("", households={"a": ours}), mechanism="trading-post", dating="dated")


@pytest.mark.parametrize("text", WRONG)
def test_wrong_input_is_one_sentence(text):
    key, value = text.split(" = ", 1)
    silk = {"economy.program": SILK} if "silk" in text else {}
    with pytest.raises(MarketError) as caught:
        run(
            Experiment.parse(
                RICH_AND_POOR, settings=silk | {key: tomllib.loads(f"v = {value}")["v"]}
            )
        )
    message = str(caught.value)
    assert WRONG[text] in message
    assert "\n" not in message and len(message) < 300


def test_households_cannot_change_in_kind_by_a_shock():
    economy = Experiment.parse(RICH_AND_POOR).economy
    for key, value, expected in (
        ("households.rich.utility", "bread", "is a line, not a number"),
        ("households.rich.endowment.wheat", 1, "has no endowment of 'wheat'"),
        ("households.king.transfer", 1, "no such household"),
        ("supply.labour.quantity", 3, "households own 'labour'"),
    ):
        with pytest.raises(MarketError, match=expected):
            economy.with_values({key: value})
    with pytest.raises(MarketError, match="write the household, too: endowment.*rich.labour"):
        Experiment.parse(RICH_AND_POOR).with_shock_texts(["endowment.labour=2"])


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_who_bears_passing_losses_is_told_of_them(engine):
    """Firms that bid half of the new value lose while their sales shrink; at bid rate 1 never."""
    worker = {"utility": "ces(x, y, elasticity=0.5)", "endowment": {"x": 1.0}}
    owner = {"utility": "y", "owns": 1.0, "endowment": {"x": 1e-3}}
    economy = from_text("y = x", households={"worker": worker, "owner": owner})
    rates = {"mechanism": "trading-post", "engine": engine, "steps": 30}
    with pytest.raises(MarketError, match="'owner' .*its firms bid more than they earn, and it be"):
        run(economy, bid_rate=0.5, **rates)
    assert run(economy, bid_rate=1.0, **rates).status == "max_steps"


def test_what_nobody_owns_is_named():
    """Neither a lower bid rate nor another order of events would help."""
    poor = {"utility": "x + y", "endowment": {"x": 0.0}}
    economy = from_text("y = sqrt(x)", households={"poor": poor})
    with pytest.raises(MarketError, match="let a household own some 'x'"):
        run(economy, mechanism="trading-post")


@pytest.mark.parametrize("seed", members(range(0, 240, 24), quick=[24]))
def test_the_kept_table_of_exchange_economies(seed):
    """Excess demand, of the closed form, is rounding; rates and shares are those of the table."""
    kept = pd.read_csv(ROOT / "results/exchange/table.csv")
    assert list(kept["seed"]) == list(range(240)) and set(kept["status"]) == {"converged"}
    assert kept["excess_demand"].max() < 1e-10
    assert (kept["rate"] / kept["predicted_rate"] - 1).abs().max() < 0.02
    (row,) = EXCHANGE["table"]([seed]).itertuples()
    assert row.status == "converged" and row.excess_demand < 1e-10
    for column in ("steps", "predicted_rate", "gradient_share"):
        assert getattr(row, column) == pytest.approx(kept.loc[seed, column], rel=1e-5)


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("'flour.bran' is the activity of a line", {"endowment": {"wheat": 1, "flour+bran": 2}}),
        ("utility is an assignment: 'u = flour'", {"utility": "u = flour"}),
        ("numeraire is 'miller', a household", {}),
    ],
)
def test_what_has_no_price_in_trade_is_refused(message, changed):
    """An endowed activity would be spent and never earned."""
    miller = {"utility": "flour", "endowment": {"wheat": 1}, **changed}
    program = "(flour, bran) = fixed(wheat ** 0.7, yields=(2, 1))\nbread = bran"
    with pytest.raises(MarketError, match=message):
        from_text(program, households={"miller": miller}, numeraire=None if changed else "miller")
