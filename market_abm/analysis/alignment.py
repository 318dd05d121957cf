"""Alignment of a market's moves with the gradient (docs/model.md, 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.outputs import share_responses
from market_abm.economy.uses import Part
from market_abm.gradient.backprop import consumer_prices, swept
from market_abm.market.state import State


class Allocation(NamedTuple):
    """What the program makes by a forward pass, and the gradient there.

    Parameters
    ----------
    shares
        Shape (..., buyers).
    quantities
        Units, shape (..., goods).
    products
        Marginal products, shape (..., buyers).
    slopes
        ∂(output of the line)/∂(unit of the good) for each use of a good, shape (..., uses).
    gradient
        ∂(value of final output)/∂(each good), money per unit, shape (..., goods).
    """

    shares: np.ndarray
    quantities: np.ndarray
    products: np.ndarray
    slopes: np.ndarray
    gradient: np.ndarray


SPREAD = 0.01
"""The part of the moves of a pool's log shares that is left without their mean, below which the
mean is subtracted first: their squares would lose digits."""


class _Direction(NamedTuple):
    """The gradient of W by log shares at a step, and the weights of its coordinates.

    It is s |M| (v/|M| - sign M) for a buyer with share s, v = ``factor`` times its marginal product
    |M| what its inputs are worth if the pool's were all like them, and M their mean in its pool.

    Attributes
    ----------
    shares, products
        Shape (..., buyers).
    factor, sign, money
        What a marginal product is multiplied by, sign M and |M|, shape (..., uses).
    """

    shares: np.ndarray
    products: np.ndarray
    factor: np.ndarray
    sign: np.ndarray
    money: np.ndarray


class GradientAlignment:
    """The cosine between each move of a run's free variables and the gradient of W.

    Free are the shares of pools with several buyers and the quantities of suppliers with a positive
    elasticity. Their coordinates are those of the mirror map (docs/model.md, 5): a share s moves by
    Δ ln s, a quantity q by Δq/|q|. The gradient of W, weighted by the money spent there, is the
    buyer's exact value over its pool's mean, and the supplier's margin (g - MC)/|g|. The cosine of
    an exponentiated-gradient step with current prices tends to 1 near the steady state; with one
    free variable it is a sign. It is NaN where nothing moves, or nothing can.

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    add_up
        Whether the shares of a pool add up to 1.

    Attributes
    ----------
    possible
        Of the last move, what one of its size along the gradient adds to W to first order, money,
        shape (...); NaN where the cosine is. With taxes the gradient of the cosine is that of net
        prices; here, where households pay them, it is that of W, of the untaxed economy.
    """

    possible: np.ndarray | float = np.nan

    def __init__(self, economy: Economy, *, add_up: bool = False) -> None:
        self.economy = economy
        self._add_up = add_up
        wedge = economy.taxes and economy.households
        self._untaxed = GradientAlignment(economy.untaxed, add_up=add_up) if wedge else None
        uses = economy.uses
        firms = np.add.reduceat(uses.buyers.sizes, uses.pools.starts) if len(uses) else np.zeros(0)
        self._shared = uses.pools.spread(firms > 1)  # whether a use is of a pool of several buyers
        self._elastic = any(np.any(terms.responds) for _, terms in economy.supply_terms)
        self._step = -2
        self._of_shares: _Direction | None = None
        self._of_raw: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self.economy = economy
        if self._untaxed is not None:
            self._untaxed.keep(economy.untaxed, rows)
        if self._of_shares is not None:
            self._of_shares = _Direction(*(each[rows] for each in self._of_shares))
        if self._of_raw is not None:
            quantities, margins, stakes = self._of_raw
            self._of_raw = quantities[rows], margins[rows], stakes[rows]

    def note(self, state: State, at: Allocation, reference: np.ndarray) -> None:
        """Note the allocation ``at`` a state, and the gradient there."""
        self._note(state, at)
        if self._untaxed is not None:
            self._untaxed._note(state, self._of_welfare(at, reference))

    def _note(self, state: State, at: Allocation) -> None:
        self._step = state.step
        if np.any(self._shared):
            self._of_shares = self._direction(at)
        if self._elastic:
            self._of_raw = at.quantities[..., : len(self.economy.supply)], *self._margins(at)

    def _of_welfare(self, at: Allocation, reference: np.ndarray) -> Allocation:
        """The allocation, with the gradient of W itself."""
        assert self._untaxed is not None
        self._untaxed.economy = own = self.economy.untaxed
        paid = consumer_prices(own, reference, at.quantities)
        return at._replace(gradient=swept(own, at.slopes, paid))

    def __call__(self, state: State, at: Allocation, reference: np.ndarray) -> np.ndarray:
        """The cosine of the move to ``state``, whose allocation is ``at``, shape (...); notes it.

        From the allocation noted last; NaN if that is not of the step before.
        """
        cosine = self._measured(state, at)
        if self._untaxed is not None:
            self._untaxed._measured(state, self._of_welfare(at, reference))
            self.possible = self._untaxed.possible
        return cosine

    def _measured(self, state: State, at: Allocation) -> np.ndarray:
        """The cosine of the move to ``state``, without what W's own gradient says."""
        cosine = self.possible = np.full(state.prices.shape[:-1], np.nan)
        sums = self._moves(at) if self._step == state.step - 1 else []
        if sums:
            product, uphill, moved, weight = map(sum, zip(*sums, strict=True))
            sizes = np.sqrt(uphill), np.sqrt(moved)
            measured = np.minimum(*sizes) > 1e-12 * np.sqrt(weight)  # more than rounding
            size = np.where(measured, sizes[0] * sizes[1], 1.0)
            cosine = np.where(measured, product / size, np.nan)
            self.possible = np.where(measured, size, np.nan)
        self._note(state, at)
        return cosine

    def _moves(self, at: Allocation) -> list[tuple[np.ndarray, ...]]:
        """The sums (:func:`_sums`) of the moves of shares and of raw quantities, if any."""
        sums = []
        if self._of_shares is not None:
            sums.append(self._share_moves(self._of_shares, at.shares))
        if self._of_raw is not None:
            former, margins, stakes = self._of_raw
            raw = at.quantities[..., : len(self.economy.supply)]
            move = (raw - former) / np.where(former == 0, 1.0, np.abs(former))
            sums.append(_sums(stakes, margins, move))
        return sums

    def _direction(self, at: Allocation) -> _Direction:
        """The gradient by log shares at an allocation; with taxes, the values net of them."""
        uses = self.economy.uses
        factor = at.gradient[..., uses.maker] * at.quantities[..., uses.good]
        if self.economy.net_of_tax is not None:
            factor = factor * self.economy.net_of_tax
        mean = uses.pools.spread(uses.pools.total(factor * at.slopes))
        money = np.abs(mean)
        factor = np.where(money > 0, factor / np.where(money > 0, money, 1.0), 0.0)
        weight = np.where(self._shared, money, 0.0)
        return _Direction(at.shares, at.products, factor, np.sign(mean), weight)

    def _share_moves(self, former: _Direction, shares: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weighted sums over the shares, as of :func:`_sums`.

        Both vectors are centred in each pool, uphill by itself. The mean of the moves is of second
        order, and subtracted from their sums; only where it is most of the moves, beforehand.
        """
        pools, first = self.economy.uses.pools, self.economy.uses.pools.starts
        mean, square, product, uphill, held = self._sums_of_moves(former, shares)
        drift = square + mean**2 * (held - 2.0) < SPREAD * square
        if np.any(drift):
            shift = pools.spread(np.where(drift, mean, 0.0))
            mean, square, product, uphill, held = self._sums_of_moves(former, shares, shift)
        product -= mean * former.sign[..., first] * (1.0 - held)
        square += mean**2 * (held - 2.0)
        money = former.money[..., first]
        responses = share_responses(self.economy)
        if responses is not None:  # the slope of W by a share is so many times what the buyer bids
            of_pools = responses[..., self.economy.buyers.starts]
            product, uphill = product * of_pools, uphill * of_pools**2
        return tuple((money * each).sum(axis=-1) for each in (product, uphill, square, held))

    def _sums_of_moves(
        self, former: _Direction, shares: np.ndarray, shift: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Σ s Δ, Σ s Δ², Σ s u Δ, Σ s u² and Σ s of each pool, (..., pools), in one pass.

        s are the former shares, Δ the moves of log shares less ``shift``, (..., uses), u uphill.
        """

        def factors(part: Part) -> list[tuple[np.ndarray, np.ndarray]]:
            places = part.buyers
            before = former.shares[..., places]
            move = shares[..., places] / before
            np.log(move, out=move)
            if shift is not None:
                move -= part.spread(shift)
            if not before.min() > 0.0:
                move = np.where(before > 0.0, move, 0.0)
            uphill = part.spread(former.factor) * former.products[..., places]
            uphill -= part.spread(former.sign)
            by_move, by_uphill = before * move, before * uphill
            pairs = [(before, move), (by_move, move), (by_move, uphill), (by_uphill, uphill)]
            return pairs if self._add_up else [*pairs, (before, np.ones_like(before))]

        uses = self.economy.uses
        sums = [
            uses.pools.total(each) for each in uses.sums(factors, 4 if self._add_up else 5, shares)
        ]
        return [*sums, np.ones_like(sums[0])] if self._add_up else sums

    def _margins(self, at: Allocation) -> tuple[np.ndarray, np.ndarray]:
        """The gradient by the raw goods' log quantities, and the weights, (..., raw)."""
        raw = len(self.economy.supply)
        quantities, values = at.quantities[..., :raw], at.gradient[..., :raw]
        margins, stakes = np.zeros_like(values), np.zeros_like(values)
        for places, terms in self.economy.supply_terms:
            quantity, value = quantities[..., places], values[..., places]
            responds = terms.responds
            margin = value - curves.marginal_cost(terms, quantity)
            size = np.where(value == 0.0, 1.0, np.abs(value))
            margins[..., places] = np.where(responds, margin / size, 0.0)
            stakes[..., places] = np.where(responds, np.abs(quantity * value), 0.0)
        return margins, stakes


def _sums(weight: np.ndarray, uphill: np.ndarray, move: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted sums of uphill times move, of their squares, and of the weights, each (...)."""
    parts = weight * uphill * move, weight * uphill**2, weight * move**2, weight
    return tuple(each.sum(axis=-1) for each in parts)


class DualAlignment:
    """The cosine between each move of quoted prices and the descent of the dual potential Φ.

    Minus the gradient of Φ is, by Hotelling's lemma, excess demand (docs/model.md, 3), here of the
    observed plans. Only quotes that can move count.

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    add_up
        Not used: shares are planned.

    Attributes
    ----------
    possible
        NaN: prices descend Φ, not W.
    """

    possible: np.ndarray | float = np.nan

    def __init__(self, economy: Economy, *, add_up: bool = False) -> None:
        self.economy = economy
        self._quoted = ~np.isin(
            economy.buyers.pool_good, [economy.index[good] for good in economy.outputs]
        )
        self._step = -2
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self.economy = economy
        if self._before is not None:
            self._before = self._before[0][rows], self._before[1][rows]

    def note(self, state: State, at: Allocation, reference: np.ndarray) -> None:
        """Note the quotes of a state, and excess demand there; parameters as of a call."""
        self._step, self._before = state.step, self._quotes(state, reference)

    def __call__(self, state: State, at: Allocation, reference: np.ndarray) -> np.ndarray:
        """The cosine of the move to ``state``, shape (...); notes it for the next move.

        From the quotes noted last; NaN if they are not of the step before. ``reference`` are the
        consumers' reference quantities, units, (..., final goods).
        """
        step, former = self._step, self._before
        self.note(state, at, reference)
        assert self._before is not None
        now = self._before[0]
        if former is None or step != state.step - 1:
            return np.full(now.shape[:-1], np.nan)
        move = now - former[0]
        sizes = np.linalg.norm(move, axis=-1) * np.linalg.norm(former[1], axis=-1)
        moved = np.linalg.norm(move, axis=-1) > 1e-12 * np.linalg.norm(now, axis=-1)
        product = (move * former[1]).sum(axis=-1)
        return np.where(moved, product / np.where(sizes > 0.0, sizes, 1.0), np.nan)

    def _quotes(self, state: State, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The quotes that can move, and excess demand at them."""
        buyers, supplied = self.economy.buyers, state.quantities
        planned = state.shares * supplied[..., buyers.good]
        demand = np.add.reduceat(planned, buyers.starts, axis=-1)
        quotes = [state.bids[..., buyers.starts]]
        excess = [demand - supplied[..., buyers.good[buyers.starts]]]
        if not self._quoted.all():  # what an activity earns follows from the quotes of its outputs
            quotes, excess = ([each[0][..., self._quoted]] for each in (quotes, excess))
        final = self.economy.final
        price, supply = state.prices[..., final], supplied[..., final]
        wanted = np.empty_like(price)
        for places, terms in self.economy.demand_terms:
            wanted[..., places] = curves.demand_quantity(
                terms, reference[..., places], price[..., places]
            )
        quoted = np.isfinite(wanted)
        quotes.append(np.where(quoted, price, 0.0))
        excess.append(np.where(quoted, wanted - supply, 0.0))
        return np.concatenate(quotes, axis=-1), np.concatenate(excess, axis=-1)


ALIGNMENTS: dict[str, type[GradientAlignment] | type[DualAlignment]] = {
    "allocation": GradientAlignment,
    "prices": DualAlignment,
}
"""The class that measures alignment, by ``Mechanism.alignment``."""
