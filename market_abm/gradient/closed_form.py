"""The equilibrium of a national economy in closed form, from its input-output table alone.

The economy is that of ``from_input_output`` with one unit of one primary factor. A are the
industries' cost shares, β the household's, which spends 1 by fixed shares (docs/model.md, 4).

* Sales over final use are the Domar weights λ = (I - A)⁻¹ β (E. Domar, Economic Journal 71, 1961).
* In any efficient economy productivities z change real consumption C by d ln C = λ · d ln z (C.
  Hulten, Review of Economic Studies 45, 1978): λ is a gradient.
* Beyond first order the effect depends on substitution between inputs (D. Baqaee and E. Farhi,
  Econometrica 87, 2019): see :func:`second_order`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.from_table import HOUSEHOLD, MATERIALS, SUBSTITUTION
from market_abm.economy.io_table import InputOutputTable
from market_abm.errors import MarketError

MAX_ITERATIONS = 100
"""The maximal number of Newton steps for the prices of nested lines; usually ten suffice."""


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """The competitive equilibrium of a table's economy at given productivities.

    Attributes
    ----------
    log_prices
        Shape (n,).
    sales
        Money per step, shape (n,).
    log_consumption
        ln C, with C real consumption over that of the table.
    shares
        Cost shares at these prices, shape (n, n).
    """

    log_prices: np.ndarray
    sales: np.ndarray
    log_consumption: float
    shares: np.ndarray


def spectral_radius(table: InputOutputTable) -> float:
    """The spectral radius of A: the factor by which successive rounds of purchases shrink."""
    return float(np.abs(np.linalg.eigvals(table.shares)).max())


def domar_weights(table: InputOutputTable) -> np.ndarray:
    """λ = (I - A)⁻¹ β, shape (n,): sales over final use. They sum to more than 1."""
    return np.linalg.solve(np.eye(table.size) - table.shares, table.final_shares)


def closed_form(
    table: InputOutputTable,
    productivity: np.ndarray | None = None,
    *,
    elasticity: float = 1.0,
    materials_elasticity: float | None = None,
    supply: float = 1.0,
) -> ClosedForm:
    """Prices, sales and consumption in closed form.

    The primary factor earns all that the household spends, 1, so its price is w = 1/supply. Every
    industry's price is its unit cost, with a = 1 - Σ A the primary shares:

    * σ = 1, the ``elasticity``: ln p = (I - Aᵀ)⁻¹ (a ln w - ln z);
    * any other σ: p^(1-σ) = z^(σ-1) (Aᵀ p^(1-σ) + a w^(1-σ)), linear in p^(1-σ);
    * with another ``materials_elasticity``: Newton's method on unit costs, exact to rounding.

    Parameters
    ----------
    table
        The table.
    productivity
        z, shape (n,); 1 by default.
    elasticity
        σ, of all inputs, or between materials and the factor.
    materials_elasticity
        That among materials; σ by default.
    supply
        Units of the primary factor.

    Raises
    ------
    MarketError
        There is no equilibrium: at these productivities and elasticities output would be 0 or
        infinite.
    """
    n = table.size
    log_z = np.zeros(n) if productivity is None else np.log(np.asarray(productivity, float))
    nested = materials_elasticity is not None and materials_elasticity != elasticity
    if nested:
        log_prices = _nested_prices(table, log_z, elasticity, float(materials_elasticity or 0.0))
    elif elasticity == 1.0:
        log_prices = np.linalg.solve(np.eye(n) - table.shares.T, -log_z)
    else:
        log_prices = _ces_prices(table, log_z, elasticity)
    inner = elasticity if materials_elasticity is None else materials_elasticity
    shares = _cost_shares(table, log_prices, elasticity, inner)[1]
    return ClosedForm(
        log_prices=log_prices - np.log(supply),
        sales=np.linalg.solve(np.eye(n) - shares, table.final_shares),
        log_consumption=float(np.log(supply) - table.final_shares @ log_prices),
        shares=shares,
    )


def equilibrium_prices(table: InputOutputTable, economy: Economy) -> np.ndarray | None:
    """Equilibrium prices of an economy made of ``table``, money per unit, shape (goods,).

    By :func:`closed_form`, with the current productivities, endowment, elasticities and spending of
    ``economy``; nothing else is read from its lines.

    Returns
    -------
    numpy.ndarray or None
        None where the closed form does not apply: with taxes, two factors, elastic supply, a
        household that does not spend the same at every price, nonrival goods, or unequal firms.

    Raises
    ------
    MarketError
        There is no equilibrium (see :func:`closed_form`).
    """
    demand = economy.demand[HOUSEHOLD]
    numbers = {i.good: i.productivity for i in economy.industries}
    if (
        len(economy.supply) > 1
        or economy.taxes
        or any(terms.responds for terms in economy.supply.values())
        or demand.elasticity != 1.0
        or demand.quantity is None
        or demand.form == "linear"
        or any(kind != "rival" for kind in economy.reuse.values())
        or any(np.ptp(each) > 0.0 for each in numbers.values())
    ):
        return None
    ((factor, terms),) = economy.supply.items()
    parameters = economy.industries[0].technology.parameters
    found = closed_form(
        table,
        np.array([numbers[code][0] for code in table.codes]),
        elasticity=parameters[SUBSTITUTION],
        materials_elasticity=parameters.get(MATERIALS),
        supply=terms.quantity,
    )
    prices = dict(zip(table.codes, np.exp(found.log_prices), strict=True))
    prices[factor] = 1.0 / terms.quantity
    prices[HOUSEHOLD] = np.exp(-found.log_consumption) / numbers[HOUSEHOLD][0]
    return demand.price * demand.quantity * np.array([prices[good] for good in economy.goods])


def second_order(
    table: InputOutputTable, *, elasticity: float = 1.0, materials_elasticity: float | None = None
) -> np.ndarray:
    """d² ln C / d(ln z_k)² of each industry k, at the table's own prices, shape (n,).

    By Hulten's theorem it is the derivative of the industry's Domar weight. With L = (I - A)⁻¹, a
    higher z_k lowers the price of i by L_ki d ln z_k; the cost share a_ij of buyer j changes by
    (1 - σ) times the change of i's price less that of j's unit cost; this changes the sales of k
    through L_k. Together,

        d² ln C / d(ln z_k)² = (σ - 1) Σ_j λ_j Var_j(L_k),

    with the variance of L_k over j's inputs (i with weight a_ij, the primary factor with L_k = 0).
    In a nested line the variance within materials has the factor of their elasticity, that between
    materials and the primary factor the line's. The household's fixed shares contribute nothing.
    Complements (σ < 1) amplify losses and dampen gains.
    """
    inner = elasticity if materials_elasticity is None else materials_elasticity
    shares, inverse = table.shares, np.linalg.inv(np.eye(table.size) - table.shares)
    sales = domar_weights(table)
    total = shares.sum(axis=0)
    mean = inverse @ shares  # row k: E_j(L_k); column j
    square = inverse**2 @ shares
    between_mean = mean**2 / np.where(total > 0.0, total, 1.0)
    within = square - between_mean
    between = between_mean - mean**2
    return ((inner - 1.0) * within + (elasticity - 1.0) * between) @ sales


# --- prices --------------------------------------------------------------------------------------


def _ces_prices(table: InputOutputTable, log_z: np.ndarray, elasticity: float) -> np.ndarray:
    """Log prices where w = 1, shape (n,), from the linear system for q = p^(1-σ).

    Solved for q - 1, to avoid cancellation near σ = 1: with D = z^(σ-1),
    (I - D Aᵀ) (q - 1) = D - 1.
    """
    power = elasticity - 1.0
    system = np.exp(power * log_z)[:, None] * table.shares.T
    if np.abs(np.linalg.eigvals(system)).max() >= 1.0:
        raise _no_equilibrium(elasticity)
    above = np.linalg.solve(np.eye(table.size) - system, np.expm1(power * log_z))
    if np.any(above <= -1.0):
        raise _no_equilibrium(elasticity)
    return np.log1p(above) / -power


@np.errstate(all="ignore")
def _nested_prices(
    table: InputOutputTable, log_z: np.ndarray, elasticity: float, inner: float
) -> np.ndarray:
    """Log prices where w = 1, shape (n,): Newton's method on ln p = ln(unit cost) - ln z."""
    log_prices = np.linalg.solve(np.eye(table.size) - table.shares.T, -log_z)
    for _ in range(MAX_ITERATIONS):
        log_costs, shares = _cost_shares(table, log_prices, elasticity, inner)
        gap = log_costs - log_z - log_prices
        if np.abs(gap).max() <= 4e-16 * (1.0 + np.abs(log_prices).max()):
            return log_prices
        log_prices = log_prices + np.linalg.solve(np.eye(table.size) - shares.T, gap)
        if not np.all(np.isfinite(log_prices)):
            break
    if np.all(np.isfinite(log_prices)) and np.abs(gap).max() <= 1e-13:
        return log_prices
    raise _no_equilibrium(elasticity)


def _cost_shares(
    table: InputOutputTable, log_prices: np.ndarray, elasticity: float, inner: float
) -> tuple[np.ndarray, np.ndarray]:
    """Log unit costs before productivity, (n,), and cost shares, (n, n), at w = 1."""
    shares, primary = table.shares, table.primary_shares
    total = shares.sum(axis=0)
    within = shares / np.where(total > 0.0, total, 1.0)
    materials = _mean(log_prices[:, None], within, 1.0 - inner)
    both = np.stack([materials, np.zeros_like(materials)])
    costs = _mean(both, np.stack([total, primary]), 1.0 - elasticity)
    spent = shares * np.exp(
        (1.0 - inner) * (log_prices[:, None] - materials) + (1.0 - elasticity) * (materials - costs)
    )
    return costs, spent


def _mean(logs: np.ndarray, weights: np.ndarray, power: float) -> np.ndarray:
    """The logarithm of a power mean over the first axis, of values with these ``logs``."""
    middle = (weights * logs).sum(axis=0)
    if power == 0.0:
        return middle
    return middle + np.log1p((weights * np.expm1(power * (logs - middle))).sum(axis=0)) / power


def _no_equilibrium(elasticity: float) -> MarketError:
    return MarketError(
        f"at these productivities, with elasticity {elasticity:g}, there is no equilibrium: output "
        "would be 0 or infinite",
        remedy="choose a smaller change, or an elasticity nearer to 1",
    )
