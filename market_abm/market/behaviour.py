"""What one agent does with its own books: pure functions, for one agent or for arrays of them.

Every argument may be a number or an array; nothing here knows more than the agent whose books it is
handed (see ``agents.py``), and nothing here may import the gradient or the analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.curves import marginal_cost
from market_abm.economy.terms import Supply


def marginal_revenue_products(sale_price: Any, products: Any) -> Any:
    """What one more unit of each input would have earned: money per unit of the input."""
    return sale_price * products


def marginal_revenue(price: Any, share: Any, elasticity: Any) -> Any:
    """What one more unit of its good brings a firm that sells this ``share`` of it: money.

    P (1 - s/ε), with ε the ``elasticity`` of demand there: its own unit lowers the price of all
    that it sells. A small firm, or any where demand is elastic, gets the price.
    """
    return price * (1.0 - share / elasticity)


def noisy_valuation(value: Any, noise: Any, shock: Any) -> Any:
    """A value as a firm sees it that errs by a factor exp(noise · shock), shock ~ N(0, 1)."""
    return value * np.exp(noise * shock)


def revised_bid(bid: Any, value: Any, bid_rate: Any) -> Any:
    """The bid moved a fraction ``bid_rate`` (α, in (0, 1]) of the way to what the input is worth.

    b + α (value - b), written so that α = 1 gives the value itself, to the last digit.
    """
    if np.equal(bid_rate, 1.0).all():
        return value
    return (1.0 - bid_rate) * bid + bid_rate * value


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


def renewed_offer(terms: Supply, offer: Any) -> Any:
    """What a supplier offers when its ``terms`` have changed: a fixed endowment is what it is."""
    return np.where(np.equal(terms.elasticity, 0.0), terms.quantity, offer)[()]
