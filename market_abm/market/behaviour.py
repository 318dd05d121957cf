"""The decision rules of one agent: pure functions of its own state variables.

Every argument may be a number, for one agent, or an array, for many. A rule uses only what its
agent observes (see ``agents.py``); nothing here may import the gradient or the analysis.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.curves import marginal_cost, supply_quantity
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


def net_value(value: Any, net_of_tax: Any) -> Any:
    """What a buyer can pay its seller for a unit of this ``value``: value/(1 + τ).

    ``net_of_tax`` is 1/(1 + τ); None without taxes.
    """
    return value if net_of_tax is None else value * net_of_tax


def gross_price(price: Any, net_of_tax: Any) -> Any:
    """What a buyer pays for a unit of which the seller gets ``price``: p (1 + τ)."""
    return price if net_of_tax is None else price / net_of_tax


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
      partial adjustment. If p/r0 is not positive, supply is 0 and q ← (1 - ρ) q. Where the curve is
      ``linear``, q ← (1 - ρ) q + ρ S(p).
    * ``gradient``: q ← q + β (p - MC(q)).
      Where the curve is linear, no less than 0.
    * A fixed endowment (η = 0) does not change.
    """
    fixed: Any = np.logical_not(terms.responds)
    if fixed.all():
        return offer
    if terms.kind == "gradient":
        revised = offer + terms.rate * (price - marginal_cost(terms, offer))
        if terms.form == "linear":
            revised = np.where(revised / terms.quantity > 0.0, revised, 0.0)
    elif terms.form == "linear":
        on_curve = supply_quantity(terms, price)
        revised = (1.0 - terms.adjustment) * offer + terms.adjustment * on_curve
    else:
        relative_price = np.maximum(price / terms.price, 0.0)
        kept = (offer / terms.quantity) ** (1.0 - terms.adjustment)
        moved = relative_price ** (terms.elasticity * terms.adjustment)
        toward_zero = (1.0 - terms.adjustment) * offer
        on_curve = terms.quantity * kept * moved
        revised = np.where(relative_price > 0.0, on_curve, toward_zero)
    return np.where(fixed, offer, revised)[()]


def expected_price(price: Any, offer: Any, offered: Any, response: Any) -> Any:
    """The price that a supplier expects for its offer of now, money per unit: p - ĥ (w - w_date).

    What it has shipped since the date that is priced has not had its effect on the price yet, as
    orders in the supply line (J. D. Sterman, Management Science 35, 1989).

    Parameters
    ----------
    price
        p, of the date that is priced, money per unit.
    offer, offered
        Units that it offers now, w, and that it offered for that date.
    response
        ĥ: by how much it expects a unit to lower the price.
    """
    return price - response * (offer - offered)


def is_endowment(terms: Supply, offer: Any) -> Any:
    """Whether an offer is a fixed endowment, which does not respond to prices."""
    return np.broadcast_to(np.logical_not(terms.responds), np.shape(offer))


class PeriodPrices(NamedTuple):
    """The prices that a supplier's offer has got in its period: their sum and number."""

    total: Any
    count: Any


def price_of_period(
    terms: Supply, so_far: PeriodPrices, price: Any, priced: Any, step: int
) -> tuple[Any, Any, PeriodPrices]:
    """The price by which a supplier revises its offer, where its period is over.

    A period is of ``period`` steps, the first one from step 0. The prices of its first ``settle``
    steps do not count, nor do those of a good without a price yet.

    Parameters
    ----------
    terms
        The supplier's terms.
    so_far
        The prices of this period, money per unit, up to the last but one step.
    price, priced
        The price of the last step, money per unit, and whether there was one.
    step
        The current step.

    Returns
    -------
    price
        The mean of the prices that count, money per unit.
    moves
        Whether the period is over and had a price.
    so_far
        The prices of the period of this step.
    """
    counts = priced & np.greater_equal((step - 1) % terms.period, terms.settle)
    total, count = so_far.total + np.where(counts, price, 0.0), so_far.count + counts
    over = np.equal(step % terms.period, 0)
    rest = PeriodPrices(np.where(over, 0.0, total)[()], np.where(over, 0.0, count)[()])
    return total / np.maximum(count, 1.0), over & np.greater(count, 0.0), rest


def renewed_offer(terms: Supply, offer: Any) -> Any:
    """The offer after ``terms`` have changed: a fixed endowment is the new one, others stay."""
    return np.where(terms.responds, offer, terms.quantity)[()]
