"""Arguments and options that several commands share, and how they are parsed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from market_abm.errors import SettingError

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment

Value = TypeVar("Value")

EXPERIMENT = click.argument("experiment", metavar="FILE|NAME")

OPTIONAL_EXPERIMENT = click.argument("experiment", metavar="[FILE|NAME]", required=False)

TRACE = click.option(
    "--trace",
    metavar="MODULE:FUNCTION",
    help="Instead of an experiment file, trace this Python function: the module, or file.py, is "
    "run. Needs no FILE.",
)

SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the file by its dotted name, e.g. market.share_rate=0.2. Repeatable.",
)

GOODS = click.option(
    "--goods",
    multiple=True,
    metavar="GOOD",
    help="List these goods: names, or patterns such as 'h[*]' and 'h[0..9]'. Repeatable.",
)

STEPS = click.option("--steps", type=int, help="Stop after at most this many steps (run.steps).")

FIGURES = click.option(
    "--no-figures",
    "figures",
    flag_value=False,
    default=True,
    help="Write data only, and draw nothing.",
)


def load(
    experiment: str | None,
    assignments: Iterable[str],
    *,
    trace: str | None = None,
    seed: int | None = None,
    steps: int | None = None,
) -> Experiment:
    """The experiment of a file, a name or a function (``--trace``), with overrides.

    These are of ``--set``, ``--seed`` and ``--steps``.
    """
    from market_abm.experiment.experiment import Experiment

    given = {"run.seed": seed, "run.steps": steps}
    settings = parse_assignments(
        assignments, *((key, value) for key, value in given.items() if value is not None)
    )
    if (experiment is None) == (trace is None):
        raise SettingError(
            "give an experiment, or a function by --trace",
            remedy="write one of them: market-abm run essay-chain",
        )
    if experiment is not None:
        return Experiment.load(experiment, settings)
    from market_abm.cli.tracing import traced_experiment

    return traced_experiment(str(trace), settings)


def named(goods: Iterable[str], experiment: Experiment) -> tuple[str, ...]:
    """The goods that names and patterns choose."""
    from market_abm.economy.families import chosen_goods

    return chosen_goods(goods, experiment.economy.goods, "--goods")


def place(out: str | None, name: str) -> Path:
    """Where results go: ``out``, or else ``results/name``, in the letters of the file system."""
    return Path(out or f"results/{os.fsdecode(name.encode())}")


def parse_assignments(assignments: Iterable[str], *more: tuple[str, Any]) -> dict[str, Any]:
    """The settings of ``--set``, and more of other options; none may be given twice."""
    from market_abm.experiment.toml import parse_assignment

    return _once([*map(parse_assignment, assignments), *more])


def parse_axes(texts: Iterable[str]) -> dict[str, str]:
    """The keys and the values, as text, of several ``KEY=VALUES``."""
    return _once(map(_parse_axis, texts))


def _parse_axis(text: str) -> tuple[str, str]:
    from market_abm.experiment.toml import composed
    from market_abm.keys import dotted, split_key

    named = text.partition("=")[0].strip()
    parts, rest = split_key(composed(text)) if named else ([], "")
    if not rest[1:].strip():
        raise SettingError(
            f"cannot read the axis '{text}'",
            remedy="write key=low:high:log:count or key=a,b,c, such as market.share_rate=0.1,0.2",
        )
    return dotted(parts), rest[1:]


def _once(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, value in pairs:
        if key in found:
            raise SettingError(f"{key} is given twice", remedy="leave one out", name=key)
        found[key] = value
    return found
