"""Arguments and options that several commands share, and how they are parsed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from market_abm.errors import SettingError

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment

EXPERIMENT = click.argument("experiment", metavar="FILE|NAME")

SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the file by its dotted name, e.g. market.share_rate=0.2. Repeatable.",
)

STEPS = click.option("--steps", type=int, help="Stop after at most this many steps (run.steps).")


def load(
    experiment: str,
    assignments: Iterable[str],
    *,
    seed: int | None = None,
    steps: int | None = None,
) -> Experiment:
    """The experiment of a file or a name, with overrides: ``--set``, ``--seed``, ``--steps``."""
    from market_abm.experiment.experiment import Experiment
    from market_abm.experiment.toml import parse_assignment

    settings = dict(parse_assignment(assignment) for assignment in assignments)
    if seed is not None:
        settings["run.seed"] = seed
    if steps is not None:
        settings["run.steps"] = steps
    return Experiment.load(experiment, settings)


def parse_axis(text: str) -> tuple[str, str]:
    """The key and the values of ``KEY=VALUES``, both as text."""
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise SettingError(
            f"cannot read the axis '{text}'",
            remedy="write key=low:high:log:count or key=a,b,c, such as market.share_rate=0.1,0.2",
        )
    return key.strip(), values
