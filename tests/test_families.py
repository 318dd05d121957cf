"""Families of goods: names, labels and patterns."""

from __future__ import annotations

import pytest

from market_abm.economy.families import (
    families_of,
    family_and_indices,
    is_pattern,
    matching,
    member,
)
from market_abm.errors import EconomyError

GOODS = ("x", "h[0]", "h[1]", "h[2]", *(member("w", i, j) for i in range(3) for j in range(2)))


def test_names_and_labels():
    assert [family.label for family in families_of(GOODS).values()] == [
        "x", "h[0..2]", "w[0..2,0..1]",
    ]  # fmt: skip
    for good in GOODS:
        assert member(*_flat(family_and_indices(good))) == good


def _flat(parts):
    return parts[0], *parts[1]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("h[*]", {"h[0]": {}, "h[1]": {}, "h[2]": {}}),
        ("h[1..5]", {"h[1]": {}, "h[2]": {}}),
        ("h[t]", {"h[0]": {"t": 0}, "h[1]": {"t": 1}, "h[2]": {"t": 2}}),
        ("w[k,k]", {"w[0,0]": {"k": 0}, "w[1,1]": {"k": 1}}),
        ("w[2, j]", {"w[2,0]": {"j": 0}, "w[2,1]": {"j": 1}}),
    ],
)
def test_patterns(pattern, expected):
    assert is_pattern(pattern)
    assert dict(matching(pattern, GOODS)) == expected


@pytest.mark.parametrize("pattern", ["h[*,*]", "z[*]", "h[]", "h[a+1]", "h[7..9]"])
def test_patterns_that_name_nothing(pattern):
    with pytest.raises(EconomyError, match=r"no good is named|cannot read"):
        matching(pattern, GOODS)


def test_a_good_is_no_pattern():
    assert not any(map(is_pattern, GOODS))
