"""Production, demand, supply and the initial state, for the twins.

Written independently from the formulas of docs/model.md, 2: no code is shared with the agents.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.terms import Demand, Supply


def places(economy: Economy, industry: Industry) -> np.ndarray:
    """The buyer of each input for each firm, an index, shape (inputs, firms)."""
    return economy.buyers.of_industry[industry.good].reshape(-1, industry.firms)


def evaluated(industry: Industry, inputs: np.ndarray) -> tuple[Any, Any]:
    """The line's value at ``inputs``, shape (inputs, ...), and its marginal products.

    At inputs of 0 these are what the formula says, not limits: no number, where a line is not
    differentiable. Complex inputs are possible.
    """
    return industry.technology._evaluate(list(inputs))


def output(industry: Industry, inputs: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
    """The output of each firm, z w f(x/w), units, shape (..., firms).

    Of an output of a line that divides its activity by shares θ it is x (w/θ)^(1/(1+η)), at a given
    mix in proportion to x.

    Parameters
    ----------
    industry
        The firms' line f, weights w and productivities z.
    inputs
        x, units, real or complex, shape (inputs, ..., firms).
    shares
        Of the goods that are bought, shape (inputs, firms); without them nothing is divided.
    """
    line: Any = industry.technology
    if line.divides:
        elasticity, weight = line.constants()
        assert shares is not None
        return inputs[0] * (weight / shares[0]) ** (1.0 / (1.0 + elasticity))
    made = evaluated(industry, inputs / industry.weights)[0]
    made = industry.productivity * industry.weights * made
    return np.broadcast_to(made, (*np.shape(inputs)[1:-1], industry.firms))


class InitialState(NamedTuple):
    """Step 0: one forward pass at the initial shares.

    Attributes
    ----------
    quantities
        Units, shape (goods,).
    inputs
        Units, shape (buyers,).
    """

    quantities: np.ndarray
    inputs: np.ndarray

    @staticmethod
    def of(economy: Economy) -> InitialState:
        """The initial state of an economy; in a loop, from the guesses of outputs not yet made."""
        endowments = [supply.quantity for supply in economy.supply.values()]
        guesses = [industry.population.start for industry in economy.topological_order]
        initial = InitialState(np.array([*endowments, *guesses]), np.zeros(economy.buyers.size))
        for industry in economy.topological_order:
            used = places(economy, industry)
            sold = initial.quantities[economy.buyers.good[used]]
            initial.inputs[used] = economy.buyers.initial_shares[used] * sold
            made = np.sum(
                output(industry, initial.inputs[used], economy.buyers.initial_shares[used])
            )
            initial.quantities[economy.index[industry.good]] = made
        return initial


def references(economy: Economy, initial: np.ndarray) -> np.ndarray:
    """Each consumer's reference quantity c0, units, shape (final goods,).

    It is that of its terms, or else the quantity of step 0; ``initial``, units, shape (goods,).
    """
    terms = zip(economy.demand.values(), initial[economy.final], strict=True)
    return np.array([made if each.quantity is None else each.quantity for each, made in terms])


def start_price(economy: Economy, good: str) -> float:
    """The price at which a good counts as sold at step 0 if nobody outside pays, else 0."""
    if not economy.closed:
        return 0.0
    return next(i.population.start_price for i in economy.industries if i.good == good)


# --- taxes ----------------------------------------------------------------------------------------


def net_of_tax(economy: Economy) -> np.ndarray:
    """1/(1 + τ) of each buyer, shape (buyers,): what is left for sellers of what it pays."""
    total = np.zeros(economy.buyers.size)
    for tax in economy.taxes.values():
        for maker, uses in economy.buyers.uses.items():
            if tax.user is None or maker in tax.user:
                for use in uses:
                    taxed = economy.goods[economy.buyers.good[use.start]] in tax.good
                    total[use] += tax.rate if taxed else 0.0
    return 1.0 / (1.0 + total)


def net_demand(economy: Economy) -> list[Demand]:
    """The terms of consumers as sellers face them, who get 1/(1 + τ) of what is paid."""
    found = []
    for good, terms in economy.demand.items():
        rate = sum(tax.rate for tax in economy.taxes.values() if good in tax.good)
        found.append(replace(terms, price=terms.price / (1.0 + rate)) if rate else terms)
    return found


def sales_prices(economy: Economy, reference: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """What sellers get for each final good, money per unit, of ``amounts`` of them, units."""
    each = zip(net_demand(economy), reference, amounts, strict=True)
    return np.array([demand_price(*own) for own in each])


# --- consumers ------------------------------------------------------------------------------------


def _is_isoelastic(terms: Demand, reference: float) -> bool:
    return (terms.form or ("isoelastic" if reference > 0.0 else "linear")) == "isoelastic"


def demand_price(terms: Demand, reference: float, amount: float) -> float:
    """The price that a consumer pays for ``amount`` units, money per unit (docs/model.md, 2)."""
    if np.isinf(terms.elasticity):
        return terms.price
    if _is_isoelastic(terms, reference):
        return terms.price * np.float64(amount / reference) ** (-1.0 / terms.elasticity)
    return terms.price * (1.0 - (amount - reference) / (terms.elasticity * abs(reference)))


def demanded(terms: Demand, reference: float, price: np.ndarray) -> np.ndarray:
    """Demand of finite elasticity at ``price``, units: c0 (p/p0)^(-ε), or linear."""
    if _is_isoelastic(terms, reference):
        return reference * (price / terms.price) ** -terms.elasticity
    return reference + terms.elasticity * abs(reference) * (1.0 - price / terms.price)


def consumed(
    economy: Economy, reference: np.ndarray, prices: np.ndarray, available: np.ndarray
) -> np.ndarray:
    """The demand of each consumer at its price, units, shape (final goods,).

    A consumer of infinite elasticity takes all that is ``available``. ``reference`` and
    ``available``, units, and ``prices``, money per unit, have the same shape.
    """
    each = zip(net_demand(economy), reference, prices, available, strict=True)
    return np.array(
        [
            amount if np.isinf(terms.elasticity) else demanded(terms, c0, price)
            for terms, c0, price, amount in each
        ]
    )


def consumer_value(terms: Demand, reference: float, amount: np.ndarray) -> np.ndarray:
    """The value of ``amount`` units to a consumer, money: p0 c0 + ∫P dc from c0."""
    if np.isinf(terms.elasticity):
        return terms.price * amount
    if _is_isoelastic(terms, reference):
        power, log = 1.0 - 1.0 / terms.elasticity, np.log(amount / reference)
        growth = np.expm1(power * log) / power if power else log
        return terms.price * reference * (1.0 + growth)
    excess = amount - reference
    return terms.price * (amount - excess * excess / (2.0 * terms.elasticity * abs(reference)))


# --- suppliers ------------------------------------------------------------------------------------


def supplied(terms: Supply, price: np.ndarray) -> np.ndarray:
    """Supply at ``price``, units: q0 (p/r0)^η, and 0 if p/r0 is not positive; or linear."""
    worth = np.asarray(price / terms.price)
    if terms.cost == "quadratic":
        return price / terms.decay
    if terms.elasticity == 0.0:
        return np.full_like(worth, terms.quantity)
    if terms.form == "linear":
        return terms.quantity * _positive(1.0 + terms.elasticity * (worth - 1.0))
    return terms.quantity * _positive(worth) ** terms.elasticity


def _positive(value: np.ndarray) -> np.ndarray:
    return np.where(value > 0.0, value, 0.0)


def production_cost(terms: Supply, amount: np.ndarray) -> np.ndarray:
    """∫MC dq from 0 to ``amount``, money; 0 for a fixed endowment."""
    if terms.cost == "quadratic":
        return 0.5 * terms.decay * amount**2
    if terms.elasticity == 0.0:
        return np.zeros_like(amount)
    if terms.form == "linear":  # a trapezium: from the intercept, r0 (1 - 1/η), to MC
        intercept = 1.0 - 1.0 / terms.elasticity
        mean = intercept + 0.5 * amount / (terms.quantity * terms.elasticity)
        return terms.price * mean * amount
    power = 1.0 + 1.0 / terms.elasticity
    return terms.price * terms.quantity * np.abs(amount / terms.quantity) ** power / power


def offer(terms: Supply, amount: float, price: float) -> float:
    """The next offer of a supplier, units, after it sold ``amount`` at ``price`` (money per unit).

    Partial adjustment to its curve, in logarithms, or in units if that is linear; or a step of
    gradient ascent on its profit.
    """
    if terms.cost == "none":
        return amount + terms.rate * price
    if terms.cost == "quadratic":
        return (1.0 - terms.rate * terms.decay) * amount + terms.rate * price
    size, worth = amount / terms.quantity, price / terms.price
    if terms.form == "linear":
        if terms.kind == "gradient":
            cost = terms.price * (1.0 + (size - 1.0) / terms.elasticity)
            size += terms.rate * (price - cost) / terms.quantity
        else:
            on_curve = max(1.0 + terms.elasticity * (worth - 1.0), 0.0)
            size += terms.adjustment * (on_curve - size)
        return terms.quantity * max(size, 0.0)
    if terms.kind == "gradient":
        cost = terms.price * np.sign(size) * np.abs(size) ** (1.0 / terms.elasticity)
        return amount + terms.rate * (price - cost)
    if worth <= 0.0:
        return (1.0 - terms.adjustment) * amount
    moved = worth ** (terms.adjustment * terms.elasticity)
    return terms.quantity * size ** (1.0 - terms.adjustment) * moved


class Suppliers:
    """All suppliers of an economy, step after step.

    A supplier whose offer is kept for a period moves it by the mean of the gradients that are known
    of the dates of that period, from the date ``settle`` on.
    """

    def __init__(self, economy: Economy) -> None:
        self.terms = list(economy.supply.values())
        self.longest = max((each.period for each in self.terms), default=1)
        self.past: list[tuple[np.ndarray, np.ndarray]] = []
        self.step = 0

    def offers(self, before: np.ndarray, prices: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The next offers, units, shape (raw goods,).

        Parameters
        ----------
        before
            Those before, units, shape (raw goods,).
        prices, known
            The gradient by each good at the last date, money per unit, and whether it is known,
            shape (goods,).
        """
        self.step += 1
        self.past = [*self.past[-self.longest :], (prices, known)]
        offers = before.copy()
        for k, each in enumerate(self.terms):
            if each.series is not None:
                row, rows = self.step // each.period, each.series.rows
                row = row % rows if each.repeat == "cycle" else min(row, rows - 1)
                offers[k] = each.series.values[row, int(each.column or 0)]
            elif self.step % each.period == 0 and (each.cost != "curve" or each.elasticity > 0.0):
                dates = self.past[-each.period :][each.settle :]
                signals = [slopes[k] for slopes, seen in dates if seen[k]]
                if signals:
                    offers[k] = offer(each, before[k], np.mean(signals))
        return offers
