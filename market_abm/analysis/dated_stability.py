"""The stability of a market of dated goods: a linear recursion with delays.

Near rest the market of dated goods ascends W by derivatives of earlier dates. Its free variables z
are the offers of suppliers who respond and the logarithms of shares, and

    z_j(t+1) = Σ_k Σ_d C_d[j, k] z_k(t - d),

where the response of j to k is a row of the exact Hessian of W (``gradient/hessian.py``), times
j's rate over the money at stake, at the delay after which the price that j acts on meets k. Dates
and devices add terms of the variable itself. No step of the market is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from market_abm.analysis.delays import block_companion
from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.equilibrium import Equilibrium
from market_abm.gradient.hessian import Variables
from market_abm.market.base import MarketSettings
from market_abm.market.dating import Dates
from market_abm.market.foresight import foresight_of

NOTHING = 1e-9
"""Curvature below this, relative to the largest, is none."""


@np.errstate(all="ignore")
def dated_spectrum(
    economy: Economy, settings: MarketSettings, steady: Equilibrium, most: int
) -> np.ndarray | None:
    """The eigenvalues of a market of dated goods at a steady state, without what persists.

    Parameters
    ----------
    economy, settings
        The market.
    steady
        Its steady state.
    most
        The most variables, at all delays, of which eigenvalues are computed.

    Returns
    -------
    array or None
        None if there are more, if offers are kept for several steps, if some buyers do not pay, or
        pay taxes (what they follow has no Hessian), or if the mechanism does not say how shares
        follow bids.
    """
    terms = list(economy.supply.values())
    response = settings.rules.share_response(settings)
    money = settings.rules.bids_are_money
    known = not any(each.waits for each in terms) and (response is not None or money)
    if not known or economy.taxes or "external" in economy.reuse.values():
        return None
    problem = Problem(economy)
    at = problem.evaluate(steady.quantities[: len(terms)], steady.shares)
    found = _Recursion(Variables(problem), at, settings)
    if len(found.kept) == 0:
        return np.zeros(0)
    if len(found.kept) * (found.longest + 1) > most:
        return None
    blocks = found.reduced(persist=not money)
    if blocks is None or not all(np.all(np.isfinite(each)) for each in blocks.values()):
        return None
    return np.linalg.eigvals(block_companion(blocks))


class _Recursion:
    """The matrices C_d of all variables, and which of them are kept."""

    def __init__(self, variables: Variables, at: Allocation, settings: MarketSettings) -> None:
        self.variables, self.at, self.settings = variables, at, settings
        self.devices = foresight_of(settings)
        economy, first = variables.problem.economy, variables.first
        dates = Dates.of(economy)
        of_share = np.arange(variables.size) >= first
        due = dates.priced[variables.good][:, None]
        self.delays = np.maximum(0, due - dates.sold[variables.good] - of_share)
        self.own = np.arange(variables.size)
        shares = at.shares[variables.buyers]
        free = np.append(np.ones(first, bool), (shares > 0.0) & bool(np.all(settings.shares_move)))
        self.hessian = variables.hessian(at, free)
        self.blocks: dict[int, np.ndarray] = {}
        self._add_suppliers()
        if free[first:].any():
            self._add_shares(shares)
        self.longest = max(self.blocks, default=0)
        self.kept = self._kept(free, shares)

    def _add(self, rows: np.ndarray, columns: np.ndarray, delays: Any, values: Any) -> None:
        """Add terms to C_d at these rows and columns."""
        rows, columns, delays, values = np.broadcast_arrays(rows, columns, delays, values)
        for delay in np.unique(delays):
            here = delays == delay
            block = self.blocks.setdefault(int(delay), np.zeros((len(self.own),) * 2))
            np.add.at(block, (rows[here], columns[here]), values[here])

    def _add_own(self, rows: np.ndarray, delays: Any, values: Any) -> None:
        self._add(rows, rows, delays, values)

    def _add_responses(self, rows: np.ndarray, rates: np.ndarray, later: int = 0) -> None:
        """Add rates times rows of the Hessian, each at its delay."""
        values = rates[:, None] * self.hessian[rows]
        self._add(rows[:, None], self.own, self.delays[rows] + later, values)

    def _add_suppliers(self) -> None:
        """A supplier moves by the price of a date, its cost of now and its supply line."""
        variables, at = self.variables, self.at
        terms = list(variables.problem.economy.supply.values())
        scales, slopes = variables.scales(at), variables.cost_slopes(at)
        for k, good in enumerate(variables.suppliers):
            row, each, scale = np.array([k]), terms[good], scales[k]
            if each.kind == "gradient":
                keep, rate = 1.0 - each.rate * slopes[k], each.rate / scale
            else:
                keep = 1.0 - each.adjustment
                response = each.elasticity / at.prices[good]
                if each.form == "linear":  # d ln S/dp, with S'(p) = 1/MC'(q)
                    response = 1.0 / (scale * slopes[k])
                rate = each.adjustment * response
            line, delay = rate * scale * self.devices.supply_line, self.delays[k, k]
            self._add_responses(row, np.array([rate / scale]))
            self._add_own(row, 0, keep - line)
            self._add_own(row, delay, rate * scale * slopes[k] + line)

    def _add_shares(self, shares: np.ndarray) -> None:
        """Shares follow the values of a date, all in logarithms and around the pool's mean."""
        rows = self.own[self.variables.first :]
        money = np.abs(shares * self.at.worth[self.variables.buyers])
        delays, devices = self.delays[rows, rows], self.devices
        response = self.settings.rules.share_response(self.settings)
        rates = np.where(money > 0.0, (1.0 if response is None else response) / money, 0.0)
        self._add_responses(rows, rates * (1.0 + devices.trend))
        if response is None:  # the share of the date, times its value
            self._add_own(rows, delays, 1.0)
            return
        correction = response * devices.pipeline / (devices.elasticity or 1.0)
        self._add_own(rows, 0, 1.0 + devices.momentum - correction)
        self._add_own(rows, delays, correction)
        if devices.momentum:
            self._add_own(rows, 1, -devices.momentum)
        if devices.trend:
            self._add_responses(rows, -rates * devices.trend, later=1)

    def _kept(self, free: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The variables without the largest share of each pool, which is 1 less the others."""
        kept, first = free.copy(), self.variables.first
        for pool in np.unique(self.variables.pool):
            members = np.flatnonzero(self.variables.pool == pool)
            kept[first + members[np.argmax(shares[members])]] = False
        return np.flatnonzero(kept)

    def reduced(self, *, persist: bool) -> Mapping[int, np.ndarray] | None:
        """C_d of the variables that are kept, without moves of shares that nobody notices.

        These persist if shares stay where values are equal (``persist``), and are unknown else.
        """
        first, shares = self.variables.first, self.at.shares[self.variables.buyers]
        back = np.zeros((len(self.own), len(self.kept)))
        back[self.kept, np.arange(len(self.kept))] = 1.0
        for k, variable in enumerate(self.kept):
            if variable >= first:
                pool = self.variables.pool == self.variables.pool[variable - first]
                largest = np.flatnonzero(pool)[np.argmax(shares[pool])]
                back[first + largest, k] = -shares[variable - first] / shares[largest]
        blocks = {d: (block @ back)[self.kept] for d, block in self.blocks.items()}
        noticed = self.hessian @ back
        of_shares = self.kept >= first
        _, sizes, rows = np.linalg.svd(noticed[:, of_shares], full_matrices=True)
        top = np.abs(self.hessian).max(initial=0.0)
        nothing = rows[np.count_nonzero(sizes > NOTHING * top) :]
        if len(nothing) == 0:
            return blocks
        if not persist:
            return None
        moves = np.zeros((len(nothing), len(self.kept)))
        moves[:, of_shares] = nothing
        _, _, basis = np.linalg.svd(moves, full_matrices=True)
        others = basis[len(nothing) :]
        return {d: others @ block @ others.T for d, block in blocks.items()}
