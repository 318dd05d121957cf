"""How much of a market's step near its steady state is gradient, and how much rotation.

A step changes the market's free variables w (shares and offers, or quoted prices) by G w, G their
generator. In the metric of the mechanism G = S + A, with S symmetric and A antisymmetric: S w is a
gradient, along which a potential rises, and A w turns about the steady state and moves no
potential. Firms and consumers with money of their own make G a metric's inverse times the Hessian
of W (or of minus the dual potential), so that A is 0; income effects do not (docs/theory.md).

The *gradient share* |S|²/(|S|² + |A|²) is the part of the mean squared speed near the steady state
that is due to S: of disturbances that are equally likely in all directions, E|Gw|² = |S|² + |A|²
times their variance, since S and A are orthogonal. (Frobenius norms.)

Prices that sellers observe late, goods on their way and incomes are state variables too, and make
J - 1 asymmetric whatever the economy. So G is that of *fresh* prices: all other variables are where
they rest at given w (a Schur complement of J - 1, of the step of ``analysis/steps.py``), with bids
that follow values at once; shares of money then move by the bid rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.analysis.stability import markets_at_rest
from market_abm.analysis.steps import NEGLIGIBLE, Steps, complement
from market_abm.economy.curves import marginal_cost
from market_abm.economy.economy import Economy
from market_abm.economy.outputs import share_responses
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.base import MarketSettings
from market_abm.market.foresight import NONE, foresight_of
from market_abm.market.state import State

MAX_VARIABLES = 600
"""Variables of a step up to which its generator is computed."""

OF_GOODS = ("quantities", "prices", "offers")
"""State variables that belong to goods; others belong to buyers."""

NUDGE = 1e-5
"""The relative difference by which responses of shares and offers are found, to 1e-10."""


@dataclass(frozen=True, eq=False)
class Rotation:
    """The generator of a market at its steady state, and its two parts.

    Parameters
    ----------
    generator
        G, per step, in coordinates that are orthonormal in the metric, shape (variables,
        variables).
    """

    generator: np.ndarray

    @property
    def symmetric(self) -> np.ndarray:
        """S = (G + Gᵀ)/2, the gradient part, shape (variables, variables)."""
        return (self.generator + self.generator.T) / 2.0

    @property
    def antisymmetric(self) -> np.ndarray:
        """A = (G - Gᵀ)/2, the rotation part, shape (variables, variables)."""
        return (self.generator - self.generator.T) / 2.0

    @property
    def gradient_norm(self) -> float:
        """|S|, the Frobenius norm, per step."""
        return float(np.linalg.norm(self.symmetric))

    @property
    def rotation_norm(self) -> float:
        """|A|, the Frobenius norm, per step."""
        return float(np.linalg.norm(self.antisymmetric))

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Those of G, per step, by falling real part; without delays, those of a step less 1."""
        return np.sort_complex(np.linalg.eigvals(self.generator))[::-1]

    @property
    def gradient_share(self) -> float:
        """|S|²/(|S|² + |A|²): 1 for a gradient, 0 for a rotation; NaN where nothing moves."""
        whole = float(np.sum(self.generator**2))
        return self.gradient_norm**2 / whole if whole > 0.0 else math.nan


def rotation(
    economy: Economy,
    settings: MarketSettings,
    steady_state: Equilibrium | State | None = None,
    *,
    delays: bool = False,
) -> Rotation | None:
    """The gradient and the rotation of a market's step at its steady state.

    Shares that are 0 stay so: they are not varied. Where prices matter only up to scale, no
    variable has a component along it.

    Parameters
    ----------
    economy
        The economy; where its numbers follow series, that of step 0.
    settings
        The market's settings.
    steady_state
        By default the equilibrium of the economy; or the state in which a market rests, where that
        is none.
    delays
        Whether G is J - 1 of the step as it is, with all its state variables, each relative to its
        size and weighted by the money that belongs to it.

    Returns
    -------
    Rotation or None
        None where ``stability`` has no Jacobian matrix, where goods are dated, where suppliers keep
        offers for a period, where firms have market power (which depends on more than the state
        variables), where bids are formed with transfers in money, where a mechanism has neither
        shares that follow bids nor quotes that follow demand, where nothing is free to move, or
        where something that is free is worth nothing.
    """
    steady = equilibrium(economy) if steady_state is None else steady_state
    return rotations([economy], [settings], [steady], delays=delays)[0]


def rotations(
    economies: Sequence[Economy],
    settings: Sequence[MarketSettings],
    steady_states: Sequence[Equilibrium | State | None],
    *,
    delays: bool = False,
) -> list[Rotation | None]:
    """:func:`rotation` of each market; those of one structure make their steps together."""
    found: list[Rotation | None] = [None] * len(economies)
    made = list(settings) if delays else [_without_delay(each) for each in settings]
    for members, steps in markets_at_rest(economies, made, steady_states):
        rules = made[members[0]].rules
        has_metric = rules.bids_form_prices or rules.alignment == "prices"
        powerful = any(group.cournot for group in economies[members[0]].groups)
        if not has_metric or powerful or steps.period > 1 or not 0 < steps.size <= MAX_VARIABLES:
            continue
        coordinates = _Quotes if rules.alignment == "prices" else _Allocation
        if steps.closed and not steps.relative and coordinates is _Allocation:
            continue  # the level of money that rests at given shares is not that of all money alike
        for row, (k, jacobian) in enumerate(zip(members, steps.jacobians(), strict=True)):
            if jacobian is None:
                continue
            at: Any = coordinates(steps, row, economies[k].at(0), made[k])
            with suppress(np.linalg.LinAlgError):  # what is worth nothing has no metric
                part = at.delayed(jacobian) if delays else at.fresh(jacobian, settings[k])
                known = part is not None and len(part) > 0 and bool(np.isfinite(part).all())
                found[k] = Rotation(part) if known else None
    return found


def _without_delay(settings: MarketSettings) -> MarketSettings:
    """Settings with the same field of fresh prices, of which nothing is old but the step before."""
    changed: dict[str, Any] = {"activation": "simultaneous"}
    if hasattr(settings, "bid_rate"):
        changed["bid_rate"] = 1.0
    if foresight_of(settings) != NONE:
        changed["foresight"] = NONE
    return settings if settings.activation == "random" else replace(settings, **changed)


class _Quotes:
    """Quoted prices, in the Euclidean metric: all follow excess demand at one rate.

    But for the price of an activity, which is what its outputs earn, and answers to nothing else.
    """

    def __init__(self, steps: Steps, row: int, economy: Economy, *_: Any) -> None:
        self.sizes, self.scale = steps.sizes[row], steps.scale[row]
        goods, pools = steps.place.copy(), steps.names == "quotes"
        goods[pools] = economy.buyers.pool_good[goods[pools]]
        activities = [economy.index[activity] for activity in economy.outputs]
        self.own = np.flatnonzero(~np.isin(goods, activities))

    def fresh(self, jacobian: np.ndarray, settings: MarketSettings) -> np.ndarray:
        """J - 1: plans have no delay."""
        return self.delayed(jacobian)

    def delayed(self, jacobian: np.ndarray) -> np.ndarray:
        """J - 1, of prices in money per unit."""
        change = (jacobian - np.eye(len(jacobian))) * (self.sizes[:, None] / self.sizes)
        return _across(change[np.ix_(self.own, self.own)], (self.scale * self.sizes)[self.own])


class _Allocation:
    """Shares and offers, in the metric of the mirror map; all else rests at given ones.

    A change δs of a pool's shares, Σ δs = 0, has the squared length M Σ δs²/(κ s), with M the money
    that the pool pays and κ the response of shares to bids; a relative change of an offer M/k, with
    k its response to its price. So lengths are the inverse of what a unit of gradient moves. (Among
    the outputs of a line a unit of slope is worth (1+η)/η as much: see ``economy/outputs.py``.)
    """

    def __init__(self, steps: Steps, row: int, economy: Economy, settings: MarketSettings) -> None:
        self.economy, self.names, self.place = economy, steps.names, steps.place
        self.rest_of_pool = steps.rest_of_pool
        self.sizes, self.scale = steps.sizes[row], steps.scale[row]
        self.at = {name: array[row] for name, array in steps.at.items()}
        self.money = settings.rules.bids_are_money
        self.response = _share_response(settings)
        buyers = economy.buyers
        inputs = self.at["shares"] * self.at["quantities"][buyers.good]
        self.paid = np.abs(settings.rules.per_unit(self.at["bids"], inputs) * inputs)
        self.worth = np.abs(self.at["prices"] * self.at["quantities"])

    def fresh(self, jacobian: np.ndarray, settings: MarketSettings) -> np.ndarray | None:
        """G of a market with these settings, from a step without delay; None if nothing is free."""
        basis, free = self._basis()
        if not len(free):
            return None
        change = np.linalg.solve(basis, jacobian @ basis)
        rest = np.setdiff1d(np.flatnonzero(self._inside()), [*free, *self._raw("quantities")])
        others = complement(np.linalg.solve(basis, self.scale)[rest])
        own, up = change[np.ix_(free, free)], change[np.ix_(free, rest)] @ others.T
        down = others @ change[np.ix_(rest, free)]
        back = others @ change[np.ix_(rest, rest)] @ others.T
        if not self.money:  # shares move before anything else: all else depends on the new ones
            first = slice(np.count_nonzero(self.names[free] == "shares"))
            by_new = np.linalg.solve(own[first, first].T, down[:, first].T).T
            down, back = down - by_new @ own[first], back - by_new @ up[first]
            down[:, first] = by_new
        answer = np.linalg.solve(np.eye(len(back)) - back, down)
        moves = own - np.eye(len(own)) + up @ answer
        if self.response > 0.0:  # bids of money move by the bid rate
            response = _share_response(settings)
            moves[self.names[free] != "offers"] *= response / self.response
            self.response = response
        return _orthonormal(moves, self._metric(free))

    def _inside(self) -> np.ndarray:
        """Which variables are varied: not what a buyer that holds nothing bids or holds."""
        held = self.at["shares"][self.place[self._of("shares")]] > 0.0
        inside = np.ones(len(self.sizes), bool)
        inside[self._of("shares")] = held & (self.response > 0.0)
        if self.money:
            inside[self._of("bids")] = self.at["bids"][self.place[self._of("bids")]] > 0.0
        return inside

    def _of(self, name: str) -> np.ndarray:
        """The variables of an array."""
        return np.flatnonzero(self.names == name)

    def _raw(self, name: str) -> np.ndarray:
        """The variables that are the quantities or the prices of what is offered."""
        of_goods = np.full(len(self.economy.goods), -1)
        of_goods[self.place[self._of(name)]] = self._of(name)
        return of_goods[self.place[self._of("offers")]]

    def _basis(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates as columns, (variables, variables), and which of them are free.

        Where bids are money, those of a pool are its money and the parts of it that are bid. An
        offer's is relative to its size, as are all that are not free.
        """
        basis = np.eye(len(self.sizes))
        basis[self._raw("quantities"), self._of("offers")] = 1.0
        if self.money:  # what is spent on a good does not depend on the offer of the step, yet
            basis[self._raw("prices"), self._of("offers")] = -1.0
        shares = self._of("shares")
        shares = shares[self._inside()[shares]]
        if not self.money:
            basis[shares, shares] /= self.sizes[shares]
            return basis, np.concatenate([shares, self._of("offers")])
        bid = np.full(self.economy.buyers.size, -1)
        bid[self.place[self._of("bids")]] = self._of("bids")
        buyers = self.place[shares]
        pool, last = self.economy.buyers.pool, self.rest_of_pool[buyers]
        money = np.bincount(pool, self.at["bids"])[pool]
        for own, other, whole in zip(bid[buyers], bid[last], money[buyers], strict=True):
            basis[own, own], basis[other, own] = whole / self.sizes[own], -whole / self.sizes[other]
        for other in np.unique(last):
            basis[bid[pool == pool[other]], bid[other]] = 1.0
        return basis, np.concatenate([bid[buyers], self._of("offers")])

    def _metric(self, free: np.ndarray) -> np.ndarray:
        """The metric of the free variables, (free, free): shares, then offers."""
        offers = self._of("offers")
        shares = self._of("shares")[: 0 if self.response == 0.0 else None]
        shares = shares[self._inside()[shares]]
        metric = np.zeros((len(free), len(free)))
        first = len(shares)
        metric[:first, :first] = self._metric_of_shares(shares) / (self.response or 1.0)
        metric[range(first, len(free)), range(first, len(free))] = self._stiffness()[
            self.place[offers]
        ]
        return metric

    def _metric_of_shares(self, variables: np.ndarray) -> np.ndarray:
        """M (δ_ij/s_i + 1/s_r) within a pool, r the buyer whose share is 1 less the others."""
        buyers, pool = self.place[variables], self.economy.buyers.pool
        shares, last = self.at["shares"], self.rest_of_pool[buyers]
        money = np.bincount(pool, self.paid)[pool[buyers]]
        responses = share_responses(self.economy)
        money = money if responses is None else money * responses[buyers]
        together = pool[buyers][:, None] == pool[buyers]
        return together * (money / shares[last])[:, None] + np.diag(money / shares[buyers])

    def _stiffness(self) -> np.ndarray:
        """M/k of each supplier, money, by relative changes of its offer, shape (suppliers,).

        On a curve an offer q moves the fraction ρ of the way to that of the price: by ρ (p - MC)
        over the slope of MC, which is found by a difference.
        """
        found = np.zeros(len(self.economy.supply))
        for k, terms in enumerate(self.economy.supply.values()):
            offer = float(self.at["offers"][k])
            if terms.kind == "gradient":
                found[k] = (offer or 1.0) ** 2 / terms.rate
            elif terms.responds:
                up, down = (marginal_cost(terms, offer * (1.0 + h)) for h in (NUDGE, -NUDGE))
                found[k] = offer * (up - down) / (2.0 * NUDGE * terms.adjustment)
        return found

    def delayed(self, jacobian: np.ndarray) -> np.ndarray:
        """J - 1 of all variables, each weighted by the money that belongs to it."""
        of_buyers, inside = len(self.paid), self._inside()
        weights = np.zeros(len(self.sizes))
        for name in np.unique(self.names):
            own, size = self._of(name), len(self.at[name])
            money = self.paid if size == of_buyers and name not in OF_GOODS else self.worth[:size]
            weights[own] = money[self.place[own]]
        kept = np.flatnonzero(inside & (weights > NEGLIGIBLE * weights.max(initial=0.0)))
        metric = np.diag(weights)
        shares = self._of("shares")
        shares = shares[inside[shares]]
        scaled = np.multiply.outer(self.sizes[shares], self.sizes[shares])
        metric[np.ix_(shares, shares)] = self._metric_of_shares(shares) * scaled
        place = np.ix_(kept, kept)
        change = (jacobian - np.eye(len(jacobian)))[place]
        root = np.linalg.cholesky(metric[place])
        return _across(_orthonormal(change, metric[place]), root.T @ self.scale[kept])


def _share_response(settings: MarketSettings) -> float:
    """κ, by which the log of a share follows that of what an input is worth, in a step.

    Where bids are money, shares are theirs, which move by the bid rate. Otherwise bids rest at what
    inputs are worth.
    """
    rules: Any = settings.rules
    if not settings.shares_move:
        return 0.0
    bids = rules.as_bid(np.array([1.0 + NUDGE, 1.0 - NUDGE]), np.array([0.5, 0.5]))
    one = np.ones(1)
    shares = rules.revised_shares(np.full(2, 0.5), bids, one, bidding=True, settings=settings)
    moved = float(np.log(shares[0] / shares[1]) / np.log(bids[0] / bids[1]))
    rate: float = getattr(settings, "bid_rate", 1.0)
    return moved * rate if rules.bids_are_money else moved


def _orthonormal(generator: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """A generator in coordinates that are orthonormal in a metric: Lᵀ G L⁻ᵀ, with L Lᵀ = M."""
    root = np.linalg.cholesky(metric)
    return np.linalg.solve(root, (root.T @ generator).T).T


def _across(generator: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """A generator on the orthogonal complement of a direction, if any.

    It does not move it, or moves all else at right angles to it.
    """
    rows = complement(direction)
    return rows @ generator @ rows.T
