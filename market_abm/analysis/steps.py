"""One step of markets at their steady states, as a function of the variables that can move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.claims import outsiders
from market_abm.economy.economy import Economy
from market_abm.economy.production import marginal_products
from market_abm.gradient.equilibrium import Equilibrium
from market_abm.market import behaviour
from market_abm.market.base import MarketSettings
from market_abm.market.foresight import Past, ages_of_values
from market_abm.market.mechanisms.registry import array_market
from market_abm.market.state import State

MOVE = float(np.cbrt(np.finfo(float).eps))
"""The relative size h of central differences: 6e-6.

Their error is h² (truncation) and eps/h (rounding), which is smallest at h = eps^(1/3).
"""

ROUNDING = 1e-8
"""Entries of J below this are rounding (4e-11, with room)."""

NEGLIGIBLE = 1e-14
"""Variables that are so much smaller than the largest are 0, but for rounding."""

OF_MONEY = ("bids", "prices", "quotes", "past_bids")
"""State variables in money; others are quantities, or parts of one."""

STATIONARY_TOL = 1e-6
"""The largest move in a step of a steady state, relative to each variable (of shares, to 1)."""


def is_closed(economy: Economy) -> bool:
    """Whether all that is spent was earned, by households who trade with nobody else.

    Then the level of prices may be any (Walras' law): J has an eigenvalue of 1.
    """
    return bool(economy.households) and not any(outsiders(economy))


def prices_are_relative(economy: Economy) -> bool:
    """Whether prices matter only up to scale: no amount of money is given, not even a transfer.

    A step in other units of money is then the same step, and its J leaves that direction as it is.
    """
    given = any(np.any(each.transfer) for each in economy.households.values())
    return is_closed(economy) and not given


def complement(direction: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span what is orthogonal to a direction; of a zero, the identity."""
    if not np.any(direction):
        return np.eye(len(direction))
    rows: np.ndarray = np.linalg.svd(direction[None, :])[2][1:]
    return rows


@dataclass(frozen=True, eq=False)
class SteadyState:
    """The state variables of a market at a steady state, and which of them can move.

    The variables are the entries ``places`` of ``memory``: all but the offers of fixed endowments,
    the shares in pools of one buyer, and in each other pool the largest share, which is 1 minus the
    others.

    Attributes
    ----------
    memory
        Arrays by the names of ``ArrayEngine.memory``, without the axis of runs.
    places
        For each array, the entries that are variables.
    rest_of_pool
        For each buyer, the buyer of its pool whose share is 1 minus the others.
    has_zeros
        Whether a firm uses none of an input.
    """

    memory: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    rest_of_pool: np.ndarray
    has_zeros: bool

    @staticmethod
    def of(economy: Economy, settings: MarketSettings, steady: Equilibrium | State) -> SteadyState:
        """The steady state of a market at an equilibrium of its economy, or where it rests.

        At an equilibrium firms bid what inputs are worth at its prices; who plans pays the price of
        a rival good, which at a kink is no marginal value.
        """
        buyers = economy.buyers
        inputs = steady.shares * steady.quantities[buyers.good]
        products = marginal_products(economy, inputs)
        worth = behaviour.net_value(steady.prices[buyers.maker] * products, economy.net_of_buyers)
        if isinstance(steady, State):
            worth = settings.rules.per_unit(steady.bids, inputs)
        elif not settings.rules.trades:
            rival = np.array([kind == "rival" for kind in map(economy.reuse.get, economy.goods)])
            worth = np.where(rival[buyers.good], steady.prices[buyers.good], worth)
        memory = settings.rules.steady_memory(economy, steady, worth, products)
        moves: dict[str, Any] = {name: np.ones(array.shape, bool) for name, array in memory.items()}
        moves |= settings.rules.moving(economy)
        rest_of_pool = np.arange(buyers.size)
        if "shares" in moves:
            moves["shares"][:] = False
            shared = np.zeros(buyers.size, bool)
            for pool in buyers.shared_pools:
                largest = pool.buyers.start + int(np.argmax(steady.shares[pool.buyers]))
                rest_of_pool[pool.buyers] = largest
                moves["shares"][pool.buyers] = True
                shared[pool.buyers] = True
                moves["shares"][largest] = False
            past = Past.begin(
                settings, memory["shares"], memory["bids"], ages_of_values(economy, settings)
            )
            for name, array in past.arrays.items() if past else ():
                memory[name] = array
                moves[name] = np.resize(shared, array.shape)
        places = {name: np.flatnonzero(moves[name]) for name in memory}
        return SteadyState(memory, places, rest_of_pool, bool(np.any(inputs == 0.0)))

    @property
    def size(self) -> int:
        """The number of variables."""
        return sum(len(places) for places in self.places.values())

    @property
    def layout(self) -> tuple[Any, ...]:
        """What markets must have in common to make steps together."""
        places = tuple((name, each.tobytes()) for name, each in self.places.items())
        return (*places, self.rest_of_pool.tobytes())


class Steps:
    """A step of several markets of one structure, each at its steady state.

    Attributes
    ----------
    size
        The number of variables.
    names, place
        The array of each variable, and its entry there, shape (size,).
    of_goods
        Which of them are quantities and prices, shape (size,).
    sizes
        What changes of each are relative to, shape (markets, size).
    closed, relative
        Whether the level of prices may be any, and whether at any level the market is the same.
    scale
        The relative change of all money alike, shape (markets, size); 0 unless ``closed``.
    period
        The number of steps that are made together: those for which suppliers keep their offers.

    Parameters
    ----------
    economies, settings, starts
        One entry for each market, all of one layout.

    Raises
    ------
    MarketError
        The mechanism cannot run one of the economies.
    """

    def __init__(
        self,
        economies: Sequence[Economy],
        settings: Sequence[MarketSettings],
        starts: Sequence[SteadyState],
    ) -> None:
        first = starts[0]
        self.size, self.places, self.rest_of_pool = first.size, first.places, first.rest_of_pool
        self.runs = len(starts)
        self.at = {name: np.array([each.memory[name] for each in starts]) for name in first.memory}
        self.names = np.repeat(list(self.places), [len(each) for each in self.places.values()])
        self.place = np.concatenate(list(self.places.values()))
        self.of_shares = self.names == "shares"
        self.of_goods = np.isin(self.names, ("quantities", "prices", "quotes"))
        sizes = np.abs(self._variables(self.at))
        least = NEGLIGIBLE * sizes.max(axis=-1, keepdims=True, initial=0.0)
        self.sizes = np.where(sizes <= least, 1.0, sizes)
        self.closed = is_closed(economies[0])
        self.relative = self.closed and all(map(prices_are_relative, economies))
        of_money = np.isin(self.names, OF_MONEY) & self.closed
        self.scale = np.where(of_money, self._variables(self.at), 0.0) / self.sizes
        # More rows than buyers in a pool: the engine's layout, and so its sums, are the same then
        # for one market and for many.
        buyers = economies[0].buyers
        most = max((pool.buyers.stop - pool.buyers.start for pool in buyers.pools), default=1)
        extra = max(0, most + 1 - self.runs)
        rows = [*range(self.runs), *[0] * extra]
        self._market = array_market(
            [economies[k] for k in rows], [settings[k] for k in rows], [0] * len(rows)
        )
        self._rows = 0
        self.period = math.lcm(
            *(each.period for each in economies[0].supply.values() if each.waits)
        )

    def _variables(self, memory: dict[str, np.ndarray]) -> np.ndarray:
        """The variables of each row, shape (rows, size)."""
        return np.concatenate([memory[name][:, each] for name, each in self.places.items()], axis=1)

    def _disturbed(self, moves: np.ndarray) -> dict[str, np.ndarray]:
        """The state variables with variables moved, (markets, several, size); several a market."""
        several, first = moves.shape[1], 0
        memory = {}
        for name, places in self.places.items():
            last = first + len(places)
            array = np.repeat(self.at[name][:, None], several, axis=1)
            own = moves[..., first:last]
            array[..., places] += own
            if name == "shares":
                rest = np.zeros(array.shape)
                index: Any = (..., self.rest_of_pool[places])
                np.add.at(rest, index, own)
                array -= rest
            memory[name] = array.reshape(self.runs * several, -1)
            first = last
        return memory

    def _stepped(self, memory: dict[str, np.ndarray]) -> np.ndarray:
        """The variables after a step, shape (rows, size)."""
        several = len(next(iter(memory.values()))) // self.runs
        if several != self._rows:
            rows = np.arange(self.runs) * max(1, self._rows)
            self._market.keep(np.repeat(rows, several))
            self._rows = several
        self._market.memory = memory
        for _ in range(self.period):
            self._market.step()
        return self._variables(self._market.memory)

    @np.errstate(all="ignore")
    def jacobians(self, factor: float = 1.0) -> list[np.ndarray | None]:
        """J of each market, shape (size, size), by relative changes; None if it is not stationary.

        Of 2 size + 1 rows of a market each makes one step: each variable is moved up in one row and
        down in another; the last row is not disturbed, and must not move.

        Parameters
        ----------
        factor
            The size of the changes, relative to ``MOVE``.
        """
        rows, each = 2 * self.size + 1, np.arange(self.size)
        moves = np.zeros((self.runs, rows, self.size))
        moves[:, 2 * each, each] = factor * MOVE * self.sizes
        moves[:, 2 * each + 1, each] = -factor * MOVE * self.sizes
        memory = self._disturbed(moves)
        shape, sizes = (self.runs, rows, self.size), self.sizes[:, None]
        before = self._variables(memory).reshape(shape) / sizes
        after = self._stepped(memory).reshape(shape) / sizes
        drift = np.abs(after[:, -1] - before[:, -1]) * np.where(self.of_shares, self.sizes, 1.0)
        # Divided by the moves as represented in floating point.
        moved = (before[:, 0:-1:2] - before[:, 1:-1:2])[:, each, each]
        matrices = np.swapaxes(after[:, 0:-1:2] - after[:, 1:-1:2], 1, 2) / moved[:, None]
        # Rounding errors in place of zeros would close loops of variables, and a loop of k entries
        # of 1e-11 has eigenvalues of (1e-11)^(1/k).
        matrices[np.abs(matrices) < ROUNDING] = 0.0
        return [
            matrix if np.all(np.isfinite(matrix)) and moving.max() < STATIONARY_TOL else None
            for matrix, moving in zip(matrices, drift, strict=True)
        ]

    def effective_jacobians(
        self, factor: float = 1.0
    ) -> list[tuple[np.ndarray, np.ndarray] | None]:
        """J of each market without the level of prices, if that may be any, and what moves goods.

        J leaves one direction as it is: the scale of money, or, where there are transfers in money,
        the one that J - 1 takes to 0 (its singular vector). Its other eigenvalues are those of J on
        the orthogonal complement. The second matrix takes a disturbance to those of quantities and
        prices. Parameters as of :meth:`jacobians`.
        """
        effects = np.eye(self.size)[self.of_goods]
        found: list[tuple[np.ndarray, np.ndarray] | None] = []
        for matrix, scale in zip(self.jacobians(factor), self.scale, strict=True):
            if matrix is None or not self.closed:
                found.append(None if matrix is None else (matrix, effects))
                continue
            level = scale if self.relative else np.linalg.svd(matrix - np.eye(self.size))[2][-1]
            rows = complement(level)
            found.append((rows @ matrix @ rows.T, effects @ rows.T))
        return found

    @np.errstate(all="ignore")
    def is_stationary(self) -> bool:
        """Whether one market does not move if it is not disturbed."""
        memory = self._disturbed(np.zeros((1, 1, self.size)))
        moved = np.abs(self._stepped(memory) - self._variables(memory))
        drift = np.where(self.of_shares, moved, moved / self.sizes)
        return bool(drift.max() < STATIONARY_TOL)

    @np.errstate(all="ignore")
    def product(self, disturbance: np.ndarray, factor: float = 1.0) -> np.ndarray:
        """J times a relative disturbance of one market, shape (size,), by a central difference.

        Parameters
        ----------
        disturbance
            Shape (size,).
        factor
            The size of the difference, relative to ``MOVE``.
        """
        largest = float(np.abs(disturbance).max()) or 1.0
        by = factor * MOVE / largest * disturbance * self.sizes
        after = self._stepped(self._disturbed(np.array([[by[0], -by[0]]])))
        change: np.ndarray = (after[0] - after[1]) / self.sizes[0]
        return change * (largest / (2.0 * factor * MOVE))
