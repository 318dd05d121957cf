"""The profit-maximising inputs of a firm, by Newton steps, for the dual potential.

Written independently of ``market/best_plan.py``, which solves the same problem for the agents; both
take inputs in fixed proportions as bundles.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.errors import EconomyError
from market_abm.market.proportions import Bundles, bundles
from market_abm.twins import terms

MAX_ITERATIONS = 100
"""The maximal number of Newton steps to the profit-maximising inputs of a firm."""

CURVATURE_TOL = 1e-9
"""The least curvature of a line, relative to its value, that counts as positive."""


@np.errstate(all="ignore")
def profit_maximizing_inputs(
    industry: Industry, worth: np.ndarray, costs: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The inputs u >= 0 that maximise v f(u) - π u, for a strictly concave f.

    Parameters
    ----------
    industry
        Its line is f.
    worth
        v, money per unit, shape (n,).
    costs
        π, money per unit, shape (n, inputs).
    guess
        Of u, positive, shape (n, inputs).

    Returns
    -------
    inputs
        Shape (n, inputs); NaN where there is no maximum.
    profit
        Shape (n,).

    Notes
    -----
    Each iteration takes the best of several Newton steps (``_trial_inputs``). Second
    derivatives are complex-step derivatives of the marginal products, exact to rounding.
    """
    if industry.technology.branching:
        known, smooth = _of_bundles(industry)
        bought, profit = profit_maximizing_inputs(
            smooth, worth, known.cost(costs.T).T, known.within(guess.T).T
        )
        return known.content(bought.T).T, profit
    inputs = np.array(guess)
    if costs.shape[1] == 0:
        return inputs, worth * _production(industry, inputs)[0]
    for _ in range(MAX_ITERATIONS):
        products, curvature = _derivatives(industry, inputs)
        gain = worth[:, None] * products - costs
        step = _bounded_newton_step(inputs, gain, worth[:, None, None] * curvature)
        small = np.abs(step) <= 1e-6 * inputs
        small |= np.abs(gain) <= 4.0 * np.finfo(float).eps * np.abs(costs)
        converged = np.all(small | ((inputs == 0.0) & (gain <= 0.0)), axis=1)
        if np.all(converged):
            break
        trials = _trial_inputs(inputs, step, worth, costs, products, curvature)
        output, slope = _production(industry, trials)
        profit = worth * output - np.sum(costs * trials, axis=-1)
        possible = np.isfinite(profit) & np.all(np.isfinite(slope), axis=-1)
        residual = _residual(trials[0], worth[:, None] * slope[0] - costs)
        newton = possible[0] & (residual <= 0.5 * _residual(inputs, gain))
        best = np.argmax(np.where(possible, profit, -np.inf), axis=0)
        after = trials[np.where(newton, 0, best), np.arange(len(worth))]
        stuck = np.all((after == inputs) | np.isnan(after), axis=1)
        if np.all(converged | stuck):
            break
        inputs = np.where(converged[:, None], inputs, after)
    inputs = np.where(np.abs(step) <= 1e-3 * inputs, inputs + step, inputs)
    inputs = np.where(converged[:, None], inputs, np.nan)
    output, _ = _production(industry, inputs)
    return inputs, worth * output - np.sum(costs * inputs, axis=-1)


def _of_bundles(industry: Industry) -> tuple[Bundles, Industry]:
    """The bundles of inputs in fixed proportions, and the industry that buys these."""
    known = bundles(industry.technology)
    if known is None:
        raise EconomyError(
            f"the largest profit of '{industry.text()}' is not known: its branches are not fixed "
            "proportions",
            remedy="write them as min(x/2, y/3) of inputs that the line reads once",
            name=industry.good,
            line=industry.line,
        )
    return known, dataclasses.replace(industry, technology=known.technology)


def _trial_inputs(
    inputs: np.ndarray,
    step: np.ndarray,
    worth: np.ndarray,
    costs: np.ndarray,
    products: np.ndarray,
    curvature: np.ndarray,
) -> np.ndarray:
    """Candidates for the next ``inputs``, (trials, n, inputs): full and damped Newton steps.

    The ``step`` on u (the full one comes first) converges near the maximum and finds inputs that
    are zero there; a step on ln u with negative curvature increases profit from any point if it is
    short enough; a step on the logarithms of the first-order conditions finds the scale, of a power
    law at once. The last candidate is ``inputs``.
    """
    damping = np.array([1.0, 0.3, 0.05, 0.005])[:, None, None]
    gain = worth[:, None] * products - costs
    hessian = worth[:, None, None] * curvature
    full = inputs + step
    full = np.where(full <= 1e-3 * inputs, 0.0, full)
    money, used = inputs * gain, inputs > 0.0
    scaled = inputs[:, :, None] * hessian * inputs[:, None, :]
    unit = np.eye(inputs.shape[1])
    ascent = _newton_step(scaled - np.abs(money)[:, :, None] * unit, money, used)
    powers = inputs[:, None, :] * curvature / products[:, :, None]
    to_scale = _newton_step(powers, np.log(worth[:, None] * products / costs), used)
    return np.concatenate(
        [
            full[None],
            np.maximum(inputs + damping[1:] * step, 0.0),
            inputs * np.exp(damping * np.clip(ascent, -30.0, 30.0)),
            inputs * np.exp(damping * to_scale),
            inputs[None],
        ]
    )


def _residual(inputs: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The largest violation of a first-order condition, (n,); ``gain`` is marginal profit."""
    return np.max(np.where(inputs > 0.0, np.abs(gain), np.maximum(gain, 0.0)), axis=1)


def _production(industry: Industry, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f, (...), and its marginal products, (..., inputs), at inputs of that shape."""
    made, products = terms.evaluated(industry, np.moveaxis(inputs, -1, 0))
    shape, kind = inputs.shape[:-1], inputs.dtype
    slopes = [np.broadcast_to(np.asarray(each, kind), shape) for each in products]
    return np.broadcast_to(made, shape), np.stack(slopes, axis=-1) if slopes else inputs


def _derivatives(industry: Industry, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First derivatives of f, (n, inputs), and second ones, (n, inputs, inputs)."""
    shifts = 1e-30 * np.where(inputs > 0.0, inputs, 1.0)
    points = inputs + 1j * np.eye(inputs.shape[1])[:, None, :] * shifts
    _, products = _production(industry, points)
    second = np.moveaxis(products.imag, 0, 1) / shifts[:, :, None]
    return products[0].real, second


def _bounded_newton_step(inputs: np.ndarray, gain: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """The Newton step subject to u >= 0: inputs that would become negative are set to zero."""
    free = (inputs > 0.0) | (gain > 0.0)
    step = _newton_step(hessian, gain, free)
    leaving = free & (gain < 0.0) & (inputs + step <= 0.0)
    if np.any(leaving):
        without = gain - np.sum(hessian * np.where(leaving, inputs, 0.0)[:, None, :], axis=2)
        step = np.where(leaving, -inputs, _newton_step(hessian, without, free & ~leaving))
    return np.maximum(step, -inputs)


def _newton_step(hessian: np.ndarray, slope: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The steps -H⁻¹ g over the ``free`` inputs, (n, inputs); NaN where H is singular."""
    unit = np.eye(hessian.shape[1])
    system = np.where(free[:, :, None] & free[:, None, :], hessian, -unit)
    right = np.where(free, slope, 0.0)
    if hessian.shape[1] == 1:
        return -right / system[:, 0]
    usable = np.all(np.isfinite(system), axis=(1, 2)) & np.all(np.isfinite(right), axis=1)
    usable &= np.linalg.slogdet(np.where(usable[:, None, None], system, unit))[0] != 0.0
    system = np.where(usable[:, None, None], system, -unit)
    step = np.linalg.solve(-system, right[:, :, None])[:, :, 0]
    return np.where(usable[:, None], step, np.nan)


def check_concave(industry: Industry, inputs: np.ndarray) -> None:
    """Refuse a line whose profit has no maximum.

    The Hessian in units of the ``inputs``, (1, inputs), must be negative definite.

    Raises
    ------
    EconomyError
        It is not.
    """
    if not industry.technology.inputs:
        return
    if industry.technology.branching:
        known, smooth = _of_bundles(industry)
        check_concave(smooth, known.within(inputs.T).T)
        return
    products, second = _derivatives(industry, inputs)
    scale = np.max(np.abs(inputs * products))
    matrix = inputs[0][:, None] * second[0] * inputs[0]
    if not np.all(np.isfinite(matrix)) or np.any(
        np.linalg.eigvalsh(matrix) >= -CURVATURE_TOL * scale
    ):
        raise EconomyError(
            f"'{industry.text()}' has constant or increasing returns: at given prices profit has "
            "no unique maximum",
            remedy=f"give it decreasing returns, such as {industry.good} = (...) ** 0.9",
            name=industry.good,
            line=industry.line,
        )
