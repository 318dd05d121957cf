"""What one agent does with its own books: pure functions, for one agent or for arrays of them.

Every argument may be a number or an array; nothing here knows more than the agent whose books it is
handed (see ``agents.py``), and nothing here may import the gradient or the analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.technology import Technology


def production(
    technology: Technology, inputs: Any, weight: Any, productivity: Any
) -> tuple[Any, Any]:
    """What a replica of the line makes of ``inputs``, and its marginal products.

    Output is f_i(x) = z w f(x / w), in units of the good, and ∂f_i/∂x = z f'(x / w). ``inputs`` has
    shape (inputs, ...), ``weight`` w and ``productivity`` z shape (...); the output has shape
    (...), the marginal products (inputs, ...). Replicas with z = 1 that hold each input by their
    weights together make exactly f.
    """
    output, products = technology.production(inputs / weight)
    return productivity * weight * output, productivity * products


def marginal_revenue_products(sale_price: Any, products: Any) -> Any:
    """What one more unit of each input would have earned: money per unit of the input."""
    return sale_price * products


def misjudged(value: Any, noise: Any, shock: Any) -> Any:
    """A value as a firm sees it that errs by a factor exp(noise · shock), shock ~ N(0, 1)."""
    return value * np.exp(noise * shock)


def revised_bid(bid: Any, value: Any, bid_rate: Any) -> Any:
    """The bid moved a fraction ``bid_rate`` (α, in (0, 1]) of the way to what the input is worth.

    b + α (value - b), written so that α = 1 gives the value itself, to the last digit.
    """
    return (1.0 - bid_rate) * bid + bid_rate * value
