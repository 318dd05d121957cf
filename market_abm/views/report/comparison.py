"""The report of a comparison: of a market with its twin, or of several mechanisms."""

from __future__ import annotations

import shlex
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.errors import ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.views.report.comparison_figures import mechanism_figures, optimizer_figures
from market_abm.views.report.folder import ResultsFolder
from market_abm.views.report.page import Page
from market_abm.views.report.reading import (
    AGAIN,
    as_list,
    as_mapping,
    as_mappings,
    as_number,
    as_text,
    read_path,
)
from market_abm.views.report.rerun import difference, rerun
from market_abm.views.report.tables import facts_html, status_html, table_html
from market_abm.views.words import report as words
from market_abm.views.words.comparison import (
    BREAKS_DOWN,
    DISTANCE_NOTE,
    SAME_ECONOMY,
    mechanisms_note,
    twin_text,
)
from market_abm.views.words.derivation import agreement
from market_abm.views.words.text import sentence

if TYPE_CHECKING:
    from market_abm.runs.result import Result


class ComparisonFolder(ResultsFolder):
    """The folder of ``market-abm compare``."""

    kind, verb = "comparison", "compare"

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        super().__init__(folder, content)
        self.mechanisms = [as_mapping(row) for row in as_list(content.get("mechanisms"))]
        self.distances = as_mappings(content.get("distance"))
        if not self.mechanisms and not self.distances:
            raise ResultsError(f"'{folder.name}/comparison.json' is no comparison", remedy=AGAIN)

    def write(self, page: Page) -> None:
        """Add the sections to the page."""
        if self.mechanisms:
            self._write_mechanisms(page)
        else:
            self._write_twin(page)
        self.write_program(page)
        self.write_derivation(page)
        self.write_origin(page)

    def _write_mechanisms(self, page: Page) -> None:
        page.outcome = sentence(SAME_ECONOMY)
        page.add(
            "The mechanisms",
            table_html(
                "mechanism",
                {as_text(row.get("mechanism")): row for row in self.mechanisms},
                ("status", "steps", "messages", "welfare", "wasted", "money_made", "needed", "why"),
                mechanisms_note(),
            ),
        )
        page.add_figures("Steps", mechanism_figures(self.mechanisms))

    def _write_twin(self, page: Page) -> None:
        content = self.content
        self.status = as_text(content.get("status"))
        textbook = as_mapping(content.get("textbook"))
        far = as_mappings(textbook.get("distance"))
        market, twin = as_text(content.get("market")), as_text(content.get("optimiser"))
        page.outcome = status_html(self.status) + escape(sentence(twin_text(market, twin)))
        page.add(
            words.LARGEST_DISTANCE,
            facts_html(
                [
                    ("steps", content.get("steps")),
                    (words.IDENTICAL_UNTIL, content.get("identical_until")),
                    (words.TEXTBOOK, as_text(textbook.get("optimiser"))),
                ]
            ),
            table_html(
                "of",
                {
                    f"{name}, {words.FROM[source]}": {
                        "largest": BREAKS_DOWN if row.get("largest") is None else row["largest"],
                        "step": row.get("step"),
                    }
                    for source, rows in (("twin", self.distances), ("textbook", far))
                    for name, row in rows.items()
                },
                ("largest", "step"),
                DISTANCE_NOTE,
            ),
        )
        columns = ("price", "twin_price", "quantity", "twin_quantity")
        path = read_path(self.folder / "comparison.csv", columns)
        if path is None:
            page.omit(words.no_figures("comparison.csv"))
        else:
            page.add_figures("Both paths", optimizer_figures(path))

    def rerun(self, experiment: Experiment) -> Result:
        """The market run again; beside a twin, checked to have the same last prices."""
        result = rerun(experiment, as_number(self.content.get("steps")), self.progress)
        path = None
        if not self.mechanisms:
            path = read_path(self.folder / "comparison.csv", ("price",))
        if path is not None:
            last = path[path["step"] == path["step"].max()].drop_duplicates("good")
            old = last.set_index("good")["price"].reindex(list(result.goods)).to_numpy(float)
            self.checked = agreement(difference(old, result.last.prices), "prices")
        return result

    def options(self) -> str:
        """The mechanisms, if they were compared."""
        names = [as_text(row.get("mechanism")) for row in self.mechanisms]
        names = [name for name in names if name != "gradient ascent"]
        return f" --mechanisms {shlex.quote(','.join(names))}" if names else ""
