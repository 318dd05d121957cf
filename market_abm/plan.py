"""The plan of a price taker: the inputs that maximise profit, and what is made of them.

Used by the mechanism in which nobody acts before prices are right (``markets/tatonnement.py``). A
firm knows its own line and the prices that it is quoted, and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from market_abm.economy import Industry
from market_abm.errors import EconomyError, MarketError
from market_abm.technology import Technology

ROUNDS = 100
"""Newton's steps, at the most."""

HALVINGS = 50
"""How often a step is halved, at the most."""

LONGEST = 4.0
"""How far one step may go, in logarithms."""

NOTHING = -70.0
"""The logarithm of an input, over its guess, that is taken for none of it (4e-31)."""

MOVE = 1e-5
"""How far logarithms are moved to see how marginal products change."""

NEAR, SOLVED, ROUNDING = 1e-3, 1e-9, 1e-15
"""Sizes of the logarithm of value over price: near enough for Newton alone, for a plan, no more to
be had."""

CURVED = 1e-7
"""The least curvature, over the largest, that counts as any: a difference is good to 1e-10."""


class Plan(NamedTuple):
    """What to buy and make: ``inputs`` (inputs, ...) and ``output`` (...), both in units.

    ``found`` (...) says where it is the best there is.
    """

    inputs: np.ndarray
    output: np.ndarray
    found: np.ndarray


@np.errstate(all="ignore")
def best_plan(
    technology: Technology,
    sale_price: Any,
    prices: Any,
    weight: Any,
    productivity: Any,
    guess: np.ndarray,
) -> Plan:
    """Maximise p z w f(x / w) - Σ π x over x >= 0.

    ``sale_price`` p, ``weight`` w and ``productivity`` z have shape (...), ``prices`` π and
    ``guess``, of x and above 0, (inputs, ...). Where the price of an input is not above 0, or the
    line's returns do not decrease, there is no best plan, and none is ``found``.

    At an inner maximum z p ∂f/∂x = π. The logarithms of both sides are taken for a system of
    equations in ln x, which is linear where f is a product of powers: Newton's method, with
    differences for derivatives, no step longer than ``LONGEST``, and shorter ones where a whole one
    would take the sides further apart. An input that tends to nothing, and is worth less there than
    it costs, is not bought.
    """
    shape = np.broadcast_shapes(guess.shape[1:], np.shape(sale_price))
    start = np.log(np.broadcast_to(guess / weight, (len(guess), *shape)))
    wanted = np.log(np.broadcast_to(prices, start.shape)) - np.log(productivity * sale_price)
    floor, at = start + NOTHING, start.copy()
    idle = np.zeros(start.shape, bool)
    value = _log_products(technology, at) - wanted
    for _ in range(ROUNDS):
        size = np.max(np.abs(value), axis=0)
        if np.any(size > NEAR):
            idle = _unwanted(technology, at, wanted, floor)
            at = np.where(idle, floor, np.where(at == floor, start, at))
            value = np.where(idle, 0.0, _log_products(technology, at) - wanted)
            size = np.max(np.abs(value), axis=0)
        step = _newton(technology, at, value, idle)
        longest = np.max(np.abs(step), axis=0)
        step *= np.minimum(1.0, LONGEST / np.where(longest > 0.0, longest, 1.0))
        moved = np.zeros(shape, bool)
        for halving in range(HALVINGS):
            trial = at + step * 0.5**halving
            gains = np.where(idle, 0.0, _log_products(technology, trial) - wanted)
            better = ~moved & (np.max(np.abs(gains), axis=0) < size)
            at, value = np.where(better, trial, at), np.where(better, gains, value)
            moved |= better
            if np.all(moved | (size < ROUNDING)):
                break
        if not moved.any():
            break
    closed = np.broadcast_to(productivity * sale_price <= 0.0, shape)
    bought = np.where(idle | closed, 0.0, np.exp(at))
    made, _ = technology.production(list(bought))
    left = np.max(np.abs(value), axis=0)
    priced = np.all(np.greater(prices, 0.0), axis=0)
    return Plan(
        bought * weight,
        np.broadcast_to(productivity * weight * made, shape),
        priced & (closed | (left < SOLVED)),
    )


def _unwanted(
    technology: Technology, at: np.ndarray, wanted: np.ndarray, floor: np.ndarray
) -> np.ndarray:
    """Which inputs, (inputs, ...), are worth less than they cost when next to none are used."""
    each = np.eye(len(at), dtype=bool).reshape((len(at), len(at)) + (1,) * (at.ndim - 1))
    without = np.where(each, floor[:, None], at[:, None])  # (input, without which, ...)
    gains = _log_products(technology, without) - wanted[:, None]
    return np.moveaxis(np.diagonal(gains), -1, 0) <= 0.0


def _log_products(technology: Technology, at: np.ndarray) -> np.ndarray:
    """The logarithms of ∂f/∂x, NaN where it is below 0, at ``at`` = ln x; both (inputs, ...)."""
    _, products = technology.production(list(np.exp(at)))
    return np.log(np.stack([np.broadcast_to(each, at.shape[1:]) for each in products]))


def _slopes(technology: Technology, at: np.ndarray) -> np.ndarray:
    """∂ ln(∂f/∂x_k) / ∂ ln x_l, shape (..., inputs k, inputs l), by central differences."""
    count = len(at)
    moves = MOVE * np.concatenate([np.eye(count), -np.eye(count)])  # (moves, inputs)
    around = at[:, None] + moves.T.reshape((count, 2 * count) + (1,) * (at.ndim - 1))
    logs = _log_products(technology, around)
    change = (logs[:, :count] - logs[:, count:]) / (2.0 * MOVE)  # (k, l, ...)
    return np.moveaxis(change, (0, 1), (-2, -1))


def _newton(
    technology: Technology, at: np.ndarray, value: np.ndarray, idle: np.ndarray
) -> np.ndarray:
    """The step that would bring ``value`` to 0 if it were linear; those who are ``idle`` stay."""
    count = len(at)
    still = np.moveaxis(idle, 0, -1).reshape(-1, count)
    fixed = still[:, :, None] | still[:, None, :]
    slopes = np.where(fixed, np.eye(count), _slopes(technology, at).reshape(-1, count, count))
    gains = np.moveaxis(value, 0, -1).reshape(-1, count)
    regular = np.all(np.isfinite(slopes), axis=(-2, -1)) & np.all(np.isfinite(gains), axis=-1)
    regular[regular] = np.abs(np.linalg.det(slopes[regular])) > 0.0
    step = np.zeros_like(gains)
    step[regular] = -np.linalg.solve(slopes[regular], gains[regular][..., None])[..., 0]
    return np.moveaxis(step.reshape(*at.shape[1:], count), -1, 0)


def no_plan(good: str) -> MarketError:
    """The error of a firm that finds no best plan on its way."""
    return MarketError(
        f"the makers of '{good}' find no plan that earns most",
        remedy="lower market.auction_rate, or give its line returns that decrease everywhere",
        name=good,
    )


def check_returns(industry: Industry, inputs: np.ndarray) -> None:
    """Refuse a line whose profit has no maximum, judged at ``inputs`` of a firm, over its weight.

    Raises:
        EconomyError: says why.
    """
    trouble = returns_trouble(industry.technology, inputs)
    if trouble:
        raise EconomyError(
            f"the profit of '{industry.text()}' has no maximum: {trouble}",
            name=industry.good,
            line=industry.line,
            remedy='with mechanism "tatonnement" returns must decrease, as in ...**0.9; '
            "the other mechanisms need not know a best plan",
        )


@np.errstate(all="ignore")
def returns_trouble(technology: Technology, inputs: np.ndarray) -> str:
    """Why profit has no maximum, or not just one, judged by f at ``inputs``, (inputs,); or "".

    The matrix x_k x_l ∂²f/∂x_k∂x_l must be negative definite there; along x itself it tells the
    returns to scale.
    """
    _, products = technology.production(list(inputs))
    value = np.broadcast_to(np.array(products), inputs.shape) * inputs
    matrix = value[:, None] * _slopes(technology, np.log(inputs))
    along = matrix.sum() / np.abs(value).sum()
    if along > -CURVED:
        return f"its returns to scale are {'constant' if along < CURVED else 'increasing'}"
    curvatures = np.linalg.eigvalsh(-(matrix + matrix.T) / 2.0)
    if curvatures.min() < CURVED * curvatures.max():
        return "its inputs replace each other perfectly, or add to each other's worth"
    return ""
