"""What taxes do at the last step of a run: what each buyer pays, what a unit is worth, revenues."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from market_abm.analysis.observer import allocation, with_weights
from market_abm.economy.economy import Economy
from market_abm.gradient import backprop
from market_abm.gradient.equilibrium import equilibrium
from market_abm.market.accounts import tax_revenues
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.runs.tables import consumer_references

if TYPE_CHECKING:
    import pandas as pd


CONSUMER = "consumer"
"""The user of a final good."""


class TaxedUse(NamedTuple):
    """A use of a good on which a tax is paid, at the last step.

    Attributes
    ----------
    tax, good, user
        Names; the user is the line, by its good, or the consumer.
    rate
        τ of this tax.
    price, gross_price
        What the seller gets, and what the buyer pays, all taxes on the use included, money per
        unit.
    derivative
        By how much one more unit in this use raises W, without any wedge, money per unit.
    """

    tax: str
    good: str
    user: str
    rate: float
    price: float
    gross_price: float
    derivative: float

    @property
    def wedge(self) -> float:
        """The derivative over the price, less 1: at rest τ, if nothing else is taxed."""
        return self.derivative / self.price - 1.0


@dataclass(frozen=True, eq=False)
class TaxSummary:
    """The taxes of a run at its last step.

    Attributes
    ----------
    uses
        Every use on which a tax is paid, tax after tax.
    revenues
        Of each tax, money per step.
    welfare
        W at the last step, money per step.
    economy
        The economy.
    """

    uses: tuple[TaxedUse, ...]
    revenues: dict[str, float]
    welfare: float
    economy: Economy

    @cached_property
    def best_welfare(self) -> float | None:
        """W at the optimum without taxes; None if it is not known, or depends on incomes."""
        best = None if self.economy.households else equilibrium(self.economy.untaxed)
        return float(best.welfare) if best is not None and best.solved else None

    @property
    def deadweight_loss(self) -> float | None:
        """W at the optimum without taxes, less W, money per step (A. Harberger, 1964)."""
        return None if self.best_welfare is None else self.best_welfare - self.welfare

    def divided(self, unit: float) -> TaxSummary:
        """The same with prices and revenues in units that are worth ``unit`` each, money."""
        if unit == 1.0:
            return self
        uses = [
            use._replace(
                price=use.price / unit,
                gross_price=use.gross_price / unit,
                derivative=use.derivative / unit,
            )
            for use in self.uses
        ]
        revenues = {tax: money / unit for tax, money in self.revenues.items()}
        return replace(self, uses=tuple(uses), revenues=revenues)

    def table(self) -> pd.DataFrame:
        """One row per use: tax, good, user, rate, prices, derivative and wedge."""
        import pandas as pd

        columns = [*TaxedUse._fields, "wedge"]
        return pd.DataFrame([(*use, use.wedge) for use in self.uses], columns=columns)

    def summary(self) -> dict[str, Any]:
        """The same as one object for JSON."""
        return {
            "revenues": self.revenues,
            "deadweight_loss": self.deadweight_loss,
            "best_welfare": self.best_welfare,
            "uses": [{**use._asdict(), "wedge": use.wedge} for use in self.uses],
        }


def tax_summary(
    economy: Economy, market: MarketSettings, last: State, welfare: float
) -> TaxSummary | None:
    """The taxes at the ``last`` step of a run, and W there; None without taxes."""
    if not economy.taxes:
        return None
    revenues = tax_revenues(economy, market, last, consumer_references(economy)).tolist()
    return TaxSummary(
        tuple(taxed_uses(economy, market, last)),
        dict(zip(economy.taxes, revenues, strict=True)),
        welfare,
        economy,
    )


@np.errstate(all="ignore")  # it may have diverged
def taxed_uses(economy: Economy, market: MarketSettings, last: State) -> list[TaxedUse]:
    """The uses on which taxes are paid, tax after tax, at a state."""
    uses, goods, untaxed = economy.uses, economy.goods, economy.untaxed
    reference = consumer_references(economy)
    if economy.households:
        reference = with_weights(economy, reference, last.prices)
    at = allocation(untaxed, market.rules, reference, last.shares, last.quantities)
    held = uses.buyers.total(at.shares)
    slopes = at.slopes / np.where(held == 0.0, 1.0, held)
    worth = at.gradient[uses.maker] * slopes
    paid = market.rules.prices_paid(economy, last)[uses.pools.of]
    assert economy.net_of_tax is not None
    gross = paid / economy.net_of_tax
    values = backprop.consumer_prices(untaxed, reference, last.quantities)
    found = []
    for name, tax in economy.taxes.items():
        own, finals = economy.taxed[name]
        for k in own.tolist():
            names = name, goods[uses.good[k]], goods[uses.maker[k]], float(tax.rate)
            found.append(TaxedUse(*names, float(paid[k]), float(gross[k]), float(worth[k])))
        for n in finals.tolist():
            good = int(economy.final[n])
            prices = float(last.prices[good]), float(values[n]), float(values[n])
            found.append(TaxedUse(name, goods[good], CONSUMER, float(tax.rate), *prices))
    return found
