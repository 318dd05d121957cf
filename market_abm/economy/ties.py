"""Ties: what inputs are worth at a kink, where several branches of a line are in force.

There the gradient of a line is a set, the convex hull of those of its branches, and a price may be
any element of it. Prices are compared with the element that is nearest to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group

NEAR = 1e-6
"""The relative difference of branches up to which an allocation is at a kink."""


class Payments(NamedTuple):
    """What firms pay and get.

    Attributes
    ----------
    paid
        For a unit of each input, money, shape (..., buyers).
    prices
        Of each good, money per unit, shape (..., goods).
    tolerance
        The relative difference up to which branches tie: a number, or shape (..., 1).
    """

    paid: np.ndarray
    prices: np.ndarray
    tolerance: Any


@dataclass(frozen=True, eq=False)
class Tie:
    """A line at a kink.

    Attributes
    ----------
    good
        What it makes.
    slopes
        By input, the least and the largest marginal product of a branch that is in force.
    """

    good: str
    slopes: Mapping[str, tuple[float, float]]


@np.errstate(all="ignore")
def ties(economy: Economy, inputs: np.ndarray, tolerance: float) -> list[Tie]:
    """The lines of which some firm is at a kink, by the first such firm.

    ``inputs`` are units, shape (buyers,); branches tie up to a relative ``tolerance``.
    """
    found: dict[int, Tie] = {}
    for group in economy.groups:
        if not group.technology.branching:
            continue
        units = [slot.of(inputs) / group.weights for slot in group.slots]
        at = group.technology.at_ties(units, tolerance)
        if at is None:
            continue
        branches, in_force = at
        for firm in np.flatnonzero(np.count_nonzero(in_force, axis=0) > 1).tolist():
            line = int(group.lines[group.members.of[firm]])
            industry = economy.topological_order[line]
            own = (
                branches[in_force[:, firm], :, firm]
                * np.broadcast_to(group.productivity, group.size)[firm]
            )
            pairs = zip(own.min(axis=0).tolist(), own.max(axis=0).tolist(), strict=True)
            slopes = dict(zip(industry.technology.inputs, pairs, strict=True))
            found.setdefault(line, Tie(industry.good, slopes))
    return [found[line] for line in sorted(found)]


def has_branches(economy: Economy) -> bool:
    """Whether some line has branches."""
    return any(group.technology.branching for group in economy.groups)


def at_kink(economy: Economy, shares: np.ndarray, quantities: np.ndarray) -> bool:
    """Whether some line is at a kink at this allocation: its branches tie to ``NEAR``.

    Shapes are (buyers,) and (goods,).
    """
    if not has_branches(economy):
        return False
    return bool(ties(economy, shares * quantities[economy.buyers.good], NEAR))


@np.errstate(all="ignore")
def nearest_products(
    economy: Economy, inputs: np.ndarray, products: np.ndarray, payments: Payments
) -> np.ndarray:
    """Marginal products that firms at a kink may count with, as near as can be to what they pay.

    Parameters
    ----------
    economy
        The economy.
    inputs
        Units, shape (..., buyers).
    products
        Marginal products there, shape (..., buyers).
    payments
        What they pay and get.

    Returns
    -------
    numpy.ndarray
        Shape (..., buyers): ``products`` itself where no firm is at a kink.
    """
    result = products
    wanted = payments.paid / payments.prices[..., economy.buyers.maker]
    for group in economy.groups:
        if not group.technology.branching:
            continue
        units = [slot.of(inputs) / group.weights for slot in group.slots]
        found = group.technology.at_ties(units, payments.tolerance)
        if found is None:
            continue
        result = products.copy(order="K") if result is products else result
        _write_nearest(group, np.stack(units), *found, wanted, result)
    return result


def _write_nearest(
    group: Group,
    units: np.ndarray,
    branches: np.ndarray,
    in_force: np.ndarray,
    wanted: np.ndarray,
    result: np.ndarray,
) -> None:
    """Write the nearest products of firms at a kink into ``result``, (..., buyers)."""
    tied = np.count_nonzero(in_force, axis=0) > 1
    own = np.stack([slot.of(wanted) / group.productivity for slot in group.slots])
    parts = nearest_parts(branches[..., tied], in_force[:, tied], own[:, tied], units[:, tied])
    nearest = np.sum(parts[:, None] * np.where(parts[:, None], branches[..., tied], 0.0), axis=0)
    productivity = np.broadcast_to(group.productivity, tied.shape)[tied]
    for slot, product in zip(group.slots, nearest, strict=True):
        new = slot.of(result).copy()
        new[tied] = productivity * product
        slot.write(result, new)


def nearest_parts(
    branches: np.ndarray, in_force: np.ndarray, wanted: np.ndarray, units: np.ndarray
) -> np.ndarray:
    """The parts of branches, not negative and with sum 1, whose mean is nearest to what is wanted.

    Distances are those of the values of all units of the inputs. Where the least squares without
    bounds make parts negative, the most negative is set to 0, and so on.

    Parameters
    ----------
    branches
        Marginal products, shape (branches, inputs, firms).
    in_force
        Shape (branches, firms).
    wanted, units
        Marginal products that are wanted, and units, shape (inputs, firms).

    Returns
    -------
    numpy.ndarray
        Shape (branches, firms).
    """
    values = np.moveaxis(np.where(in_force[:, None], branches * units, 0.0), -1, 0)
    target = (wanted * units).T
    count = len(branches)
    scale = np.abs(values).max(axis=(1, 2))
    scale = np.where((scale > 0.0) & np.isfinite(scale), scale, 1.0)
    values, target = values / scale[:, None, None], target / scale[:, None]
    regular = np.all(np.isfinite(values), axis=(1, 2)) & np.all(np.isfinite(target), axis=1)
    values, target = (
        np.where(regular[:, None, None], values, 0.0),
        np.where(regular[:, None], target, 0.0),
    )
    gram = values @ np.swapaxes(values, 1, 2)
    right = np.einsum("fbi,fi->fb", values, target)
    free = in_force.T.copy()
    for _ in range(count):
        parts = _least_squares(gram, right, free)
        lowest = np.argmin(np.where(free, parts, np.inf), axis=1)
        drop = np.take_along_axis(parts, lowest[:, None], 1)[:, 0] < 0.0
        if not drop.any():
            break
        free[np.flatnonzero(drop), lowest[drop]] = False
    return parts.T


def _least_squares(gram: np.ndarray, right: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The parts of the ``free`` branches, with sum 1, shape (firms, branches)."""
    firms, count = free.shape
    system = np.zeros((firms, count + 1, count + 1))
    both = free[:, :, None] & free[:, None, :]
    system[:, :count, :count] = np.where(both, gram, np.eye(count))
    system[:, :count, count] = system[:, count, :count] = free
    full = np.concatenate([np.where(free, right, 0.0), np.ones((firms, 1))], axis=1)
    parts = np.einsum("fab,fb->fa", np.linalg.pinv(system), full)
    return np.where(free, parts[:, :count], 0.0)
