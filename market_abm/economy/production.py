"""Production: the firms of industries, run or differentiated at given inputs."""

from __future__ import annotations

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry, production


@np.errstate(all="ignore")
def marginal_products(economy: Economy, inputs: np.ndarray) -> np.ndarray:
    """∂(firm's output)/∂(input) for every buyer at ``inputs``; both of shape (..., buyers)."""
    products = np.zeros_like(inputs)
    for industry in economy.topological_order:
        firms_production(economy, industry, inputs, products)
    return products


def firms_production(
    economy: Economy,
    industry: Industry,
    shares: np.ndarray,
    products: np.ndarray,
    *,
    quantities: np.ndarray | None = None,
) -> np.ndarray:
    """The output of each firm of an industry; marginal products are written to ``products``.

    Parameters
    ----------
    economy
        The economy, vectorized if there are several runs.
    industry
        One of its industries.
    shares
        Its firms' shares of each good that they buy; without ``quantities``, the units themselves,
        shape (..., buyers).
    products
        Where to write ∂(firm's output)/∂(input), shape (..., buyers).
    quantities
        Units of each good, shape (..., goods).

    Returns
    -------
    numpy.ndarray
        Units, shape (..., firms).
    """
    firms = industry.weights, industry.productivity
    if industry.technology.vectorized:
        places = economy.buyers.of_industry[industry.good]
        stack = shares[..., places]
        if quantities is not None:
            stack = stack * quantities[..., economy.buyers.bought[industry.good], None]
        made, of_inputs = production(industry.technology, np.moveaxis(stack, -2, 0), *firms)
        products[..., places] = np.moveaxis(of_inputs, 0, -2)
    else:
        uses = economy.buyers.uses[industry.good]
        inputs = [shares[..., use] for use in uses]
        if quantities is not None:
            bought = economy.buyers.bought[industry.good].tolist()
            inputs = [
                share * quantities[..., k : k + 1] for share, k in zip(inputs, bought, strict=True)
            ]
        made, of_inputs = production(industry.technology, inputs, *firms)
        for use, product in zip(uses, of_inputs, strict=True):
            products[..., use] = product
    return np.broadcast_to(made, (*shares.shape[:-1], industry.firms))
