"""The command that reproduces a folder of results, as HTML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.files import available
from market_abm.experiment.toml import parse_assignment, toml_value
from market_abm.runs.summary import resolved
from market_abm.views.report.reading import UNREADABLE
from market_abm.views.words import report as words
from market_abm.views.words.text import flat


def command_html(text: str) -> str:
    """A command to copy."""
    return f'<pre class="command"><code>{escape(text)}</code></pre>'


def commands_html(
    verb: str, name: str, configuration: Mapping[str, Any], options: str
) -> list[str]:
    """The command that gives a configuration: of an experiment by name if possible, or of a file.

    Parameters
    ----------
    verb
        The command's name.
    name
        The name of the experiment.
    configuration
        Its resolved configuration.
    options
        What follows the experiment, with a space before it.
    """
    sets = _assignments(name, configuration) if name in available() else None
    if sets is None or not (sets + options).isprintable():
        return file_command_html(verb, name, options, words.THE_CONFIGURATION)
    return [command_html(f"market-abm {verb} {shlex.quote(name)}{sets}{options}")]


def _assignments(name: str, configuration: Mapping[str, Any]) -> str | None:
    """The options ``--set`` by which an experiment has this configuration, or None."""
    try:
        here, there = dict(flat(configuration)), dict(flat(resolved(Experiment.load(name))))
        changed = {k: v for k, v in here.items() if k not in there or there[k] != v}
        sets = [f"{key}={toml_value(value)}" for key, value in changed.items()]
        again = resolved(Experiment.load(name, dict(map(parse_assignment, sets))))
    except (MarketError, *UNREADABLE):
        return None
    if again != configuration:
        return None
    return "".join(f" --set {shlex.quote(each)}" for each in sets)


def file_command_html(verb: str, name: str, options: str, what: str) -> list[str]:
    """A command on a file, and an instruction to save the file."""
    file = f"{name if re.fullmatch(r'[A-Za-z0-9]+[A-Za-z0-9_-]*', name) else 'experiment'}.toml"
    return [
        f"<p>{words.save_as(what, f'<code>{escape(file)}</code>')}</p>",
        command_html(f"market-abm {verb} {file}{options}"),
    ]
