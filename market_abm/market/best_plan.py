"""The plan of a price taker: the inputs that maximise profit, and the output made of them.

Used by mechanisms in which agents plan at quoted prices (``mechanisms/tatonnement.py``). A firm
knows its own line and the prices quoted to it, and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.economy.technology import Technology
from market_abm.errors import EconomyError, MarketError
from market_abm.language.segments import Segments
from market_abm.market.log_products import (
    flat,
    flattened,
    log_products,
    log_slopes,
    stacked,
)
from market_abm.market.proportions import bundles
from market_abm.market.small_systems import largest_eigenvalue, newton_step

MAX_ASCENT_STEPS = 300
"""The budget of ascent steps of a plan; a few suffice unless an input tends to zero."""

MAX_NEWTON_STEPS = 12
"""The maximal number of Newton steps from one point."""

MAX_STEP = 4.0
"""The maximal change of the logarithm of an input in one step."""

ZERO_INPUT_TOL = -70.0
"""The logarithm of an input over its guess below which the input is zero (4e-31)."""

DECREASE_TOL = (0.5, 5.0)
"""Decreases of the logarithm of an input after which a plan without it is tried."""

UNUSED_INPUT_TOL = 1e-12
"""The logarithm of price over value above which a plan without the input is tried."""

GAIN_TOL, STEP_TOL = 1e-9, 1e-7
"""Tolerances of a plan: the logarithm of value over price, and the next Newton step.

Newton's method converges quadratically: one more step leaves only rounding errors.
"""

CURVATURE_TOL = 1e-9
"""The least curvature, relative to the largest, that counts as positive; rounding is 1e-15."""


class Plan(NamedTuple):
    """Inputs and output of firms.

    Attributes
    ----------
    inputs
        Units, shape (inputs, ...).
    output
        Units, shape (...).
    found
        Mask of the plans that maximise profit, shape (...).
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

    Parameters
    ----------
    technology
        The line's production function f.
    sale_price
        p, money per unit, shape (...).
    prices
        π, money per unit, shape (inputs, ...).
    weight, productivity
        w and z, shape (...).
    guess
        Of x, units, positive, shape (inputs, ...).

    Returns
    -------
    Plan
        ``found`` is false where the price of an input is not positive, or the returns of the line
        do not decrease: there is no maximum; or where none was found within the budget.

    Notes
    -----
    At the maximum z p ∂f/∂x = π, or z p ∂f/∂x <= π where x = 0; for a concave f this is sufficient.
    Of another f a plan is a maximum among plans nearby (f is strictly concave at it).
    The logarithms of both sides are a system of equations in ln x, linear where f is a product of
    powers, and solved by Newton's method. Where that fails, profit is maximised over ln x by ascent
    steps: Newton steps with the curvature kept negative, which increase profit from any point. On
    the way, plans without an input that tends to zero are tried.
    """
    if technology.branching:
        return _plan_of_bundles(technology, sale_price, prices, weight, productivity, guess)
    shape = np.broadcast_shapes(guess.shape[1:], np.shape(sale_price))
    line = flattened(technology, shape)
    start = np.log(flat(guess / weight, (len(guess), *shape), keep=1))
    cost = flat(np.asarray(prices, float), (len(guess), *shape), keep=1)
    worth = flat(np.asarray(productivity * sale_price, float), shape)
    producing = (worth > 0.0) & np.all(cost > 0.0, axis=0)
    problem = _Problem(line, np.where(producing, worth, 1.0), np.where(producing, cost, 1.0), start)
    at, found = problem.solve(producing)
    shut_down = (worth <= 0.0) & np.all(cost > 0.0, axis=0)
    bought = np.where((at <= problem.floor) | ~producing, 0.0, np.exp(at))
    made, _ = line.production(list(bought))
    inputs = bought.reshape(-1, *shape) * weight
    output = productivity * weight * np.broadcast_to(made, worth.shape).reshape(shape)
    return Plan(inputs, output, (found | shut_down).reshape(shape))


def _plan_of_bundles(
    technology: Technology, sale_price: Any, prices: Any, weight: Any, productivity: Any, guess: Any
) -> Plan:
    """:func:`best_plan` of a line whose inputs have fixed proportions: at the kink, exactly."""
    known = bundles(technology)
    if known is None:
        nothing = np.zeros_like(guess)
        return Plan(nothing, nothing[0], np.zeros(guess.shape[1:], bool))
    costs = known.cost(np.asarray(prices, float))
    free = np.any(np.less_equal(prices, 0.0), axis=0)  # as much as one likes
    costs = np.where(free, np.nan, costs)
    plan = best_plan(known.technology, sale_price, costs, weight, productivity, known.within(guess))
    return plan._replace(inputs=known.content(plan.inputs))


class _Problem:
    """Maximise v f(x) - π x of many firms over ln x, from ``start``, shape (inputs, firms)."""

    def __init__(
        self, technology: Technology, worth: np.ndarray, cost: np.ndarray, start: np.ndarray
    ) -> None:
        self.technology, self.worth, self.cost, self.start = technology, worth, cost, start
        self.floor = start + ZERO_INPUT_TOL

    def gains(self, at: np.ndarray) -> np.ndarray:
        """The logarithm of marginal revenue product over price of each input, (inputs, firms)."""
        return log_products(self.technology, at) + np.log(self.worth) - np.log(self.cost)

    def profit(self, at: np.ndarray) -> np.ndarray:
        """Profit, money, shape (firms,)."""
        inputs = np.exp(at)
        made, _ = self.technology.production(list(inputs))
        return self.worth * made - np.sum(self.cost * inputs, axis=0)

    def solve(self, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The maximum, (inputs, firms), and whether it was found, of the ``active`` firms."""
        unused = np.zeros(self.start.shape, bool)
        at, found = self.newton(self.start, unused, active)
        for search in (_Problem.buy_nothing, _Problem.ascend):
            left = np.flatnonzero(active & ~found)
            if len(left):
                at[:, left], found[left] = search(self.select(left), at[:, left])
        return at, found

    def select(self, firms: np.ndarray) -> _Problem:
        """The problem of some firms, by their indices."""
        parameters = {
            key: np.asarray(each)[firms] if np.ndim(each) else each
            for key, each in self.technology.parameters.items()
        }
        line = self.technology.with_parameters(parameters)
        return _Problem(line, self.worth[firms], self.cost[:, firms], self.start[:, firms])

    def buy_nothing(self, otherwise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`solve`, if the maximum is to buy nothing; else the point ``otherwise``."""
        everyone = np.ones(self.worth.shape, bool)
        zero, best = self.newton(self.start, np.ones(self.start.shape, bool), everyone)
        return np.where(best, zero, otherwise), best

    def ascend(self, otherwise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`solve`, by ascent steps that increase profit from any point."""
        at, found = otherwise.copy(), np.zeros(self.worth.shape, bool)
        problem, ascending, firms = self, self.start, np.arange(len(self.worth))
        for count in range(1, MAX_ASCENT_STEPS + 1):
            ascending = problem.ascent_step(ascending)
            if count % 4 == 0:
                trial, better = problem.without_unused(ascending)
                at[:, firms[better]], found[firms[better]] = trial[:, better], True
                left = np.flatnonzero(~better)
                if not len(left):
                    break
                if len(left) < len(firms):
                    problem, ascending, firms = (
                        problem.select(left),
                        ascending[:, left],
                        firms[left],
                    )
        return at, found

    def without_unused(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The maximum by Newton's method, without the inputs that tend to zero, or with all."""
        loss = self.gains(at) < -UNUSED_INPUT_TOL
        tried = [loss & (at < self.start - decrease) for decrease in DECREASE_TOL]
        best, found = at, np.zeros(self.worth.shape, bool)
        for unused in (*tried, np.zeros_like(loss)):
            trial, better = self.newton(at, unused, ~found)
            best, found = np.where(better, trial, best), found | better
        return best, found

    def newton(
        self, at: np.ndarray, unused: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Newton's method with the ``unused`` inputs at zero, and whether it found the maximum."""
        at = np.where(unused, self.floor, at)
        value = np.where(unused, 0.0, self.gains(at))
        for _ in range(MAX_NEWTON_STEPS):
            size = np.max(np.abs(value), axis=0)
            slopes = log_slopes(self.technology, at)
            step = newton_step(slopes, value, unused)
            near = (size < GAIN_TOL) & np.all(np.abs(step) < STEP_TOL, axis=0)
            if np.all(near | ~active):
                break
            trial = at + np.clip(step, -MAX_STEP, MAX_STEP)
            gains = np.where(unused, 0.0, self.gains(trial))
            left = np.max(np.abs(gains), axis=0)
            nearer = active & ~near & ((left < size) | ((size > GAIN_TOL) & np.isfinite(left)))
            if not nearer.any():
                break
            at, value = np.where(nearer, trial, at), np.where(nearer, gains, value)
        found = active & near & np.all(unused | (at > self.floor), axis=0)
        if np.any(unused & found):  # no unit of what is not bought may be worth its price
            found = found & np.all(~unused | (self.gains(at) <= 0.0), axis=0)
        if found.any():
            found = found & self.concave(at, unused, slopes)
        return np.where(found, at + step, at), found

    def concave(self, at: np.ndarray, unused: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Whether f is strictly concave in the used inputs, and concave in all, at ``at``.

        The eigenvalues of the matrix x_k x_l ∂²f/∂x_k∂x_l decide, scaled to a diagonal of -1.
        ``slopes`` are those at ``at``.
        """
        products = np.exp(log_products(self.technology, at) + at)
        matrix = np.moveaxis(products, 0, -1)[..., None] * slopes
        sizes = np.sqrt(np.abs(np.diagonal(matrix, axis1=-2, axis2=-1)))
        sizes = np.where(sizes > 0.0, sizes, 1.0)
        matrix = (
            (matrix + np.swapaxes(matrix, -1, -2)) / 2.0 / sizes[..., None] / sizes[..., None, :]
        )
        used = np.moveaxis(~unused, 0, -1)
        both = used[..., None] & used[..., None, :]
        regular = np.all(np.isfinite(matrix), axis=(-2, -1))
        matrix = np.where(regular[..., None, None], matrix, 1.0)
        within = largest_eigenvalue(np.where(both, matrix, -np.eye(len(at))))
        if np.all(used):
            return within < -CURVATURE_TOL
        return (largest_eigenvalue(matrix) <= CURVATURE_TOL) & (within < -CURVATURE_TOL)

    def ascent_step(self, at: np.ndarray) -> np.ndarray:
        """One Newton step of profit over ln x, with negative curvature and a line search."""
        value, slopes = self.gains(at), log_slopes(self.technology, at)
        paid = self.cost * np.exp(at)
        gain = paid * np.expm1(np.minimum(value, 500.0))
        earned = np.moveaxis(paid + gain, 0, -1)
        hessian = earned[..., None] * slopes - np.abs(np.moveaxis(gain, 0, -1))[..., None] * np.eye(
            len(at)
        )
        step = np.clip(newton_step(hessian, gain, np.zeros(at.shape, bool)), -MAX_STEP, MAX_STEP)
        profit = self.profit(at)
        for halving in range(30):
            trial = np.maximum(at + step * 0.5**halving, self.floor)
            better = self.profit(trial) > profit
            at = np.where(better, trial, at)
            step = np.where(better, 0.0, step)
            if not np.any(step):
                break
        return at


def check_returns(industry: Industry, inputs: np.ndarray) -> None:
    """Refuse a line whose profit has no maximum.

    Parameters
    ----------
    industry
        The industry of the line.
    inputs
        Inputs of a firm over its weight, at which f is examined, shape (inputs,).

    Raises
    ------
    EconomyError
        The returns to scale do not decrease, or f is not strictly concave.
    """
    (reason,) = why_no_unique_maximum(industry.technology, inputs)
    if reason:
        raise no_maximum(industry, reason)


def no_maximum(industry: Industry, reason: str) -> EconomyError:
    """The error of a line whose profit has no maximum; ``reason`` says why."""
    if reason == BRANCHES:
        return EconomyError(
            f"no plan is known for '{industry.text()}': {BRANCHES}",
            name=industry.good,
            line=industry.line,
            remedy="write them as min(x/2, y/3) of inputs that the line reads once; "
            "or use a mechanism without plans",
        )
    return EconomyError(
        f"the profit of '{industry.text()}' has no maximum: {reason}",
        name=industry.good,
        line=industry.line,
        remedy="a plan at quoted prices requires decreasing returns, as in ...**0.9; "
        "or use a mechanism without plans",
    )


def no_plan_error(industry: Industry, inputs: np.ndarray) -> MarketError:
    """The error of a firm that finds no plan; ``inputs``, over its weight, are its last plan."""
    try:
        check_returns(industry, inputs)
    except EconomyError as error:
        return error
    return MarketError(
        f"the firms that make '{industry.good}' find no profit-maximising plan within "
        f"{MAX_ASCENT_STEPS} steps of ascent",
        remedy="lower market.auction_rate, or give its line returns that decrease everywhere",
        name=industry.good,
    )


@np.errstate(all="ignore")
def why_no_unique_maximum(technology: Technology, inputs: np.ndarray) -> list[str]:
    """Why the profit of each firm has no maximum, "" where it has one; firm after firm.

    The matrix x_k x_l ∂²f/∂x_k∂x_l must be negative definite at ``inputs``, over the firms'
    weights, shape (inputs, ...); its curvature along x gives the returns to scale.
    """
    if technology.branching:
        known = bundles(technology)
        if known is None:
            return [BRANCHES] * int(np.prod(inputs.shape[1:]))
        technology, inputs = known.technology, known.within(inputs)
    technology = flattened(technology, inputs.shape[1:])
    inputs = inputs.reshape(len(inputs), -1)
    returns = change_of_returns(technology, inputs)
    reasons = [why_returns(each) for each in returns.tolist()]
    if all(reasons):
        return reasons
    value = stacked(technology.production(list(inputs))[1], inputs.shape) * inputs
    matrices = np.moveaxis(value, 0, -1)[..., None] * log_slopes(technology, np.log(inputs))
    finite = np.all(np.isfinite(matrices), axis=(-2, -1))
    matrices = np.where(finite[:, None, None], matrices, -np.eye(len(inputs)))
    curvatures = np.linalg.eigvalsh(-(matrices + np.swapaxes(matrices, -1, -2)) / 2.0)
    concave = curvatures.min(axis=-1) >= CURVATURE_TOL * curvatures.max(axis=-1)
    return [
        known or (NOT_FINITE if not numbers else "" if bent else NOT_CONCAVE)
        for known, numbers, bent in zip(reasons, finite.tolist(), concave.tolist(), strict=True)
    ]


NOT_FINITE = "its second derivatives are not finite where its firms start"

BRANCHES = "its branches are not fixed proportions"

NOT_CONCAVE = "it is not strictly concave (its inputs may be perfect substitutes)"


def why_returns(change: float) -> str:
    """Why profit has no maximum, by :func:`change_of_returns`; "" if returns decrease."""
    if not change > -CURVATURE_TOL:
        return ""
    return f"its returns to scale are {'constant' if change < CURVATURE_TOL else 'increasing'}"


@np.errstate(all="ignore")
def change_of_returns(
    technology: Technology, inputs: np.ndarray, links: Segments | None = None
) -> np.ndarray:
    """How marginal products change with scale: their mean elasticity along x, weighted by value.

    0 for constant returns, below 0 for decreasing ones; one evaluation, by the complex step.

    Parameters
    ----------
    technology
        The lines' technology.
    inputs
        x over the firms' weights, shape (inputs, firms), or (..., links) with ``links``.
    links
        The inputs of lines of many inputs, in segments by firm.

    Returns
    -------
    numpy.ndarray
        Shape (..., firms).
    """
    shifted: Any = inputs * (1.0 + 1e-100j)
    if links is None:
        value = stacked(technology.production(list(shifted))[1], inputs.shape) * inputs
        return value.imag.sum(axis=0) / 1e-100 / np.abs(value.real).sum(axis=0)
    value = technology.production(shifted)[1] * inputs
    return links.total(value.imag) / 1e-100 / links.total(np.abs(value.real))
