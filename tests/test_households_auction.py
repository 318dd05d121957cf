"""Households under an auctioneer: budgets, Walras' law, both engines, rest, and refusals.

Accounts are added up here from what a state shows, by formulas of this file. They close to
rounding: 1e-13 of the money at stake, some hundred times what a sum of ten terms leaves.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from support.engines import assert_each_its_own
from support.households import LINES, exchange, scarf, village

from market_abm import MarketModel, compare, from_text, run
from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.market.arrays import ArrayEngine
from market_abm.market.mechanisms.registry import array_market, market_settings
from market_abm.market.state import State

ROUNDING = 1e-13


def auction(rate: float = 0.02) -> Any:
    return market_settings(mechanism="tatonnement", auction_rate=rate)


def market(*economies: Economy, rate: float = 0.02) -> ArrayEngine:
    """The array engine of these economies, side by side."""
    return array_market(list(economies), [auction(rate)] * len(economies), [1] * len(economies))


def excess(economy: Economy, state: State) -> np.ndarray:
    """Demand less supply of each good that is no utility, units, (runs, goods)."""
    bought = np.zeros_like(state.quantities)
    for buyer, good in enumerate(economy.buyers.good):
        bought[:, good] += state.inputs[:, buyer]
    others = [k for k, good in enumerate(economy.goods) if good not in economy.households]
    return (bought - state.quantities)[:, others]


def paid_by(economy: Economy, state: State, line: str) -> np.ndarray:
    """What the firms of a line, or a household, would pay for their orders, money, (runs,)."""
    places = [k for use in economy.buyers.uses[line] for k in range(use.start, use.stop)]
    return sum(state.bids[:, k] * state.inputs[:, k] for k in places)


def price_of(economy: Economy, state: State, good: str) -> np.ndarray:
    return state.prices[:, economy.index[good]]


def earned_by(
    economies: list[Economy], state: State, name: str, costs: dict[str, Any] | None = None
) -> np.ndarray:
    """What a household earns at the prices of a state, money, (runs,).

    ``costs`` are what firms pay, taxes included, by line.
    """
    total, one = np.zeros(len(economies)), economies[0]
    for row, economy in enumerate(economies):
        own = economy.households[name]
        total[row] += own.transfer
        for good, units in own.endowment.items():
            total[row] += price_of(one, state, good)[row] * units
    for good in (line.good for line in one.industries if not line.household):
        owned = [sum(h.endowment.get(good, 0.0) for h in e.households.values()) for e in economies]
        made = state.quantities[:, one.index[good]] - owned
        paid = paid_by(one, state, good) if costs is None else costs[good]
        profit = price_of(one, state, good) * made - paid
        total += profit * [economy.households[name].owns[good] for economy in economies]
    return total


def test_budgets_close_and_the_value_of_excess_demand_is_0_at_every_step():
    """Of random economies with production, leisure, transfers and corners, far from rest."""
    economies = [village(seed) for seed in range(5)]
    auctioneer, far = market(*economies), []
    for _ in range(12):
        state = auctioneer.state
        z, prices = excess(economies[0], state), state.prices[:, : -len(economies[0].households)]
        at_stake = np.sum(np.abs(prices * z), axis=-1) + np.sum(
            prices * state.quantities[:, : prices.shape[1]], axis=-1
        )
        assert np.all(np.abs(np.sum(prices * z, axis=-1)) <= ROUNDING * at_stake)
        for name in economies[0].households:
            spent = paid_by(economies[0], state, name)
            np.testing.assert_allclose(
                spent, earned_by(economies, state, name), rtol=0, atol=ROUNDING * at_stake.max()
            )
        far.append(np.max(np.abs(z)))
        auctioneer.step()
    assert not auctioneer.failed and min(far) > 0.1
    assert np.any(state.inputs[:, economies[0].claims.buyers] == 0.0)


def test_both_engines_and_any_batch():
    assert_each_its_own([village(0), village(1)], [auction()] * 2, [1, 2], steps=4)
    together = market(*(village(seed) for seed in range(4)))
    alone = [market(village(seed)) for seed in (0, 3)]
    for step in range(5):
        for row, own in zip((0, -1), alone, strict=True):
            for name in ("quantities", "prices", "inputs", "shares", "bids"):
                np.testing.assert_array_equal(
                    getattr(own.state, name)[0], getattr(together.state, name)[row]
                )
        for each in (together, *alone):
            each.step()
        if step == 2:
            together.keep(np.array([0, 2, 3]))


def test_many_lines_have_the_same_bits_in_any_batch():
    """Sums over twenty firms' profits and goods, which NumPy may add in pairs."""
    lines = "\n".join(f"good{k} = labour ** {0.3 + 0.03 * k:.2f}" for k in range(20))
    goods = ", ".join(f"good{k}" for k in range(20))
    made = [
        from_text(
            lines,
            households={
                "one": {"utility": f"ces({goods}, elasticity=0.7)", "endowment": {"labour": size}},
                "other": {"utility": f"cobb_douglas({goods})", "endowment": {"labour": 3.0}},
            },
        )
        for size in (1.0, 2.0, 5.0, 7.0)
    ]
    together, alone = market(*made), [market(each) for each in made]
    for _ in range(3):
        for row, own in enumerate(alone):
            np.testing.assert_array_equal(own.state.prices[0], together.state.prices[row])
            own.step()
        together.step()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_it_rests_where_markets_clear(engine):
    """There p = α ∂U/∂x for what is bought (the gradient at the weights), and no less otherwise.

    Up to scale prices are those of the equilibrium found without a market, to 1e-9; without
    transfers in money, that is: with them there is an equilibrium of each level of prices.
    """
    economy = village(3)
    economy = economy.with_values(
        {f"households.{name}.transfer": 0.0 for name in economy.households}
    )
    result = run(economy, mechanism="tatonnement", auction_rate=0.02, steps=900, engine=engine)
    assert result.status == "converged"
    state, goods = result.last, economy.buyers.good
    units = np.bincount(goods, state.inputs, len(economy.goods))
    others = [k for k, good in enumerate(economy.goods) if good not in economy.households]
    np.testing.assert_allclose(units[others], state.quantities[others], rtol=1e-8)
    assert result.equilibrium is not None
    ratios = state.prices / result.equilibrium.prices
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)
    for name in economy.households:
        buyers = [use.start for use in economy.buyers.uses[name]]
        (line,) = (each for each in economy.industries if each.good == name)
        worth = np.array(line.technology.production(list(state.inputs[buyers]))[1], float)
        gap = state.prices[economy.index[name]] * worth / state.prices[goods[buyers]] - 1.0
        assert np.all(gap <= 1e-8)
        np.testing.assert_allclose(gap[state.inputs[buyers] > 0.0], 0.0, atol=1e-8)


def test_excess_demand_is_the_descent_of_the_dual_potential_at_the_present_weights():
    """At fixed α it is -∇Φ, Φ(p) = Σ max (α U - p x) + p · endowments, by SciPy and differences.

    (Where U is strictly concave; differences of what SciPy finds are good to 1e-6.) So each step of
    the auctioneer descends a potential, and income effects are the move of its weights.
    """
    wants = {"one": "2*ln(1 + x) + sqrt(y)", "other": "ln(x) - 1/(0.3 + y)"}
    owns = {"one": {"x": 1.0, "y": 0.2}, "other": {"x": 0.3, "y": 2.0}}
    economy = exchange(wants, owns, {"x": 0.8, "y": 1.7})
    state = market(economy).state
    weights = [price_of(economy, state, name)[0] for name in wants]
    functions = (
        lambda x, y: 2 * np.log(1 + x) + np.sqrt(y),
        lambda x, y: np.log(x) - 1 / (0.3 + y),
    )

    def potential(prices):
        total = prices @ [1.3, 2.2]
        for weight, utility in zip(weights, functions, strict=True):
            best = minimize(
                lambda logs, w=weight, u=utility: prices @ np.exp(logs) - w * u(*np.exp(logs)),
                [-0.5, -0.5],
                tol=1e-13,
            )
            total -= best.fun
        return total

    at, step = state.prices[0, :2], 1e-4
    slope = [
        (potential(at + step * unit) - potential(at - step * unit)) / (2 * step)
        for unit in np.eye(2)
    ]
    np.testing.assert_allclose(excess(economy, state)[0], -np.array(slope), atol=1e-6)
    assert np.max(np.abs(slope)) > 0.1


def test_a_state_that_is_set_is_the_same_again():
    """Quotes are all that is remembered: what is planned follows, corners too (to 1e-12)."""
    economies = [village(seed) for seed in range(2)]
    one, other = market(*economies), market(*economies)
    for _ in range(4):
        one.step()
    other.memory = one.memory
    for _ in range(2):
        for name in ("quantities", "prices", "inputs"):
            mine, theirs = getattr(one.state, name), getattr(other.state, name)
            np.testing.assert_allclose(theirs, mine, rtol=1e-12, atol=1e-13)
        one.step()
        other.step()


def test_what_households_own_may_change():
    """Budgets are those of the new endowments and transfers from the next plan on."""
    changed = {"households.worker.endowment.land": 5.0, "households.owner.transfer": 0.5}
    changed |= {"households.monk.transfer": -0.4, "households.owner.endowment.wine": 2.0}
    before, auctioneer = village(1), market(village(1))
    after, agents = before.with_values(changed), MarketModel(before, auction())
    for step in range(4):
        if step == 2:
            auctioneer.change([after])
            agents.change(after)
        auctioneer.step()
        agents.step()
        state, economy = auctioneer.state, after if step >= 2 else before
        np.testing.assert_allclose(state.inputs[0], agents.state.inputs, rtol=1e-12, atol=1e-13)
        for name in economy.households:
            earned = earned_by([economy], state, name)
            np.testing.assert_allclose(paid_by(economy, state, name), earned, rtol=ROUNDING)


TAXES: dict[str, dict[str, Any]] = {
    "vat": {"good": ["bread", "cloth"], "user": "households", "rate": 0.4, "to": "state"},
    "payroll": {
        "good": "labour",
        "user": ["bread", "cloth"],
        "rate": 0.2,
        "to": {"worker": 0.5, "state": 0.5},
    },
    "gift": {"good": "wine", "user": "monk", "rate": -0.6, "to": "owner"},
}


def taxed_village(seed: int) -> Economy:
    """A village with a state that owns nothing, and spends its taxes on taxed goods, too."""
    made = village(seed)
    households: dict[str, Any] = {name: dict(vars(own)) for name, own in made.households.items()}
    households["state"] = {"utility": "cobb_douglas(labour, bread)", "owns": 0.0}
    return from_text(
        LINES, households=households, parameters={"sigma": 0.7, "taste": 1.5}, taxes=TAXES
    )


def test_a_household_gets_the_taxes_on_what_it_buys_in_the_same_plan():
    """Gross spending is what is earned, taxes by plain sums included; net prices obey Walras."""
    economy, other = taxed_village(2), taxed_village(3)
    assert_each_its_own([economy, other], [auction()] * 2, [1, 2], steps=3)
    auctioneer = market(economy)
    for _ in range(5):
        state, gross = auctioneer.state, {}
        gained = dict.fromkeys(economy.households, 0.0)
        for line in economy.industries:
            uses = zip(line.technology.inputs, economy.buyers.uses[line.good], strict=True)
            gross[line.good] = paid_by(economy, state, line.good)
            for good, use in uses:
                net = (state.bids[:, use] * state.inputs[:, use]).sum(axis=-1)
                for tax in TAXES.values():
                    own = (
                        line.household if tax["user"] == "households" else line.good in tax["user"]
                    )
                    if good in tax["good"] and own:
                        gross[line.good] = gross[line.good] + tax["rate"] * net
                        to = tax["to"] if isinstance(tax["to"], dict) else {tax["to"]: 1.0}
                        for name, share in to.items():
                            gained[name] = gained[name] + share * tax["rate"] * net
        for name in economy.households:
            earned = gained[name]
            if name != "state":
                earned = earned + earned_by([economy], state, name, gross)
            np.testing.assert_allclose(gross[name], earned, rtol=1e-12)
        value = state.prices[:, :5] * excess(economy, state)
        assert np.abs(value.sum()) <= ROUNDING * np.abs(value).sum() * 10
        auctioneer.step()


def test_suppliers_and_consumers_from_outside():
    """The value of excess demand is then what consumers pay less what suppliers get."""
    economy = from_text(
        "bread = (labour * oil) ** 0.4\nship = bread ** 0.7",
        supply={"oil": {"quantity": 1.0, "price": 0.5, "elasticity": 0.7}},
        demand={"ship": {"price": 2.0, "elasticity": 1.5, "quantity": 0.8}},
        households={"all": {"utility": "ln(bread) + ln(labour)", "endowment": {"labour": 3.0}}},
    )
    auctioneer = market(economy)
    for _ in range(10):
        state = auctioneer.state
        price, oil = price_of(economy, state, "ship"), price_of(economy, state, "oil")
        ships, sold = 0.8 * (price / 2.0) ** -1.5, (oil / 0.5) ** 0.7
        z = excess(economy, state)
        value = np.sum(state.prices[:, :4] * z, axis=-1) + price * ships
        np.testing.assert_allclose(value, price * ships - oil * sold, rtol=1e-12)
        auctioneer.step()


def test_owners_of_lines_with_several_outputs():
    """Walras' law pool by pool: in fixed proportions each output has all of the activity."""
    economy = from_text(
        "(wool, mutton) = transform((grass * labour) ** 0.4, elasticity=2, weights=(0.4, 0.6))\n"
        "(flour, bran) = fixed(ces(grass, labour, elasticity=0.5) ** 0.8, yields=(0.7, 0.3))",
        households={
            "one": {
                "utility": "cobb_douglas(wool, labour, flour)",
                "endowment": {"labour": 5.0, "wool": 0.3},
            },
            "other": {
                "utility": "ces(mutton, wool, bran, elasticity=0.6)",
                "endowment": {"grass": 3.0},
            },
        },
    )
    assert_each_its_own([economy], [auction()], [1], steps=4)
    auctioneer, pools = market(economy, rate=0.05), economy.buyers.pools
    for _ in range(8):
        state = auctioneer.state
        value = [
            state.bids[0, pool.buyers] @ state.inputs[0, pool.buyers]
            - state.bids[0, pool.buyers.start] * state.quantities[0, pool.good]
            for pool in pools
        ]
        assert abs(sum(value)) <= ROUNDING * np.abs(value).sum() * 10
        auctioneer.step()
    assert np.abs(value).sum() > 0.1


@pytest.mark.parametrize(
    ("wants", "owns", "message"),
    [
        (
            "x - x**2/4 + y - y**2/4",
            {"x": 9.0, "y": 9.0},
            "the household 'one' is satiated: with 18 to spend, more of nothing that it wants is "
            "worth anything to it; let households.one.utility rise in some good without end, or "
            "lower its endowment",
        ),
        (
            "x + y",
            {"x": 1.0, "y": 1.0},
            "the demand of the household 'one' is not determined: with 2 to spend, its utility has "
            "no strict maximum, or no value; make households.one.utility strictly concave",
        ),
        (
            "x * y",
            {"x": 1.0, "transfer": -3.0},
            "the household 'one' has -2 to spend at the prices called; raise "
            "households.one.endowment or households.one.transfer",
        ),
    ],
)
def test_no_best_bundle_is_one_sentence(wants, owns, message):
    gift = owns.pop("transfer", 0.0)
    households = {
        "one": {"utility": wants, "endowment": owns, "transfer": gift},
        "other": {"utility": "x * y", "endowment": {"y": 5.0}, "transfer": -gift},
    }
    economy = from_text("", households=households)
    for engine in ("agents", "arrays"):
        with pytest.raises(MarketError, match=re.escape(message)):
            run(economy, mechanism="tatonnement", steps=3, engine=engine)


def test_there_is_no_twin_with_income_effects():
    with pytest.raises(MarketError, match="follows the gradient of no one function"):
        compare(scarf(0.5), mechanism="tatonnement", steps=5)
