"""The report of a sweep."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.errors import MarketError, ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.files import available
from market_abm.experiment.toml import toml_value
from market_abm.runs.summary import resolved
from market_abm.studies.design import DRAWN
from market_abm.studies.rows import MeasureSettings
from market_abm.studies.store import TABLE
from market_abm.studies.sweep import Sweep, specification
from market_abm.views.report.commands import command_html, file_command_html
from market_abm.views.report.folder import ResultsFolder
from market_abm.views.report.page import Page
from market_abm.views.report.reading import (
    AGAIN,
    UNREADABLE,
    as_list,
    as_mapping,
    as_text,
    read_table,
)
from market_abm.views.report.rerun import parse_untrusted, rerun
from market_abm.views.report.sweep_figures import sweep_figures
from market_abm.views.report.tables import MAX_ROWS, facts_html, table_html
from market_abm.views.varying import with_all_measures
from market_abm.views.words import derivation
from market_abm.views.words import report as words
from market_abm.views.words.sweep import why_no_figure
from market_abm.views.words.text import flat

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.runs.result import Result

RATES = ("rate", "rate_uncertainty", "predicted_rate")
"""Columns of rates, per step."""

COLUMNS = {"steps", "error", *RATES, "alignment", "welfare", "best_welfare"}
"""Columns of numbers that the table of a sweep must have."""

ENDS = ("quantity.", "price.", "best_quantity.", "best_price.")
"""Beginnings of the columns of raw and final goods."""


class SweepFolder(ResultsFolder):
    """The folder of ``market-abm sweep``."""

    kind, verb = "sweep", "sweep"

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        super().__init__(folder, content)
        self.name = as_text(content.get("experiment")) or self.name
        self.axes = as_mapping(content.get("axes"))
        self.table = self._checked_table()
        self.base: Experiment | None = None
        self.trouble = ""
        try:
            self.base = parse_untrusted(
                as_text(content.get("text")), self.name, as_mapping(content.get("overrides"))
            )
            self.question = self.base.question
            self.configuration = resolved(self.base)
        except (MarketError, *UNREADABLE) as error:
            self.trouble = str(error)

    def _checked_table(self) -> pd.DataFrame:
        table = read_table(self.folder / TABLE)
        table = None if table is None else with_all_measures(table)
        found = set() if table is None else set(table.columns)
        numbers = COLUMNS | {column for column in found if column.startswith(ENDS)}
        if (
            table is None
            or not numbers | {"status"} | set(self.axes) <= found
            or any(table[column].dtype.kind != "f" for column in numbers)
        ):
            raise ResultsError(
                f"'{self.folder.name}/{TABLE}' is no table of this sweep", remedy=AGAIN
            )
        return table

    def experiment(self) -> Experiment:
        """The experiment that is swept."""
        if self.base is None:
            raise ResultsError(self.trouble)
        return self.base

    def rerun(self, experiment: Experiment) -> Result:
        """The experiment itself, run again; it need not be a point of the sweep."""
        self.checked = derivation.OWN_EXPERIMENT
        return rerun(experiment, progress=self.progress)

    def write(self, page: Page) -> None:
        """Add the sections to the page."""
        table = self.table
        counts = table["status"].value_counts().to_dict()
        page.outcome = escape(words.runs_sentence(len(table), counts))
        design = as_mapping(self.content["design"])
        page.add(
            "Axes",
            self._axes_html(),
            facts_html((k, v) for k, v in flat(design) if k in _relevant(design)),
        )
        households = self.base.economy.households if self.base is not None else ()
        figures = sweep_figures(table, list(self.axes), households)
        if figures:
            page.add_figures("Results", figures)
        else:
            page.omit(f"Figures: {why_no_figure(table, list(self.axes))}.")
        page.add("The runs", self._runs_html())
        self.write_program(page)
        self.write_derivation(page)
        text = as_text(self.content.get("text"))
        own = f"<p>{words.AS_WRITTEN}</p><pre><code>{escape(text)}</code></pre>" if text else ""
        self.write_origin(page, own)

    def _axes_html(self) -> str:
        rows = {}
        for name, values in self.axes.items():
            listed = values if isinstance(values, list) else [values]
            ends = {"from": listed[0], "to": listed[-1]} if listed else {}
            rows[name] = {"values": len(listed), **ends}
        seeds = as_list(self.content.get("seeds"))
        if seeds:
            rows["run.seed"] = {"values": len(seeds), "from": seeds[0], "to": seeds[-1]}
        return table_html("axis", rows, ("values", "from", "to"), words.AXES_CAPTION)

    def _runs_html(self) -> str:
        """A table of the runs, folded; of many, some at equal distances."""
        table = self.table
        shown = [*self.axes, "status", "steps", "error", *RATES, "welfare"]
        kept = np.unique(np.linspace(0, len(table) - 1, min(len(table), MAX_ROWS)).astype(int))
        rows = {str(k + 1): table.iloc[k][shown].to_dict() for k in kept.tolist()}
        listed = table_html("run", rows, shown, words.runs_caption(len(kept), len(table)))
        return f"<details><summary>{words.SHOW_TABLE}</summary>\n{listed}\n</details>"

    def commands(self) -> list[str]:
        """The command that reproduces the sweep, as HTML."""
        if self.base is None:
            return [f"<p>{words.unreadable_experiment(escape(self.trouble))}</p>"]
        axes, measures = self._arguments(), self._measures()
        if axes is None or measures is None:
            return [f"<p>{words.no_command('measures' if axes is not None else 'axes')}</p>"]
        sets = [f"{key}={toml_value(v)}" for key, v in self.content["overrides"].items()]
        arguments = [*axes, *measures, *(word for each in sets for word in ("--set", each))]
        options = "".join(f" {shlex.quote(word)}" for word in arguments)
        text, path = as_text(self.content["text"]), available().get(self.name)
        if not options.isprintable():
            return [f"<p>{words.no_command('settings')}</p>"]
        if path is not None and path.read_text("utf-8") == text:
            return [command_html(f"market-abm sweep {shlex.quote(self.name)}{options}")]
        return file_command_html("sweep", self.name, options, words.THE_EXPERIMENT)

    def _measures(self) -> list[str] | None:
        """The option that gives these measures: none if the file has them; None if none does."""
        assert self.base is not None
        given = {key: value for key, value in self.base.sweep.items() if key == "measures"}
        try:
            own = MeasureSettings.of(given, "sweep")
        except MarketError:
            return None
        for each, option in ((own, []), (own.fast(), ["--fast"])):
            if self.content.get("measures") == (each.measures and list(each.measures)):
                return option
        return None

    def _arguments(self) -> list[str] | None:
        """The arguments that give these axes: none if the file has them; None if none do."""
        content, base = self.content, self.base
        assert base is not None
        settings = dict(base.sweep)
        own = settings.pop("axes", {})
        if self._is_same(own, settings):
            return []
        design = as_mapping(content["design"])
        arguments, axes = [], {}
        for (name, values), ends in zip(self.axes.items(), content["ranges"], strict=True):
            low, high, log = ends
            axes[name] = (
                ",".join(toml_value(value) for value in values)
                if low is None
                or math.isnan(low)
                or (design.get("design") not in DRAWN and _whole(values))
                else f"{low!r}:{high!r}:{'log' if log else 'lin'}:{len(values)}"
            )
            arguments.append(f"{name}={axes[name]}")
        options = {key: design.get(key) for key in _relevant(design) if key != "seed"}
        if content["seeds"]:
            options["seeds"] = ",".join(map(str, content["seeds"]))
        arguments += [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return arguments if self._is_same(axes, {**settings, **options}) else None

    def _is_same(self, axes: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
        """Whether these axes and settings are those of the folder."""
        assert self.base is not None
        try:
            found = json.loads(
                json.dumps(specification(Sweep.of(self.base, axes, **settings)), default=str)
            )
        except (MarketError, *UNREADABLE):
            return False
        return all(
            found[key] == self.content.get(key) for key in ("axes", "settings", "seeds", "design")
        )


def _whole(values: Any) -> bool:
    """Whether these are integers: of a range, some may coincide."""
    return isinstance(values, list) and all(isinstance(value, int) for value in values)


def _relevant(design: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of a design: the points of a grid and of a list are those of the axes."""
    drawn = design.get("design") in DRAWN
    return ("design", "points", "seed") if drawn else ("design",)
