"""``excess-demand``: prices and outputs follow surplus and profit; a published model, to compare.

The network economy of Dessertaine, Moran, Benzaquen and Bouchaud (2022), as it stands in
``baselines/excess_demand.py``, for economies made of an input-output table (docs/model.md, 3).
Nobody values anything at the margin there: firms follow excess demand, and their own profit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from market_abm.economy.nested_ces import NestedCES
from market_abm.errors import EconomyError, SettingError
from market_abm.market.base import Mechanism

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.market.settings import MarketSettings


class ExcessDemand(Mechanism):
    """What the published model needs to be given; its step is in ``arrays/excess_demand.py``."""

    stabilizing_hint = "lower market.price_rate, market.output_rate and market.wage_rate"
    rates = ("price_rate", "output_rate", "wage_rate", "spoilage")
    engines: ClassVar[tuple[str, ...]] = ("arrays",)
    smooth = False  # at rest goods are on the verge of being short, and of being left over

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """It knows CES firms of one factor and elasticities up to 1, and a household."""
        if settings.activation != "simultaneous" or np.any(settings.lag):
            raise SettingError(
                'mechanism "excess-demand" is simultaneous, and knows no lag',
                remedy='set market.activation = "simultaneous" and market.lag = 0',
                name="market.activation" if settings.activation != "simultaneous" else "market.lag",
            )
        trouble = _trouble(economy)
        if trouble:
            raise EconomyError(
                f'mechanism "excess-demand" is for input-output tables as they are: {trouble}',
                remedy="use [economy] input_output with one factor, an elasticity of substitution "
                "of at most 1, one firm an industry, and the supply and demand that go with it",
                name="market.mechanism",
            )


def _trouble(economy: Economy) -> str:
    """What in an economy the published model does not know; "" if nothing."""
    if len(economy.supply) != 1 or len(economy.demand) != 1:
        return f"there are {len(economy.supply)} raw and {len(economy.demand)} final goods"
    (supply,), (demand,) = economy.supply.values(), economy.demand.values()
    fixed = np.all(np.equal(supply.elasticity, 0.0)) and np.all(np.equal(supply.quantity, 1.0))
    terms = (demand.price, demand.elasticity, demand.quantity)
    if not fixed or not all(each is not None and np.all(np.equal(each, 1.0)) for each in terms):
        return "terms of supply or demand were changed"
    for industry in economy.topological_order:
        line = industry.technology
        if not isinstance(line, NestedCES) or line.nests or industry.firms > 1:
            return f"'{industry.good}' is no CES line of one firm"
        if np.any(np.greater(_elasticity(line), 1.0)):
            return f"'{industry.good}' has an elasticity of substitution above 1"
    return ""


def _elasticity(line: NestedCES) -> Any:
    known = line.elasticity
    return line.parameters[known] if isinstance(known, str) else known


def substitution(line: NestedCES) -> float:
    """The published q of a line, σ = q/(1 + q): infinite for Cobb-Douglas."""
    sigma = float(np.ravel(_elasticity(line))[0])
    return math.inf if sigma == 1.0 else sigma / (1.0 - sigma)
