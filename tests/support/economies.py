"""Economies that several test files use."""

import dataclasses

import numpy as np

import market_abm
from market_abm.baselines.dessertaine2022.economy import NetworkEconomy, random_network

BAKERY = """
[economy]
program = '''
flour = 3 * wheat ** 0.7
bread = ces(flour, labour, elasticity=0.5, weights=(0.4, 0.6)) ** scale
'''
parameters = { scale = 0.8 }
[supply.wheat]
quantity = 5.0
price = 0.3
elasticity = 0.4
adjustment = 0.3
[supply.labour]
quantity = 2.0
[demand.bread]
price = 2.0
elasticity = 1.5
[run]
steps = 600
"""


def split(depth: int, sigma: float) -> market_abm.Economy:
    """x into two branches of ``depth`` identity industries each, into a CES; unequal weights.

    At depth 0 x goes straight into two isoelastic lines, between which shares move alike.
    """
    if depth == 0:
        return market_abm.from_text(two_uses(sigma), supply={"x": 1.0})
    lines = ["a1 = x", "b1 = x"]
    for k in range(2, depth + 1):
        lines += [f"a{k} = a{k - 1}", f"b{k} = b{k - 1}"]
    lines.append(f"y = ces(a{depth}, b{depth}, elasticity={sigma}, weights=(0.3, 0.7))")
    return market_abm.from_text("\n".join(lines), supply={"x": 1.0}, demand={"y": 1.0})


def two_uses(sigma: float) -> str:
    """Two lines whose marginal products of x are 0.3 x^(-1/σ) and 0.7 x^(-1/σ)."""
    power = 1 - 1 / sigma
    of_x = f"x ** {power} / {power}" if power else "ln(x)"
    return f"a = 0.3 * {of_x}\nb = 0.7 * {of_x}"


def uneven(seed: int, substitution: float, returns: float = 1.0, **more: float) -> NetworkEconomy:
    """A network in which nothing is equal: J is not a, and firms differ in productivity."""
    rng = np.random.default_rng(seed)
    made = random_network(8, 3, seed, labour_share=0.4)
    made = dataclasses.replace(
        made,
        coefficients=made.coefficients * rng.uniform(0.5, 2.0, made.coefficients.shape),
        productivity=rng.uniform(0.8, 1.25, 8),
        labour=1.3,
        aversion=0.7,
        **more,
    )
    return made.with_technology(substitution, returns, hawkins_simon=0.9)
