"""The exact gradient: a forward pass and a reverse sweep over the network, as in the essay.

The essay's program and its backprop, with their counterparts here::

    a = x^(1/2)               forward_pass: y = f(inputs), line by line
    b = 1 - 1/(a+1)
    c = ln(b)

    df_dc = 1                 reverse_sweep: the final goods' prices, then line by line, backward:
    df_db = df_dc * dc_db         gradient[input] += gradient[output] * slope
    df_da = df_db * db_da
    df_dx = df_da * da_dx

An extra unit of a rival good reaches each user in proportion to its share; an extra unit of a
nonrival good reaches each user in full, and the users' terms add up (the sum rule). The gradients
of lines in a loop solve a linear system. A gradient without a digit left is undefined (NaN): a
product that underflows, or terms whose sum is no more than their rounding.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.production import firms_production, marginal_products
from market_abm.errors import EconomyError

MAX_ITERATIONS = 20_000
"""The maximal number of iterations of a loop."""

MAX_NEWTON_STEPS = 60
"""The maximal number of evaluations of a loop in Newton's method."""

NEWTON_TOL = 1e-13
"""The relative change of a loop's outputs at which Newton's method stops; the next is less."""

NEAR = 0.3
"""The relative change of a loop's outputs from which on Newton's method is used: before, it may
overshoot, and repeated evaluation is surer."""

LOOP_TOL = 1e-12
"""The relative change of a loop's outputs that counts as none: rounding of many operations."""

TINY = np.finfo(float).tiny
"""The smallest number with all its digits; products below it underflow."""

ROUNDING = 4 * np.finfo(float).eps
"""The part of the size of terms below which their sum is rounding alone."""


@np.errstate(all="ignore")
def forward_pass(
    economy: Economy,
    shares: np.ndarray | None = None,
    raw: np.ndarray | None = None,
    *,
    guess: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate the program, or several runs of it, with goods split by ``shares``.

    A loop is evaluated over and over until its outputs no longer change. With ``guess`` it is
    solved by Newton's method instead, which takes two or three evaluations near the solution.

    Parameters
    ----------
    economy
        The economy, vectorized if there are several runs.
    shares
        Shape (..., buyers); by default the initial shares.
    raw
        Quantities of the raw goods, units, shape (..., raw goods); by default the suppliers'
        initial offers.
    guess
        Quantities from which to solve the loops, units, shape (..., goods).

    Returns
    -------
    quantities
        Units, shape (..., goods). With ``guess``, NaN for a loop that does not converge: where
        Newton's method finds no solution, or one that repeated evaluation would leave.
    products
        Marginal products ∂(firm's output)/∂(input), shape (..., buyers).

    Raises
    ------
    EconomyError
        Without ``guess``: a loop does not converge.
    """
    shares = economy.buyers.initial_shares if shares is None else shares
    if raw is None:
        raw = np.array([supply.quantity for supply in economy.supply.values()])
    order: Literal["C", "F"] = "F" if shares.flags.fnc else "C"
    quantities = np.zeros((*raw.shape[:-1], len(economy.goods)), order=order)
    products = np.zeros_like(shares)
    quantities[..., : len(economy.supply)] = raw

    for component in economy.components:
        if not economy.is_loop(component):
            _evaluate(economy, component[0], shares, quantities, products)
        elif guess is None:
            _iterate_loop(economy, component, shares, quantities, products)
        else:
            _solve_outputs(economy, component, shares, quantities, products, guess)
    return quantities, products


def _evaluate(
    economy: Economy,
    industry: Industry,
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
) -> None:
    """Write one industry's output to ``quantities``, its marginal products to ``products``."""
    made = firms_production(economy, industry, shares, products, quantities=quantities)
    quantities[..., economy.index[industry.good]] = made.sum(axis=-1)


def _iterate_loop(
    economy: Economy,
    component: tuple[Industry, ...],
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
) -> None:
    """Evaluate the industries of a loop in turn until their outputs no longer change."""
    places = [economy.index[industry.good] for industry in component]
    quantities[..., places] = [industry.population.start for industry in component]
    change, before = np.inf, quantities[..., places]
    for _ in range(MAX_ITERATIONS):
        for industry in component:
            _evaluate(economy, industry, shares, quantities, products)
        change = relative_change(quantities[..., places], before)
        before = quantities[..., places]
        if not change > 4 * np.finfo(float).eps:
            break
    if not change <= 1e-12:
        raise EconomyError(
            f"the loop of {', '.join(i.good for i in component)} does not converge",
            remedy="let it use less of its own goods",
        )


def _solve_outputs(
    economy: Economy,
    component: tuple[Industry, ...],
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
    guess: np.ndarray,
) -> None:
    """Solve outputs = f(outputs) of a loop, near a solution by Newton's method.

    In logarithms where all are > 0. A solution is stable, and counts, if the spectral radius of the
    slopes is below 1.
    """
    places = [economy.index[industry.good] for industry in component]
    quantities[..., places] = guess[..., places]
    identity = np.eye(len(places))
    for _ in range(MAX_NEWTON_STEPS):
        before = quantities[..., places]
        made = np.empty_like(before)
        for k, industry in enumerate(component):
            of_firms = firms_production(economy, industry, shares, products, quantities=quantities)
            made[..., k] = of_firms.sum(axis=-1)
        size = np.where(made == 0.0, 1.0, np.abs(made))
        change = (np.abs(made - before) / size).max(axis=-1)
        if np.all(~(change > NEWTON_TOL)):
            break
        slopes = np.swapaxes(_slopes_inside(economy, component, shares * products), -1, -2)
        positive = np.all((made > 0.0) & (before > 0.0), axis=-1)[..., None]
        by_input, by_output = (np.where(positive, each, 1.0) for each in (before, made))
        relative = slopes * by_input[..., None, :] / by_output[..., :, None]
        short = np.where(positive, np.log(made / before), made - before)
        move = _solved(identity - relative, short)
        revised = np.where(positive, before * np.exp(move), before + move)
        near = (change > NEWTON_TOL) & (change < NEAR)
        quantities[..., places] = np.where(near[..., None], revised, made)
    slopes = _slopes_inside(economy, component, shares * products)
    reached = (change <= LOOP_TOL) & _contracts(slopes)
    quantities[..., places] = np.where(reached[..., None], made, np.nan)


def _contracts(slopes: np.ndarray) -> np.ndarray:
    """Whether the spectral radius of each matrix is below 1, shape (...).

    Slopes that are not negative need no eigenvalues: it is, if (1 - slopes) v = 1 has a solution
    v > 0 (Collatz and Wielandt).
    """
    ones = np.ones(slopes.shape[:-1])
    sums = _solved(np.eye(slopes.shape[-1]) - slopes, ones)
    simple = np.all(slopes >= 0.0, axis=(-1, -2))
    result = simple & np.all(sums > 0.0, axis=-1)
    for run in np.ndindex(result.shape):
        if not simple[run] and np.all(np.isfinite(slopes[run])):
            result[run] = np.abs(np.linalg.eigvals(slopes[run])).max() < 1.0
    return result


def relative_change(after: np.ndarray, before: np.ndarray) -> float:
    """The largest |after - before| / |after|; NaN if any is not finite."""
    return float((np.abs(after - before) / np.where(after == 0.0, 1.0, np.abs(after))).max())


def exact_gradient(economy: Economy, shares: np.ndarray | None = None) -> dict[str, float]:
    """∂(value of final output)/∂(each good), money per unit, by backprop; no market is run.

    Final goods are valued at their consumers' prices.

    Parameters
    ----------
    economy
        The economy.
    shares
        How goods are split, shape (buyers,); by default the initial shares.

    Raises
    ------
    EconomyError
        A loop does not converge.
    """
    shares = economy.buyers.initial_shares if shares is None else shares
    quantities, products = forward_pass(economy, shares)
    prices = consumer_prices(economy, references(economy), quantities)
    gradient = reverse_sweep(economy, products, shares, prices)
    return dict(zip(economy.goods, gradient.tolist(), strict=True))


def references(economy: Economy) -> np.ndarray:
    """Each consumer's reference quantity c0, units, (final goods,); by default initial output."""
    given = [terms.quantity for terms in economy.demand.values()]
    if None not in given:
        return np.array(given)
    start = forward_pass(economy)[0][economy.final]
    return np.array([s if c is None else c for c, s in zip(given, start, strict=True)])


def consumer_prices(economy: Economy, reference: np.ndarray, quantities: np.ndarray) -> np.ndarray:
    """The consumers' prices, money per unit, shape (..., final goods).

    ``quantities`` has shape (..., goods), ``reference`` (..., final goods); both in units.
    """
    prices = [
        curves.demand_price(terms, reference[..., k : k + 1], quantities[..., good : good + 1])
        for k, (good, terms) in enumerate(zip(economy.final, economy.demand.values(), strict=True))
    ]
    return np.concatenate(prices, axis=-1)


def book_gradient(
    economy: Economy, inputs: np.ndarray, shares: np.ndarray, final_prices: np.ndarray
) -> np.ndarray:
    """The gradient by the marginal products of the present books, which mix dates off rest.

    A good on sale was made of older inputs, bought at the shares of then: the result is the
    derivative of no output. At rest it is the exact gradient.

    Parameters
    ----------
    economy
        The economy, vectorized if there are several runs.
    inputs
        Units used for the batch on sale, shape (..., buyers).
    shares
        Shape (..., buyers).
    final_prices
        The consumers' prices, money per unit, shape (..., final goods).

    Returns
    -------
    numpy.ndarray
        Money per unit, shape (..., goods).
    """
    return reverse_sweep(economy, marginal_products(economy, inputs), shares, final_prices)


@np.errstate(all="ignore")
def reverse_sweep(
    economy: Economy, products: np.ndarray, shares: np.ndarray, final_prices: np.ndarray
) -> np.ndarray:
    """∂(value of final output)/∂(each good), money per unit.

    Parameters
    ----------
    economy
        The economy.
    products, shares
        Marginal products and shares at which to differentiate, shape (..., buyers).
    final_prices
        The consumers' prices, money per unit, shape (..., final goods).

    Returns
    -------
    numpy.ndarray
        Shape (..., goods); NaN where no digit is left, unless the sum is exactly 0.
    """
    slopes = shares * products
    gradient = _sweep(economy, slopes, final_prices)
    if np.all(slopes >= 0.0) and np.all(gradient >= TINY):  # nothing can have cancelled
        return gradient
    return _sweep(economy, slopes, final_prices, np.zeros_like(gradient))


def _sweep(
    economy: Economy, slopes: np.ndarray, final_prices: np.ndarray, size: np.ndarray | None = None
) -> np.ndarray:
    """The gradient, (..., goods), by ∂(output)/∂(unit of the good), shape (..., buyers).

    With ``size``, (..., goods), which gets the sums of the terms' absolute values, it is NaN where
    no digit is left.
    """
    order: Literal["C", "F"] = "F" if slopes.flags.fnc else "C"
    gradient = np.zeros((*final_prices.shape[:-1], len(economy.goods)), order=order)
    gradient[..., economy.final] = final_prices
    if size is not None:
        size[...] = np.abs(gradient)
    for component in reversed(economy.components):
        if size is not None:
            _undefine(gradient, size, [economy.index[industry.good] for industry in component])
        if all(industry.technology.vectorized for industry in component):
            _sweep_together(economy, component, slopes, gradient, size)
            continue
        if economy.is_loop(component):
            _solve_loop(economy, component, slopes, gradient)
        inside = {industry.good for industry in component}
        for industry in component:
            output = economy.index[industry.good]
            for good, use in _uses(economy, industry):
                if good not in inside:
                    slope, place = slopes[..., use].sum(axis=-1), economy.index[good]
                    gradient[..., place] += gradient[..., output] * slope
                    if size is not None:
                        size[..., place] += _size(gradient[..., output], slope)
    if size is not None:
        _undefine(gradient, size, slice(len(economy.supply)))
    return gradient


def _size(of: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The absolute value of a product; not 0 if it underflows."""
    size = np.abs(of * by)
    return np.where((size == 0.0) & (of != 0.0) & (by != 0.0), 0.5 * TINY, size)


def _undefine(gradient: np.ndarray, size: np.ndarray, goods: Any) -> None:
    """Write NaN where no digit of a gradient is left; ``size`` is that of its terms."""
    values, sizes = gradient[..., goods], size[..., goods]
    lost = np.isfinite(values) & (values != 0.0) & (np.abs(values) <= ROUNDING * sizes)
    lost |= (sizes > 0.0) & (sizes < TINY)
    gradient[..., goods] = np.where(lost, np.nan, values)


def _sweep_together(
    economy: Economy,
    component: tuple[Industry, ...],
    slopes: np.ndarray,
    gradient: np.ndarray,
    size: np.ndarray | None,
) -> None:
    """The sweep over vectorized lines, by one matrix of slopes."""
    starts, bought, makers = economy.buyers.places_of_uses
    rows = np.array([economy.index[industry.good] for industry in component])
    column = np.full(len(economy.goods), -1)
    column[rows] = np.arange(len(rows))
    own = column[makers] >= 0
    matrix = np.zeros((*gradient.shape[:-1], len(economy.goods), len(rows)))
    by_use = np.add.reduceat(slopes, starts, axis=-1)
    matrix[..., bought[own], column[makers[own]]] = by_use[..., own]
    inner = matrix[..., rows, :]
    if np.any(inner):
        gradient[..., rows] = _solved(np.eye(len(rows)) - inner, gradient[..., rows])
    matrix[..., rows, :] = 0.0
    terms = (matrix @ gradient[..., rows, None])[..., 0]
    gradient += terms
    if size is not None:
        size += np.abs(terms)


def _uses(economy: Economy, industry: Industry) -> zip[tuple[str, slice]]:
    """Each input of the industry: the good, and its buyers (one per firm)."""
    return zip(industry.technology.inputs, economy.buyers.uses[industry.good], strict=True)


def _slopes_inside(
    economy: Economy, component: tuple[Industry, ...], slopes: np.ndarray
) -> np.ndarray:
    """∂(output of line j)/∂(output of line i) within a component, shape (..., i, j)."""
    starts, bought, makers = economy.buyers.places_of_uses
    column = np.full(len(economy.goods), -1)
    column[[economy.index[industry.good] for industry in component]] = np.arange(len(component))
    inside = (column[bought] >= 0) & (column[makers] >= 0)
    by_use = np.add.reduceat(slopes, starts, axis=-1)[..., inside]
    inner = np.zeros((*slopes.shape[:-1], len(component), len(component)))
    places: Any = (..., column[bought[inside]], column[makers[inside]])
    np.add.at(inner, places, by_use)  # a line may read a good twice
    return inner


def _solve_loop(
    economy: Economy,
    component: tuple[Industry, ...],
    slopes: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Solve gradient = (terms from outside the loop) + slopesᵀ gradient."""
    rows = [economy.index[industry.good] for industry in component]
    inner = _slopes_inside(economy, component, slopes)
    gradient[..., rows] = _solved(np.eye(len(component)) - inner, gradient[..., rows])


def _solved(system: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The solution of each run's linear system, (..., lines); NaN where there is none."""
    try:
        return np.linalg.solve(system, outside[..., None])[..., 0]
    except np.linalg.LinAlgError:  # some of the runs have no solution
        result = np.full(outside.shape, np.nan)
        for run in np.ndindex(outside.shape[:-1]):
            if np.linalg.matrix_rank(system[run]) == outside.shape[-1]:
                result[run] = np.linalg.solve(system[run], outside[run])
        return result
