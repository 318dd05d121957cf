"""A folder of results, and the sections that a report has of every kind of results."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from market_abm.economy.families import families_of
from market_abm.errors import MarketError, ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.toml import toml_text
from market_abm.runs.families import shown_families
from market_abm.runs.progress import WorkProgress
from market_abm.views.explain import explain
from market_abm.views.notebook.economy import is_small, network
from market_abm.views.report.commands import commands_html
from market_abm.views.report.page import Page
from market_abm.views.report.reading import UNREADABLE, as_mapping, as_text
from market_abm.views.report.rerun import experiment_of
from market_abm.views.report.tables import derivation_html, facts_html
from market_abm.views.words import derivation
from market_abm.views.words import report as words
from market_abm.views.words.economy import demand_text, supply_text
from market_abm.views.words.families import demands_text, family_text, supplies_text
from market_abm.views.words.text import flat, sentence

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_SECTIONS = 24
"""Lines of the program that are derived; of more, the first upstream from the consumer."""

MAX_PICTURE = 2_000_000
"""Bytes of a picture that is taken into the page."""

MAX_TERMS = 20
"""Goods whose supply or demand is listed; of more, the first."""

MAX_OPEN_SECTIONS = 8
"""Derivations of more lines than this are folded."""


def png(path: Path) -> str:
    """A picture as a URL that holds it; empty if there is none, or it is no PNG or too large."""
    try:
        picture = path.read_bytes() if path.stat().st_size <= MAX_PICTURE else b""
    except OSError:
        return ""
    known = picture.startswith(b"\x89PNG\r\n\x1a\n")
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}" if known else ""


def _members(goods: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The members of each family of goods, by its label with their number."""
    return [(family_text(family), family.goods) for family in families_of(goods).values()]


class ResultsFolder(ABC):
    """One folder of results; a subclass a kind of results writes its sections.

    Parameters
    ----------
    folder
        The folder.
    content
        The object in its JSON file.
    """

    kind: ClassVar[str] = ""
    verb: ClassVar[str] = ""
    progress: WorkProgress | None = None
    """Called while the experiment is run again."""

    checked = ""
    """How well the folder agrees with the experiment run again."""

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self.folder, self.content = folder, content
        self.name = as_text(content.get("name")) or folder.resolve().name
        self.question = as_text(content.get("question"))
        self.configuration = as_mapping(content.get("configuration"))
        self.versions = as_mapping(content.get("versions"))
        self.status = ""
        self._experiment: Experiment | None = None

    @abstractmethod
    def write(self, page: Page) -> None:
        """Add the sections to the page."""

    def html(self) -> str:
        """The page."""
        page = Page()
        self.write(page)
        version = as_text(self.versions.get("market-abm"))
        return page.html(kind=self.kind, name=self.name, question=self.question, version=version)

    def experiment(self) -> Experiment:
        """The experiment of the configuration.

        Raises
        ------
        MarketError
            It cannot be read, or would read files of this machine.
        """
        if not self.configuration:
            raise ResultsError(words.NO_CONFIGURATION)
        if self._experiment is None:
            self._experiment = experiment_of(self.configuration, self.name)
        return self._experiment

    @abstractmethod
    def rerun(self, experiment: Experiment) -> Result:
        """The experiment run again, and checked to agree with the folder.

        Raises
        ------
        MarketError
            It takes long, or does not agree.
        """

    def write_program(self, page: Page) -> None:
        """The program, or the table that stands for one, and the other settings of the economy."""
        economy = as_mapping(self.configuration.get("economy"))
        table, program = as_text(economy.get("input_output")), as_text(economy.get("program"))
        if table:
            files = " and ".join(filter(None, (table, as_text(economy.get("sectors")))))
            shown = f"<p>{words.table_program(f'<strong>{escape(files)}</strong>')}</p>"
        elif program:
            shown = f"<pre><code>{escape(program.strip())}</code></pre>"
        else:
            return page.omit(words.not_in_folder("The program"))
        rows = {key: value for key, value in economy.items() if key not in ("program", "seed")}
        return page.add(
            "The program",
            shown,
            self._network(page),
            facts_html(flat(rows)),
            facts_html(self._terms()),
        )

    def _network(self, page: Page) -> str:
        """The network as a drawing, if it is small; else the picture in the folder, or a remark."""
        try:
            economy = self.experiment().economy
        except (MarketError, *UNREADABLE):
            return ""  # which the derivation reports
        if not is_small(economy):
            picture = png(self.folder / "network.png")
            if picture:
                shown = f'<img src="{picture}" alt="{words.FLOWS_ALT}">'
                return f'<figure class="network">{shown}</figure>'
            page.omit(words.large_network(len(economy.goods)))
            return ""
        caption = f"<figcaption>{words.NETWORK_CAPTION}</figcaption>"
        drawn = network(economy, self.box_notes(), styled=False)
        return f'<figure class="network">{drawn}{caption}</figure>'

    def box_notes(self) -> dict[str, str]:
        """What stands below the names of goods in the network."""
        return {}

    def _terms(self) -> list[tuple[str, str]]:
        """The terms of supply and demand; nothing if the experiment cannot be read."""
        try:
            economy = self.experiment().economy
        except (MarketError, *UNREADABLE):
            return []
        if shown_families(economy):
            rows = [
                *(
                    (words.supply_of(label), supplies_text([economy.supply[g] for g in goods]))
                    for label, goods in _members(economy.supply)
                ),
                *(
                    (words.demand_for(label), demands_text([economy.demand[g] for g in goods]))
                    for label, goods in _members(economy.demand)
                ),
            ]
        else:
            rows = [
                *(
                    (words.supply_of(economy.label(good)), supply_text(terms))
                    for good, terms in economy.supply.items()
                ),
                *(
                    (words.demand_for(economy.label(good)), demand_text(terms))
                    for good, terms in economy.demand.items()
                ),
            ]
        more = len(rows) - MAX_TERMS
        return [*rows[:MAX_TERMS], *([(words.MORE_TERMS, f"{more:,}")] if more > 0 else [])]

    def write_derivation(self, page: Page) -> None:
        """Each firm's profit condition beside backprop's line, from the experiment run again."""
        try:
            experiment = self.experiment()
            with np.errstate(all="ignore"):
                result = self.rerun(experiment)
                sections = explain(result)
        except (MarketError, *UNREADABLE) as error:
            return page.omit(words.left_out(derivation.TITLE, error))
        shown = [derivation_html(section) for section in sections[:MAX_SECTIONS]]
        if len(sections) > MAX_SECTIONS:
            some = derivation.first_lines(MAX_SECTIONS, len(sections))
            shown.append(f'<p class="note">{some}</p>')
        if len(sections) > MAX_OPEN_SECTIONS:
            count = min(len(sections), MAX_SECTIONS)
            summary = f"<summary>{words.show_lines(count)}</summary>"
            shown = [f"<details>{summary}", *shown, "</details>"]
        diverged = f" {derivation.DIVERGED}" if self.status == "diverged" else ""
        off_rest = "" if result.at_rest else f" {derivation.OFF_REST}"
        return page.add(
            derivation.TITLE,
            f"<p>{derivation.SIDES}{off_rest}{diverged} {escape(self.checked)}</p>",
            *shown,
        )

    def write_origin(self, page: Page, *more: str) -> None:
        """The command, versions and seed; then the resolved configuration."""
        facts = [(f"version of {key}", value) for key, value in self.versions.items()]
        seed = as_mapping(self.configuration.get("run")).get("seed")
        page.add(
            words.HOW_TO_REPRODUCE,
            *self.commands(),
            facts_html([("seed", seed), *facts] if seed is not None else facts),
        )
        if not self.configuration and not more:
            return page.omit(words.not_in_folder("The configuration"))
        text = toml_text(self.configuration) if self.configuration else ""
        return page.add(
            "Configuration",
            *more,
            f"<p>{words.ALL_SETTINGS}</p><pre><code>{escape(text)}</code></pre>" if text else "",
        )

    def commands(self) -> list[str]:
        """The command that reproduces the folder, checked to give this configuration; as HTML."""
        if not self.configuration:
            return [f"<p>{sentence(words.NO_CONFIGURATION)}</p>"]
        return commands_html(self.verb, self.name, self.configuration, self.options())

    def options(self) -> str:
        """The options of the command after the experiment, each with a space before it."""
        return ""
