"""What one agent does with its own books: pure functions, for one agent or for arrays of them.

Every argument may be a number or an array; nothing here knows more than the agent whose books it is
handed (see ``agents.py``), and nothing here may import the gradient or the analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.technology import Technology


def output(technology: Technology, inputs: Any, weight: Any, productivity: Any) -> Any:
    """Units made by a replica of the line: f_i(x) = z w f(x / w).

    ``inputs`` has shape (inputs, ...), ``weight`` w and ``productivity`` z shape (...), as has the
    result. Replicas of equal weight that hold equal parts of an input together make exactly f.
    """
    return productivity * weight * technology.output(inputs / weight)


def marginal_products(technology: Technology, inputs: Any, weight: Any, productivity: Any) -> Any:
    """∂f_i/∂x = z f'(x / w), output per unit of each input; shape (inputs, ...)."""
    return productivity * technology.marginal_products(inputs / weight)


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
