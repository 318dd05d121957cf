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
of lines in a loop solve a linear system.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry, production
from market_abm.errors import EconomyError

MAX_ITERATIONS = 20_000
"""The maximal number of iterations of a loop."""


@np.errstate(all="ignore")
def forward_pass(
    economy: Economy, shares: np.ndarray | None = None, raw: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate the program with goods split by ``shares``; loops by fixed-point iteration.

    Parameters
    ----------
    economy
        The economy.
    shares
        Shape (buyers,); by default the initial shares.
    raw
        Quantities of the raw goods, units; by default the suppliers' initial offers.

    Returns
    -------
    quantities
        Units, shape (goods,).
    products
        Marginal products ∂(firm's output)/∂(input), shape (buyers,).

    Raises
    ------
    EconomyError
        A loop does not converge.
    """
    shares = economy.buyers.initial_shares if shares is None else shares
    quantities = np.zeros(len(economy.goods))
    products = np.zeros(economy.buyers.size)
    quantities[: len(economy.supply)] = (
        [supply.quantity for supply in economy.supply.values()] if raw is None else raw
    )

    for component in economy.components:
        if economy.is_loop(component):
            _iterate_loop(economy, component, shares, quantities, products)
        else:
            _evaluate(economy, component[0], shares, quantities, products)
    return quantities, products


def _evaluate(
    economy: Economy,
    industry: Industry,
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
) -> None:
    """Write one industry's output to ``quantities``, its marginal products to ``products``."""
    made, of_inputs = production(
        industry.technology,
        [shares[use] * quantities[economy.index[g]] for g, use in _uses(economy, industry)],
        industry.weights,
        industry.productivity,
    )
    quantities[economy.index[industry.good]] = np.sum(made)
    for (_, use), product in zip(_uses(economy, industry), of_inputs, strict=True):
        products[use] = product


def _iterate_loop(
    economy: Economy,
    component: tuple[Industry, ...],
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
) -> None:
    """Evaluate the industries of a loop in turn until their outputs no longer change."""
    places = [economy.index[industry.good] for industry in component]
    quantities[places] = [industry.population.start for industry in component]
    change, before = np.inf, quantities[places]
    for _ in range(MAX_ITERATIONS):
        for industry in component:
            _evaluate(economy, industry, shares, quantities, products)
        change = relative_change(quantities[places], before)
        before = quantities[places]
        if not change > 4 * np.finfo(float).eps:
            break
    if not change <= 1e-12:
        raise EconomyError(
            f"the loop of {', '.join(i.good for i in component)} does not converge",
            remedy="let it use less of its own goods",
        )


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


@np.errstate(all="ignore")
def marginal_products(economy: Economy, inputs: np.ndarray) -> np.ndarray:
    """∂(firm's output)/∂(input) for every buyer at ``inputs``; both of shape (..., buyers)."""
    products = np.zeros_like(inputs)
    for industry in economy.topological_order:
        firms = industry.weights, industry.productivity
        if industry.technology.vectorized:
            places = economy.buyers.of_industry[industry.good]
            stack = np.moveaxis(inputs[..., places], -2, 0)
            _, of_inputs = production(industry.technology, stack, *firms)
            products[..., places] = np.moveaxis(of_inputs, 0, -2)
            continue
        uses = economy.buyers.uses[industry.good]
        each_input = [inputs[..., use] for use in uses]
        _, of_inputs = production(industry.technology, each_input, *firms)
        for use, product in zip(uses, of_inputs, strict=True):
            products[..., use] = product
    return products


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
        Shape (..., goods).
    """
    order: Literal["C", "F"] = "F" if products.flags.fnc else "C"  # the memory order of products
    gradient = np.zeros((*final_prices.shape[:-1], len(economy.goods)), order=order)
    gradient[..., economy.final] = final_prices
    slopes = shares * products
    for component in reversed(economy.components):
        if all(industry.technology.vectorized for industry in component):
            _sweep_together(economy, component, slopes, gradient)
            continue
        if economy.is_loop(component):
            _solve_loop(economy, component, slopes, gradient)
        inside = {industry.good for industry in component}
        for industry in component:
            output = economy.index[industry.good]
            for good, use in _uses(economy, industry):
                if good not in inside:
                    slope = slopes[..., use].sum(axis=-1)
                    gradient[..., economy.index[good]] += gradient[..., output] * slope
    return gradient


def _sweep_together(
    economy: Economy,
    component: tuple[Industry, ...],
    slopes: np.ndarray,
    gradient: np.ndarray,
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
    gradient += (matrix @ gradient[..., rows, None])[..., 0]


def _uses(economy: Economy, industry: Industry) -> zip[tuple[str, slice]]:
    """Each input of the industry: the good, and its buyers (one per firm)."""
    return zip(industry.technology.inputs, economy.buyers.uses[industry.good], strict=True)


def _solve_loop(
    economy: Economy,
    component: tuple[Industry, ...],
    slopes: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Solve gradient = (terms from outside the loop) + slopesᵀ gradient."""
    place = {industry.good: k for k, industry in enumerate(component)}
    rows = [economy.index[good] for good in place]
    inner = np.zeros((*gradient.shape[:-1], len(component), len(component)))
    for industry in component:
        for good, use in _uses(economy, industry):
            if good in place:
                inner[..., place[good], place[industry.good]] += slopes[..., use].sum(axis=-1)
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
