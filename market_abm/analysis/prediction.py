"""Predictions in closed form: the path of prices, the rate of convergence, and lasting errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.market.foresight import NONE, Foresight, foresight_of

CIRCLE = 2**16
"""Points of the unit circle: the error of an integral is the largest root to this power."""


def predicted_price_path(economy: Economy, market: Any, steps: int) -> np.ndarray | None:
    """Price over gradient at steps 0, 1, ..., ``steps``, shape (steps + 1, goods); or None.

    Where every good has one buyer, there are no loops and supply is fixed, quantities are constant
    and only bids move. Each of the n firms between a good and the consumer moves its bid by a
    fraction α of the gap in a step, so that the price is the gradient times P(T <= t), with T the
    trial of the n-th success in trials of probability α: a negative binomial, with distribution
    function I_α(n, t - n + 1), the regularised incomplete beta function (docs/model.md, 4).
    """
    buyers = economy.buyers
    alone = len(np.unique(buyers.good)) == buyers.size
    loops = any(economy.is_loop(component) for component in economy.components)
    noisy = any(industry.population.bid_noise > 0 for industry in economy.topological_order)
    bids_alone = market.rules.bids_form_prices and market.activation == "simultaneous"
    fixed = _is_fixed(economy)
    if not alone or loops or noisy or market.lag or not bids_alone or not fixed:
        return None
    from scipy.special import betainc  # slow to import

    ways = economy.stages
    n = np.array([ways[good] for good in economy.goods])
    t = np.arange(steps + 1)[:, None]
    within = betainc(np.maximum(n, 1), np.maximum(t - n + 1, 1), market.bid_rate)
    return np.where(n == 0, 1.0, np.where(t < n, 0.0, within))


def rate(economy: Economy, market: Any) -> float | None:
    """The factor by which a small disturbance shrinks or grows in a step; None if unknown.

    Where one variable follows x(t+1) = a x(t) - b x(t - τ), it is the largest root, in size, of
    λ^(τ+1) = a λ^τ - b; the steady state is stable if it is below 1. There are two such cases
    (docs/model.md, 4). A cobweb: a chain of identities between one supplier on its curve and one
    isoelastic consumer, a = 1 - ρ, b = ρη/ε. A split: one good that reaches a CES technology
    through two chains of d identities, a = 1, b = κ/σ, and further terms if buyers have foresight.
    A lag of prices adds to τ once for each agent on the way that uses a lagged price which moves
    (in a split the final good's does not).
    """
    share_response = market.rules.share_response(market)
    if share_response is None or market.activation == "random":
        return None
    cobweb = None if foresight_of(market).supply_line else _cobweb(economy)
    found = cobweb or _split(economy, share_response)
    if found is None:
        return None
    keep, response, stages, lagged = found
    delay = (stages if market.activation == "simultaneous" else 0) + lagged * market.lag
    devices = foresight_of(market) if cobweb is None else NONE
    if delay == 0 and devices == NONE:
        return abs(keep - response)
    polynomial = recursion(keep, response, delay, share_response, devices)
    return float(np.abs(np.roots(polynomial)).max())


def recursion(
    keep: float, response: float, delay: int, share_rate: float, devices: Foresight
) -> np.ndarray:
    """The polynomial in λ of one variable with foresight, the highest power first.

    x(t+1) = a x(t) + μ (x(t) - x(t-1)) - b (y + h (y - x(t-τ-1))) - (κβ/σ̂) (x(t) - y) with
    y = x(t-τ): the logarithm of the ratio of two shares, where the value of an input falls as its
    share to the power 1/σ, and b = κ/σ (docs/theory.md).

    Parameters
    ----------
    keep, response, delay
        a, b and τ.
    share_rate
        κ.
    devices
        μ, h, β and σ̂.
    """
    correction = share_rate * devices.pipeline / (devices.elasticity or 1.0)
    polynomial = np.zeros(delay + 3)
    polynomial[0] = 1.0
    polynomial[1] -= keep + devices.momentum - correction
    polynomial[2] += devices.momentum
    polynomial[-2] += response * (1.0 + devices.trend) - correction
    polynomial[-1] -= response * devices.trend
    return polynomial


def share_variance(
    response: float, delay: int, share_rate: float, noise: float, devices: Foresight = NONE
) -> float:
    """The stationary variance of the logarithm of the ratio of two shares, if bids are noisy.

    2 κ² ν² V: in each step the bids of two users for what they share have independent errors, of
    standard deviation ν in logarithms. V is the mean square of what is left of errors of size 1 in
    the recursion of :func:`recursion`, as an integral over the unit circle of λ; without devices
    and at τ = 1 it is (1 + k)/(k (1 - k) (2 + k)), k = κ/σ.

    Parameters
    ----------
    response, delay
        k = κ/σ and τ.
    share_rate
        κ.
    noise
        ν.
    devices
        μ, h, β and σ̂.

    Returns
    -------
    float
        Infinite if the recursion is unstable.
    """
    polynomial = recursion(1.0, response, delay, share_rate, devices)
    if np.abs(np.roots(polynomial)).max() >= 1.0:
        return math.inf
    circle = np.exp(2j * math.pi * np.arange(CIRCLE) / CIRCLE)
    errors = np.abs((1.0 + devices.trend) * circle - devices.trend)
    left = np.mean((errors / np.abs(np.polyval(polynomial, circle))) ** 2)
    return float(2.0 * (share_rate * noise) ** 2 * left)


def steady_state_error(economy: Economy) -> float | None:
    """The relative error of prices at the steady state, where firms do not take prices as given.

    The Lerner index: n equal Cournot firms that make the one final good, whose demand has the
    elasticity ε, value what they buy by the marginal revenue P (1 - 1/(nε)) in the place of the
    price P, and so does everybody upstream of them. None for any other economy.
    """
    if len(economy.demand) != 1:
        return None
    ((final, demand),) = economy.demand.items()
    maker = next(each for each in economy.industries if each.good == final)
    cournot = maker.population.conduct == "cournot"
    isoelastic = demand.form == "isoelastic" or (demand.form is None and (demand.quantity or 0) > 0)
    noisy = any(each.population.bid_noise > 0 for each in economy.industries)
    equal = bool(np.ptp(maker.weights) == 0.0 and np.ptp(maker.productivity) == 0.0)
    rival = all(reuse != "external" for reuse in economy.reuse.values())
    alone = cournot and isoelastic and equal and rival and not noisy
    if not alone or math.isinf(demand.elasticity):
        return None
    return 1.0 / (maker.firms * demand.elasticity)


def _is_fixed(economy: Economy) -> bool:
    """Whether offers respond to nothing, and no series moves anything."""
    responding = any(np.any(terms.responds) for terms in economy.supply.values())
    return not responding and economy.moves_until == 0.0


def _is_identity(industry: Industry) -> bool:
    formula = industry.technology.formula
    alone = industry.firms == 1 and float(industry.productivity[0]) == 1.0
    return formula.operation == "name" and alone and industry.population.bid_noise == 0


def _cobweb(economy: Economy) -> tuple[float, float, int, int] | None:
    """(1 - ρ, ρη/ε, delay, agents with lagged prices) of a chain of identities, or None."""
    single = len(economy.supply) == len(economy.demand) == 1
    chain = len(economy.buyers.pools) == economy.buyers.size and not economy.has_loops
    if not single or not chain or not all(_is_identity(i) for i in economy.topological_order):
        return None
    (supply,), (demand,) = economy.supply.values(), economy.demand.values()
    plain = supply.kind == "curve" and supply.form == "isoelastic" and supply.period == 1
    plain = plain and demand.form in (None, "isoelastic")
    if not plain or supply.elasticity == 0.0:
        return None
    adjustment = supply.adjustment
    response = adjustment * supply.elasticity / demand.elasticity
    lines = len(economy.topological_order)
    return 1.0 - adjustment, response, 2 * lines, lines + 1


def _split(economy: Economy, share_rate: float) -> tuple[float, float, int, int] | None:
    """(1, κ/σ, 2d + 1, d) of two chains of d identities that meet in a CES technology, or None."""
    fixed = _is_fixed(economy)
    elastic = all(math.isinf(terms.elasticity) for terms in economy.demand.values())
    if len(economy.supply) != 1 or len(economy.demand) != 1 or not fixed or not elastic:
        return None
    *branches, last = economy.topological_order
    formula = last.technology.formula
    if formula.operation != "ces" or len(last.technology.inputs) != 2 or economy.has_loops:
        return None
    if last.firms > 1 or not all(_is_identity(industry) for industry in branches):
        return None
    ways = [_upstream(economy, good) for good in last.technology.inputs]
    raw = next(iter(economy.supply))
    whole = ways[0][-1] == ways[1][-1] == raw and len(ways[0]) == len(ways[1])
    apart = len({*ways[0][:-1], *ways[1][:-1]}) == len(branches) == 2 * (len(ways[0]) - 1)
    if not whole or not apart or economy.reuse[raw] != "rival":
        return None
    elasticity = formula.arguments[0]
    if elasticity.operation not in ("number", "name"):
        return None
    sigma = (
        float(elasticity.payload)
        if elasticity.operation == "number"
        else float(last.technology.parameters[elasticity.payload])
    )
    depth = len(ways[0]) - 1
    return 1.0, share_rate / sigma, 2 * depth + 1, depth


def _upstream(economy: Economy, good: str) -> list[str]:
    """A good, its first input, that one's first input and so on, up to a raw good."""
    reads = {industry.good: industry.technology.inputs for industry in economy.topological_order}
    way = [good]
    while way[-1] in reads and len(way) <= len(reads):
        way.append(reads[way[-1]][0])
    return way
