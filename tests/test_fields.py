"""Settings: what their fields say of themselves, and what they refuse."""

import dataclasses
import math
from dataclasses import dataclass

import pytest

from market_abm.economy.from_table import TableSettings
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.errors import SettingError
from market_abm.fields import (
    Settings,
    choice,
    decimal,
    describe,
    integer,
    names,
    number,
    switch,
    words,
)


@dataclass(frozen=True)
class Example(Settings):
    quantity: float = number(unit="units per step", help="how much")
    rate: float = number(0.5, above=0.0, high=1.0)
    elasticity: float = number(math.inf, above=0.0, infinite=True)
    slope: float | None = number(None)
    steps: int = integer(500, low=0, high=1_000_000_000)
    kind: str = choice("curve", ("curve", "gradient"))
    fixed: bool = switch(False)
    goods: tuple[str, ...] = names(("x", "y"))
    title: str | None = words(None)


def test_fields_describe_themselves():
    rows = describe(Example)
    assert rows[0] == ("quantity", "required", "number", "units per step", "how much")
    assert [(row.default, row.range) for row in rows[1:]] == [
        ("0.5", "number > 0 and ≤ 1"),
        ("inf", "number > 0"),
        ("", "number"),
        ("500", "integer ≥ 0 and ≤ 1,000,000,000"),
        ('"curve"', 'one of "curve", "gradient"'),
        ("false", "true or false"),
        ('["x", "y"]', "list of names"),
        ("", "text"),
    ]


@pytest.mark.parametrize("kind", [Supply, Demand, FirmPopulation, TableSettings])
def test_every_field_says_what_it_means(kind):
    rows = describe(kind)
    assert [row.key for row in rows] == [item.name for item in dataclasses.fields(kind)]
    assert all(row.range and row.help for row in rows)


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("rate", 0, "must be > 0 and ≤ 1"),
        ("rate", "fast", "must be a number"),
        ("rate", True, "must be a number"),
        ("quantity", math.nan, "must be finite"),
        ("elasticity", math.nan, "must be > 0"),
        ("steps", 1.5, "must be an integer ≥ 0 and ≤ 1,000,000,000"),
        ("kind", "curv", "did you mean 'curve'"),
        ("fixed", 1, "must be true or false"),
        ("goods", [], "must be a list of at least one name"),
        ("title", 3, "must be text in quotes"),
    ],
)
def test_invalid_values_are_refused_with_the_range(key, value, wanted):
    with pytest.raises(SettingError) as caught:
        Example.of({"quantity": 1.0, key: value}, "example")
    assert caught.value.name == f"example.{key}"
    assert wanted in caught.value.remedy


def test_numbers_in_text_are_those_of_the_digits_0_to_9():
    for text in ("1", " -2.5 ", ".5", "5.", "1e3", "+1E-3", "inf", "-inf"):
        assert decimal(text) == float(text)
    for text in ("1_0", "١٠", "１", "0x10", "nan", "infinity", "1,5", "1 0", "", ".", "e3", "1e"):
        assert decimal(text) is None, text
