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
of lines in a loop solve a linear system; those of a closed system, in which nobody outside pays,
are its dominant eigenvector (``growth.py``). A gradient without a digit left is undefined (NaN): a
product that underflows, or terms whose sum is no more than their rounding. Of a good that is made,
such a sum is 0, as of the mean in a variance; what it adds upstream is rounding of its terms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.forward import LoopLines
from market_abm.economy.production import Batch, marginal_products, produce
from market_abm.errors import EconomyError
from market_abm.gradient.growth import balanced_growth, relative_prices
from market_abm.gradient.loops import solve_outputs, solved

MAX_ITERATIONS = 20_000
"""The maximal number of iterations of a loop."""

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
    known: Batch | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate the program, or several runs of it, with goods split by ``shares``.

    A loop is evaluated over and over until its outputs no longer change. With ``guess`` it is
    solved by Newton's method instead, which takes two or three evaluations near the solution. A
    closed system is evaluated where it grows in proportion.

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
    known
        What firms made at these shares: a line whose inputs were the same is not computed again.

    Returns
    -------
    quantities
        Units, shape (..., goods). With ``guess``, NaN for a loop that does not converge: where
        Newton's method finds no solution, or one that repeated evaluation would leave.
    products
        Marginal products ∂(firm's output)/∂(input), shape (..., buyers); those of ``known`` itself
        if no line was computed.

    Raises
    ------
    EconomyError
        Without ``guess``: a loop does not converge.
    """
    shares = economy.buyers.initial_shares if shares is None else shares
    if economy.closed:
        start = [industry.population.start for industry in economy.topological_order]
        return balanced_growth(economy, shares, np.array(start) if guess is None else guess)
    if raw is None:
        raw = np.array([supply.quantity for supply in economy.supply.values()])
    order: Literal["C", "F"] = "F" if shares.flags.fnc else "C"
    quantities = np.zeros((*raw.shape[:-1], len(economy.goods)), order=order)
    products = np.zeros_like(shares) if known is None else known.products
    quantities[..., : len(economy.supply)] = raw

    for stage in economy.forward:
        for group, uses in stage.lines:
            if known is not None and _is_known(economy, known, uses, quantities):
                quantities[..., group.made] = known.outputs[..., group.made]
                continue
            if known is not None and products is known.products:
                products = products.copy(order="K")
            quantities[..., group.made] = produce(group, shares, quantities, products)
        for loop in stage.loops:
            if known is not None and products is known.products:
                products = products.copy(order="K")
            if guess is None:
                _iterate_loop(economy, loop, shares, quantities, products)
            else:
                _solve_loop(loop, shares, quantities, products, guess)
    return quantities, products


def _is_known(economy: Economy, known: Batch, uses: np.ndarray, quantities: np.ndarray) -> bool:
    """Whether the firms with these ``uses`` made their batch of just these ``quantities``."""
    return np.array_equal(known.delivered[..., uses], quantities[..., economy.uses.good[uses]])


def _iterate_loop(
    economy: Economy,
    lines: LoopLines,
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
) -> None:
    """Evaluate the lines of a loop in turn until their outputs no longer change."""
    goods = lines.loop.goods
    industries = [economy.topological_order[good - len(economy.supply)] for good in goods.tolist()]
    quantities[..., goods] = [industry.population.start for industry in industries]
    change, before = np.inf, quantities[..., goods]
    for _ in range(MAX_ITERATIONS):
        for level in lines.levels:
            made = [produce(group, shares, quantities, products) for group in level]
            for group, outputs in zip(level, made, strict=True):
                quantities[..., group.made] = outputs
        change = relative_change(quantities[..., goods], before)
        before = quantities[..., goods]
        if not change > 4 * np.finfo(float).eps:
            break
    if not change <= 1e-12:
        raise EconomyError(
            f"the loop of {', '.join(i.good for i in industries)} does not converge",
            remedy="let it use less of its own goods",
        )


def _solve_loop(
    lines: LoopLines,
    shares: np.ndarray,
    quantities: np.ndarray,
    products: np.ndarray,
    guess: np.ndarray,
) -> None:
    """Solve a loop's outputs, near those of ``guess``."""
    loop = lines.loop

    def evaluate(outputs: np.ndarray) -> tuple[np.ndarray, Callable[[], np.ndarray]]:
        quantities[..., loop.goods] = outputs
        made = quantities.copy(order="K")
        for group in lines.groups:
            made[..., group.made] = produce(group, shares, quantities, products)
        slopes = lambda: loop.sums(shares[..., loop.buyers] * products[..., loop.buyers])  # noqa: E731
        return made[..., loop.goods], slopes

    quantities[..., loop.goods] = solve_outputs(loop, guess[..., loop.goods], evaluate)


def relative_change(after: np.ndarray, before: np.ndarray) -> float:
    """The largest |after - before| / |after|; NaN if any is not finite."""
    return float((np.abs(after - before) / np.where(after == 0.0, 1.0, np.abs(after))).max())


def exact_gradient(economy: Economy, shares: np.ndarray | None = None) -> dict[str, float]:
    """∂(value of final output)/∂(each good), money per unit, by backprop; no market is run.

    Final goods are valued at their consumers' prices. Where every good is used, prices are
    relative, and add up to 1. With a numeraire they are in units of that.

    Parameters
    ----------
    economy
        The economy; where its numbers follow series, that of step 0.
    shares
        How goods are split, shape (buyers,); by default the initial shares.

    Raises
    ------
    EconomyError
        A loop does not converge.
    """
    economy = economy.at(0)
    shares = economy.buyers.initial_shares if shares is None else shares
    quantities, products = forward_pass(economy, shares)
    prices = consumer_prices(economy, references(economy), quantities)
    gradient = reverse_sweep(economy, products, shares, prices)
    if economy.numeraire is not None:
        gradient = gradient / gradient[economy.index[economy.numeraire]]
    return dict(zip(economy.goods, gradient.tolist(), strict=True))


def references(economy: Economy) -> np.ndarray:
    """Each consumer's reference quantity c0, units, (final goods,); by default initial output.

    Of a household, its weight α at step 0, money per unit of utility.
    """
    given = [terms.quantity for terms in economy.demand.values()]
    if None not in given:
        return np.array(given)
    quantities, products = forward_pass(economy)
    start = quantities[economy.final]
    found = np.array([s if c is None else c for c, s in zip(given, start, strict=True)])
    if economy.households:
        shares = economy.buyers.initial_shares
        weights = first_weights(economy, shares, quantities, products)
        found[..., -weights.shape[-1] :] = weights
    return found


def first_weights(
    economy: Economy, shares: np.ndarray, quantities: np.ndarray, products: np.ndarray
) -> np.ndarray:
    """The weights α of households at step 0, money per unit of utility, (..., households).

    The money that each has, over Σ x ∂U/∂x at an allocation: ``shares`` of ``quantities``, with
    marginal ``products``; shapes as of :func:`forward_pass`.
    """
    claims = economy.claims
    inputs = shares[..., claims.buyers] * quantities[..., economy.buyers.good[claims.buyers]]
    return claims.money / claims.inputs.total(inputs * products[..., claims.buyers])


def consumer_prices(economy: Economy, reference: np.ndarray, quantities: np.ndarray) -> np.ndarray:
    """What sellers get from consumers, money per unit, shape (..., final goods).

    Without a tax that is what consumers pay. ``quantities`` has shape (..., goods), ``reference``
    (..., final goods); both in units.
    """
    amounts = quantities[..., economy.final]
    prices = np.empty_like(amounts)
    for places, terms in economy.demand_terms:
        prices[..., places] = curves.demand_price(
            terms, reference[..., places], amounts[..., places]
        )
    return prices


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
    """∂(value of final output)/∂(each good), money per unit; with taxes, in net prices.

    Each term of a line that pays a tax on the good is divided by 1 + τ, as its price is. That of
    ``economy.untaxed``, at what consumers pay, is the derivative itself.

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
        Shape (..., goods); NaN where no digit is left, unless the sum is exactly 0, or the supplier
        of a raw good has no supply curve; 0 where the terms of a good that is made cancel.
    """
    return swept(economy, economy.uses.slopes(products, shares), final_prices)


@np.errstate(all="ignore")
def swept(economy: Economy, slopes: np.ndarray, final_prices: np.ndarray) -> np.ndarray:
    """The gradient of :func:`reverse_sweep` by the ``slopes`` of uses, (..., uses)."""
    if economy.net_of_tax is not None:
        slopes = slopes * economy.net_of_tax
    if economy.closed:
        return relative_prices(economy, slopes)
    gradient = _sweep(economy, slopes, final_prices)
    if np.all(slopes >= 0.0) and np.all(gradient >= TINY):  # nothing can have cancelled
        return gradient
    return _sweep(economy, slopes, final_prices, np.zeros_like(gradient))


def _sweep(
    economy: Economy, slopes: np.ndarray, final_prices: np.ndarray, size: np.ndarray | None = None
) -> np.ndarray:
    """The gradient, (..., goods), level by level, by the slopes of uses, (..., uses).

    With ``size``, (..., goods), which gets the sums of the terms' absolute values, it is NaN where
    no digit is left, and 0 where the terms of a good that is made cancel, outside of loops.
    """
    uses = economy.uses
    order: Literal["C", "F"] = "F" if slopes.flags.fnc else "C"
    gradient = np.zeros((*final_prices.shape[:-1], len(economy.goods)), order=order)
    gradient[..., economy.final] = final_prices
    if size is not None:
        size[...] = np.abs(gradient)
    cancelled = np.zeros(gradient.shape, bool)
    some = False
    for level in uses.levels:
        if size is not None:
            lost = _cancelled(gradient, size, level.goods)
            if lost.any():
                cancelled[..., level.goods], some = lost, True
        for loop in level.loops:
            outside = gradient[..., loop.goods]
            if some:
                outside = np.where(cancelled[..., loop.goods], np.nan, outside)
                cancelled[..., loop.goods] = False
            gradient[..., loop.goods] = solved(loop, slopes[..., loop.uses], outside)
        maker, slope = uses.maker[level.uses], slopes[..., level.uses]
        of_maker = gradient[..., maker]
        gradient[..., level.bought] += level.sums(of_maker * slope)
        if size is not None:
            if some:
                of_maker = np.where(cancelled[..., maker], size[..., maker], of_maker)
            size[..., level.bought] += level.sums(_size(of_maker, slope))
    if size is not None:  # but 0 is what suppliers without a curve are looking for
        if some:
            gradient[cancelled] = 0.0
        others = np.flatnonzero(~economy.without_curve)
        lost = _cancelled(gradient, size, others)
        gradient[..., others] = np.where(lost, np.nan, gradient[..., others])
    return gradient


def _size(of: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The absolute value of a product; not 0 if it underflows."""
    size = np.abs(of * by)
    return np.where((size == 0.0) & (of != 0.0) & (by != 0.0), 0.5 * TINY, size)


def _cancelled(gradient: np.ndarray, size: np.ndarray, goods: Any) -> np.ndarray:
    """Whether terms cancel up to their rounding, (..., goods); ``size`` is that of the terms.

    Where a term underflows, NaN is written.
    """
    sizes = size[..., goods]
    values = np.where((sizes > 0.0) & (sizes < TINY), np.nan, gradient[..., goods])
    gradient[..., goods] = values
    return np.isfinite(values) & (values != 0.0) & (np.abs(values) <= ROUNDING * sizes)
