"""Total surplus W: the consumers' value, less the suppliers' cost (docs/model.md, 5)."""

from __future__ import annotations

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.terms import Demand, Supply


@np.errstate(all="ignore")
def surplus(economy: Economy, reference: np.ndarray, quantities: np.ndarray) -> np.ndarray:
    """W = Σ (p0 c0 + ∫P dc from c0 to c) - Σ ∫MC dq from 0 to q, in money.

    With elastic demand and fixed endowments it is the value of final output.

    Parameters
    ----------
    economy
        The terms of consumers and suppliers.
    reference
        The consumers' c0, units, shape (..., final goods).
    quantities
        Units, shape (..., goods).

    Returns
    -------
    numpy.ndarray
        Shape (...).
    """
    amounts = quantities[..., economy.final]
    parts = np.empty((*quantities.shape[:-1], len(economy.final) + len(economy.supply)))
    value, cost = parts[..., : len(economy.final)], parts[..., len(economy.final) :]
    for places, consumer in economy.untaxed.demand_terms:  # what they pay is tax and net price
        value[..., places] = consumer_value(consumer, reference[..., places], amounts[..., places])
    for places, supplier in economy.supply_terms:
        cost[..., places] = -production_cost(supplier, quantities[..., places])
    return parts.sum(axis=-1)


def consumer_value(terms: Demand, reference: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """p0 c0 + ∫P dc from c0 to ``amount``, in money, shape as ``amount``; of a household α U."""
    if terms.of_household:
        return reference * amount
    price, elasticity = terms.price, np.asarray(terms.elasticity, float)
    change = amount - reference
    linear = price * (amount - change**2 / (2.0 * elasticity * np.abs(reference)))
    if terms.form == "linear":
        curved = linear
    else:  # c0 ((c/c0)^k - 1)/k with k = 1 - 1/ε, whose limit at k = 0 is c0 ln(c/c0)
        k = 1.0 - 1.0 / elasticity
        log = np.log(amount / reference)
        growth = np.where(k == 0.0, log, np.expm1(k * log) / np.where(k == 0.0, 1.0, k))
        curved = price * reference * (1.0 + growth)
        if terms.form is None:
            curved = np.where(np.greater(reference, 0.0), curved, linear)
    return np.where(np.isinf(elasticity), price * amount, curved)


def production_cost(terms: Supply, amount: np.ndarray) -> np.ndarray:
    """∫MC dq from 0 to ``amount``, in money, shape as ``amount``; 0 for a fixed endowment.

    r0 q0 (q/q0)^(1 + 1/η) / (1 + 1/η), the same for -q; on a ``linear`` curve
    r0 q (1 + (q/(2 q0) - 1)/η). Without a supply curve 0, or δ q²/2.
    """
    if terms.cost != "curve":
        return curves.marginal_cost(terms, amount) * amount / 2.0
    if terms.form == "linear":
        above = (0.5 * amount / terms.quantity - 1.0) / np.asarray(terms.elasticity, float)
        return np.where(terms.responds, terms.price * amount * (1.0 + above), 0.0)
    power = 1.0 + 1.0 / np.asarray(terms.elasticity, float)
    cost = terms.price * terms.quantity / power * np.abs(amount / terms.quantity) ** power
    return np.where(np.isinf(power), 0.0, cost)
