"""Write docs/settings.md, the keys of an experiment file, from their fields: ``make settings``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from market_abm.economy.economy import REUSE
from market_abm.economy.from_table import TableSettings
from market_abm.economy.households import Household
from market_abm.economy.taxes import Tax
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.economy.values import TABLES
from market_abm.experiment.settings import ProgramSettings, RecordSettings, RunSettings
from market_abm.fields import FieldDescription, Settings, describe
from market_abm.market.mechanisms.registry import MECHANISMS
from market_abm.studies.design import DesignSettings
from market_abm.studies.rows import MeasureSettings

PAGE = Path(__file__).with_name("settings.md")

INTRODUCTION = """\
<!-- Made from the fields of the settings by docs/make_settings.py: `make settings`. -->
# Settings

All keys of an experiment file (TOML). The same keys are set on the command line by
`--set KEY=VALUE`, swept by `sweep NAME KEY=VALUES`, and overridden in Python by
`run(NAME, overrides={"KEY": value})`. `GOOD` stands for the name of a good; a name with
anything but letters, digits, `_` and `-` in it is put in quotes, as in TOML: `supply."10.1".price`.
It may be a pattern, such as `supply."x[*]".price`, for many goods
([The language](language.md#many-goods-at-once)). A key that does not exist is an error.

The first key of a file, `question`, is text that is shown with the results. Where there is no
default, the key may be left out, and the meaning says what then holds.
"""

MECHANISM_KEYS = """\
Every mechanism has the keys of this table, and keys of its own. The key of another mechanism is an
error. When a file runs under another mechanism than its own (`--set market.mechanism=NAME`, or
`market-abm compare --mechanisms`), keys of `[market]` that `NAME` does not have are left out, and
those in a table `[mechanisms.NAME]`, such as `[mechanisms.tatonnement]`, are set."""


def page() -> str:
    """The page, in Markdown."""
    sections = [
        *economy_sections(),
        *market_sections(),
        *run_sections(),
    ]
    return INTRODUCTION + "\n".join(chain.from_iterable(sections)) + "\n"


def economy_sections() -> Iterable[list[str]]:
    """Who makes what of what, and on what terms."""
    yield section(
        "economy", "The lines of a program ([The language](language.md)).", ProgramSettings
    )
    yield section(
        "economy",
        "Instead of a program, a national input–output table.",
        TableSettings,
        title="`[economy]` of an input–output table",
    )
    reuse = FieldDescription(
        "GOOD",
        "that of `economy.reuse`",
        one_of(REUSE),
        "",
        "how the good serves several users",
    )
    yield table_section("reuse", "For single goods.", [reuse])
    yield section("supply.GOOD", "For each raw good.", Supply)
    yield section("demand.GOOD", "For each final good.", Demand)
    yield section(
        "industries",
        "The firms of all industries; for those of one, the same keys under `[industries.GOOD]`.",
        FirmPopulation,
    )
    yield section(
        "households.NAME",
        "Households, who earn what they spend ([The model, section 2](model.md#households)).",
        Household,
    )
    yield section(
        "taxes.NAME",
        "Taxes and subsidies ([The model, section 2](model.md#2-order-of-events)).",
        Tax,
    )


def market_sections() -> Iterable[list[str]]:
    """How goods find prices and users: the keys of all mechanisms, and those of each."""
    fields = {name: describe(rules.Settings) for name, rules in MECHANISMS.items()}
    mechanism = FieldDescription(
        "mechanism",
        f'"{next(iter(MECHANISMS))}"',
        one_of(MECHANISMS),
        "",
        "how goods are priced and allocated ([The model, section 3](model.md#3-the-market))",
    )
    first, *others = (set(each) for each in fields.values())
    common = first.intersection(*others)
    shared = [
        each for each in next(iter(fields.values())) if each in common and each.key != "mechanism"
    ]
    yield table_section(
        "market",
        MECHANISM_KEYS,
        [mechanism, *shared],
    )
    for name, rows in fields.items():
        own = [each for each in rows if each not in common and each.key != "mechanism"]
        if own:
            yield table_section("market", "", own, title=f'`[market]` with `mechanism = "{name}"`')


def run_sections() -> Iterable[list[str]]:
    """How long to run, what to keep, which runs to make, what changes on the way."""
    yield section("run", "", RunSettings)
    yield section("record", "", RecordSettings)
    family = FieldDescription(
        "FAMILY",
        "",
        "a formula of goods, parameters and `t`, or an empty text",
        "",
        "the own rates of interest that are predicted of a family such as `k[t]` or `w[t,*]`, "
        "whose index `t` is the date",
    )
    yield table_section(
        "own_rates",
        "For each family whose own rates of interest p_t/p_{t+1} − 1 are to be reported "
        "([Capital theory](capital.md)).",
        [family],
    )
    axes = FieldDescription(
        "axes",
        "",
        "table",
        "",
        'keys and their values: `"low:high:count"`, `"low:high:log:count"`, `"0..4"`, '
        "a list, or a table of labelled settings",
    )
    seeds = FieldDescription(
        "seeds", "", '"0..4", or a list', "", "run every point with each of these seeds"
    )
    yield table_section(
        "sweep",
        "For `market-abm sweep`.",
        [axes, seeds, *describe(DesignSettings), *describe(MeasureSettings)],
    )
    step = FieldDescription(
        "step", "required", "integer ≥ 1", "", "the first step with the new values"
    )
    any_key = FieldDescription(
        f"any key of {', '.join(f'`{table}`' for table in TABLES)}",
        "",
        "",
        "",
        "its new value (not of what a household spends at the start, its `money`)",
    )
    yield table_section("shocks", "A list of tables, `[[shocks]]`.", [step, any_key])


def section(
    table: str, text: str, settings: type[Settings], *, title: str | None = None
) -> list[str]:
    """The lines about a table whose keys are the fields of ``settings``."""
    return table_section(table, text, describe(settings), title=title)


def table_section(
    table: str, text: str, rows: Iterable[FieldDescription], *, title: str | None = None
) -> list[str]:
    """The lines about a table of the file, a row for each key."""
    lines = ["", f"## {title or f'`[{table}]`'}", ""]
    if text:
        lines += [text, ""]
    lines += ["| key | default | range | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        key = row.key if " " in row.key else f"`{table}.{row.key}`"
        default = f"`{row.default}`" if row.default and "`" not in row.default else row.default
        cells = (key, "required" if row.default == "required" else default, *row[2:])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def one_of(options: Iterable[str]) -> str:
    """The range of a key that takes one of ``options``."""
    return "one of " + ", ".join(f'"{each}"' for each in options)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Written to docs/{PAGE.name}")
