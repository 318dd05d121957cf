"""What one agent does with its own books: pure functions, for one agent or for arrays of them.

Every argument may be a number or an array; nothing here knows more than the agent whose books it is
handed (see ``agents.py``), and nothing here may import the gradient or the analysis.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from market_abm.participants import Demand, Supply
from market_abm.technology import Technology


def production(
    technology: Technology, inputs: Iterable[Any], weight: Any, productivity: Any
) -> tuple[Any, Any]:
    """What a replica of the line makes of ``inputs``, and its marginal products.

    Output is f_i(x) = z w f(x / w), in units of the good, and ∂f_i/∂x = z f'(x / w). ``inputs`` has
    one entry an input, each of shape (...) as ``weight`` w and ``productivity`` z; the output has
    that shape too, and so has each marginal product. Replicas with z = 1 that hold each input by
    their weights together make exactly f. A line of many inputs takes them as one array, shape
    (inputs, ...), and so are its products.
    """
    if technology.stacked:
        output, products = technology.production(np.asarray(inputs) / weight)
        return productivity * weight * output, productivity * np.asarray(products)
    output, products = technology.production([x / weight for x in inputs])
    return productivity * weight * output, [productivity * product for product in products]


def marginal_revenue_products(sale_price: Any, products: Any) -> Any:
    """What one more unit of each input would have earned: money per unit of the input."""
    return sale_price * products


def marginal_revenue(price: Any, share: Any, elasticity: Any) -> Any:
    """What one more unit of its good brings a firm that sells this ``share`` of it: money.

    P (1 - s/ε), with ε the ``elasticity`` of demand there: its own unit lowers the price of all
    that it sells. A small firm, or any where demand is elastic, gets the price.
    """
    return price * (1.0 - share / elasticity)


def misjudged(value: Any, noise: Any, shock: Any) -> Any:
    """A value as a firm sees it that errs by a factor exp(noise · shock), shock ~ N(0, 1)."""
    return value * np.exp(noise * shock)


def revised_bid(bid: Any, value: Any, bid_rate: Any) -> Any:
    """The bid moved a fraction ``bid_rate`` (α, in (0, 1]) of the way to what the input is worth.

    b + α (value - b), written so that α = 1 gives the value itself, to the last digit.
    """
    if np.equal(bid_rate, 1.0).all():
        return value
    return (1.0 - bid_rate) * bid + bid_rate * value


def marginal_cost(terms: Supply, quantity: Any) -> Any:
    """MC(q) = r0 (q/q0)^(1/η), money per unit, continued through 0 as an odd function.

    Of a fixed endowment (η = 0) it is r0 at q0; any other quantity cannot be had.
    """
    with np.errstate(divide="ignore"):
        inverse = 1.0 / np.asarray(terms.elasticity, float)
    ratio = np.asarray(quantity / terms.quantity)
    return (terms.price * np.sign(ratio) * np.abs(ratio) ** inverse)[()]


def revised_offer(terms: Supply, offer: Any, price: Any) -> Any:
    """What a supplier offers next (units), after it sold ``offer`` at ``price`` a unit.

    ``curve``: ln q ← (1 - ρ) ln q + ρ ln(q0 (p/r0)^η): ρ = 1 is Ezekiel's cobweb, ρ < 1 Nerlove's
    partial adjustment; at a price of the wrong sign, at which nothing would be offered, the
    fraction ρ of the way to nothing, q ← (1 - ρ) q. ``gradient``: q ← q + β (p - MC(q)). A fixed
    endowment stays what it is.
    """
    if terms.kind == "gradient":
        revised = offer + terms.rate * (price - marginal_cost(terms, offer))
    else:
        relative_price = np.maximum(price / terms.price, 0.0)
        kept = (offer / terms.quantity) ** (1.0 - terms.adjustment)
        moved = relative_price ** (terms.elasticity * terms.adjustment)
        toward_nothing = (1.0 - terms.adjustment) * offer
        on_curve = terms.quantity * kept * moved
        revised = np.where(relative_price > 0.0, on_curve, toward_nothing)
    return np.where(np.equal(terms.elasticity, 0.0), offer, revised)[()]


def supply_quantity(terms: Supply, price: Any) -> Any:
    """What a supplier would best offer at ``price`` (units): q0 (p/r0)^η.

    There marginal cost is the price. A fixed endowment is offered at any price, anything else not
    at one of the wrong sign.
    """
    relative_price = np.maximum(price / terms.price, 0.0)
    fixed = np.equal(terms.elasticity, 0.0)
    return (terms.quantity * np.where(fixed, 1.0, relative_price**terms.elasticity))[()]


def renewed_offer(terms: Supply, offer: Any) -> Any:
    """What a supplier offers when its ``terms`` have changed: a fixed endowment is what it is."""
    return np.where(np.equal(terms.elasticity, 0.0), terms.quantity, offer)[()]


def reference_quantity(terms: Demand, otherwise: Any) -> Any:
    """c0, units: what the terms name, and ``otherwise`` where they name nothing (None, or NaN)."""
    if terms.quantity is None:
        return otherwise
    return np.where(np.isnan(terms.quantity), otherwise, terms.quantity)[()]


def demand_price(terms: Demand, reference: Any, quantity: Any) -> Any:
    """What a consumer pays for each of ``quantity`` units, money per unit.

    ``reference`` is its c0, units. See :class:`market_abm.participants.Demand` for the forms.
    """
    elasticity = np.asarray(terms.elasticity, float)
    with np.errstate(all="ignore"):
        isoelastic = (quantity / reference) ** (-1.0 / elasticity)
        linear = 1.0 - (quantity - reference) / (elasticity * np.abs(reference))
        if terms.form is None:
            factor = np.where(np.greater(reference, 0.0), isoelastic, linear)
        else:
            factor = linear if terms.form == "linear" else isoelastic
        return (terms.price * np.where(np.isinf(elasticity), 1.0, factor))[()]


def demand_quantity(terms: Demand, reference: Any, price: Any) -> Any:
    """What a consumer would take at ``price`` (units), the inverse of :func:`demand_price`.

    Infinite if demand is elastic, at p0, the one price that it pays.
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
        price = demand_price(terms, reference, quantity)
        linear = price * elasticity * np.abs(reference) / (terms.price * quantity)
        straight = np.less_equal(reference, 0.0) if terms.form is None else terms.form == "linear"
        return np.where(straight & np.isfinite(elasticity), linear, elasticity)[()]
