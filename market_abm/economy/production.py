"""Production: the firms of groups of lines, run or differentiated at given inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group
from market_abm.economy.slots import AnySlot, taken
from market_abm.language.segments import Block


class Batch(NamedTuple):
    """What firms made of the inputs that they bought last, as an engine has computed it.

    Its arrays over buyers hold until the step after the next, so that two steps can be compared.

    Parameters
    ----------
    delivered
        What was on sale of the good when it was bought, units, for each use, shape (..., uses).
    outputs
        What was made of it, and the raw goods on sale with it, units, shape (..., goods).
    shares
        The shares of their goods that the firms bought, shape (..., buyers).
    products
        Marginal products ∂(firm's output)/∂(input) there, shape (..., buyers).
    """

    delivered: np.ndarray
    outputs: np.ndarray
    shares: np.ndarray
    products: np.ndarray


@np.errstate(all="ignore")
def marginal_products(economy: Economy, inputs: np.ndarray) -> np.ndarray:
    """∂(firm's output)/∂(input) for every buyer at ``inputs``; both of shape (..., buyers)."""
    products = np.zeros_like(inputs)
    for group in economy.groups:
        for _ in firms_production(group, inputs, products):
            pass
    return products


def produce(
    group: Group, shares: np.ndarray, quantities: np.ndarray, products: np.ndarray
) -> np.ndarray:
    """The output of each line of a group; marginal products are written to ``products``.

    Parameters
    ----------
    group
        The lines.
    shares
        Their firms' shares of what they buy, shape (..., buyers).
    quantities
        Units of each good, shape (..., goods).
    products
        Where to write ∂(firm's output)/∂(input), shape (..., buyers).

    Returns
    -------
    numpy.ndarray
        Units, shape (..., lines of the group).
    """
    order: Literal["C", "F"] = "F" if shares.flags.fnc else "C"
    leaves = np.empty((*shares.shape[:-1], len(group.members.leaves)), order=order)
    for block, made in firms_production(group, shares, products, quantities=quantities):
        block.reduce_into(leaves, made)
    return group.outputs(leaves)


def firms_production(
    group: Group,
    shares: np.ndarray,
    products: np.ndarray,
    *,
    quantities: np.ndarray | None = None,
) -> Iterator[tuple[Block, np.ndarray]]:
    """The output of each firm of a group, (..., firms), in blocks that fit into the cache.

    Parameters are those of :func:`produce`; without ``quantities``, ``shares`` are units.
    """
    lead = shares.shape[:-1]

    def delivered(slot: AnySlot) -> np.ndarray:
        return slot.of(shares) if quantities is None else slot.delivered(shares, quantities)

    for part, block in group.blocks(max(1, int(np.prod(lead)))):
        made, of_inputs = part.production(taken(part.slots, delivered))
        for slot, product in zip(part.slots, of_inputs, strict=True):
            slot.write(products, product)
        yield block, np.broadcast_to(made, (*lead, part.size))
