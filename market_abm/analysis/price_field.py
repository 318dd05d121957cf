"""Where quoted prices move, and which part of that is a gradient, of three relative prices.

Where prices matter only up to scale, a direction in the space of prices is a point of the unit
sphere, and excess demand, by Walras' law orthogonal to prices, is a field of tangents z on it. From
any point p* (the equilibrium) such a field has one decomposition z = -grad Φ + R in which R is
orthogonal to all great circles through p* (Poincaré's homotopy formula):

    Φ(p) = -∫ z · dp along the great circle from p* to p,

so that all of z along that circle is gradient, and R is what of z across it is not: the
circulation of z (the integral of its curl) in a thin sector from p*, over the sector's width. It
needs no boundary. Near p* it is that of the symmetric and the antisymmetric part of the Jacobian
(``analysis/rotation.py``). Of households with equal homothetic tastes R is of second order there:
income effects cancel where markets clear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from market_abm.analysis.steps import prices_are_relative
from market_abm.economy.economy import Economy
from market_abm.gradient.equilibrium import Equilibrium
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import array_market

NODES = 20
"""Points at which z is taken for an integral along an arc (Gauss-Legendre)."""

TURN = 1e-3
"""Radians between the arcs whose potentials are compared; the relative error is its square."""


@dataclass(frozen=True, eq=False)
class PriceField:
    """The moves of three quoted prices in a step, as a function of the prices.

    Parameters
    ----------
    goods
        The names of the goods whose prices are quoted, in the order of all arrays here.
    rest
        The direction of the equilibrium's prices, shape (3,), of length 1.
    moves
        Takes prices, money per unit, shape (points, 3), and returns their moves in a step; NaN
        where there are none.
    """

    goods: tuple[str, ...]
    rest: np.ndarray
    moves: Callable[[np.ndarray], np.ndarray]

    @staticmethod
    def of(economy: Economy, settings: MarketSettings, steady: Equilibrium) -> PriceField | None:
        """The field of a market; None unless it quotes three prices, which are relative ones."""
        quoted = economy.buyers.pool_good
        if (
            settings.rules.alignment != "prices"
            or len(quoted) != 3
            or len(np.unique(quoted)) != 3
            or not prices_are_relative(economy)
        ):
            return None
        rest, goods = steady.prices[quoted], tuple(economy.goods[k] for k in quoted)
        moves = partial(_moves, economy, settings)
        return PriceField(goods, rest / np.linalg.norm(rest), moves)

    def potential(self, prices: np.ndarray) -> np.ndarray:
        """Φ, minus the work of the moves from rest to each point of the sphere, shape (points,).

        ``prices`` have length 1, shape (points, 3).
        """
        angle, outward, _ = self._directions(prices)
        return self._work(angle, outward)

    def parts(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-grad Φ and R at points of the sphere, each of shape (points, 3), and their sum z.

        ``prices`` have length 1, shape (points, 3), and are not at rest.
        """
        angle, outward, around = self._directions(prices)
        along = np.cos(angle)[:, None] * outward - np.sin(angle)[:, None] * self.rest
        z = self.moves(prices)
        turned = [
            self._work(angle, np.cos(TURN) * outward + sign * np.sin(TURN) * around)
            for sign in (1.0, -1.0)
        ]
        slope = (turned[0] - turned[1]) / (2.0 * np.sin(TURN)) / np.sin(angle)
        radial = (z * along).sum(axis=-1)
        gradient = radial[:, None] * along - slope[:, None] * around
        across = (z * around).sum(axis=-1)
        return gradient, (across + slope)[:, None] * around

    def _directions(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each point: its angle from rest, the direction there, and the one across, at rest."""
        cosine = prices @ self.rest
        outward = prices - cosine[:, None] * self.rest
        sine = np.linalg.norm(outward, axis=-1)
        outward = outward / sine[:, None]
        return np.arctan2(sine, cosine), outward, np.cross(self.rest, outward)

    def _work(self, angle: np.ndarray, outward: np.ndarray) -> np.ndarray:
        """-∫ z · dp along arcs from rest, of such an angle and direction, shape (points,)."""
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        at = angle[:, None] * (nodes + 1.0) / 2.0
        cosine, sine = np.cos(at)[..., None], np.sin(at)[..., None]
        places = cosine * self.rest + sine * outward[:, None]
        tangents = cosine * outward[:, None] - sine * self.rest
        moves = self.moves(places.reshape(-1, 3)).reshape(places.shape)
        along: np.ndarray = (moves * tangents).sum(axis=-1) @ weights
        return -along * angle / 2.0


@np.errstate(all="ignore")
def _moves(economy: Economy, settings: MarketSettings, prices: np.ndarray) -> np.ndarray:
    """Moves of quoted prices in a step, shape (points, 3), as ``prices``."""
    market: Any = array_market([economy], [settings], [0])
    market.keep(np.zeros(len(prices), int))
    market.memory = {"quotes": prices, "prices": market.memory["prices"]}
    planless = list(market.failed)  # later ones are of where prices move to
    market.step()
    moves: np.ndarray = market.memory["quotes"] - prices
    moves[planless] = np.nan
    return moves
