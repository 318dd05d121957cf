"""The plan of a price taker: the inputs that maximise profit, and what is made of them.

Used by the mechanism in which nobody acts before prices are right (``markets/tatonnement.py``). A
firm knows its own line and the prices that it is quoted, and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.economy.technology import Technology
from market_abm.errors import EconomyError, MarketError

ROUNDS = 300
"""Steps of the climb, at the most; a few do, but on the way to nothing."""


MAX_NEWTON_STEPS = 12
"""Newton's steps at a time, at the most."""


LONGEST = 4.0
"""How far one step may go, in logarithms."""


ZERO_INPUT_TOL = -70.0
"""The logarithm of an input, over its guess, that is taken for none of it (4e-31)."""


DECREASE_TOL = (0.5, 5.0)
"""How far an input has fallen, in logarithms, when it is tried to do without it."""


UNUSED_INPUT_TOL = 1e-12
"""The logarithm of price over value of an input that may be one that is not wanted."""


SOLVED, STILL = 1e-9, 1e-7
"""Of a plan: the logarithm of value over price, and that of how far it would still move, at most.

Newton's method squares what is left: after one more step nothing is.
"""


CURVED = 1e-9
"""The least curvature, over the largest, that counts as any: rounding is some 1e-15."""


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

    At the maximum z p ∂f/∂x is π, or less where x is 0; f is concave, and nothing else is so. The
    logarithms of both sides, a system of equations in ln x, are linear where f is a product of
    powers, and near the maximum of any f: Newton's method comes first. Where it does not lead to a
    plan, profit is climbed in ln x, by Newton's steps with the curvature kept negative, which go
    uphill from everywhere. An input on its way to nothing is tried without.
    """
    shape = np.broadcast_shapes(guess.shape[1:], np.shape(sale_price))
    start = np.log(np.broadcast_to(guess / weight, (len(guess), *shape)))
    cost = np.broadcast_to(np.asarray(prices, float), start.shape)
    worth = np.broadcast_to(np.asarray(productivity * sale_price, float), shape)
    open_ = (worth > 0.0) & np.all(cost > 0.0, axis=0)
    problem = _Problem(technology, np.where(open_, worth, 1.0), np.where(open_, cost, 1.0), start)
    at, found = problem.solve(open_)
    closed = (worth <= 0.0) & np.all(cost > 0.0, axis=0)
    bought = np.where((at <= problem.floor) | ~open_, 0.0, np.exp(at))
    made, _ = technology.production(list(bought))
    output = np.broadcast_to(productivity * weight * made, shape)
    return Plan(bought * weight, output, found | closed)


class _Problem:
    """Maximise v f(x) - π x, all in logarithms: ``start``, ln x, has shape (inputs, ...)."""

    def __init__(
        self, technology: Technology, worth: np.ndarray, cost: np.ndarray, start: np.ndarray
    ) -> None:
        self.technology, self.worth, self.cost, self.start = technology, worth, cost, start
        self.floor = start + ZERO_INPUT_TOL

    def gains(self, at: np.ndarray) -> np.ndarray:
        """The logarithm of what another unit of each input would bring over its price."""
        return _log_products(self.technology, at) + np.log(self.worth) - np.log(self.cost)

    def profit(self, at: np.ndarray) -> np.ndarray:
        """What is to be maximised, shape (...)."""
        inputs = np.exp(at)
        made, _ = self.technology.production(list(inputs))
        return self.worth * made - np.sum(self.cost * inputs, axis=0)

    def solve(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the maximum is, (inputs, ...), and whether it was found, of those ``wanted``."""
        none = np.zeros(self.start.shape, bool)
        at, found = self.newton(self.start, none, wanted)
        if np.all(found | ~wanted):
            return at, found
        nothing, best = self.newton(self.start, ~none, wanted & ~found)
        at, found = np.where(best, nothing, at), found | best
        rows = np.any(wanted & ~found, axis=tuple(range(1, wanted.ndim)))
        if np.any(rows):
            rest = self if wanted.ndim == 0 else self.select_runs(rows)
            part: Any = ... if wanted.ndim == 0 else rows
            higher, reached = rest.ascend((wanted & ~found)[part])
            at[:, part] = np.where(reached, higher, at[:, part])
            found = np.array(found)
            found[part] |= reached
        return at, found

    def select_runs(self, rows: np.ndarray) -> _Problem:
        """The same for some of the runs, which are the first axis of what is no input."""

        def part(array: Any) -> Any:
            return array[rows] if np.ndim(array) and len(array) > 1 else array

        parameters = {key: part(each) for key, each in self.technology.parameters.items()}
        line = self.technology.with_parameters(parameters)
        return _Problem(line, self.worth[rows], self.cost[:, rows], self.start[:, rows])

    def ascend(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`solve`, from everywhere, in more steps."""
        at, ascending, found = self.start, self.start, np.zeros(wanted.shape, bool)
        for climbed in range(ROUNDS):
            ascending = np.where(found, ascending, self.climb(ascending))
            if climbed % 4 == 3:
                less = self.gains(ascending) < -UNUSED_INPUT_TOL
                tried = [less & (ascending < self.start - fallen) for fallen in DECREASE_TOL]
                for idle in (*tried, np.zeros_like(less)):
                    trial, better = self.newton(ascending, idle, wanted & ~found)
                    at, found = np.where(better, trial, at), found | better
                if np.all(found | ~wanted):
                    break
        return at, found

    def newton(
        self, at: np.ndarray, idle: np.ndarray, wanted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Newton's method with nothing of those ``idle``, and whether it led to the maximum."""
        at = np.where(idle, self.floor, at)
        value = np.where(idle, 0.0, self.gains(at))
        for _ in range(MAX_NEWTON_STEPS):
            size = np.max(np.abs(value), axis=0)
            slopes = _slopes(self.technology, at)
            step = _solved(slopes, value, idle)
            near = (size < SOLVED) & np.all(np.abs(step) < STILL, axis=0)
            if np.all(near | ~wanted):
                break
            trial = at + np.clip(step, -LONGEST, LONGEST)
            gains = np.where(idle, 0.0, self.gains(trial))
            left = np.max(np.abs(gains), axis=0)
            nearer = wanted & ~near & ((left < size) | ((size > SOLVED) & np.isfinite(left)))
            if not nearer.any():
                break
            at, value = np.where(nearer, trial, at), np.where(nearer, gains, value)
        unwanted = np.all(~idle, axis=0) | np.all(~idle | (self.gains(at) <= 0.0), axis=0)
        found = wanted & near & unwanted & np.all(idle | (at > self.floor), axis=0)
        if found.any():
            found = found & self.concave(at, idle, slopes)
        return np.where(found, at + step, at), found

    def concave(self, at: np.ndarray, idle: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Whether f is as it should be at a solution: more of what is used brings less and less.

        Of what is not used, the first units must be the best, too. The matrix x_k x_l ∂²f/∂x_k∂x_l
        tells, in units in which its diagonal is -1. ``slopes`` are those at ``at``.
        """
        products = np.exp(_log_products(self.technology, at) + at)
        matrix = np.moveaxis(products, 0, -1)[..., None] * slopes
        sizes = np.sqrt(np.abs(np.diagonal(matrix, axis1=-2, axis2=-1)))
        sizes = np.where(sizes > 0.0, sizes, 1.0)
        matrix = (
            (matrix + np.swapaxes(matrix, -1, -2)) / 2.0 / sizes[..., None] / sizes[..., None, :]
        )
        used = np.moveaxis(~idle, 0, -1)
        both = used[..., None] & used[..., None, :]
        regular = np.all(np.isfinite(matrix), axis=(-2, -1))
        matrix = np.where(regular[..., None, None], matrix, 1.0)
        within = np.linalg.eigvalsh(np.where(both, matrix, -np.eye(len(at)))).max(axis=-1)
        if np.all(used):
            return within < -CURVED
        return (np.linalg.eigvalsh(matrix).max(axis=-1) <= CURVED) & (within < -CURVED)

    def climb(self, at: np.ndarray) -> np.ndarray:
        """One step uphill: Newton's on ln x, of profit with a curvature that is kept negative."""
        value, slopes = self.gains(at), _slopes(self.technology, at)
        paid = self.cost * np.exp(at)
        gain = paid * np.expm1(np.minimum(value, 500.0))
        earned = np.moveaxis(paid + gain, 0, -1)
        bend = earned[..., None] * slopes - np.abs(np.moveaxis(gain, 0, -1))[..., None] * np.eye(
            len(at)
        )
        step = np.clip(_solved(bend, gain, np.zeros(at.shape, bool)), -LONGEST, LONGEST)
        profit = self.profit(at)
        for halving in range(30):
            trial = np.maximum(at + step * 0.5**halving, self.floor)
            better = self.profit(trial) > profit
            at = np.where(better, trial, at)
            step = np.where(better, 0.0, step)
            if not np.any(step):
                break
        return at


def _log_products(technology: Technology, at: np.ndarray) -> np.ndarray:
    """The logarithms of ∂f/∂x, NaN where it is below 0, at ``at`` = ln x; both (inputs, ...)."""
    _, products = technology.production(list(np.exp(at)))
    return np.log(np.stack([np.broadcast_to(each, at.shape[1:]) for each in products]))


def _slopes(technology: Technology, at: np.ndarray) -> np.ndarray:
    """∂ ln(∂f/∂x_k) / ∂ ln x_l, shape (..., inputs k, inputs l), exact to rounding.

    Complex steps (W. Squire and G. Trapp, SIAM Review 40, 1998): the imaginary part of a function
    of x (1 + i h) is its slope, where h is so small that nothing else is.
    """
    count, inputs = len(at), np.exp(at)
    aside = 1.0 + 1e-100j * np.eye(count).reshape((count, count) + (1,) * (at.ndim - 1))
    _, products = technology.production(list(inputs[:, None] * aside))
    seen = np.stack([np.broadcast_to(each, aside.shape[1:2] + at.shape[1:]) for each in products])
    change = np.where(seen.real > 0.0, seen.imag / 1e-100 / seen.real, np.nan)  # (k, l, ...)
    return np.moveaxis(change, (0, 1), (-2, -1))


def _solved(matrix: np.ndarray, value: np.ndarray, idle: np.ndarray) -> np.ndarray:
    """The step, (inputs, ...), after which ``value`` + ``matrix`` · step is 0; the ``idle`` stay.

    ``matrix`` has shape (..., inputs, inputs); there is no step where it is not regular.
    """
    count = len(value)
    still = np.moveaxis(idle, 0, -1).reshape(-1, count)
    fixed = still[:, :, None] | still[:, None, :]
    system = np.where(fixed, np.eye(count), matrix.reshape(-1, count, count))
    right = np.where(still, 0.0, np.moveaxis(value, 0, -1).reshape(-1, count))
    regular = np.all(np.isfinite(system), axis=(-2, -1)) & np.all(np.isfinite(right), axis=-1)
    scale = np.max(np.abs(system), axis=-1, keepdims=True)
    scale = np.where(regular[:, None, None] & (scale > 0.0), scale, 1.0)
    scaled = np.where(regular[:, None, None], system / scale, np.eye(count))
    regular &= np.abs(np.linalg.det(scaled)) > 0.0
    step = np.zeros_like(right)
    step[regular] = -np.linalg.solve(scaled[regular], (right[..., None] / scale)[regular])[..., 0]
    return np.moveaxis(step.reshape(*value.shape[1:], count), -1, 0)


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
            remedy="a best plan at given prices needs decreasing returns, as in ...**0.9; "
            "the other mechanisms need not know a best plan",
        )


def no_plan(industry: Industry, inputs: np.ndarray) -> MarketError:
    """Why a firm finds no best plan, which last had one of ``inputs``, over its weight."""
    try:
        check_returns(industry, inputs)
    except EconomyError as error:
        return error
    return MarketError(
        f"the makers of '{industry.good}' find no plan that earns most",
        remedy="lower market.auction_rate, or give its line returns that decrease everywhere",
        name=industry.good,
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
