"""Foresight: what buyers and suppliers make of prices that are old when they act on them.

A price pays for a batch that was made some steps ago, and whoever acts on it may act on what is no
longer so. The devices of the table ``[market.foresight]`` are rules of single agents, from their
own books alone (docs/model.md, 3). What buyers foresee moves their shares; prices are still formed
by their bids, which are what inputs have been worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import SettingError, shown
from market_abm.fields import Settings, field, number
from market_abm.language.segments import Places, gather
from market_abm.market.dating import Dates


@dataclass(frozen=True)
class Foresight(Settings):
    """The settings of ``[market.foresight]``; by default no device is used."""

    pipeline: float = number(
        0.0,
        low=0.0,
        high=1.0,
        help="β: the part of a change of its share since the batch that is priced now by which a "
        "buyer corrects the value of an input",
    )
    elasticity: float | None = number(
        None,
        above=0.0,
        help="σ̂: the elasticity of substitution that a buyer assumes to correct the value, which "
        "it takes to fall as the share to the power 1/σ̂",
    )
    trend: float = number(
        0.0,
        low=-100.0,
        high=100.0,
        help="h: steps ahead to which a buyer extrapolates the logarithm of a bid by its last move",
    )
    momentum: float = number(
        0.0,
        low=-1.0,
        high=1.0,
        help="μ: the part of the last move of the logarithm of a share that is added to the next",
    )
    supply_line: float = number(
        0.0,
        low=0.0,
        high=1e6,
        unit="money per unit²",
        help="ĥ: what a supplier deducts from the price for each unit by which its offer "
        "has grown since the batch that is priced now",
    )

    @property
    def corrects(self) -> bool:
        """Whether buyers correct values (β > 0), in any of several runs."""
        return bool(np.any(np.greater(self.pipeline, 0.0)))

    @property
    def recalls_shares(self) -> bool:
        """Whether the shares of the trade before matter (μ), in any of several runs."""
        return bool(np.any(np.not_equal(self.momentum, 0.0)))

    @property
    def recalls_bids(self) -> bool:
        """Whether the last bids matter (h), in any of several runs."""
        return bool(np.any(np.not_equal(self.trend, 0.0)))

    def check(self, where: str) -> None:
        """Refuse a correction of values without the elasticity that it uses."""
        if self.pipeline > 0.0 and self.elasticity is None:
            raise SettingError(
                f"{where}.pipeline is set without {where}.elasticity",
                remedy="set the elasticity of substitution that buyers assume, such as 1",
                name=f"{where}.pipeline",
            )


def _read(value: Any, where: str) -> Foresight:
    if not isinstance(value, Mapping | Foresight):
        raise SettingError(
            f"{where} is {shown(value)}", remedy=f"make it a table: [{where}]", name=where
        )
    return Foresight.of(value, where)


def foresight_table() -> Any:
    """The settings field of mechanisms whose agents can use these devices."""
    return field(_read, default_factory=Foresight, kind="table of settings")


def foresight_of(settings: Any) -> Foresight:
    """The devices of a market; none, of a mechanism that has none."""
    return getattr(settings, "foresight", NONE)


NONE = Foresight()


# --- what buyers remember -------------------------------------------------------------------------

REMEMBERED = ("past_shares", "past_bids")
"""State variables of a market whose buyers have foresight."""


class Recalled(NamedTuple):
    """What some buyers recall, arrays of shape (..., buyers); None where it is not asked.

    Attributes
    ----------
    shares, bids
        Those of the trade before.
    batch_shares
        The shares by which the batches were divided that the bids value.
    """

    shares: np.ndarray | None
    bids: np.ndarray | None
    batch_shares: np.ndarray | None


class Past:
    """The earlier shares and the last bids of buyers, as their devices need them; never changed.

    Attributes
    ----------
    arrays
        Some of ``REMEMBERED``, by name: ``past_shares``, shape (..., trades * buyers), the last
        trade first, and ``past_bids``, shape (..., buyers).
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], columns: np.ndarray | None) -> None:
        self.arrays = arrays
        self._columns = columns

    @staticmethod
    def begin(
        settings: Any, shares: np.ndarray, bids: np.ndarray, ages: np.ndarray | None = None
    ) -> Past | None:
        """The past of buyers whose shares and bids, (..., buyers), have not moved.

        Parameters
        ----------
        settings
            The settings of the market.
        shares, bids
            Shape (..., buyers).
        ages
            As of :func:`ages_of_values`, shape (buyers,).

        Returns
        -------
        Past or None
            None if no device needs it.
        """
        devices, size = foresight_of(settings), shares.shape[-1]
        arrays, columns, trades = {}, None, int(devices.recalls_shares)
        if ages is not None and np.any(ages):
            columns, trades = (ages - 1) * size + np.arange(size), int(ages.max())
        if trades:
            arrays["past_shares"] = np.concatenate([shares] * trades, axis=-1)
        if devices.recalls_bids:
            arrays["past_bids"] = bids.copy()
        return Past(arrays, columns) if arrays else None

    def after(self, shares: np.ndarray, bids: np.ndarray) -> Past:
        """The past once a trade by these shares and bids is over; both are copied."""
        arrays = dict(self.arrays)
        if "past_shares" in arrays:
            kept = arrays["past_shares"][..., : -shares.shape[-1]]
            arrays["past_shares"] = np.concatenate([shares, kept], axis=-1)
        if "past_bids" in arrays:
            arrays["past_bids"] = bids.copy()
        return Past(arrays, self._columns)

    def at(self, places: Places) -> Recalled:
        """What the buyers at these places recall."""
        shares, bids = (self.arrays.get(name) for name in REMEMBERED)
        batches = None
        if shares is not None and self._columns is not None:
            batches = gather(shares, self._columns[places])
        return Recalled(
            shares=None if shares is None else gather(shares, places),
            bids=None if bids is None else gather(bids, places),
            batch_shares=batches,
        )

    def keep(self, rows: np.ndarray) -> Past:
        """The past of these runs only."""
        return Past({name: each[rows] for name, each in self.arrays.items()}, self._columns)

    def replaced(self, arrays: Mapping[str, np.ndarray]) -> Past:
        """The past with other ``arrays``."""
        return Past({name: arrays[name].copy() for name in self.arrays}, self._columns)


def ages_of_values(economy: Economy, settings: Any) -> np.ndarray | None:
    """How many trades ago the batch was divided that a buyer's bid values, shape (buyers,).

    None if no buyer asks. On the spot a share of now divides what the next batch is made of, and
    that batch has its price the step after; each further line to the consumer takes a step down and
    one up. Dated goods are priced when their date is due.

    Raises
    ------
    SettingError
        The bids of some buyers value batches of several dates at once.
    """
    if not foresight_of(settings).corrects:
        return None
    if settings.dated:
        return np.asarray(Dates.of(economy).delay[economy.buyers.good] - 1)
    if settings.activation == "sequential":
        return np.zeros(economy.buyers.size, int)
    shortest = _shortest_stages(economy)
    stages = np.array([shortest[good] for good in economy.goods])
    return 1 + 2 * stages[economy.buyers.maker]


def _shortest_stages(economy: Economy) -> dict[str, int]:
    """The number of industries between each good and the consumer, on the shortest path."""
    stages = {economy.goods[k]: 0 for k in economy.final}
    for industry in reversed(economy.topological_order):
        further = stages[industry.good] + 1
        for good in industry.technology.inputs:
            stages[good] = min(stages.get(good, further), further)
    return stages


def check_foresight(economy: Economy, settings: Any) -> None:
    """Refuse a correction of values (β) where buyers cannot know which batch a price pays for.

    Raises
    ------
    SettingError
        Bids average batches, prices are lagged, agents act in a random order, or the ways to the
        consumers differ in length.
    """
    if settings.dated or not foresight_of(settings).corrects:
        return
    reason, remedy = "", ""
    if np.any(np.less(settings.bid_rate, 1.0)):
        reason, remedy = "bids average several batches", "set market.bid_rate = 1"
    elif settings.lag:
        reason, remedy = "prices are observed late", "set market.lag = 0"
    elif settings.activation == "random":
        reason, remedy = "agents act in a random order", 'use market.activation = "simultaneous"'
    elif economy.has_loops:
        reason, remedy = "the network has a loop", "leave it out"
    elif settings.activation == "simultaneous":
        longest, shortest = economy.stages, _shortest_stages(economy)
        pools, maker = economy.buyers.shared_pools, economy.buyers.maker
        users = (economy.goods[k] for pool in pools for k in maker[pool.buyers])
        mixed = next((good for good in users if longest[good] != shortest[good]), None)
        if mixed is not None:
            reason = (
                f"the ways from '{mixed}' to the consumers have {shortest[mixed]} to "
                f"{longest[mixed]} lines, so that it pays for several"
            )
            remedy = 'use market.dating = "dated"'
    if reason:
        raise SettingError(
            f"market.foresight.pipeline needs to know which batch a price pays for: {reason}",
            remedy=remedy,
            name="market.foresight.pipeline",
        )


# --- rules of one buyer, or of many ---------------------------------------------------------------


def expected_bids(
    bids: np.ndarray, shares: np.ndarray, recalled: Recalled, sign: Any, devices: Foresight
) -> np.ndarray:
    """What buyers expect an input to be worth by now, money per unit, shape (..., buyers).

    ln b + h (ln b - ln b₋) ∓ (β/σ̂) (ln s - ln s₋): bids extrapolated from those of the trade
    before, and corrected for the change of the share since the batch that they value. A larger
    share lowers the value; in a pool whose money is negative it raises it.

    Parameters
    ----------
    bids, shares
        Shape (..., buyers).
    recalled
        What the buyers recall.
    sign
        The sign of the money of each buyer's pool.
    devices
        h, β and σ̂; for several runs, of shape (runs, 1).
    """
    if recalled.bids is not None:
        bids = bids * _grown(bids, recalled.bids, devices.trend)
    if recalled.batch_shares is not None:
        part, elasticity = np.asarray(devices.pipeline), np.asarray(devices.elasticity, float)
        response = np.where(part == 0.0, 0.0, part / elasticity)
        bids = bids * _grown(shares, recalled.batch_shares, -sign * response)
    return bids


def momentum(shares: np.ndarray, recalled: Recalled, devices: Foresight) -> Any:
    """The factor (s/s₋)^μ by which the last move of a share adds to the next; (..., buyers)."""
    if recalled.shares is None:
        return 1.0
    return _grown(shares, recalled.shares, devices.momentum)


def _grown(now: np.ndarray, before: np.ndarray, exponent: Any) -> np.ndarray:
    """(now/before)^exponent; 1 where the ratio is not a positive number."""
    ratio = now / before
    ratio = np.where((ratio > 0.0) & (ratio < np.inf), ratio, 1.0)
    grown: np.ndarray = np.exp(exponent * np.log(ratio))
    return grown
