"""An input-output table becomes an economy: industries, a household, primary factors.

The economy is closed and calibrated: the table is its equilibrium at prices of 1. Each industry
makes one unit of output from its cost shares (see ``nested_ces.py``); the household makes one unit
of consumption from its purchases, and spends one unit of money per step on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.io_table import NEGATIVE_FINAL_USE, InputOutputTable
from market_abm.economy.nested_ces import Nest, NestedCES, check_elasticity
from market_abm.economy.read_table import read_table
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.errors import SettingError, TableError, nearest, shown
from market_abm.fields import Settings, check_number, choice, field, names, number, switch, words

HOUSEHOLD = "household"
"""The good that the household makes of all final use, and its line."""

FACTOR_CHOICES = (("primary",), ("labour", "capital"))
"""The raw goods: all primary inputs as one factor, or as two."""

PAYMENTS = {"labour": "compensation", "capital": "operating_surplus"}
"""The column of the sector table that holds the income of each of two factors."""

SUBSTITUTION, MATERIALS, FACTORS = (
    "substitution_elasticity",
    "materials_elasticity",
    "factor_elasticity",
)


def _parameters(value: Any, where: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{where} is {shown(value)}", remedy=f"make it a table: [{where}]", name=where
        )
    for name in value:
        if name != SUBSTITUTION:
            raise SettingError(
                f"{where}.{name} is not a parameter of an input-output table's economy",
                remedy=nearest(name, [SUBSTITUTION]),
                name=f"{where}.{name}",
            )
    return {SUBSTITUTION: check_number(value.get(SUBSTITUTION, 1.0), f"{where}.{SUBSTITUTION}")}


@dataclass(frozen=True)
class TableSettings(Settings):
    """The ``[economy]`` of an input-output table; keys as for :func:`from_input_output`."""

    input_output: str = words(help="a bundled table (us-2023), or the CSV file of flows")
    sectors: str | None = words(None, help="the CSV file of sectors, if flows are in a file")
    factors: tuple[str, ...] = names(
        ("primary",), help='raw goods: ["primary"], or ["labour", "capital"]'
    )
    min_share: float = number(
        0.0, low=0.0, high=1.0, help="inputs below this share of the buyer's costs are dropped"
    )
    materials_elasticity: float | None = number(
        None, low=0.0, help="elasticity of substitution among materials, if nested"
    )
    factor_elasticity: float | None = number(
        None, low=0.0, help="elasticity of substitution between labour and capital, if nested"
    )
    drop_empty: bool = switch(False, help="leave out industries that buy, sell and make nothing")
    negative_final_use: str = choice(
        "refuse",
        NEGATIVE_FINAL_USE,
        help="final use below 0 is refused, or moved to the industry's primary inputs "
        "(imports and inventories supply it)",
    )
    parameters: Mapping[str, float] = field(
        _parameters,
        default_factory=lambda: {SUBSTITUTION: 1.0},
        kind="table",
        range=f"of {SUBSTITUTION}",
        help="σ, elasticity of substitution among all inputs, or of materials for factors",
    )
    numeraire: str | None = words(
        None, help="the good in whose units prices and money are told; by default money"
    )

    def table(self, folder: Path) -> InputOutputTable:
        """The table, without its small inputs; paths are relative to ``folder``."""
        names = [self.input_output, *([self.sectors] if self.sectors else [])]
        table = read_table(
            *(names if self.sectors is None else (folder / name for name in names)),
            drop_empty=self.drop_empty,
            negative_final_use=self.negative_final_use,
        )
        return table.without_small_inputs(self.min_share)

    def economy(self, folder: Path, **options: Any) -> Economy:
        """The economy; ``options`` are further ones of :func:`from_input_output`."""
        return from_input_output(
            self.table(folder),
            factors=self.factors,
            materials_elasticity=self.materials_elasticity,
            factor_elasticity=self.factor_elasticity,
            substitution_elasticity=self.parameters[SUBSTITUTION],
            **options,
        )


def from_input_output(
    table: InputOutputTable | str | tuple[str | Path, str | Path],
    *,
    substitution_elasticity: float = 1.0,
    materials_elasticity: float | None = None,
    factor_elasticity: float | None = None,
    factors: Sequence[str] = ("primary",),
    min_share: float = 0.0,
    productivity: Mapping[str, Any] | None = None,
    firms: int = 1,
    supply: Mapping[str, Any] | None = None,
    demand: Mapping[str, Any] | None = None,
    population: Mapping[str, Any] | FirmPopulation | None = None,
    population_of: Mapping[str, Any] | None = None,
    **options: Any,
) -> Economy:
    """The closed economy of an input-output table, in equilibrium at prices of 1.

    Each industry is a line that makes the good of its code, CES in its cost shares. All goods are
    rival. The household is a line too, Π (c/β)^β with β the shares of final use; demand for its
    good has price 1, reference quantity 1 and elasticity 1, so that the household always spends 1.
    Sales p y are then Domar weights: sales over final use.

    Parameters
    ----------
    table
        A table, the name of one that comes with the package (``us-2023``), or two files: flows and
        sectors.
    substitution_elasticity
        σ > 0 between all inputs; 1 is Cobb-Douglas, σ -> 0 tends to Leontief. In nested lines, that
        between materials and factors, and of a nest that has none of its own.
    materials_elasticity, factor_elasticity
        That among inputs made by industries, and between labour and capital; either makes lines
        nested. All three are parameters of every industry's line.
    factors
        The raw goods: ``primary``, one unit in all, or ``labour`` and ``capital``, one unit in all
        together, split like each industry's compensation and operating surplus (taxes, imports and
        other primary inputs are split in the same proportions).
    min_share
        Drop smaller inputs (:meth:`InputOutputTable.without_small_inputs`).
    productivity
        Factors on the output of industries, by code.
    firms
        Firms per industry (the household is one).
    supply, demand
        Replace terms of the factors and of ``household``, key by key.
    population
        The firms of all industries but the household.
    population_of, **options
        Those of :meth:`Economy.build`; ``names`` are the table's by default.

    Raises
    ------
    TableError
        The table cannot be read, does not add up, or lacks a column.
    MarketError
        An elasticity, a name or another option is wrong.
    """
    table = _read(table).without_small_inputs(min_share)
    factors = _checked_factors(factors, factor_elasticity)
    for k, code in enumerate(table.codes):
        if code in (HOUSEHOLD, *factors):
            raise TableError(
                f"the code of {table.label(k)} is the name of another good of the economy",
                remedy="give the industry another code",
                name=code,
            )
    elasticities = {
        SUBSTITUTION: substitution_elasticity,
        MATERIALS: materials_elasticity,
        FACTORS: factor_elasticity,
    }
    parameters = {
        name: _checked_elasticity(value, name)
        for name, value in elasticities.items()
        if value is not None
    }
    factor_shares = _factor_shares(table, factors)
    industries = [
        Industry(code, _technology(table, k, factor_shares, parameters))
        for k, code in enumerate(table.codes)
    ]
    used = np.flatnonzero(table.final_shares)
    consumed = [table.codes[k] for k in used]
    industries.append(Industry(HOUSEHOLD, NestedCES(consumed, table.final_shares[used], 1.0)))

    own: dict[str, Any] = {HOUSEHOLD: dataclasses.asdict(FirmPopulation())}
    for given in (
        {code: {"productivity": value} for code, value in (productivity or {}).items()},
        population_of or {},
    ):
        for good, settings in given.items():
            own[good] = _merged(own.get(good, {}), settings)
    labels = zip(table.codes, table.names, strict=True)
    spending = {HOUSEHOLD: {"price": 1.0, "elasticity": 1.0, "quantity": 1.0}}
    return Economy.build(
        industries,
        supply=_with_terms(_endowments(table, factor_shares), supply, "quantity"),
        demand=_with_terms(spending, demand, "price"),
        population=_merged({"firms": firms}, population or {}),
        population_of=own,
        **{"names": {code: name for code, name in labels if name not in ("", code)}, **options},
    )


def _endowments(
    table: InputOutputTable, factor_shares: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Supply of each factor: what all industries use at the table's own sales."""
    sales = np.linalg.solve(np.eye(table.size) - table.shares, table.final_shares)
    if tuple(factor_shares) == ("primary",):
        return {"primary": {"quantity": 1.0}}  # without rounding
    return {name: {"quantity": float(shares @ sales)} for name, shares in factor_shares.items()}


def _read(table: Any) -> InputOutputTable:
    if isinstance(table, InputOutputTable):
        return table
    return read_table(table) if isinstance(table, str) else read_table(*table)


def _checked_factors(factors: Sequence[str], elasticity: float | None) -> tuple[str, ...]:
    chosen = (factors,) if isinstance(factors, str) else tuple(factors)
    if chosen not in FACTOR_CHOICES:
        raise SettingError(
            f"factors are {', '.join(map(repr, chosen)) or 'none'}",
            remedy='choose ["primary"], or ["labour", "capital"]',
            name="economy.factors",
        )
    if elasticity is not None and len(chosen) == 1:
        raise SettingError(
            f"{FACTORS} is {shown(elasticity)}, and there is one factor",
            remedy='choose factors = ["labour", "capital"], or leave the elasticity out',
            name=f"economy.{FACTORS}",
        )
    return chosen


def _checked_elasticity(value: Any, name: str) -> float:
    try:
        return check_elasticity(value, name)
    except SettingError as error:
        parameter = name == SUBSTITUTION
        error.name = f"economy.parameters.{name}" if parameter else f"economy.{name}"
        raise


def _factor_shares(table: InputOutputTable, factors: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Each industry's spending on each factor over its output, arrays of shape (industries,)."""
    if factors == ("primary",):
        return {"primary": table.primary_shares}
    paid = {}
    for name in factors:
        column = PAYMENTS[name]
        if column not in table.factors:
            raise TableError(
                f"the table has no column '{column}', the income of {name}",
                remedy=f"add it to the sector table, or use one factor; "
                f"{nearest(column, table.factors)}",
                name="economy.factors",
            )
        paid[name] = table.factors[column]
        for k in np.flatnonzero(paid[name] < 0.0)[:1]:
            raise TableError(
                f"{table.label(k)} has {column} {paid[name][k]:g}",
                remedy="a cost share must be ≥ 0: use one factor",
                name=table.codes[k],
            )
    total = sum(paid.values())
    for k in np.flatnonzero((total == 0.0) & (table.primary_shares > 0.0))[:1]:
        raise TableError(
            f"{table.label(k)} pays neither labour nor capital, but has primary inputs",
            remedy="use one factor",
            name=table.codes[k],
        )
    part = table.primary_shares / np.where(total == 0.0, 1.0, total)
    return {name: each * part for name, each in paid.items()}


def _technology(
    table: InputOutputTable,
    k: int,
    factor_shares: Mapping[str, np.ndarray],
    parameters: Mapping[str, float],
) -> NestedCES:
    """The line of industry k: materials, then factors, without inputs of zero share."""
    column = table.shares[:, k]
    bought = np.flatnonzero(column)
    hired = [name for name, shares in factor_shares.items() if shares[k] > 0.0]
    inputs = [*(table.codes[n] for n in bought), *hired]
    shares = np.array([*column[bought], *(factor_shares[name][k] for name in hired)])
    nests = [
        Nest(name, size, elasticity if elasticity in parameters else SUBSTITUTION)
        for name, size, elasticity in (
            ("materials", len(bought), MATERIALS),
            ("factors", len(hired), FACTORS),
        )
        if size
    ]
    flat = len(parameters) == 1
    return NestedCES(inputs, shares, SUBSTITUTION, () if flat else nests, parameters)


def _merged(settings: Any, own: Any) -> Any:
    """``settings`` updated by ``own``; anything but a mapping replaces them all."""
    both = isinstance(settings, Mapping) and isinstance(own, Mapping)
    return {**settings, **own} if both else own


def _with_terms(
    terms: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any] | None, first: str
) -> dict[str, Any]:
    """The ``terms`` of goods updated by ``given``: some keys, or the value of the ``first``."""
    result: dict[str, Any] = dict(terms)
    for good, own in (given or {}).items():
        whole = isinstance(own, Mapping | Supply | Demand)
        result[good] = _merged(result.get(good, {}), own if whole else {first: own})
    return result
