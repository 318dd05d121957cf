"""The dual potential of an economy, and its slope: what Walras's auctioneer goes down.

With everybody's best answer to given prices, what all of them gain is

    Φ(p) = Σ_firms max_x (p z w f(x/w) - Σ π x) + Σ_suppliers max_q (p q - ∫MC dq)
         + Σ_consumers max_c (p0 c0 + ∫P dc - p c),

a convex function of prices whose least value is the greatest total surplus W, and whose slope is
what is supplied less what is demanded (Hotelling's lemma; K. J. Arrow and L. Hurwicz, Econometrica
26, 1958). Here the lemma is not used: Φ is computed as it stands, profits maximised one by one,
and its slope is taken by finite differences.

**Quotes.** Every pool of buyers has a quote, money per unit, and so has every final good; arrays of
them, (..., quotes), hold the pools of ``economy.buyers.pools`` and then the final goods of
``economy.demand``. A good's price is the sum of its quotes: that of its one pool if it is rival,
of all its users' if they copy it, or what its consumer is quoted. The quote of a final good whose
demand is elastic is p0, and no variable: it has no slope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.terms import Demand, Supply
from market_abm.errors import EconomyError
from market_abm.twins import terms
from market_abm.twins.terms import InitialState

if TYPE_CHECKING:
    pass

WIDEST, NARROWING, WIDTHS = 0.01, 4.0, 8
"""Finite differences: the widest, relative to the quote, and how often it is narrowed by what."""


MAX_ITERATIONS = 100
"""Newton steps, at the most, to the best inputs of a firm."""


CURVED = 1e-9
"""Curvature, relative to a line's slope, below which it is taken for straight."""


# --- quotes ---------------------------------------------------------------------------------------


def good_of_quotes(economy: Economy) -> np.ndarray:
    """The place in ``economy.goods`` of what each quote is of, (quotes,)."""
    return np.array([*(pool.good for pool in economy.buyers.pools), *economy.final], int)


def quotes_of_goods(economy: Economy) -> list[np.ndarray]:
    """For each good, the places of its quotes."""
    good = good_of_quotes(economy)
    return [np.flatnonzero(good == k) for k in range(len(economy.goods))]


def prices(economy: Economy, quotes: np.ndarray) -> np.ndarray:
    """Each good's price, money per unit, (..., goods): the sum of its quotes, (..., quotes)."""
    parts = [quotes[..., places].sum(axis=-1) for places in quotes_of_goods(economy)]
    return np.stack(parts, axis=-1)


def first_quotes(economy: Economy, day: InitialState, start_price: float) -> np.ndarray:
    """The quotes of step 0, (quotes,): raw goods at r0, final goods at what is paid for ``day``.

    Other made goods are quoted ``start_price``. The quotes of a copied good's users are equal.
    """
    reference = terms.references(economy, day.quantities)
    finals = zip(economy.final, economy.demand.values(), reference, strict=True)
    price = np.full(len(economy.goods), start_price)
    price[: len(economy.supply)] = [supply.price for supply in economy.supply.values()]
    for good, demand, amount in finals:
        price[good] = terms.demand_price(demand, amount, day.quantities[good])
    quotes = np.zeros(len(economy.buyers.pools) + len(economy.final))
    for each, places in zip(price, quotes_of_goods(economy), strict=True):
        quotes[places] = each / len(places)
    return quotes


# --- the terms of the potential -------------------------------------------------------------------


class Term(Protocol):
    """What somebody gains at best at given quotes.

    ``reads`` are the places of the quotes that it depends on, as far as they can move.
    """

    reads: np.ndarray

    def __call__(self, quotes: np.ndarray) -> np.ndarray:
        """The gain, money, (...), at ``quotes``, (..., quotes)."""


class _Firms:
    """The greatest profits of the firms of one industry, together.

    Firms of one productivity z differ in size only: profit is w max_u (p z f(u) - π u). So there
    is one problem for each productivity, counted by the weight of those who have it.
    """

    def __init__(
        self, economy: Economy, industry: Industry, day: InitialState, fixed: np.ndarray
    ) -> None:
        places = economy.buyers.of_industry[industry.good].reshape(-1, industry.firms)
        self.industry, self.places = industry, places
        self.output = quotes_of_goods(economy)[economy.index[industry.good]]
        self.inputs = economy.buyers.pool[places[:, 0]]
        self.reads = np.setdiff1d(np.union1d(self.output, self.inputs), fixed)
        self.skills, self.skill = np.unique(industry.productivity, return_inverse=True)
        self.weights = np.bincount(self.skill, industry.weights)
        usual = (day.inputs[places] / industry.weights).T[:1]
        self.usual = np.where(np.isfinite(usual) & (usual > 0.0), usual, 1.0)
        self.last: dict[tuple[int, ...], np.ndarray] = {}
        _check_concave(industry, self.usual)

    def best(self, quotes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best inputs of a firm of weight 1, (..., skills, inputs), and its profit."""
        worth = quotes[..., self.output].sum(axis=-1)[..., None] * self.skills
        shape = (*worth.shape, len(self.inputs))
        costs = np.broadcast_to(quotes[..., None, self.inputs], shape)
        costs = costs.reshape(worth.size, len(self.inputs))
        guess = np.broadcast_to(self.last.get(worth.shape, self.usual), costs.shape)
        found, profit = profit_maximizing_inputs(self.industry, worth.ravel(), costs, guess)
        self.last[worth.shape] = np.where(found > 0.0, found, self.usual)
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
    """Φ of an economy.

    Raises:
        EconomyError: a line has constant or increasing returns, so that profit has no maximum.
    """

    @np.errstate(all="ignore")
    def __init__(self, economy: Economy, day: InitialState | None = None) -> None:
        day = InitialState.of(economy) if day is None else day
        self.economy = economy
        self.reference = terms.references(economy, day.quantities)
        last = len(economy.buyers.pools)
        finals = list(enumerate(economy.demand.values(), last))
        fixed = np.array([place for place, each in finals if np.isinf(each.elasticity)], int)
        self.firms = [
            _Firms(economy, industry, day, fixed) for industry in economy.topological_order
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
        """Φ at ``quotes``, (..., quotes), in money, (...)."""
        return np.sum([term(quotes) for term in self.terms], axis=0)

    @np.errstate(all="ignore")
    def slope(self, quotes: np.ndarray) -> np.ndarray:
        """∇Φ at ``quotes``, (quotes,), by finite differences: units, (quotes,).

        The slope of a sum is the sum of the slopes, and each term has one by what it reads only.
        """
        total = np.zeros(quotes.shape)
        for term in self.terms:
            total[term.reads] += slopes(term, quotes, term.reads)
        return total

    @np.errstate(all="ignore")
    def answers(self, quotes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is supplied of each good, (goods,), and the best inputs, (buyers,), units."""
        price = prices(self.economy, quotes)
        supply = self.economy.supply.values()
        raw = [terms.supplied(each, price[k]) for k, each in enumerate(supply)]
        quantities = np.append(raw, np.zeros(len(self.firms)))
        inputs = np.zeros(self.economy.buyers.size)
        for firms in self.firms:
            industry = firms.industry
            best = firms.best(quotes)[0][firms.skill].T * industry.weights
            inputs[firms.places] = best
            made = np.sum(terms.production(industry, best)[0])
            quantities[self.economy.index[industry.good]] = made
        return quantities, inputs


class DualDescent:
    """p ← p - λ ∇Φ(p), with λ in money per unit, for each unit of excess demand."""

    name: ClassVar[str] = "gradient descent on the dual potential"
    activations: ClassVar[tuple[str, ...]] = ("simultaneous",)

    def __init__(self, economy: Economy, settings: Any) -> None:
        day = InitialState.of(economy)
        self.economy, self.rate, self.dual = economy, settings.auction_rate, Dual(economy, day)
        self.quotes = first_quotes(economy, day, settings.start_price)

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a ``TwinPath`` keeps of a step: answers to the prices of this step.

        Shares are inputs over what is offered, and 0 where nothing is.
        """
        quantities, inputs = self.dual.answers(self.quotes)
        offered = quantities[self.economy.buyers.good]
        shares = np.where(offered == 0.0, 0.0, inputs / np.where(offered == 0.0, 1.0, offered))
        return quantities, prices(self.economy, self.quotes), shares

    def step(self) -> None:
        """Down the slope."""
        self.quotes = self.quotes - self.rate * self.dual.slope(self.quotes)


def potential(economy: Economy, quotes: np.ndarray) -> float:
    """Φ(p), in money, at ``quotes``, (quotes,); NaN where somebody's gain has no maximum.

    Raises:
        EconomyError: a line has constant or increasing returns.
    """
    return float(Dual(economy).value(np.asarray(quotes, float)))


def potential_slope(economy: Economy, quotes: np.ndarray) -> np.ndarray:
    """∇Φ(p), units, (quotes,), by finite differences of Φ at ``quotes``, (quotes,).

    0 by the quotes of final goods whose demand is elastic. About ten digits; two less where a firm
    is just about to shut down, for the slope has a kink there.

    Raises:
        EconomyError: a line has constant or increasing returns.
    """
    return Dual(economy).slope(np.asarray(quotes, float))


# --- numerical tools ------------------------------------------------------------------------------


def slopes(
    function: Callable[[np.ndarray], np.ndarray], point: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """The partial derivatives of ``function`` by the ``places`` of ``point``, (places,).

    ``function`` takes points, (..., n), to numbers, (...). Central differences, narrower and
    narrower, extrapolated to nothing (Richardson); that is taken which differs least from its
    neighbours (Ridders, Advances in Engineering Software 4, 1982), rounding included.
    """
    sizes = np.abs(point[places])
    scale = np.where(sizes > 0.0, sizes, np.max(np.abs(point), initial=0.0) or 1.0)
    widths = WIDEST * scale[:, None] * NARROWING ** -np.arange(WIDTHS)
    points = np.tile(point, (len(places), WIDTHS, 2, 1))
    for k, place in enumerate(places):
        points[k, :, 0, place] += widths[k]
        points[k, :, 1, place] -= widths[k]
    values = function(points)
    apart = np.array([points[k, :, 0, p] - points[k, :, 1, p] for k, p in enumerate(places)])
    apart = apart.reshape(values.shape[:-1])
    column = (values[..., 0] - values[..., 1]) / apart
    rounding = np.finfo(float).eps * np.max(np.abs(values), axis=-1) / apart
    found, errors = [], []
    for order in range(1, WIDTHS):
        gain = NARROWING ** (2 * order) - 1.0
        refined = column[:, 1:] + (column[:, 1:] - column[:, :-1]) / gain
        error = np.fmax(np.abs(refined - column[:, 1:]), np.abs(refined - column[:, :-1]))
        error += rounding[:, order:]
        found.append(refined)
        errors.append(np.where(np.isnan(error), np.inf, error))
        column = refined
    least = np.argmin(np.concatenate(errors, axis=1), axis=1)
    return np.concatenate(found, axis=1)[np.arange(len(places)), least]


@np.errstate(all="ignore")
def profit_maximizing_inputs(
    industry: Industry, worth: np.ndarray, costs: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The inputs u >= 0, (n, inputs), that maximise v f(u) - π u, and the maxima, (n,).

    ``worth`` v has shape (n,), ``costs`` π and ``guess`` (above 0) have shape (n, inputs). f is
    strictly concave. NaN where there is no maximum.

    Newton's steps, whole and in part, of which the best is taken. Those on u are sure near the
    maximum, and find the corners, where nothing is used of an input; those on the logarithms of
    first-order conditions find the scale (of a power law at once); those on ln u, with the
    curvature kept negative, go uphill if they are short enough, from everywhere. Second derivatives
    are complex-step derivatives of the marginal products, exact to rounding.
    """
    inputs, count = np.array(guess), costs.shape[1]
    if count == 0:
        return inputs, worth * _production(industry, inputs)[0]
    parts = np.array([1.0, 0.3, 0.05, 0.005])[:, None, None]
    for _ in range(MAX_ITERATIONS):
        products, curvature = _derivatives(industry, inputs)
        gain = worth[:, None] * products - costs
        bend = worth[:, None, None] * curvature
        step = _newton_within(inputs, gain, bend)
        still = np.abs(step) <= 1e-6 * inputs
        still |= np.abs(gain) <= 4.0 * np.finfo(float).eps * np.abs(costs)
        settled = np.all(still | ((inputs == 0.0) & (gain <= 0.0)), axis=1)
        if np.all(settled):
            break
        whole = inputs + step
        whole = np.where(whole <= 1e-3 * inputs, 0.0, whole)
        money, there = inputs * gain, inputs > 0.0
        scaled = inputs[:, :, None] * bend * inputs[:, None, :]
        uphill = _newton(scaled - np.abs(money)[:, :, None] * np.eye(count), money, there)
        powers = inputs[:, None, :] * curvature / products[:, :, None]
        to_scale = _newton(powers, np.log(worth[:, None] * products / costs), there)
        tried = np.concatenate(
            [
                whole[None],
                np.maximum(inputs + parts[1:] * step, 0.0),
                inputs * np.exp(parts * np.clip(uphill, -30.0, 30.0)),
                inputs * np.exp(parts * to_scale),
                inputs[None],
            ]
        )
        made, slope = _production(industry, tried)
        profit = worth * made - np.sum(costs * tried, axis=-1)
        possible = np.isfinite(profit) & np.all(np.isfinite(slope), axis=-1)
        left = _unsolved(whole, worth[:, None] * slope[0] - costs)
        sure = possible[0] & (left <= 0.5 * _unsolved(inputs, gain))
        best = np.argmax(np.where(possible, profit, -np.inf), axis=0)
        after = tried[np.where(sure, 0, best), np.arange(len(worth))]
        stuck = np.all((after == inputs) | np.isnan(after), axis=1)
        if np.all(settled | stuck):
            break
        inputs = np.where(settled[:, None], inputs, after)
    inputs = np.where(np.abs(step) <= 1e-3 * inputs, inputs + step, inputs)
    inputs = np.where(settled[:, None], inputs, np.nan)
    made, _ = _production(industry, inputs)
    return inputs, worth * made - np.sum(costs * inputs, axis=-1)


def _unsolved(inputs: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The largest first-order condition left, (n,): what more of an input would ``gain``."""
    return np.max(np.where(inputs > 0.0, np.abs(gain), np.maximum(gain, 0.0)), axis=1)


def _production(industry: Industry, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f, (...), and its marginal products, (..., inputs), at inputs of that shape."""
    made, products = industry.technology.production(list(np.moveaxis(inputs, -1, 0)))
    shape, kind = inputs.shape[:-1], inputs.dtype
    slopes = [np.broadcast_to(np.asarray(each, kind), shape) for each in products]
    return np.broadcast_to(made, shape), np.stack(slopes, axis=-1) if slopes else inputs


def _derivatives(industry: Industry, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First derivatives of f, (n, inputs), and second ones, (n, inputs, inputs)."""
    aside = 1e-30 * np.where(inputs > 0.0, inputs, 1.0)
    points = inputs + 1j * np.eye(inputs.shape[1])[:, None, :] * aside
    _, products = _production(industry, points)
    second = np.moveaxis(products.imag, 0, 1) / aside[:, :, None]
    return products[0].real, second


def _newton_within(inputs: np.ndarray, gain: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Newton's step where no input falls below 0: those that would and should are used up."""
    free = (inputs > 0.0) | (gain > 0.0)
    step = _newton(bend, gain, free)
    leaving = free & (gain < 0.0) & (inputs + step <= 0.0)
    if np.any(leaving):
        without = gain - np.sum(bend * np.where(leaving, inputs, 0.0)[:, None, :], axis=2)
        step = np.where(leaving, -inputs, _newton(bend, without, free & ~leaving))
    return np.maximum(step, -inputs)


def _newton(bend: np.ndarray, slope: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The steps -H⁻¹ g over what is ``free``, (n, inputs); NaN where there is none."""
    unit = np.eye(bend.shape[1])
    system = np.where(free[:, :, None] & free[:, None, :], bend, -unit)
    right = np.where(free, slope, 0.0)
    if bend.shape[1] == 1:
        return -right / system[:, 0]
    usable = np.all(np.isfinite(system), axis=(1, 2)) & np.all(np.isfinite(right), axis=1)
    usable &= np.linalg.slogdet(np.where(usable[:, None, None], system, unit))[0] != 0.0
    system = np.where(usable[:, None, None], system, -unit)
    step = np.linalg.solve(-system, right[:, :, None])[:, :, 0]
    return np.where(usable[:, None], step, np.nan)


def _check_concave(industry: Industry, inputs: np.ndarray) -> None:
    """Refuse a line whose profit has no maximum, or none that is the only one.

    In logarithms of the ``inputs``, (1, inputs), the second derivatives must be below 0 every way.
    """
    if not industry.technology.inputs:
        return
    products, second = _derivatives(industry, inputs)
    scale = np.max(np.abs(inputs * products))
    bend = np.linalg.eigvalsh(inputs[0][:, None] * second[0] * inputs[0])
    if np.any(bend >= -CURVED * scale):
        raise EconomyError(
            f"'{industry.text()}' has constant or increasing returns: at given prices the best is "
            "to make nothing, anything or without end",
            remedy="let an auctioneer deal with lines of decreasing returns, such as "
            f"{industry.good} = (...) ** 0.9",
            name=industry.good,
            line=industry.line,
        )
