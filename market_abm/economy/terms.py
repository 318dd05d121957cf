"""The terms of suppliers and consumers, and the firms of an industry: settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np

from market_abm.economy.read_series import column_field, series_field
from market_abm.economy.series import REPEATS, Series, in_columns
from market_abm.errors import EconomyError, SettingError
from market_abm.fields import Settings, choice, integer, number, numbers
from market_abm.language.segments import Places, joined, neighbours

SUPPLIERS = ("curve", "gradient")
COSTS = ("curve", "none", "quadratic")
SUPPLY_FORMS = ("isoelastic", "linear")
DEMAND_FORMS = ("elastic", "isoelastic", "linear")
CONDUCTS = ("competitive", "cournot")


def _repeat() -> Any:
    return choice(
        "cycle", REPEATS, help="after the last row of the series: the first again, or the last"
    )


def _row_period() -> Any:
    return integer(1, low=1, unit="steps", help="steps for which a row of the series is kept")


@dataclass(frozen=True)
class Supply(Settings):
    """A supplier's terms for a raw good (docs/model.md, 2).

    The supply curve is q0 (p/r0)^η, with q0 the ``quantity``, r0 the ``price`` and η the
    ``elasticity``; η = 0 is a fixed endowment. A ``curve`` supplier moves a fraction ρ, the
    ``adjustment``, of the way to the curve in logs, q ← q^(1-ρ) (q0 (p/r0)^η)^ρ; a ``gradient``
    supplier moves by q ← q + β (p - MC(q)), with β the ``rate``, for any signs. Its marginal cost
    is that of the curve, 0 (``none``), or ``decay`` times q (``quadratic``).

    A ``linear`` curve is q0 (1 + η (p/r0 - 1)), and 0 at prices below its intercept r0 (1 - 1/η).
    Its ``curve`` supplier moves in units, q ← (1-ρ) q + ρ q0 (1 + η (p/r0 - 1)), and no offer
    falls below 0.

    An offer is kept for ``period`` steps, and then moved by the mean of the prices that it got,
    without those of its first ``settle`` steps. A ``series`` says what is offered in each period;
    such an offer responds to nothing.
    """

    of_series: ClassVar[str] = "quantity"

    quantity: float = number(
        None,
        unit="units per step",
        help="q₀, reference quantity; required, unless there is a series",
    )
    price: float = number(1.0, unit="money per unit", help="r₀, reference price")
    elasticity: float = number(
        0.0, low=0.0, high=1e6, help="η, elasticity of supply; 0 is a fixed endowment"
    )
    form: str = choice(
        "isoelastic",
        SUPPLY_FORMS,
        help="supply curve: of constant elasticity, or a line, with 0 offered below its intercept",
    )
    adjustment: float = number(
        1.0,
        above=0.0,
        high=1.0,
        help="ρ, fraction of the way to the supply curve per step, of a curve supplier: in logs, "
        "or in units if the curve is linear",
    )
    kind: str = choice(
        "curve", SUPPLIERS, help="how the offer adjusts: to the supply curve, or by its gradient"
    )
    rate: float = number(
        0.1,
        above=0.0,
        unit="units per (money per unit)",
        help="β, step size of a gradient supplier, times price less marginal cost",
    )
    cost: str = choice(
        "curve",
        COSTS,
        help="marginal cost of a gradient supplier: of the supply curve, 0, or decay times q",
    )
    decay: float = number(
        0.0, low=0.0, unit="money per unit²", help="slope of marginal cost, if it is quadratic"
    )
    period: int = integer(
        1, low=1, unit="steps", help="steps for which an offer, or a row of the series, is kept"
    )
    settle: int = integer(
        0,
        low=0,
        unit="steps",
        help="first steps of a period whose prices a supplier leaves out of its mean",
    )
    series: Series | None = series_field("what is offered in each period")
    column: int | str | None = column_field()
    repeat: str = _repeat()

    @property
    def responds(self) -> Any:
        """Whether the offer responds to prices: one answer, or one for each supplier."""
        return True if self.cost != "curve" else np.greater(self.elasticity, 0.0)

    @property
    def waits(self) -> bool:
        """Whether an offer that responds to prices is kept for several steps."""
        return bool(np.any(np.greater(self.period, 1) & self.responds))

    def check(self, where: str) -> None:
        """Refuse terms that contradict each other."""
        if self.series is not None and not self._is_of_series():
            raise SettingError(
                f"{where} has a quantity and a series",
                remedy="leave the quantity out: the series says what is offered",
                name=f"{where}.quantity",
            )
        quantity: float | None = self.quantity
        if quantity is None and self.series is None:
            raise SettingError(
                f"'{where}.quantity' is missing", remedy="write quantity = ...", name=where
            )
        if self.series is not None and (np.any(self.responds) or self.kind != "curve"):
            raise SettingError(
                f"{where} has a series, and an offer that responds to prices",
                remedy="leave out the series, or elasticity, kind and cost",
                name=f"{where}.series",
            )
        self._check_cost(where)
        if self.settle >= self.period:
            raise SettingError(
                f"{where}.settle is {self.settle} with period {self.period}",
                remedy="let some price count: settle must be below the period",
                name=f"{where}.settle",
            )

    def _check_cost(self, where: str) -> None:
        if self.decay > 0 and self.cost != "quadratic":
            raise SettingError(
                f'{where}.decay is {self.decay:g} with cost "{self.cost}"',
                remedy='it is the slope of a quadratic cost: set cost = "quadratic", or leave it '
                "out",
                name=f"{where}.decay",
            )
        if self.cost == "curve":
            if self.elasticity > 0 and not (self.quantity or 0.0) * self.price > 0:
                raise SettingError(
                    f"{where} has quantity {self.quantity or 0.0:g} and price {self.price:g}, "
                    f"with elasticity {self.elasticity:g}",
                    remedy="elastic supply needs both > 0 (or both < 0, for a nuisance)",
                    name=f"{where}.elasticity",
                )
            return
        if self.kind != "gradient" or self.elasticity > 0 or self.form != "isoelastic":
            raise SettingError(
                f'{where}.cost is "{self.cost}" with a supply curve',
                remedy='such a cost has no curve: set kind = "gradient", and leave elasticity and '
                "form out",
                name=f"{where}.cost",
            )

    def _is_of_series(self) -> bool:
        """Whether there is no quantity but that of the first row."""
        quantity: float | None = self.quantity
        if quantity is None or self.series is None:
            return True
        if not isinstance(self.column, int) or self.column >= self.series.columns:
            return False
        return bool(quantity == self.series.values[0, self.column])


@dataclass(frozen=True)
class Demand(Settings):
    """A consumer's terms for a final good (docs/model.md, 2).

    With p0 the ``price``, c0 the reference ``quantity`` (by default the output at step 0) and ε the
    ``elasticity`` of demand there, a consumer of c units pays, by ``form``,

    * ``elastic``: p0 for any quantity;
    * ``isoelastic``: p0 (c/c0)^(-1/ε), for c > 0;
    * ``linear``: p0 (1 - (c - c0)/(ε |c0|)), for c of any sign.

    By default the form is ``elastic`` if ε is infinite, else ``isoelastic`` where c0 > 0, else
    ``linear``. A ``series`` is a factor on p0, of which a row lasts for ``period`` steps. A
    household's form is ``budget``: its weight α for any quantity (``economy/households.py``).
    """

    of_series: ClassVar[str] = ""

    price: float = number(1.0, unit="money per unit", help="p₀, price at the reference quantity")
    elasticity: float = number(
        math.inf,
        above=0.0,
        infinite=True,
        help="ε, elasticity of demand at the reference quantity; inf is a constant price",
    )
    quantity: float | None = number(
        None,
        unit="units per step",
        help="c₀, reference quantity; by default the output at step 0",
    )
    form: str | None = choice(
        None,
        DEMAND_FORMS,
        help="demand curve; by default elastic if ε is inf, else isoelastic if c₀ > 0, else linear",
    )
    series: Series | None = series_field("factor on p₀")
    column: int | str | None = column_field()
    repeat: str = _repeat()
    period: int = _row_period()

    @property
    def of_household(self) -> bool:
        """Whether the consumer is a household, which pays what it earns."""
        return self.form == "budget"

    def check(self, where: str) -> None:
        """Refuse terms that contradict each other."""
        finite = math.isfinite(self.elasticity)
        if self.form == "elastic" and finite:
            raise SettingError(
                f"{where}.form is 'elastic' with elasticity {self.elasticity:g}",
                remedy='choose "isoelastic" or "linear", or leave the elasticity out',
                name=f"{where}.form",
            )
        if self.quantity is None or not finite:
            return
        if self.form == "isoelastic" and self.quantity <= 0:
            raise SettingError(
                f"{where}.quantity is {self.quantity:g}",
                remedy='isoelastic demand needs a quantity > 0; use form = "linear"',
                name=f"{where}.quantity",
            )
        if self.quantity == 0:
            raise SettingError(
                f"{where}.quantity is 0",
                remedy="an elasticity needs a reference quantity other than 0",
                name=f"{where}.quantity",
            )


def _budget() -> Demand:
    """The terms of a household: it pays the weight α that its reference holds for each unit."""
    terms = Demand()
    object.__setattr__(terms, "form", "budget")  # which no file can say
    return terms


BUDGET = _budget()


@dataclass(frozen=True)
class FirmPopulation(Settings):
    """The firms of one industry.

    Firm i makes z_i w_i f(x / w_i) of inputs x. The ``weights`` w sum to 1; by default they are
    equal, or lognormal with log standard deviation ``weight_spread``. The productivities z are
    ``productivity``, spread lognormally by ``productivity_spread`` about the same weighted mean.
    ``bid_noise`` is the log standard deviation of the error in each valuation of an input.
    ``start`` is the output assumed before step 0, used inside loops only. Where every good is used,
    the goods of step 0 count as sold at the ``start_price``, so that firms have money. Firms of
    ``competitive`` ``conduct`` take prices as given; ``cournot`` firms of a final good know that
    more output lowers its price (A. Cournot, 1838). A ``series`` is a factor on the productivity of
    all firms, of which a row lasts for ``period`` steps.
    """

    of_series: ClassVar[str] = ""

    firms: int = integer(1, low=1, high=10_000_000, help="number of firms in the industry")
    weights: tuple[float, ...] | None = numbers(
        None, above=0.0, help="w, firms' shares of the industry, with sum 1; by default equal"
    )
    weight_spread: float = number(
        0.0, low=0.0, high=20.0, help="standard deviation of ln w, lognormal"
    )
    productivity: float | tuple[float, ...] = numbers(
        1.0, above=0.0, scalar=True, help="z, factor on output: one, or one per firm"
    )
    productivity_spread: float = number(
        0.0, low=0.0, high=20.0, help="standard deviation of ln z, lognormal"
    )
    bid_noise: float = number(
        0.0, low=0.0, high=20.0, help="ν, standard deviation of the log error of each valuation"
    )
    start: float = number(
        1.0, above=0.0, unit="units per step", help="output assumed before step 0, in loops"
    )
    start_price: float = number(
        1.0,
        above=0.0,
        unit="money per unit",
        help="price at which the goods of step 0 count as sold, in a program without a final good",
    )
    conduct: str = choice(
        "competitive",
        CONDUCTS,
        help="price taking, or Cournot: firms of a final good know how output lowers its price",
    )
    series: Series | None = series_field("factor on z")
    column: int | str | None = column_field()
    repeat: str = _repeat()
    period: int = _row_period()

    @cached_property
    def drawn(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Weights and productivities if they are not random: those of every industry."""
        if self.weight_spread > 0 or self.productivity_spread > 0:
            return None
        return self.draw(np.random.default_rng(0))

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw weights (with sum 1) and productivities, each of shape (firms,).

        Raises
        ------
        EconomyError
            A list is not one number per firm, or the weights do not sum to 1.
        """
        for key, given in (("weights", self.weights), ("productivity", self.productivity)):
            if isinstance(given, tuple) and len(given) != self.firms:
                raise EconomyError(
                    f"{key} lists {len(given)} numbers for {self.firms} firms",
                    remedy=f"give {self.firms} numbers, or set firms = {len(given)}",
                    name=key,
                )
        if self.weights is None:
            weights = np.ones(self.firms) / self.firms
        else:
            weights = np.array(self.weights)
            if abs(weights.sum() - 1.0) > 1e-9:
                raise EconomyError(
                    f"weights sum to {weights.sum():.12g}",
                    remedy="make them sum to 1",
                    name="weights",
                )
        if self.weight_spread > 0:
            weights = weights * np.exp(self.weight_spread * rng.standard_normal(self.firms))
            weights /= weights.sum()
        productivity = np.broadcast_to(np.asarray(self.productivity, float), self.firms).copy()
        if self.productivity_spread > 0:
            mean = weights @ productivity
            productivity *= np.exp(self.productivity_spread * rng.standard_normal(self.firms))
            productivity *= mean / (weights @ productivity)
        return weights, productivity


Terms = TypeVar("Terms", Supply, Demand)


def terms_of(
    kind: type[Terms], entries: Mapping[str, Any], goods: Sequence[str], name: str
) -> dict[str, Terms]:
    """The terms of goods; those of one entry are one object, and those of none the default.

    Parameters
    ----------
    kind
        ``Supply`` or ``Demand``.
    entries
        By good: terms, a mapping of keys to values, or the value of the first key.
    goods
        All goods.
    name
        The name of the table, for messages.
    """
    made: dict[int, Terms] = {}
    found = {}
    for good in goods:
        entry = entries.get(good, _DEFAULT)
        if id(entry) not in made:
            made[id(entry)] = kind.of(entry, f"{name}.{good}")
        found[good] = made[id(entry)]
    return in_columns(found, name)


_DEFAULT: Mapping[str, Any] = {}


def side_by_side(several: Sequence[Terms]) -> tuple[tuple[Places, Terms], ...]:
    """The terms of several goods as one for each kind or form, with the places of its goods.

    Numbers get shape (..., goods), or stay one number (or (runs, 1)) where all agree.
    """
    alike: dict[tuple[str | None, ...], list[int]] = {}
    for k, terms in enumerate(several):
        words = tuple(v for v in vars(terms).values() if isinstance(v, str))
        alike.setdefault(words, []).append(k)
    return tuple(
        (neighbours(np.array(places)), _together([several[k] for k in places]))
        for places in alike.values()
    )


def _together(several: Sequence[Terms]) -> Terms:
    """Terms that differ in numbers only, None among these being not a number."""
    result = object.__new__(type(several[0]))
    for item in dataclasses.fields(result):
        if item.name in ("series", "column"):  # of single goods: see Economy.movements
            object.__setattr__(result, item.name, None)
            continue
        values = [getattr(each, item.name) for each in several]
        if any(value is not None for value in values) and not isinstance(values[0], str):
            known = [math.nan if value is None else value for value in values]
            values = [joined(known, np.ones(len(known), int))]
        object.__setattr__(result, item.name, values[0])
    return result
