"""The report of a run."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import MEASURES
from market_abm.economy.families import families_of
from market_abm.errors import ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.views.report.folder import ResultsFolder, png
from market_abm.views.report.households import write_households
from market_abm.views.report.own_rates import write_own_rates
from market_abm.views.report.page import Page
from market_abm.views.report.reading import (
    AGAIN,
    as_list,
    as_mapping,
    as_mappings,
    as_number,
    as_text,
    read_path,
    read_table,
)
from market_abm.views.report.rerun import difference, rerun
from market_abm.views.report.run_figures import run_figures
from market_abm.views.report.tables import facts_html, status_html, table_html
from market_abm.views.report.taxes import write_taxes
from market_abm.views.words import families as of_families
from market_abm.views.words import report as words
from market_abm.views.words.derivation import agreement
from market_abm.views.words.households import money_label
from market_abm.views.words.optimum import equilibrium_unknown, optimum_unknown, rest_text
from market_abm.views.words.run import measure_label
from market_abm.views.words.stability import regime_text
from market_abm.views.words.text import changes_text, sentence

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.runs.result import Result


PATH = ("quantity", "price", "gradient", "error")
"""Columns of a path, apart from steps and names."""

FAMILY_COLUMNS = ("price", "price_least", "price_largest", "gradient", "error", "first_step")
"""Columns of the table of families, after their members."""


class RunFolder(ResultsFolder):
    """The folder of ``market-abm run``."""

    kind, verb = "run", "run"

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        super().__init__(folder, content)
        self.status = as_text(content.get("status"))
        self.goods = as_mappings(content.get("goods"))
        self.families = as_mappings(content.get("families"))
        self.equilibrium = as_mapping(content.get("equilibrium"))
        self.shocks = [as_mapping(each) for each in as_list(self.configuration.get("shocks"))]
        if not self.status or not self.goods:
            raise ResultsError(f"'{folder.name}/summary.json' is no summary of a run", remedy=AGAIN)

    def write(self, page: Page) -> None:
        """Add the sections to the page."""
        message = as_text(self.content.get("message")).removeprefix(self.status)
        page.outcome = status_html(self.status) + escape(sentence(message))
        page.add("Measures", facts_html(self._measures()))
        self.write_program(page)
        self._write_figures(page)
        page.add(
            "Shocks",
            facts_html(
                (f"from step {each.get('step')}", self._shock_text(each)) for each in self.shocks
            ),
        )
        if self.families:
            columns = ("members", *FAMILY_COLUMNS)
            table = table_html("family", self.families, columns, of_families.CAPTION)
            page.add(words.AT_THE_END, table)
        else:
            self._write_goods(page)
        write_own_rates(page, as_list(self.content.get("own_rates")))
        economy = as_mapping(self.configuration.get("economy"))
        write_households(
            page,
            self.content,
            bars=png(self.folder / "households.png"),
            simplex=png(self.folder / "price-simplex.png"),
            unit=money_label(as_text(economy.get("numeraire")) or None),
        )
        write_taxes(page, as_mapping(self.content.get("taxes")))
        self.write_derivation(page)
        self._write_accounts(page)
        near = as_mapping(self.content.get("near_rest"))
        if isinstance(near.get("regime"), str):
            near = {**near, "regime": regime_text(near)}
        _add_facts(
            page, words.NEAR_THE_STEADY_STATE, near, words.STABILITY_LABELS, words.NOT_COMPUTED
        )
        rest = as_mapping(self.content.get("rest"))
        general = bool(self.content.get("households") or self.content.get("taxes"))
        resting = {words.WHERE_IT_RESTS: rest_text(rest)} if "kind" in rest else {}
        _add_facts(
            page,
            words.DISTANCE_TO_THE_OPTIMUM,
            {**self.equilibrium, **resting},
            words.OPTIMUM_LABELS,
            equilibrium_unknown() if general else optimum_unknown(),
        )
        self.write_origin(page)

    def _write_goods(self, page: Page) -> None:
        """A row a good."""
        page.add(
            words.AT_THE_END,
            table_html(
                "good",
                self.goods,
                ("name", "quantity", "price", "gradient", "error", "first_step", "staleness"),
                words.AT_THE_END_CAPTION,
            ),
        )

    def _measures(self) -> list[tuple[str, Any]]:
        """Every measure of the package that the summary has as a number, and what belongs to it."""
        content = self.content
        return [
            ("steps", as_number(content.get("steps"))),
            *(
                (measure_label(measure), as_number(content.get(measure.key)))
                for measure in MEASURES
            ),
            (words.BEST_WELFARE, as_number(self.equilibrium.get("best_welfare"))),
            (words.THEORY_ERROR, as_number(content.get("theory_error"))),
        ]

    def _shock_text(self, shock: dict[str, Any]) -> str:
        """What a shock changed, and what followed it."""
        told = [as_mapping(each) for each in as_list(self.content.get("shocks"))]
        after = [words.shock_response(e) for e in told if e.get("step") == shock.get("step")]
        return "; ".join(filter(None, [changes_text(shock), *after]))

    def _write_figures(self, page: Page) -> None:
        name = "families.csv" if self.families else "trajectory.csv"
        path = self._path_of_families() if self.families else self._path(name)
        if path is None:
            return page.omit(words.no_figures(name))
        steps = [as_number(each.get("step")) for each in self.shocks]
        households = as_mappings(as_mapping(self.content.get("weights")).get("households"))
        weights = {name: as_number(own.get("equilibrium")) for name, own in households.items()}
        measured = ("welfare", "alignment", *(("gain_fraction",) if weights else ()))
        figures = run_figures(
            path,
            read_table(self.folder / "measures.csv", ("step", *measured)),
            tolerance=as_number(as_mapping(self.configuration.get("run")).get("tolerance")),
            best_welfare=as_number(self.equilibrium.get("best_welfare")),
            weights=weights,
            shocks=[int(step) for step in steps if step is not None],
            note=of_families.OF_FAMILIES if self.families else "",
        )
        return page.add_figures("Path", figures)

    def _path(self, name: str, columns: tuple[str, ...] = PATH) -> pd.DataFrame | None:
        return read_path(self.folder / name, columns)

    def _path_of_families(self) -> pd.DataFrame | None:
        """The path of families as one of goods: their means, and their largest error."""
        named = {"family": "good", "error": "error_median", "error_largest": "error"}
        table = read_table(self.folder / "families.csv", ("step", *PATH, "error_largest"))
        if table is None or "family" not in table or not np.isfinite(table["step"]).all():
            return None
        return table.rename(columns=named)

    def _write_accounts(self, page: Page) -> None:
        industries = as_mappings(self.content.get("industries"))
        if industries and self.families:
            industries = _sums(industries)
        if industries:
            table = table_html(
                "industry",
                industries,
                ("revenue", "cost", "profit", "margin"),
                words.ACCOUNTS_CAPTION,
            )
            page.add("Accounts", table)

    def box_notes(self) -> dict[str, str]:
        """The prices at the end."""
        prices = {good: as_number(row.get("price")) for good, row in self.goods.items()}
        return {g: words.price_note(price) for g, price in prices.items() if price is not None}

    def rerun(self, experiment: Experiment) -> Result:
        """The run made again, checked to have the same last prices and quantities."""
        if self.content.get("firm", "Firm") != "Firm":
            raise ResultsError("its firms bid by a rule of their own, which is not in the folder")
        result = rerun(experiment, as_number(self.content.get("steps")), self.progress)
        rows = result.table()
        goods = [good for good in rows.index if good in self.goods]
        if len(goods) != len(self.goods):
            raise ResultsError("the configuration is not that of these results")
        worst = 0.0
        for column in ("price", "quantity"):
            old = np.array([as_number(self.goods[g].get(column)) for g in goods], float)
            worst = max(worst, difference(old, rows.loc[goods, column].to_numpy(float)))
        self.checked = agreement(worst, "prices and quantities")
        return result

    def commands(self) -> list[str]:
        """The command that reproduces the run; a rule of bidding in Python has none."""
        if self.content.get("firm", "Firm") != "Firm":
            firm = escape(str(self.content["firm"]))
            return [f"<p>{words.own_bids(f'<code>{firm}</code>')}</p>"]
        return super().commands()


def _sums(industries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The accounts of families: sums over their industries, and the profit over the revenue."""
    rows = {}
    for family in families_of(industries).values():
        money = {
            key: sum(as_number(industries[good].get(key)) or 0.0 for good in family.goods)
            for key in ("revenue", "cost", "profit")
        }
        margin = money["profit"] / money["revenue"] if money["revenue"] > 0.0 else None
        rows[family.label] = {**money, "margin": margin}
    return rows


def _add_facts(
    page: Page, title: str, values: dict[str, Any], labels: dict[str, str], why: str
) -> None:
    """A section of labelled values; without any, a remark why they are left out."""
    if values:
        page.add(title, facts_html((labels.get(key, key), v) for key, v in values.items()))
    else:
        page.omit(words.left_out(title, why))
