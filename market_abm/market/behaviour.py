"""The decision rules of one agent: pure functions of its own state variables.

Every argument may be a number, for one agent, or an array, for many. A rule uses only what its
agent observes (see ``agents.py``); nothing here may import the gradient or the analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.curves import marginal_cost
from market_abm.economy.terms import Supply


def marginal_revenue_products(sale_price: Any, products: Any) -> Any:
    """The revenue of one more unit of each input, money per unit of the input."""
    return sale_price * products


def marginal_revenue(price: Any, share: Any, elasticity: Any) -> Any:
    """The marginal revenue of a firm with market power, money per unit: P (1 - s/ε).

    Parameters
    ----------
    price
        P, money per unit.
    share
        s: the firm's share of the quantity sold. For s → 0 marginal revenue is the price.
    elasticity
        ε: the elasticity of demand at that quantity.
    """
    return price * (1.0 - share / elasticity)


def noisy_valuation(value: Any, noise: Any, shock: Any) -> Any:
    """The valuation of an input with a lognormal error: value · exp(noise · shock).

    ``noise`` is ν, the standard deviation of the log error; ``shock`` is a draw of N(0, 1).
    """
    return value * np.exp(noise * shock)


def revised_bid(bid: Any, value: Any, bid_rate: Any) -> Any:
    """The bid after partial adjustment to the value of the input: b ← b + α (value - b).

    ``bid_rate`` α is in (0, 1]; for α = 1 the result is the value itself, bit for bit.
    """
    whole = bid_rate == 1.0
    if whole is True or (whole is not False and whole.all()):
        return value
    revised = (1.0 - bid_rate) * bid + bid_rate * value
    # Of an infinite bid 1 - α = 0 would leave no number.
    return revised if whole is False or not whole.any() else np.where(whole, value, revised)


def revised_offer(terms: Supply, offer: Any, price: Any) -> Any:
    """The next offer of a supplier, units, after it sold ``offer`` units at ``price``.

    * ``curve``: ln q ← (1 - ρ) ln q + ρ ln(q0 (p/r0)^η). ρ = 1 is Ezekiel's cobweb, ρ < 1 Nerlove's
      partial adjustment. If p/r0 is not positive, supply is 0 and q ← (1 - ρ) q.
    * ``gradient``: q ← q + β (p - MC(q)).
    * A fixed endowment (η = 0) does not change.
    """
    fixed: Any = terms.elasticity == 0.0
    if fixed is True or np.all(fixed):
        return offer
    if terms.kind == "gradient":
        revised = offer + terms.rate * (price - marginal_cost(terms, offer))
    else:
        relative_price = np.maximum(price / terms.price, 0.0)
        kept = (offer / terms.quantity) ** (1.0 - terms.adjustment)
        moved = relative_price ** (terms.elasticity * terms.adjustment)
        toward_zero = (1.0 - terms.adjustment) * offer
        on_curve = terms.quantity * kept * moved
        revised = np.where(relative_price > 0.0, on_curve, toward_zero)
    return np.where(fixed, offer, revised)[()]


def renewed_offer(terms: Supply, offer: Any) -> Any:
    """The offer after ``terms`` have changed: a fixed endowment is the new one, others stay."""
    return np.where(np.equal(terms.elasticity, 0.0), terms.quantity, offer)[()]
