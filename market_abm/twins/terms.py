"""What the twins know of a program: what its lines make, and what its terms say.

Written once more from the formulas of docs/model.md, 2, for the optimisers of ``optimisers.py``:
nothing here is shared with the agents.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.terms import Demand, Supply


def production(industry: Industry, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each firm makes, (firms,), and its marginal products, (inputs, firms).

    ``inputs`` (units) has shape (inputs, firms). A firm of weight w and productivity z makes
    z w f(x/w) of x.
    """
    of_each = inputs.reshape(-1, industry.firms) / industry.weights
    made, products = industry.technology.production(list(of_each))
    made = industry.productivity * industry.weights * made
    slopes = np.zeros(np.shape(inputs))
    for slope, product in zip(slopes, products, strict=True):
        slope[:] = industry.productivity * product
    return np.broadcast_to(made, industry.weights.shape), slopes


class InitialState(NamedTuple):
    """Step 0: one forward pass, with goods split as the start splits them.

    ``quantities`` (units) has shape (goods,); ``inputs`` (units) and the marginal ``products``
    there have shape (buyers,).
    """

    quantities: np.ndarray
    inputs: np.ndarray
    products: np.ndarray

    @staticmethod
    def of(economy: Economy) -> InitialState:
        """In a loop, what nobody has made yet is what its makers guess."""
        endowments = [supply.quantity for supply in economy.supply.values()]
        guesses = [industry.population.start for industry in economy.topological_order]
        inputs, products = np.zeros((2, economy.buyers.size))
        day = InitialState(np.array([*endowments, *guesses]), inputs, products)
        for industry in economy.topological_order:
            places = economy.buyers.of_industry[industry.good]
            sold = day.quantities[economy.buyers.good[places]]
            day.inputs[places] = economy.buyers.initial_shares[places] * sold
            made, day.products[places] = production(industry, day.inputs[places])
            day.quantities[economy.index[industry.good]] = np.sum(made)
        return day


def references(economy: Economy, made_first: np.ndarray) -> np.ndarray:
    """Each consumer's c0, units, (final goods,): its terms', or what the first day makes.

    ``made_first`` are the quantities of the first day, (goods,).
    """
    terms = zip(economy.demand.values(), made_first[economy.final], strict=True)
    return np.array([made if each.quantity is None else each.quantity for each, made in terms])


# --- consumers ------------------------------------------------------------------------------------


def _is_isoelastic(terms: Demand, reference: float) -> bool:
    return (terms.form or ("isoelastic" if reference > 0.0 else "linear")) == "isoelastic"


def demand_price(terms: Demand, reference: float, amount: float) -> float:
    """What a consumer pays for a unit (docs/model.md, 2), money per unit, at ``amount`` units."""
    if np.isinf(terms.elasticity):
        return terms.price
    if _is_isoelastic(terms, reference):
        return terms.price * np.float64(amount / reference) ** (-1.0 / terms.elasticity)
    return terms.price * (1.0 - (amount - reference) / (terms.elasticity * abs(reference)))


def demanded(terms: Demand, reference: float, price: np.ndarray) -> np.ndarray:
    """What a consumer of finite elasticity takes at ``price``, units: c0 (p/p0)^(-ε) or a line."""
    if _is_isoelastic(terms, reference):
        return reference * (price / terms.price) ** -terms.elasticity
    return reference + terms.elasticity * abs(reference) * (1.0 - price / terms.price)


def consumed(
    economy: Economy, reference: np.ndarray, prices: np.ndarray, there: np.ndarray
) -> np.ndarray:
    """What each consumer takes at its price, units, (final goods,); if elastic, all ``there`` is.

    ``reference`` (units), ``prices`` (money per unit) and ``there`` (units) have that shape too.
    """
    each = zip(economy.demand.values(), reference, prices, there, strict=True)
    return np.array(
        [
            amount if np.isinf(terms.elasticity) else demanded(terms, c0, price)
            for terms, c0, price, amount in each
        ]
    )


def consumer_value(terms: Demand, reference: float, amount: np.ndarray) -> np.ndarray:
    """What ``amount`` units are worth to a consumer, money: p0 c0 + ∫P dc from c0."""
    if np.isinf(terms.elasticity):
        return terms.price * amount
    if _is_isoelastic(terms, reference):
        power, log = 1.0 - 1.0 / terms.elasticity, np.log(amount / reference)
        growth = np.expm1(power * log) / power if power else log
        return terms.price * reference * (1.0 + growth)
    off = amount - reference
    return terms.price * (amount - off * off / (2.0 * terms.elasticity * abs(reference)))


# --- suppliers ------------------------------------------------------------------------------------


def supplied(terms: Supply, price: np.ndarray) -> np.ndarray:
    """What a supplier's curve says at ``price``, units: q0 (p/r0)^η, nothing at a wrong sign."""
    worth = np.asarray(price / terms.price)
    if terms.elasticity == 0.0:
        return np.full_like(worth, terms.quantity)
    return terms.quantity * np.where(worth > 0.0, worth, 0.0) ** terms.elasticity


def production_cost(terms: Supply, amount: np.ndarray) -> np.ndarray:
    """∫MC dq from 0 to ``amount``, money; nothing for a fixed endowment."""
    if terms.elasticity == 0.0:
        return np.zeros_like(amount)
    power = 1.0 + 1.0 / terms.elasticity
    return terms.price * terms.quantity * np.abs(amount / terms.quantity) ** power / power


def offer(terms: Supply, amount: float, price: float) -> float:
    """What a supplier offers next, units: it offered ``amount`` and got ``price`` (money per unit).

    On its curve, partial adjustment in logarithms; or a step of gradient ascent on its profit.
    """
    size, worth = amount / terms.quantity, price / terms.price
    if terms.kind == "gradient":
        cost = terms.price * np.sign(size) * np.abs(size) ** (1.0 / terms.elasticity)
        return amount + terms.rate * (price - cost)
    if worth <= 0.0:
        return (1.0 - terms.adjustment) * amount
    towards = worth ** (terms.adjustment * terms.elasticity)
    return terms.quantity * size ** (1.0 - terms.adjustment) * towards
