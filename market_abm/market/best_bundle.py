"""The demand of a household: the goods that maximise its utility, of all that its income buys.

Used by mechanisms in which agents plan at quoted prices (``mechanisms/tatonnement.py``). A
household knows its own utility, its income and the prices quoted to it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.errors import EconomyError
from market_abm.keys import quoted
from market_abm.market.best_plan import GAIN_TOL, MAX_STEP, STEP_TOL
from market_abm.market.budget_shares import budget_shares
from market_abm.market.log_products import flat, flattened, log_slopes, stacked
from market_abm.market.proportions import bundles
from market_abm.market.simplex import maximize_on_simplex
from market_abm.market.small_systems import largest_eigenvalue, newton_step

MAX_NEWTON_STEPS = 40
"""The maximal number of Newton steps from one point; many only to a good that is hardly bought."""

WORTH_TOL = 1e-13
"""By how much, relatively, a first unit of a good that is not bought may exceed its price."""

GAIN_ROUNDING = 1e-15
"""Gaps of logarithms below which a Newton step is rounding: a good is hardly bought."""

CURVATURE_TOL = 1e-13
"""The least curvature along the budget that counts: that of perfect substitutes is rounding."""

HARDLY_BOUGHT = 1e-5
"""Budget shares that may be 0, where a first unit is just worth its price."""

BETTER_TOL = 1e-9
"""By how much, relatively, another bundle may be worth more than the best: rounding."""


class Bundle(NamedTuple):
    """What households buy.

    Attributes
    ----------
    inputs
        Units, shape (goods, ...).
    utility
        Shape (...).
    weight
        α, the income that a unit of utility takes at the margin, money per unit of utility: 1 / λ,
        with λ the marginal utility of income; shape (...).
    found
        Mask of the bundles that maximise utility, shape (...).
    """

    inputs: np.ndarray
    utility: np.ndarray
    weight: np.ndarray
    found: np.ndarray

    @property
    def marginal_utility_of_income(self) -> np.ndarray:
        """λ, units of utility per money, shape (...)."""
        return 1.0 / self.weight


@np.errstate(all="ignore")
def best_bundle(utility: Technology, income: Any, prices: Any, guess: np.ndarray) -> Bundle:
    """Maximise U(x) subject to Σ π x = income, x >= 0.

    Parameters
    ----------
    utility
        The line of the household, U.
    income
        Money, shape (...).
    prices
        π, money per unit, shape (goods, ...).
    guess
        Of x, units, shape (goods, ...); what is 0 in it is first tried as not bought.

    Returns
    -------
    Bundle
        ``found`` is false where income or the price of a good is not positive; where more of
        nothing is worth anything (satiation: ``weight`` is then not positive); where no bundle was
        found that is a strict maximum among those nearby, and worth no less than any single good.

    Notes
    -----
    At the maximum ∂U/∂x = λ π, or ∂U/∂x <= λ π where x = 0; for a concave U this is sufficient.
    Preferences in nests of ``ces``, ``cobb_douglas`` and ``min`` have a closed form
    (``budget_shares.py``); other goods of which fixed proportions are used are one
    (``proportions.py``). For others the logarithms of both sides and of the budget are a system
    of equations in ln x and ln λ, solved by Newton's method, from the guess or, where that fails,
    from the maximum over the simplex of budget shares by an interior-point method (``simplex.py``),
    which also says what is not bought.
    """
    shape = np.broadcast_shapes(guess.shape[1:], np.shape(income), np.shape(prices)[1:])
    count = len(guess)
    line = flattened(utility, shape)
    money = flat(np.asarray(income, float), shape)
    cost = flat(np.asarray(prices, float), (count, *shape), keep=1)
    first = flat(guess, (count, *shape), keep=1)
    able = (money > 0.0) & np.all((cost > 0.0) & np.isfinite(cost), axis=0) & np.isfinite(money)
    money, cost = np.where(able, money, 1.0), np.where(able, cost, 1.0)
    bought, found = _bought(line, money, cost, first, able)
    made, products = line.production(list(bought))
    made = np.broadcast_to(made, money.shape)
    earned = _total(stacked(products, cost.shape) * bought)
    weight = np.where(np.isfinite(made), money / earned, np.nan)
    return Bundle(
        bought.reshape(count, *shape),
        made.reshape(shape),
        weight.reshape(shape),
        (found & (weight > 0.0)).reshape(shape),
    )


def _bought(
    utility: Technology, money: np.ndarray, cost: np.ndarray, guess: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the ``active`` households buy, (goods, households), and whether it was found."""
    known = bundles(utility) if utility.branching else None
    if known is not None:
        costs, begin = known.cost(cost), known.within(guess)
        bought, found = _bought(known.technology, money, costs, begin, active)
        return known.content(bought), found
    shares = budget_shares(utility, cost)
    if shares is None:
        return _Problem(utility, money, cost).solve(guess, active)
    return shares * money / cost, active


class _Problem:
    """Maximise U of many households subject to their budgets.

    ``money`` has shape (households,), ``cost`` (goods, households).
    """

    def __init__(self, utility: Technology, money: np.ndarray, cost: np.ndarray) -> None:
        self.utility, self.money, self.cost = utility, money, cost

    def select(self, which: np.ndarray) -> _Problem:
        """The problem of some households, by their indices."""
        parameters = {
            key: np.asarray(each)[which] if np.ndim(each) else each
            for key, each in self.utility.parameters.items()
        }
        line = self.utility.with_parameters(parameters)
        return _Problem(line, self.money[which], self.cost[:, which])

    def solve(self, guess: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The maximum, (goods, households), and whether it was found, of the ``active``."""
        usable = np.isfinite(guess) & (guess >= 0.0)
        guess = np.where(usable & np.any(guess > 0.0, axis=0), guess, 1.0)
        bought, found = self.newton(guess, guess == 0.0, active)
        left = np.flatnonzero(active & ~found)
        if len(left):
            bought[:, left], found[left] = self.select(left).search(guess[:, left])
        return bought, found

    def search(self, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`solve`, by way of the maximum over the simplex of budget shares."""
        spent = self.cost * guess / _total(self.cost * guess)
        shares, slack = maximize_on_simplex(self.utility, self.money / self.cost, spent)
        near = shares * self.money / self.cost
        best, found = near, np.zeros(self.money.shape, bool)
        nothing = np.zeros(shares.shape, bool)
        for unused in (shares < slack, nothing, shares < HARDLY_BOUGHT):
            trial, better = self.newton(np.where(unused, 0.0, near), unused, ~found)
            best, found = np.where(better, trial, best), found | better
        return best, found

    def newton(
        self, bought: np.ndarray, unused: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Newton's method with the ``unused`` goods at 0, and whether it found the maximum."""
        fixed = np.vstack([unused, np.zeros((1, unused.shape[1]), bool)])
        at = np.log(self.cost * bought / self.money)  # of budget shares
        point = np.vstack([at, self.log_worth(at)])
        value = self.gaps(point, fixed)
        for _ in range(MAX_NEWTON_STEPS):
            size = np.max(np.abs(value), axis=0)
            slopes = log_slopes(self.utility, self.log_units(point[:-1]))
            step = newton_step(self.matrix(point, slopes), value, fixed)
            step[:-1] = np.clip(step[:-1], -MAX_STEP, MAX_STEP)
            near = (size < GAIN_TOL) & np.all(np.abs(step) < STEP_TOL, axis=0)
            near |= size < GAIN_ROUNDING
            if np.all(near | ~active):
                break
            trial = point + step
            gaps = self.gaps(trial, fixed)
            left = np.max(np.abs(gaps), axis=0)
            nearer = active & ~near & ((left < size) | ((size > GAIN_TOL) & np.isfinite(left)))
            if not nearer.any():
                break
            point, value = np.where(nearer, trial, point), np.where(nearer, gaps, value)
        found = active & near
        shares = np.exp(np.where(found, point + step, point)[:-1])
        bought = shares / _total(shares) * self.money / self.cost
        if found.any():
            found = found & self.is_maximum(bought, unused, slopes)
        return bought, found

    def log_units(self, at: np.ndarray) -> np.ndarray:
        """The logarithms of units, of those of budget shares."""
        return at + np.log(self.money) - np.log(self.cost)

    def worth(self, bought: np.ndarray) -> np.ndarray:
        """∂U/∂x income / π: the slope of U over budget shares, (goods, households)."""
        products = stacked(self.utility.production(list(bought))[1], bought.shape)
        return products * self.money / self.cost

    def log_worth(self, at: np.ndarray) -> np.ndarray:
        """The logarithm of the mean worth at these logarithms of budget shares, (1, households)."""
        shares = np.exp(at)
        worth = self.worth(np.exp(self.log_units(at)))
        return np.log(_total(np.where(shares > 0.0, shares * worth, 0.0)) / _total(shares))[None]

    def gaps(self, point: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Logarithms of worth over λ of each good, and of spending over income; 0 if ``fixed``."""
        at, worth = point[:-1], point[-1]
        gains = np.log(self.worth(np.exp(self.log_units(at)))) - worth
        spent = np.log(_total(np.exp(at)))
        return np.where(fixed, 0.0, np.vstack([gains, spent[None]]))

    @staticmethod
    def matrix(point: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """The derivative of :meth:`gaps`, (households, goods + 1, goods + 1)."""
        shares = np.exp(point[:-1])
        count, households = shares.shape
        matrix = np.zeros((households, count + 1, count + 1))
        matrix[:, :-1, :-1], matrix[:, :-1, -1] = slopes, -1.0
        matrix[:, -1, :-1] = (shares / _total(shares)).T
        return matrix

    def is_maximum(self, bought: np.ndarray, unused: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Whether no unit that is not bought is worth more, and U bends along the budget.

        ``slopes`` are those of the logarithms of marginal utilities at ``bought``. Where something
        is not bought, no single good may be worth more, either.
        """
        shares, worth = self.cost * bought / self.money, self.worth(bought)
        mean = _total(np.where(unused, 0.0, shares * worth))
        best = np.all(~unused | (worth <= mean * (1.0 + WORTH_TOL)), axis=0)
        best &= np.all(unused | (bought > 0.0), axis=0)
        roots = np.where(unused, 0.0, np.sqrt(shares)).T
        both = ~(unused.T[:, :, None] | unused.T[:, None, :])
        over = np.where(roots > 0.0, roots, 1.0)
        bends = np.where(both, slopes, 0.0) * roots[:, :, None] / over[:, None, :]
        best &= np.all(np.isfinite(bends), axis=(-2, -1))
        bends = np.where(np.isfinite(bends), bends, 0.0)
        along = roots[:, :, None] * roots[:, None, :]
        project = np.eye(len(bought)) - along
        within = project @ (bends + np.swapaxes(bends, -1, -2)) @ project / 2.0
        idle = np.eye(len(bought)) * unused.T[:, None, :]
        best &= largest_eigenvalue(within - along - idle) < -CURVATURE_TOL
        if np.any(unused & best):
            best &= self.no_single_good_is_better(bought)
        return best

    def no_single_good_is_better(self, bought: np.ndarray) -> np.ndarray:
        """Whether no household would rather spend all it has on one good, shape (households,)."""
        count = len(bought)
        alone = np.eye(count)[:, :, None] * (self.money / self.cost)[:, None, :]
        several = np.concatenate([bought[:, None], alone], axis=1)
        made = np.broadcast_to(self.utility.production(list(several))[0], several.shape[1:])
        rounding = BETTER_TOL * np.abs(made[0])
        return ~np.any(made[1:] > made[0] + rounding, axis=0)


def _total(parts: np.ndarray) -> Any:
    """The sum over the first axis, one after another, whatever the number of households."""
    return np.add.accumulate(parts, axis=0)[-1]


def no_bundle_error(
    name: str, income: float, weight: float, subsidies: Sequence[str] = ()
) -> EconomyError:
    """The error of a household that finds no best bundle.

    Parameters
    ----------
    name
        Of the household.
    income
        What it has, money.
    weight
        Of the bundle that was tried, money per unit of utility (:class:`Bundle`).
    subsidies
        The names of those that it pays.
    """
    where = f"households.{quoted(name)}"
    if not income > 0.0:
        paid = " and ".join(f"taxes.{quoted(each)}" for each in subsidies)
        return EconomyError(
            f"the household '{name}' has {income:.6g} to spend at the prices called"
            + (f" when it has paid the subsidy {paid}" if paid else ""),
            remedy=(f"raise the rate of {paid} towards 0, or " if paid else "")
            + f"raise {where}.endowment or {where}.transfer",
            name=where,
        )
    if weight <= 0.0:
        return EconomyError(
            f"the household '{name}' is satiated: with {income:.6g} to spend, more of nothing that "
            "it wants is worth anything to it",
            remedy=f"let {where}.utility rise in some good without end, or lower its endowment",
            name=where,
        )
    return EconomyError(
        f"the demand of the household '{name}' is not determined: with {income:.6g} to spend, its "
        "utility has no strict maximum, or no value",
        remedy=f"make {where}.utility strictly concave where it spends (goods that are perfect "
        'substitutes are not), or use market.mechanism = "trading-post"',
        name=where,
    )
