"""What maximises the revenue of a line that makes several goods, at given prices.

A unit of the activity earns at most P = (Σ w p^(1+η))^(1/(1+η)) if it is divided, with constant
elasticity of transformation η, and Σ a p in fixed proportions. By Hotelling's lemma it makes
∂P/∂p = w (p/P)^η of an output, whose share is that of its revenue, w (p/P)^(1+η).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from market_abm.economy.technology import Technology


def values_of_outputs(outputs: Sequence[Any], prices: Sequence[Any]) -> list[Any]:
    """What a unit of an activity earns, money: in all together, or, in fixed proportions, in each.

    Parameters
    ----------
    outputs
        The technology of each output, with numbers for one market, or arrays of shape (runs, 1).
    prices
        Of the outputs, money per unit, numbers or arrays of shape (runs,).
    """
    if not outputs[0].divides:
        return [_yield(line) * price for line, price in zip(outputs, prices, strict=True)]
    found = [_constants(line) for line in outputs]
    power = 1.0 + found[0][0]
    paid = np.maximum(prices, 0.0)  # of others it makes nothing
    largest = paid.max(axis=0)
    ratios = paid / np.where(largest == 0.0, 1.0, largest)  # powers of prices may be too large
    terms = [w * ratio**power for (_, w), ratio in zip(found, ratios, strict=True)]
    return [largest * np.sum(terms, axis=0) ** (1.0 / power)]


def quote_activities(outputs: Mapping[str, Sequence[Any]], markets: Mapping[str, Any]) -> None:
    """Let the market of each activity quote what a unit of it earns at the prices of its outputs.

    Parameters
    ----------
    outputs
        The lines of the outputs of each activity.
    markets
        Of all goods.
    """
    for activity, lines in outputs.items():
        prices = [markets[each.good].price for each in lines]
        values = values_of_outputs([each.technology for each in lines], prices)
        markets[activity].quote_values(values)


def planned_output(line: Any, price: Any, revenue: Any) -> tuple[Any, Any]:
    """The part of its activity that an output takes, and what it makes of each unit of it all.

    Parameters
    ----------
    line
        Its technology.
    price
        Its price, money per unit.
    revenue
        What a unit of the activity earns in all outputs, money.
    """
    if not line.divides:
        return 1.0, _yield(line)
    elasticity, weight = _constants(line)
    ratio = np.maximum(price, 0.0) / revenue
    made = weight * ratio**elasticity
    return made * ratio, made


def _constants(line: Any) -> tuple[Any, Any]:
    """η and w, numbers or arrays of shape (runs,)."""
    elasticity, weight = (_of_runs(each) for each in line.constants())
    return elasticity, weight


def _yield(line: Technology) -> Any:
    """Units that are made of one of the activity."""
    return _of_runs(line.production([np.float64(1.0)])[0])


def _of_runs(value: Any) -> Any:
    return value[..., 0] if np.ndim(value) else value
