"""Supply and demand curves: pure functions of an agent's terms, on numbers or arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from market_abm.economy.terms import Demand, Supply
from market_abm.language.segments import Places, some


def for_all(
    curve: Callable[..., Any], several: Iterable[tuple[Places, Any]], *arrays: np.ndarray
) -> np.ndarray:
    """A curve of all suppliers or all consumers, shape (..., goods).

    Parameters
    ----------
    curve
        One of the functions below, or another of an agent's terms.
    several
        ``Economy.supply_terms`` or ``Economy.demand_terms``.
    arrays
        Its other arguments, shape (..., goods), in the order of ``Economy.supply`` or ``demand``.
    """
    result = np.empty_like(arrays[0])
    for places, terms in several:
        result[..., places] = curve(terms, *(array[..., places] for array in arrays))
    return result


def marginal_cost(terms: Supply, quantity: Any) -> Any:
    """MC(q) = r0 (q/q0)^(1/η), money per unit, continued through 0 as an odd function.

    For a fixed endowment (η = 0) it is r0 at q0, 0 below and infinite above. On a ``linear`` curve
    it is r0 (1 + (q/q0 - 1)/η). Without a curve it is 0 (``none``), or δ q with δ the ``decay``
    (``quadratic``).
    """
    if terms.cost != "curve":
        slope: Any = terms.decay if terms.cost == "quadratic" else 0.0
        return slope * quantity
    with np.errstate(divide="ignore", invalid="ignore"):  # an endowment may be of 0
        inverse = 1.0 / np.asarray(terms.elasticity, float)
        ratio = np.where(np.equal(quantity, terms.quantity), 1.0, quantity / terms.quantity)
        if terms.form == "linear":
            above = np.where(ratio == 1.0, 0.0, (ratio - 1.0) * inverse)
            return (terms.price * (1.0 + above))[()]
    return (terms.price * np.sign(ratio) * np.abs(ratio) ** inverse)[()]


def cost_slope(terms: Supply, quantity: Any) -> Any:
    """dMC/dq, money per unit²: (r0/q0) |q/q0|^(1/η - 1) / η, or r0/(q0 η) if ``linear``.

    Without a supply curve it is constant, 0 or δ.
    """
    if terms.cost != "curve":
        return marginal_cost(terms, 1.0)
    inverse = 1.0 / np.asarray(terms.elasticity, float)
    slope = terms.price / terms.quantity * inverse
    if terms.form == "linear":
        return slope
    return slope * np.abs(quantity / terms.quantity) ** (inverse - 1.0)


def supply_quantity(terms: Supply, price: Any) -> Any:
    """The supply, units per step, at which marginal cost equals the price.

    On a curve q0 (p/r0)^η: a fixed endowment is offered at any price, another supply not at a price
    of the wrong sign. On a ``linear`` one q0 (1 + η (p/r0 - 1)), or 0 where that is less. Where
    cost is quadratic p/δ; without cost there is no such quantity.
    """
    if terms.cost != "curve":
        return price / (terms.decay if terms.cost == "quadratic" else 0.0 * price)
    if terms.form == "linear":
        above = terms.elasticity * (price / terms.price - 1.0)
        return (terms.quantity * np.maximum(1.0 + above, 0.0))[()]
    relative_price = np.maximum(price / terms.price, 0.0)
    fixed = np.equal(terms.elasticity, 0.0)
    return (terms.quantity * np.where(fixed, 1.0, relative_price**terms.elasticity))[()]


def reference_quantity(terms: Demand, otherwise: Any) -> Any:
    """c0, units: that of the terms, and ``otherwise`` where they have none (None or NaN)."""
    if terms.quantity is None:
        return otherwise
    return np.where(np.isnan(terms.quantity), otherwise, terms.quantity)[()]


def demand_price(terms: Demand, reference: Any, quantity: Any) -> Any:
    """The inverse demand curve P(c), money per unit, at ``quantity`` units.

    ``reference`` is c0, units, and of a household its weight α, money per unit;
    :class:`market_abm.economy.terms.Demand` has the equations.
    """
    if terms.of_household:
        return reference * np.ones_like(quantity)
    elasticity = np.asarray(terms.elasticity, float)
    elastic = np.isinf(elasticity)
    with np.errstate(all="ignore"):
        if elastic.all():  # p0 for any quantity
            return terms.price * np.ones_like(reference + quantity)
        curved: Any = terms.form == "isoelastic"
        if terms.form is None:
            curved = np.greater(reference, 0.0)
        factor: Any = np.nan
        if some(curved):
            factor = (quantity / reference) ** (-1.0 / elasticity)
        if some(np.logical_not(curved)):
            linear = 1.0 - (quantity - reference) / (elasticity * np.abs(reference))
            factor = np.where(curved, factor, linear)
        if elastic.any():
            factor = np.where(elastic, 1.0, factor)
        return (terms.price * np.asarray(factor))[()]


def demand_quantity(terms: Demand, reference: Any, price: Any) -> Any:
    """The demand curve, units per step, the inverse of :func:`demand_price`.

    Infinite for ``elastic`` demand, which pays p0 for any quantity.
    """
    elasticity = np.asarray(terms.elasticity, float)
    with np.errstate(all="ignore"):
        relative_price = price / terms.price
        isoelastic = reference * relative_price**-elasticity
        linear = reference + elasticity * np.abs(reference) * (1.0 - relative_price)
        if terms.form is None:
            curved = np.where(np.greater(reference, 0.0), isoelastic, linear)
        else:
            curved = linear if terms.form == "linear" else isoelastic
        return np.where(np.isinf(elasticity), np.inf, curved)[()]


def demand_elasticity(terms: Demand, reference: Any, quantity: Any) -> Any:
    """-(P/c)/(dP/dc), the elasticity of demand at ``quantity`` units, for :func:`demand_price`.

    ε itself if ``isoelastic`` or ``elastic``; P ε |c0| / (p0 c) if ``linear``.
    """
    elasticity = np.asarray(terms.elasticity, float)
    with np.errstate(all="ignore"):
        if np.isinf(elasticity).all():
            return elasticity + np.zeros_like(reference + quantity)
        price = demand_price(terms, reference, quantity)
        linear = price * elasticity * np.abs(reference) / (terms.price * quantity)
        straight = np.less_equal(reference, 0.0) if terms.form is None else terms.form == "linear"
        return np.where(straight & np.isfinite(elasticity), linear, elasticity)[()]
