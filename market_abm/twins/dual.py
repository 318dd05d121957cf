"""The dual potential of an economy and its gradient, which Walras's auctioneer descends.

With the best responses of all agents to given prices, the sum of their profits and surpluses is

    Φ(p) = Σ_firms max_x (p z w f(x/w) - Σ π x) + Σ_suppliers max_q (p q - ∫MC dq)
         + Σ_consumers max_c (p0 c0 + ∫P dc - p c),

a convex function of prices. Its minimum is the maximal total surplus W, and its gradient is supply
less demand (Hotelling's lemma; K. J. Arrow and L. Hurwicz, Econometrica 26, 1958). The lemma is not
used here: Φ is computed from its definition, with profits maximised one by one, and its gradient by
finite differences.

**Quotes.** Every pool of buyers and every final good has a quote, money per unit; arrays of quotes,
(..., quotes), hold the pools of ``economy.buyers.pools`` and then the final goods of
``economy.demand``. The price of a good is the sum of its quotes: one if it is rival, those of all
its users if it is nonrival, or that of its consumer. The quote of a final good of infinite demand
elasticity is p0, a constant, and its partial derivative is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.terms import Demand, Supply
from market_abm.twins import terms
from market_abm.twins.profits import check_concave, profit_maximizing_inputs
from market_abm.twins.terms import InitialState

LARGEST_STEP, STEP_RATIO, STEPS = 0.01, 4.0, 8
"""Finite differences: the largest step, relative to the quote, the ratio of successive steps, and
their number."""

PLAN_COST, PLAN_WORK = 5_000, 10
"""The work of finding best plans, in numbers: of a call, and of each input and its slopes."""


# --- quotes ---------------------------------------------------------------------------------------


def good_of_quotes(economy: Economy) -> np.ndarray:
    """The place in ``economy.goods`` of the good of each quote, (quotes,)."""
    return np.array([*(pool.good for pool in economy.buyers.pools), *economy.final], int)


def quotes_of_goods(economy: Economy) -> list[np.ndarray]:
    """For each good, the places of its quotes."""
    good = good_of_quotes(economy)
    return [np.flatnonzero(good == k) for k in range(len(economy.goods))]


def prices(economy: Economy, quotes: np.ndarray) -> np.ndarray:
    """Each good's price, money per unit, (..., goods): the sum of its quotes, (..., quotes)."""
    parts = [quotes[..., places].sum(axis=-1) for places in quotes_of_goods(economy)]
    return np.stack(parts, axis=-1)


def first_quotes(economy: Economy, initial: InitialState, start_price: float) -> np.ndarray:
    """The quotes of step 0, money per unit, shape (quotes,).

    The price of a raw good is r0, of a final good that of the ``initial`` quantity, and of other
    goods ``start_price``. The quotes of the users of a nonrival good are equal.
    """
    reference = terms.references(economy, initial.quantities)
    finals = zip(economy.final, terms.net_demand(economy), reference, strict=True)
    price = np.full(len(economy.goods), start_price)
    price[: len(economy.supply)] = [supply.price for supply in economy.supply.values()]
    for good, demand, amount in finals:
        price[good] = terms.demand_price(demand, amount, initial.quantities[good])
    quotes = np.zeros(len(economy.buyers.pools) + len(economy.final))
    for each, places in zip(price, quotes_of_goods(economy), strict=True):
        quotes[places] = each / len(places)
    return quotes


# --- the terms of the potential -------------------------------------------------------------------


class Term(Protocol):
    """The maximal gain of some agents at given quotes.

    ``reads`` are the places of the variable quotes on which it depends.
    """

    reads: np.ndarray

    def __call__(self, quotes: np.ndarray) -> np.ndarray:
        """The gain, money, shape (...), at ``quotes``, shape (..., quotes)."""


class _Firms:
    """The sum of the maximal profits of the firms of one industry.

    Firms of one productivity z differ in size only: profit is w max_u (p z f(u) - π u). There is
    one problem for each productivity, weighted by the total weight of its firms.
    """

    def __init__(
        self, economy: Economy, industry: Industry, initial: InitialState, fixed: np.ndarray
    ) -> None:
        places = terms.places(economy, industry)
        self.industry, self.places = industry, places
        self.output = quotes_of_goods(economy)[economy.index[industry.good]]
        self.inputs = economy.buyers.pool[places[:, 0]]
        self.reads = np.setdiff1d(np.union1d(self.output, self.inputs), fixed)
        self.levels, self.level = np.unique(industry.productivity, return_inverse=True)
        self.weights = np.bincount(self.level, industry.weights)
        guess = (initial.inputs[places] / industry.weights).T[:1]
        self.guess = np.where(np.isfinite(guess) & (guess > 0.0), guess, 1.0)
        self.last: dict[tuple[int, ...], np.ndarray] = {}
        self.work = 0
        check_concave(industry, self.guess)

    def best(self, quotes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Optimal inputs of a firm of weight 1, (..., levels of z, inputs), and its profit."""
        worth = quotes[..., self.output].sum(axis=-1)[..., None] * self.levels
        shape = (*worth.shape, len(self.inputs))
        costs = np.broadcast_to(quotes[..., None, self.inputs], shape)
        costs = costs.reshape(worth.size, len(self.inputs))
        guess = np.broadcast_to(self.last.get(worth.shape, self.guess), costs.shape)
        self.work += PLAN_COST + PLAN_WORK * costs.size * (1 + len(self.inputs))
        found, profit = profit_maximizing_inputs(self.industry, worth.ravel(), costs, guess)
        self.last[worth.shape] = np.where(found > 0.0, found, self.guess)
        return found.reshape(shape), profit.reshape(worth.shape)

    def __call__(self, quotes: np.ndarray) -> np.ndarray:
        return self.best(quotes)[1] @ self.weights


class _Supplier:
    """max_q (p q - ∫MC dq): the producer's surplus p q/(1 + η) of an isoelastic curve."""

    def __init__(self, supply: Supply, reads: np.ndarray) -> None:
        self.terms, self.reads = supply, reads

    def __call__(self, quotes: np.ndarray) -> np.ndarray:
        price = quotes[..., self.reads].sum(axis=-1)
        amount = terms.supplied(self.terms, price)
        return price * amount - terms.production_cost(self.terms, amount)


class _Consumer:
    """max_c (p0 c0 + ∫P dc - p c)."""

    def __init__(self, demand: Demand, reference: float, place: int) -> None:
        self.terms, self.reference, self.reads = demand, reference, np.array([place])

    def __call__(self, quotes: np.ndarray) -> np.ndarray:
        price = quotes[..., self.reads[0]]
        amount = terms.demanded(self.terms, self.reference, price)
        return terms.consumer_value(self.terms, self.reference, amount) - price * amount


class Dual:
    """The dual potential Φ of an economy.

    Parameters
    ----------
    economy
        The economy.
    initial
        Its initial state, by default that of ``economy``; it gives reference quantities.

    Raises
    ------
    EconomyError
        A line has constant or increasing returns, so that profit has no maximum.
    """

    @np.errstate(all="ignore")
    def __init__(self, economy: Economy, initial: InitialState | None = None) -> None:
        initial = InitialState.of(economy) if initial is None else initial
        self.economy = economy
        self.reference = terms.references(economy, initial.quantities)
        last = len(economy.buyers.pools)
        finals = list(enumerate(terms.net_demand(economy), last))
        fixed = np.array([place for place, each in finals if np.isinf(each.elasticity)], int)
        self.firms = [
            _Firms(economy, industry, initial, fixed) for industry in economy.topological_order
        ]
        places = quotes_of_goods(economy)
        self.terms: list[Term] = [
            *self.firms,
            *(_Supplier(each, places[k]) for k, each in enumerate(economy.supply.values())),
            *(
                _Consumer(each, self.reference[place - last], place)
                for place, each in finals
                if np.isfinite(each.elasticity)
            ),
        ]

    @np.errstate(all="ignore")
    def value(self, quotes: np.ndarray) -> np.ndarray:
        """Φ at ``quotes``, (..., quotes): money, shape (...)."""
        return np.sum([term(quotes) for term in self.terms], axis=0)

    @np.errstate(all="ignore")
    def gradient(self, quotes: np.ndarray) -> np.ndarray:
        """∇Φ at ``quotes``, (quotes,), by finite differences: units, shape (quotes,).

        Each term is differentiated with respect to the quotes that it reads.
        """
        total = np.zeros(quotes.shape)
        for term in self.terms:
            total[term.reads] += partial_derivatives(term, quotes, term.reads)
        return total

    @np.errstate(all="ignore")
    def best_responses(self, quotes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The supply of each good, (goods,), and the optimal inputs, (buyers,), in units."""
        price = prices(self.economy, quotes)
        supply = self.economy.supply.values()
        raw = [terms.supplied(each, price[k]) for k, each in enumerate(supply)]
        quantities = np.append(raw, np.zeros(len(self.firms)))
        inputs = np.zeros(self.economy.buyers.size)
        for firms in self.firms:
            industry = firms.industry
            best = firms.best(quotes)[0][firms.level].T * industry.weights
            inputs[firms.places] = best
            made = np.sum(terms.output(industry, best))
            quantities[self.economy.index[industry.good]] = made
        return quantities, inputs


class DualDescent:
    """p ← p - λ ∇Φ(p), with λ in money per unit, for each unit of excess demand."""

    name: ClassVar[str] = "gradient descent on the dual potential"
    activations: ClassVar[tuple[str, ...]] = ("simultaneous",)
    where: ClassVar[str] = ""

    def __init__(self, economy: Economy, settings: Any) -> None:
        initial = InitialState.of(economy)
        self.economy, self.rate, self.dual = economy, settings.auction_rate, Dual(economy, initial)
        self.quotes = first_quotes(economy, initial, settings.start_price)

    @property
    def work(self) -> int:
        """The numbers computed so far."""
        return sum(firms.work for firms in self.dual.firms)

    def applies(self) -> bool:
        """True: it is at every step."""
        return True

    def mixed_dates(self) -> np.ndarray | None:
        """None: nothing is made, so that nothing has a date."""
        return None

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step: best responses to its quotes.

        Shares are inputs over the quantity offered, and 0 where nothing is offered.
        """
        quantities, inputs = self.dual.best_responses(self.quotes)
        offered = quantities[self.economy.buyers.good]
        shares = np.where(offered == 0.0, 0.0, inputs / np.where(offered == 0.0, 1.0, offered))
        return quantities, prices(self.economy, self.quotes), shares

    def step(self) -> None:
        """Make one step."""
        self.quotes = self.quotes - self.rate * self.dual.gradient(self.quotes)


def potential(economy: Economy, quotes: np.ndarray) -> float:
    """Φ(p), money, at ``quotes``, (quotes,); NaN where a profit or surplus has no maximum.

    Raises
    ------
    EconomyError
        A line has constant or increasing returns.
    """
    return float(Dual(economy).value(np.asarray(quotes, float)))


def potential_slope(economy: Economy, quotes: np.ndarray) -> np.ndarray:
    """∇Φ(p), units, (quotes,), by finite differences of Φ at ``quotes``, (quotes,).

    It is 0 for final goods of infinite demand elasticity. It has about ten digits, and two fewer
    where a firm is about to shut down, since the gradient has a kink there.

    Raises
    ------
    EconomyError
        A line has constant or increasing returns.
    """
    return Dual(economy).gradient(np.asarray(quotes, float))


# --- finite differences ---------------------------------------------------------------------------


def partial_derivatives(
    function: Callable[[np.ndarray], np.ndarray], point: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Partial derivatives by Ridders' method, shape (places,).

    Central differences with decreasing steps are extrapolated to zero (Richardson); the estimate
    with the least error, the difference to its neighbours and rounding, is returned (C. Ridders,
    Advances in Engineering Software 4, 1982).

    Parameters
    ----------
    function
        Maps points of shape (..., n) to numbers of shape (...).
    point
        Shape (n,).
    places
        The places of ``point`` with respect to which to differentiate.
    """
    sizes = np.abs(point[places])
    scale = np.where(sizes > 0.0, sizes, np.max(np.abs(point), initial=0.0) or 1.0)
    steps = LARGEST_STEP * scale[:, None] * STEP_RATIO ** -np.arange(STEPS)
    points = np.tile(point, (len(places), STEPS, 2, 1))
    for k, place in enumerate(places):
        points[k, :, 0, place] += steps[k]
        points[k, :, 1, place] -= steps[k]
    values = function(points)
    span = np.array([points[k, :, 0, p] - points[k, :, 1, p] for k, p in enumerate(places)])
    span = span.reshape(values.shape[:-1])
    column = (values[..., 0] - values[..., 1]) / span
    rounding = np.finfo(float).eps * np.max(np.abs(values), axis=-1) / span
    found, errors = [], []
    for order in range(1, STEPS):
        gain = STEP_RATIO ** (2 * order) - 1.0
        refined = column[:, 1:] + (column[:, 1:] - column[:, :-1]) / gain
        error = np.fmax(np.abs(refined - column[:, 1:]), np.abs(refined - column[:, :-1]))
        error += rounding[:, order:]
        found.append(refined)
        errors.append(np.where(np.isnan(error), np.inf, error))
        column = refined
    least = np.argmin(np.concatenate(errors, axis=1), axis=1)
    return np.concatenate(found, axis=1)[np.arange(len(places)), least]
