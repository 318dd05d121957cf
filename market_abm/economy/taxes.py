"""Ad valorem taxes and subsidies: wedges between what a buyer pays and what a seller gets.

Prices are net: what sellers get. A buyer pays p (1 + τ), where τ is the sum of the rates of all
taxes on its use of the good, as in MPSGE (T. Rutherford, Computational Economics 14, 1999). So a
line values an input by its marginal revenue product over 1 + τ, and sellers of a final good get
1/(1 + τ) of what its consumer pays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.economy.families import chosen_goods
from market_abm.economy.terms import Demand, side_by_side
from market_abm.errors import EconomyError, SettingError, nearest
from market_abm.fields import Settings, check_number, field, names, number
from market_abm.keys import by_name, quoted
from market_abm.language.segments import Places

DERIVED = ("net_of_tax", "net_of_buyers", "net_demand", "demand_terms", "untaxed", "taxed")
"""The properties of an economy that depend on its taxes."""

HOUSEHOLDS = "households"
"""The user that stands for all households."""

SHARES_TOL = 1e-9
"""What the shares of a revenue may differ from 1 by."""


def _receivers(value: Any, where: str) -> dict[str, float] | None:
    """The share of each receiver of a revenue; a name alone gets all."""
    if value is None:
        return None
    if isinstance(value, str):
        return {value: 1.0}
    if not isinstance(value, Mapping) or not value:
        raise SettingError(
            f"{where} is neither a name nor a table of shares",
            remedy='write to = "rich", or to = { rich = 0.4, poor = 0.6 }',
            name=where,
        )
    shares = {str(k): check_number(v, f"{where}.{k}", low=0.0) for k, v in value.items()}
    if abs(sum(shares.values()) - 1.0) > SHARES_TOL:
        raise SettingError(
            f"the shares in {where} add up to {sum(shares.values()):.12g}",
            remedy="make them add up to 1",
            name=where,
        )
    return shares


@dataclass(frozen=True)
class Tax(Settings):
    """An ad valorem tax, or with a negative rate a subsidy (docs/model.md, 2).

    A buyer who gets units for which sellers receive the price p pays p τ on top, with τ the
    ``rate``. It is on the use of a ``good`` by each ``user``: on all uses if none is named, which
    is a tax on the output or the factor itself, and of a final good on what its consumer pays. The
    revenue goes ``to`` a household or several, who pay where it is a subsidy, and leaves an economy
    without households.
    """

    good: tuple[str, ...] = names(help="the goods on whose purchase it is; patterns may be names")
    rate: float = number(
        above=-1.0,
        unit="of the net price",
        help="τ, on top of what sellers get; below 0: a subsidy",
    )
    user: tuple[str, ...] | None = names(
        None, help="the lines (their goods) that pay it; by default all who buy the goods"
    )
    to: Mapping[str, float] | None = field(
        _receivers,
        None,
        kind="name or table of shares",
        help="the households that get the revenue, with their shares; outside without households",
    )

    @classmethod
    def vectorized(cls, several: Sequence[Tax]) -> Tax:
        """The tax of several runs, which differ in the rate alone: shape (runs, 1)."""
        return several[0].with_rate(np.array([each.rate for each in several])[:, None])

    def select_runs(self, part: Any) -> Tax:
        """That of some runs."""
        return self.with_rate(part(self.rate))

    def with_rate(self, rate: Any) -> Tax:
        """The same tax with another rate, which may be an array of runs."""
        made = object.__new__(type(self))
        vars(made).update(vars(self), rate=rate)
        return made

    @property
    def structure(self) -> tuple[Any, ...]:
        """All but the rate."""
        return self.good, self.user, tuple((self.to or {}).items())


class Taxed:
    """What the taxes of an economy make of its numbers; :class:`Economy` is one.

    Attributes
    ----------
    taxes
        The taxes by name.
    """

    taxes: Mapping[str, Tax]

    @cached_property
    def taxed(self: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Where each tax is: places in ``uses``, and places in ``demand``."""
        return {name: _places(self, tax) for name, tax in self.taxes.items()}

    @cached_property
    def net_of_tax(self: Any) -> np.ndarray | None:
        """1/(1 + τ) of each use of a good, shape (..., uses); None without taxes."""
        if not self.taxes:
            return None
        lead = np.broadcast_shapes(*(np.shape(tax.rate)[:-1] for tax in self.taxes.values()))
        total = np.zeros((*lead, len(self.uses)))
        for name, tax in self.taxes.items():
            total[..., self.taxed[name][0]] += tax.rate
        return 1.0 / (1.0 + total)

    @cached_property
    def net_of_buyers(self: Any) -> np.ndarray | None:
        """The same for each buyer, shape (..., buyers)."""
        if self.net_of_tax is None:
            return None
        net = self.uses.buyers.spread(self.net_of_tax)
        return np.broadcast_to(net, (*net.shape[:-1], self.buyers.size))

    @cached_property
    def net_demand(self: Any) -> Mapping[str, Demand]:
        """The terms of consumers at net prices: the demand that sellers face."""
        rates = {
            good: sum(tax.rate for tax in self.taxes.values() if good in tax.good)
            for good in (self.demand if self.taxes else ())
        }
        return {
            good: _with_price(terms, terms.price / (1.0 + rates[good]))
            if good in rates and np.any(rates[good])
            else terms
            for good, terms in self.demand.items()
        }

    @cached_property
    def demand_terms(self) -> tuple[tuple[Places, Demand], ...]:
        """``net_demand`` as arrays: for each form, the places in ``demand``."""
        return side_by_side(list(self.net_demand.values()))

    @cached_property
    def untaxed(self: Any) -> Any:
        """The same economy without taxes: what its technology and its consumers' values are."""
        if not self.taxes:
            return self
        result = dataclasses.replace(self, taxes={})
        known = {k: v for k, v in vars(self).items() if k not in (*DERIVED, "taxes")}
        vars(result).update(known)
        return result

    def tax_revenues(self: Any, paid: np.ndarray, sold: np.ndarray) -> np.ndarray:
        """The revenue of each tax, money per step, shape (..., taxes).

        Parameters
        ----------
        paid
            What sellers get from each use of a good, money per step, shape (..., uses).
        sold
            What they get from the consumer of each final good, shape (..., final goods).
        """
        if not self.taxes:
            return np.zeros((*paid.shape[:-1], 0))
        return np.stack(
            [
                (tax.rate * paid[..., uses]).sum(axis=-1)
                + (tax.rate * sold[..., finals]).sum(axis=-1)
                for tax, (uses, finals) in zip(
                    self.taxes.values(), self.taxed.values(), strict=True
                )
            ],
            axis=-1,
        )

    def subsidies_paid_by(self, name: str) -> list[str]:
        """The subsidies of which a household pays a share."""
        return [
            key
            for key, tax in self.taxes.items()
            if name in (tax.to or {}) and np.any(np.less(tax.rate, 0.0))
        ]

    def lives_on_taxes(self: Any, name: str) -> np.ndarray:
        """Whether a household has no income but the revenue of taxes, by run, shape (..., 1)."""
        k, claims = list(self.households).index(name), self.claims
        owned = claims.units[..., claims.owner == k]
        own = owned, claims.shares[..., k, :], claims.transfer[..., k, None]
        some = [np.any(each, axis=-1, keepdims=True) for each in own]
        nothing: np.ndarray = ~(some[0] | some[1] | some[2])
        return nothing

    def await_revenue(self: Any) -> np.ndarray:
        """Which households live on taxes that firms alone pay, shape (..., households)."""
        by_firms = ~np.isin(self.uses.maker, self.claims.good)
        found = []
        for name in self.households:
            own = [key for key, tax in self.taxes.items() if (tax.to or {}).get(name)]
            alone = all(by_firms[self.taxed[key][0]].all() for key in own)
            alone = alone and not any(self.taxed[key][1].size for key in own)
            earning = sum((np.greater(self.taxes[key].rate, 0.0) for key in own), np.zeros(1)) > 0
            found.append(alone & earning & self.lives_on_taxes(name))
        return np.concatenate(np.broadcast_arrays(*found), axis=-1)

    def tax_incomes(self: Any, paid: np.ndarray, sold: np.ndarray) -> np.ndarray:
        """What each household gets of the revenues, money per step, shape (..., households).

        Parameters are those of :meth:`tax_revenues`.
        """
        shares = [
            [(tax.to or {}).get(name, 0.0) for name in self.households]
            for tax in self.taxes.values()
        ]
        revenues = self.tax_revenues(paid, sold)
        return (revenues[..., None] * np.array(shares)).sum(axis=-2)


def _with_price(terms: Demand, price: Any) -> Demand:
    made = object.__new__(Demand)
    vars(made).update(vars(terms), price=price)
    return made


def _places(economy: Any, tax: Tax) -> tuple[np.ndarray, np.ndarray]:
    """The uses, and the final goods, that a tax is on."""
    goods = [economy.index[good] for good in tax.good]
    uses = economy.uses
    chosen = np.isin(uses.good, goods) & _paying(economy)
    if tax.user is not None:
        chosen &= np.isin(uses.maker, [economy.index[user] for user in tax.user])
    finals = [k for k, good in enumerate(economy.demand) if good in tax.good]
    return np.flatnonzero(chosen), np.array(finals, int)


def _paying(economy: Any) -> np.ndarray:
    """Mask of the uses that pay, shape (uses,): all but the later ones of an external good."""
    goods = economy.uses.good
    external = np.array([economy.reuse[good] == "external" for good in economy.goods], bool)
    return ~(external[goods] & (np.diff(goods, prepend=-1) == 0))


# --- made and checked -----------------------------------------------------------------------------


def taxes_of(
    entries: Mapping[str, Any], goods: Sequence[str], households: Collection[str] = ()
) -> dict[str, Tax]:
    """The taxes of a table ``[taxes]``, with names in the place of patterns.

    The user ``households`` stands for all households.

    Raises
    ------
    MarketError
        A key is unknown, a value out of range, or there is no such good or user.
    """
    taxes = {}
    for name, entry in by_name(entries, "taxes").items():
        where = f"taxes.{quoted(name)}"
        tax = Tax.of(entry, where)
        user = tax.user and _users(tax.user, goods, households, f"{where}.user")
        good = chosen_goods(tax.good, goods, f"{where}.good")
        taxes[name] = dataclasses.replace(tax, good=good, user=user)
    return taxes


def _users(
    given: Sequence[str], goods: Sequence[str], households: Collection[str], where: str
) -> tuple[str, ...]:
    if HOUSEHOLDS in given and HOUSEHOLDS in households:
        raise EconomyError(
            f"{where} is '{HOUSEHOLDS}', which stands for all, and one of them has that name",
            remedy=f"rename the household '{HOUSEHOLDS}'",
            name=where,
        )
    named = [each for each in given if each != HOUSEHOLDS or HOUSEHOLDS in goods]
    every = () if len(named) == len(given) else tuple(households)
    if not named and not every:
        raise EconomyError(
            f"{where} is '{HOUSEHOLDS}', and there are none",
            remedy="name lines by their goods, or leave it out: every buyer pays",
            name=where,
        )
    try:
        return (*chosen_goods(named, goods, where), *every)
    except SettingError as error:
        if households:
            error.remedy = f"{error.remedy}; '{HOUSEHOLDS}' stands for all households"
        raise


def as_taxes(taxes: Mapping[str, Tax]) -> dict[str, Any]:
    """The table ``taxes`` of a file, without keys that were left out; nothing without taxes."""
    tables = {
        name: {key: value for key, value in vars(tax).items() if value is not None}
        for name, tax in taxes.items()
    }
    return {"taxes": tables} if tables else {}


def check_taxes(economy: Any) -> None:
    """Refuse taxes that nobody would pay, receive, or could bid under.

    Raises
    ------
    EconomyError
        Says which tax, and why.
    """
    made = {industry.good: industry for industry in economy.industries}
    for name, tax in economy.taxes.items():
        where = f"taxes.{quoted(name)}"
        for user in tax.user or ():
            if user not in made:
                raise EconomyError(
                    f"{where}.user: no line makes '{user}'",
                    remedy=nearest(user, made),
                    name=f"{where}.user",
                )
            if not set(tax.good) & set(made[user].technology.inputs):
                raise EconomyError(
                    f"{where}: '{user}' does not buy {' or '.join(tax.good)}",
                    remedy=f"it buys {', '.join(dict.fromkeys(made[user].technology.inputs))}",
                    name=f"{where}.user",
                )
        for good in tax.good:
            if good in economy.outputs:
                raise EconomyError(
                    f"{where}: '{good}' is the activity of a line, which is not sold",
                    remedy="tax what the line makes of it, or buys",
                    name=f"{where}.good",
                )
            if good in economy.households:
                raise EconomyError(
                    f"{where}: '{good}' is a household, whose utility is not sold",
                    remedy="tax the goods that it buys: good = ..., user = " + f'"{good}"',
                    name=f"{where}.good",
                )
            if good in economy.demand and tax.user is not None:
                raise EconomyError(
                    f"{where}: '{good}' is final, and no line buys it",
                    remedy=f"leave {where}.user out: its consumer pays",
                    name=f"{where}.user",
                )
        if not sum(map(len, economy.taxed[name])):
            raise EconomyError(
                f"{where}: nobody who pays for {' or '.join(tax.good)} would pay it",
                remedy="of an external good only the first user pays",
                name=where,
            )
        _check_receivers(tax, economy.households, where)
    _check_sums(economy)


def _check_receivers(tax: Tax, households: Collection[str], where: str) -> None:
    """Refuse a revenue that is nobody's, or of somebody who is no household."""
    if not households and tax.to is not None:
        raise EconomyError(
            f"{where}.to names '{next(iter(tax.to))}', and there are no households",
            remedy=f"leave {where}.to out: the revenue leaves the economy",
            name=f"{where}.to",
        )
    if households and tax.to is None:
        raise EconomyError(
            f"{where}.to is missing: nobody gets the revenue, or pays the subsidy",
            remedy=f"name a household, or shares of several, in {where}.to",
            name=f"{where}.to",
        )
    for name in tax.to or ():
        if name not in households:
            raise EconomyError(
                f"{where}.to: there is no household '{name}'",
                remedy=nearest(name, households),
                name=f"{where}.to",
            )


def _check_sums(economy: Any) -> None:
    """Refuse rates that add up to a price of nothing."""
    if not economy.taxes:
        return
    net = economy.net_of_tax
    wrong = np.flatnonzero(~((net > 0.0) & np.isfinite(net)))
    rates = {
        good: sum(tax.rate for tax in economy.taxes.values() if good in tax.good)
        for good in economy.demand
    }
    goods = [economy.goods[k] for k in economy.uses.good[wrong].tolist()]
    goods += [good for good, rate in rates.items() if rate <= -1.0]
    if goods:
        own = [name for name, tax in economy.taxes.items() if goods[0] in tax.good]
        raise EconomyError(
            f"the rates of {' and '.join(f'taxes.{name}' for name in own)} on a purchase of "
            f"'{goods[0]}' add up to -1 or less",
            remedy="let them add up to more than -1: the buyer pays 1 + their sum",
            name=f"taxes.{own[0]}.rate",
        )


def changed_taxes(taxes: Mapping[str, Tax], given: Mapping[str, Any]) -> dict[str, Tax]:
    """The taxes with other rates, those of a table ``[taxes]``.

    Raises
    ------
    SettingError
        There is no such tax, the key is not its rate, or the rate is out of range.
    """
    changed = dict(taxes)
    for name, keys in given.items():
        where = f"taxes.{quoted(name)}"
        if name not in taxes:
            raise SettingError(
                f"{where}: no such tax",
                remedy=nearest(name, taxes) if taxes else "write [taxes.NAME] in the economy",
                name=where,
            )
        if not isinstance(keys, Mapping) or set(keys) != {"rate"}:
            raise SettingError(
                f"{where}: of a tax only the rate is a number that can be changed",
                remedy=f"change {where}.rate",
                name=where,
            )
        changed[name] = taxes[name].with_keys(keys, where)
    return changed
