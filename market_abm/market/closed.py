"""Closed systems, in which every good is used and nobody outside pays.

Firms begin with money: the goods of step 0 count as sold at their start prices. From then on money
goes round, if all that a firm earns is what it bids next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.production import produce
from market_abm.errors import EconomyError, SettingError
from market_abm.language.segments import pick
from market_abm.market import behaviour

CONSTANT_RETURNS = 1e-9
"""The relative difference of y from Σ x ∂y/∂x up to which returns to scale are constant."""


def check_closed_system(economy: Economy, settings: Any, lead: tuple[int, ...] = ()) -> None:
    """Refuse a closed economy in which money would not go round.

    Parameters
    ----------
    economy
        The economy, vectorized if there are several runs.
    settings
        The settings of the market.
    lead
        The shape of the runs: none, or (runs,).

    Raises
    ------
    MarketError
        The mechanism or a setting would create or destroy money, or firms keep profits.
    """
    if not economy.closed:
        return
    rules = settings.rules
    if not rules.runs_closed:
        raise SettingError(
            "the program has no final good, so that nobody outside pays, and under mechanism "
            f'"{rules.name}" firms do not pay with what they have earned',
            remedy='set market.mechanism = "trading-post", or add a final good such as: sold = '
            + economy.industries[0].good,
            name="market.mechanism",
        )
    for key, wrong in (
        ("activation", settings.activation != "simultaneous"),
        ("lag", np.any(settings.lag)),
    ):
        if wrong:
            raise SettingError(
                f"market.{key} is {getattr(settings, key)!r} and the program has no final good: "
                "firms pay with what they earned in the step before",
                remedy=f"leave market.{key} out",
                name=f"market.{key}",
            )
    for industry in economy.industries:
        if np.any(industry.population.bid_noise):
            raise SettingError(
                f"industries.{industry.good}.bid_noise is set and the program has no final good: "
                "errors would create and destroy money",
                remedy="leave bid_noise out",
                name=f"industries.{industry.good}.bid_noise",
            )
    for good, kind in economy.reuse.items():
        if kind == "external":
            raise EconomyError(
                f"reuse.{good} is 'external' and the program has no final good: what its other "
                "users do not pay would be lost money",
                remedy="choose 'rival' or 'copy'",
                name=f"reuse.{good}",
            )
    first, *others = economy.components
    if others:
        raise EconomyError(
            f"the program has no final good, and {first[0].good} is made without "
            f"{others[-1][0].good}: what is paid for it never comes back",
            remedy=f"let a line that leads to {first[0].good} use {others[-1][0].good}, or add a "
            f"final good such as: sold = {others[-1][0].good}",
            name=first[0].good,
            line=first[0].line,
        )
    _check_returns(economy, lead)


def write_first_bids(economy: Economy, products: np.ndarray, bids: np.ndarray) -> None:
    """Write what firms bid at step 0, when their batch counts as sold at its start price.

    Parameters
    ----------
    economy
        A closed economy, vectorized if there are several runs.
    products
        ``Mechanism.as_bid`` of marginal products, in the order of entries, (..., buyers).
    bids
        Where to write, money, shape (..., buyers).
    """
    prices = np.empty((*bids.shape[:-1], len(economy.goods)))
    for k, industry in enumerate(economy.topological_order):
        prices[..., k : k + 1] = industry.population.start_price
    for group in economy.groups:
        earned = group.to_entries(pick(prices, group.good))
        for slot in group.slots:
            of_input = slot.room(products)
            slot.write(bids, behaviour.marginal_revenue_products(earned, of_input))


@np.errstate(all="ignore")
def _check_returns(economy: Economy, lead: tuple[int, ...]) -> None:
    """Refuse lines of other than constant returns (Euler): their profits would leave the market."""
    buyers = economy.buyers
    shares = np.broadcast_to(buyers.initial_shares, (*lead, buyers.size)).copy()
    for factor in (1.0, 2.0):
        quantities, products = np.empty((*lead, len(economy.goods))), np.zeros_like(shares)
        for k, industry in enumerate(economy.topological_order):
            quantities[..., k : k + 1] = factor * industry.population.start
        outputs = np.empty_like(quantities)
        for group in economy.groups:
            outputs[..., group.made] = produce(group, shares, quantities, products)
        paid = shares * quantities[..., buyers.good] * products
        for k, industry in enumerate(economy.topological_order):
            own = buyers.of_industry[industry.good].ravel()
            made, money = np.ravel(outputs[..., k]), np.reshape(paid[..., own], (-1, len(own)))
            size = np.maximum(np.abs(money).sum(axis=-1), np.abs(made))
            profit = np.where(size == 0.0, 0.0, made - money.sum(axis=-1)) / size
            if not np.all(np.abs(profit) <= CONSTANT_RETURNS):
                raise _profits(industry, float(profit[np.argmax(np.abs(profit))]))


def _profits(industry: Industry, profit: float) -> EconomyError:
    pays = f"pays less than it earns: its profit, the part {profit:.3g} of revenue,"
    if not profit > 0.0:
        pays = f"pays more than it earns: its loss, the part {-profit:.3g} of its costs,"
    return EconomyError(
        f"'{industry.text()}' {pays} would be money that nobody "
        f"{'spends' if profit > 0.0 else 'has'}, as the program has no final good",
        remedy="let its returns to scale be constant, or let a household own the firms",
        name=industry.good,
        line=industry.line,
    )
