"""The exact gradient: a forward pass and a reverse sweep over the network, as in the essay.

The essay's program and its backprop, and what they are here::

    a = x^(1/2)               forward_pass: y = f(inputs), line by line
    b = 1 - 1/(a+1)
    c = ln(b)

    df_dc = 1                 reverse_sweep: the final goods' prices, then line by line, backward:
    df_db = df_dc * dc_db         gradient[input] += gradient[output] * slope
    df_da = df_db * db_da
    df_dx = df_da * da_dx

Where a good is split, an extra unit of it reaches each user by the user's share; where it is
copied, each user gets all of it, and the users' terms add up (the sum rule). Lines that need each
other's goods (a loop) cannot be taken one after another: their gradients solve a linear system.
"""

from __future__ import annotations

import numpy as np

from market_abm import behaviour
from market_abm.economy import Economy, Industry
from market_abm.errors import EconomyError

MOST_ROUNDS = 20_000
"""How often the lines of a loop are repeated, at the most."""


@np.errstate(all="ignore")
def forward_pass(
    economy: Economy, shares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What the program computes with its goods split by ``shares``.

    ``shares`` has shape (buyers,), by default the equal split of the start. Returns the quantities,
    shape (goods,), and the inputs, shape (buyers,). The lines of a loop are repeated until they
    agree.

    Raises:
        EconomyError: a loop does not settle.
    """
    shares = economy.buyers.initial_shares if shares is None else shares
    quantities = np.zeros(len(economy.goods))
    inputs = np.zeros(economy.buyers.size)
    for good, supply in economy.supply.items():
        quantities[economy.index[good]] = supply.quantity

    def run(industry: Industry) -> None:
        buyers = economy.buyers.of_industry[industry.good]
        inputs[buyers] = shares[buyers] * quantities[economy.buyers.good[buyers]]
        made, _ = behaviour.production(
            industry.technology, inputs[buyers], industry.weights, industry.productivity
        )
        quantities[economy.index[industry.good]] = made.sum()

    for component in economy.components:
        if not economy.is_loop(component):
            run(component[0])
            continue
        places = [economy.index[industry.good] for industry in component]
        quantities[places] = [industry.population.start for industry in component]
        change, before = np.inf, quantities[places]
        for _ in range(MOST_ROUNDS):
            for industry in component:
                run(industry)
            change = relative_change(quantities[places], before)
            before = quantities[places]
            if not change > 4 * np.finfo(float).eps:
                break
        if not change <= 1e-12:
            raise EconomyError(
                f"the loop of {', '.join(i.good for i in component)} does not settle",
                remedy="let it use less of its own goods",
            )
    return quantities, inputs


def relative_change(after: np.ndarray, before: np.ndarray) -> float:
    """The largest |after - before| / |after|; NaN if any is not finite."""
    return float((np.abs(after - before) / np.where(after == 0.0, 1.0, np.abs(after))).max())


def exact_gradient(economy: Economy, shares: np.ndarray | None = None) -> dict[str, float]:
    """The derivative of the value of final output by each good, with goods split by ``shares``.

    No market is run: a forward pass, and a reverse sweep. ``shares`` are as in
    :func:`forward_pass`; the final goods are valued at their consumers' prices.

    Raises:
        EconomyError: a loop does not settle.
    """
    shares = economy.buyers.initial_shares if shares is None else shares
    _, inputs = forward_pass(economy, shares)
    prices = np.array([demand.price for demand in economy.demand.values()])
    gradient = reverse_sweep(economy, marginal_products(economy, inputs), shares, prices)
    return dict(zip(economy.goods, gradient.tolist(), strict=True))


@np.errstate(all="ignore")
def marginal_products(economy: Economy, inputs: np.ndarray) -> np.ndarray:
    """∂(firm's output)/∂(input) for every buyer at ``inputs``; both of shape (buyers,)."""
    products = np.zeros(economy.buyers.size)
    for industry in economy.flow:
        buyers = economy.buyers.of_industry[industry.good]
        _, products[buyers] = behaviour.production(
            industry.technology, inputs[buyers], industry.weights, industry.productivity
        )
    return products


@np.errstate(all="ignore")
def reverse_sweep(
    economy: Economy, products: np.ndarray, shares: np.ndarray, final_prices: np.ndarray
) -> np.ndarray:
    """∂(value of final output)/∂(each good), money per unit, shape (goods,).

    ``products`` are the marginal products and ``shares`` the shares at which to differentiate, both
    of shape (buyers,); ``final_prices`` what consumers pay, shape (final goods,).
    """
    gradient = np.zeros(len(economy.goods))
    gradient[economy.final] = final_prices
    slopes = shares * products
    for component in reversed(economy.components):
        if economy.is_loop(component):
            _solve_loop(economy, component, slopes, gradient)
        inside = {industry.good for industry in component}
        for industry in component:
            output = economy.index[industry.good]
            for good, buyers in _uses(economy, industry):
                if good not in inside:
                    gradient[economy.index[good]] += gradient[output] * slopes[buyers].sum()
    return gradient


def _uses(economy: Economy, industry: Industry) -> zip[tuple[str, np.ndarray]]:
    """Each input of the industry: the good, and its buyers (one a firm)."""
    return zip(industry.technology.inputs, economy.buyers.of_industry[industry.good], strict=True)


def _solve_loop(
    economy: Economy,
    component: tuple[Industry, ...],
    slopes: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Within a loop, gradient = (what comes from outside) + slopesᵀ gradient: solve for it."""
    place = {industry.good: k for k, industry in enumerate(component)}
    rows = [economy.index[good] for good in place]
    inner = np.zeros((len(component), len(component)))
    for industry in component:
        for good, buyers in _uses(economy, industry):
            if good in place:
                inner[place[good], place[industry.good]] += slopes[buyers].sum()
    try:
        gradient[rows] = np.linalg.solve(np.eye(len(component)) - inner, gradient[rows])
    except np.linalg.LinAlgError:
        gradient[rows] = np.nan
