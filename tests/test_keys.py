"""Keys: one rule of quoting, by which any name can be written wherever a key is written."""

import tomllib
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.tables import files, three

from market_abm import Experiment, MarketError
from market_abm.cli.arguments import parse_axes
from market_abm.economy.codes import tidy_code
from market_abm.experiment.shocks import GoodShock, Shock
from market_abm.experiment.toml import key_lines, parse_assignment, parse_values, toml_text
from market_abm.keys import dotted, flattened, key_parts, normal_key, quoted, quoted_text, set_key
from market_abm.studies.design import Axis
from market_abm.studies.sweep import Sweep

NAMES = st.text(max_size=8).map(lambda text: unicodedata.normalize("NFC", text))
AWKWARD = "\\a.b 'c' = \"d\" [e] # 布 10%@3"


@given(NAMES, NAMES, st.integers(-5, 5))
@example('a"=b', "c.d", 1)
def test_any_name_is_the_same_wherever_it_is_written(name, other, value):
    key = dotted(("supply", name, other))
    assert key_parts(key) == ["supply", name, other] and normal_key(key) == key
    assert parse_assignment(f"{key}={value}") == (key, value)
    assert parse_axes([f"{key}={value},7"]) == {key: f"{value},7"}
    assert Axis.of(key, [value]).settings(0) == {key: value}
    shock = GoodShock.parse(f"supply.{quoted(name)}={value}%@3", 10) if name else None
    assert shock is None or (shock.target, shock.good, shock.amount) == ("supply", name, value)

    tables = {}
    set_key(tables, key, value)
    assert tables == {"supply": {name: {other: value}}}
    assert dict(flattened(tables)) == {key: value}
    assert tomllib.loads(toml_text(tables)) == tables == tomllib.loads(f"{key} = {value}")
    entry = tomllib.loads(f"[[shocks]]\nstep = 2\n{key} = {value}\n")["shocks"][0]
    assert Shock.of(entry).values == {key: value}
    assert key_lines(f"[supply]\n{dotted((name, other))} = 3\n")[f"supply.{name}.{other}"] == 2
    assert parse_values(f"{quoted_text(name)},{value}") == [name, value]


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("a.b", ["a", "b"]),
        (" a . b ", ["a", "b"]),
        ("industries.'10.1'.firms", ["industries", "10.1", "firms"]),
        (r"supply.'a\b'", ["supply", r"a\b"]),
        (r'supply."a\"\u00e9"', ["supply", 'a"é']),
        (
            "supply.Crop production.price",
            ["supply", "Crop production", "price"],
        ),  # no need to quote
        ("supply.it's.price", ["supply", "it's", "price"]),
    ],
)
def test_keys_as_they_are_written(written, parts):
    assert key_parts(written) == parts


@pytest.mark.parametrize(
    "key", ["", ".", "a..b", "a.", ".a", 'a."b', "a.'b", r'a."\q"', '"a"b', "a=b"]
)
def test_what_is_no_key_is_told(key):
    with pytest.raises(MarketError, match="cannot read the key"):
        key_parts(key)


def test_an_industry_of_an_awkward_code_can_be_set_shocked_and_swept(tmp_path):
    """From a file, by --set, by --shock and along an axis, to the numbers of a plain code."""
    for code in ("a", AWKWARD):
        own = quoted(tidy_code(code))
        files(three(codes=(code, "b", "c")), tmp_path)
        (tmp_path / "e.toml").write_text(
            '[economy]\ninput_output = "flows.csv"\nsectors = "sectors.csv"\n'
            f"[[shocks]]\nstep = 2\nindustries.{own}.productivity = 0.9\n",
            "utf-8",
        )
        key, value = parse_assignment(f"industries.{own}.firms=2")
        experiment = Experiment.load(tmp_path / "e.toml", {key: value})
        shocked = experiment.with_shock_texts([f"productivity.{own}=-50%@4"])
        axes = parse_axes([f"industries.{own}.productivity=0.8,1.2"])
        sweep = Sweep.of(experiment, axes)
        assert sweep.columns[0] == f"industries.{own}.productivity"
        economies = [experiment.economy, experiment.economy_at(2), shocked.economy_at(4)]
        economies += [sweep.experiment(sweep.design.point(k)[1]).economy for k in range(2)]
        found = [{i.good: i for i in each.industries}[tidy_code(code)] for each in economies]
        assert [industry.firms for industry in found] == [2] * 5
        assert [industry.population.productivity for industry in found] == [1, 0.9, 0.45, 0.8, 1.2]
        with pytest.raises(MarketError, match=r"^--set industries\..*start=-1"):
            Experiment.load(tmp_path / "e.toml", {f"industries.{own}.start": -1.0})
