"""A folder of results as one HTML file to hand on: ``market-abm report``.

The file needs nothing but a browser: styles, script and data stand in it. All that comes from the
folder is escaped, and a policy in the page's head lets no script run but its own (by its hash), so
that a stranger's folder cannot bring one along. What is missing or unreadable in a folder is left
out of the page, which says so.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.errors import MarketError, ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.files import available
from market_abm.experiment.toml import parse_assignment, tables_of, toml_text, toml_value
from market_abm.language import mathml
from market_abm.market.state import State
from market_abm.runs.folders import write_file
from market_abm.runs.run import run
from market_abm.runs.summary import resolved
from market_abm.studies.store import PARTS, SPECIFICATION, TABLE
from market_abm.studies.sweep import Sweep, specification
from market_abm.views.explain import Pair, Section, explain
from market_abm.views.notebook.pieces import data
from market_abm.views.numbers import format_error
from market_abm.views.report.comparison_figures import mechanism_figures, optimizer_figures
from market_abm.views.report.run_figures import run_figures
from market_abm.views.report.sweep_figures import sweep_figures

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.runs.result import Result

ASSETS = Path(__file__).parent / "assets"


GENERATOR = '<meta name="generator" content="market-abm report">'
"""By this a report is known, and may be replaced by another."""


MAX_ROWS = 100
"""Rows of a table; of more, the first."""


MOST_SECTIONS, MOST_PAIRS = 24, 12
"""Lines that are derived, and inputs of each; of more, the first."""


MAX_OPEN_SECTIONS = 8
"""Derivations of more lines than this are folded away."""


MAX_FIRMS = 100_000
"""Firms of an industry that is made again for its derivation."""


MOST_WORK, STEP = 2_000_000, 50
"""Steps times firms, and so many more, of a run that is made again: half a minute or so."""


SAME = 1e-9
"""Relative difference of a run that is made again, up to which it is the same run."""


REGIMES = {
    "unstable": "grows",
    "oscillating": "swings and dies down",
    "monotone": "dies down",
}
"""What a small disturbance does."""


_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a file that somebody has changed may lead to, beside what the package says itself."""


def report(folder: str | Path) -> str:
    """The page, as HTML, for the folder of a run, a sweep or a comparison.

    Raises:
        ResultsError: there is no such folder, it holds no results, or they cannot be read.
    """
    folder = Path(folder).resolve()
    told = _told(folder)
    page = _Page()
    try:
        told.write(page)
    except _UNREADABLE as error:
        raise ResultsError(
            f"'{folder.name}' cannot be read as results ({type(error).__name__}: {error})",
            remedy="make them again, with market-abm run, sweep or compare",
        ) from None
    return page.text(told)


def save_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write :func:`report` to ``out`` (by default beside the folder, with its name), whole.

    Raises:
        ResultsError: as for :func:`report`; or ``out`` is no report, or cannot be written.
    """
    resolved_folder = Path(folder).resolve()
    path = Path(out) if out else resolved_folder.with_name(f"{resolved_folder.name}.html")
    try:
        if path.is_dir():
            raise ResultsError(f"'{path.name}' is a folder", remedy="name a file with --out")
        if path.exists() and GENERATOR not in path.read_text("utf-8", errors="replace")[:2000]:
            raise ResultsError(
                f"'{path.name}' exists, and is no report", remedy="name another file with --out"
            )
        text = report(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, lambda p: p.write_text(text, "utf-8", newline=""))
    except OSError as error:
        raise ResultsError(
            f"cannot write '{path.name}' ({error.strerror})", remedy="choose another with --out"
        ) from None
    return path


# --- what is in a folder --------------------------------------------------------------------------


def _told(folder: Path) -> _Told:
    """What the folder holds, by the file that only such a folder has."""
    try:
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise ResultsError(
            f"cannot read the folder '{folder.name}' ({error.strerror})",
            remedy="name a folder that market-abm run, sweep or compare wrote",
        ) from None
    kinds: dict[str, type[_Told]] = {
        "summary.json": _Run,
        SPECIFICATION: _Sweep,
        "comparison.json": _Comparison,
    }
    for name, kind in kinds.items():
        if name not in found:
            continue
        if name == SPECIFICATION and (PARTS in found or TABLE not in found):
            raise ResultsError(
                f"the sweep in '{folder.name}' is not finished", remedy="go on with --resume"
            )
        return kind(folder, _json(folder / name))
    raise ResultsError(
        f"'{folder.name}' holds no results",
        remedy=f"name a folder with {', '.join(kinds)}: market-abm run essay-chain --out DIR",
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(
            f"'{path.parent.name}/{path.name}' cannot be read ({type(error).__name__})",
            remedy="make the results again",
        ) from None
    if not isinstance(content, dict):
        raise ResultsError(
            f"'{path.parent.name}/{path.name}' holds no object", remedy="make the results again"
        )
    return content


def _csv(path: Path, numbers: Sequence[str] | None = None) -> pd.DataFrame | None:
    """A table whose columns ``numbers`` (all that can be, by default) are numbers; or None."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return None
    if numbers is not None and not set(numbers) <= set(table.columns):
        return None
    for column in table.columns if numbers is None else numbers:
        values = pd.to_numeric(table[column], errors="coerce")
        if numbers is not None or (values.notna() | (table[column] == "")).all():
            table[column] = values.astype(float)
    return table if len(table) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number_of(value: Any) -> float | None:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if real and math.isfinite(value) else None


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


class _Told:
    """What is told of one folder; its sections, in their order, are written by ``write``."""

    kind = ""
    verb = ""

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self.folder, self.content = folder, content
        self.name = _text_of(content.get("name")) or folder.resolve().name
        self.question = _text_of(content.get("question"))
        self.configuration = _mapping(content.get("configuration"))
        self.versions = _mapping(content.get("versions"))
        self.outcome = ""

    def write(self, page: _Page) -> None:
        """Add the sections to the page."""
        raise NotImplementedError

    # --- sections that all have ---

    def experiment(self) -> Experiment:
        """The experiment that the configuration describes, checked to be the same.

        Raises:
            MarketError: it cannot be had, or must not be: it would read files of this machine.
        """
        return _experiment(self.configuration, self.name)

    def write_program(self, page: _Page) -> None:
        """The program, or the table that stands for one, and what is reused how."""
        economy = _mapping(self.configuration.get("economy"))
        parts = []
        if economy.get("input_output"):
            table = _text_of(economy.get("input_output"))
            files = " and ".join(filter(None, (table, _text_of(economy.get("sectors")))))
            parts.append(
                f"<p>Not a program but an input–output table, <strong>{escape(files)}</strong>: "
                "each of its industries is a line of constant elasticity of substitution, and a "
                "household buys what is finally used.</p>"
            )
        elif _text_of(economy.get("program")):
            parts.append(f"<pre><code>{escape(economy['program'].strip())}</code></pre>")
        else:
            return page.leave_out("The program: the folder does not hold it.")
        rows = [(key, value) for key, value in economy.items() if key not in ("program", "seed")]
        return page.add("The program", *parts, _facts([*_flat(dict(rows))]))

    def write_derivation(self, page: _Page, make: Callable[[Experiment], Result]) -> None:
        """Each firm's condition beside backprop's line, from a run that ``make`` makes again."""
        title = "What firms do, beside what backprop does"
        try:
            if not self.configuration:
                raise ResultsError("the folder does not hold the configuration")
            experiment = self.experiment()
            with np.errstate(all="ignore"):
                sections = explain(make(experiment))
        except (MarketError, *_UNREADABLE) as error:
            return page.leave_out(f"{title}: {error}.")
        shown = [_derived(section) for section in sections[:MOST_SECTIONS]]
        if len(sections) > MOST_SECTIONS:
            shown.append(
                f'<p class="note">Of {len(sections):,} lines, the first {MOST_SECTIONS} upstream '
                f"from the consumer are shown; market-abm explain shows all.</p>"
            )
        if len(sections) > MAX_OPEN_SECTIONS:
            count = min(len(sections), MOST_SECTIONS)
            summary = f"<summary>Show {count} lines</summary>"
            shown = [f"<details>{summary}", *shown, "</details>"]
        status = (
            ""
            if self.outcome != "diverged"
            else " The run diverged; the numbers are those of its last step."
        )
        return page.add(
            title,
            "<p>On the left what a firm that maximises its profit pays, on the right the chain "
            "rule at the same line: the same formula, with prices in one and derivatives in the "
            f"other.{status} {escape(self.checked)}</p>",
            *shown,
        )

    checked = ""

    def write_origin(self, page: _Page, *more: str) -> None:
        """The command, versions and seed; then the resolved configuration."""
        facts = [(f"version of {key}", value) for key, value in self.versions.items()]
        seed = _mapping(self.configuration.get("run")).get("seed")
        page.add(
            "How to make it again",
            *self.commands(),
            _facts([("seed", seed), *facts] if seed is not None else facts),
        )
        if self.configuration or more:
            text = toml_text(self.configuration) if self.configuration else ""
            page.add(
                "Configuration",
                *more,
                "<p>Every setting, defaults included, as an experiment file.</p>"
                f"<pre><code>{escape(text)}</code></pre>"
                if text
                else "",
            )
        else:
            page.leave_out("The configuration: the folder does not hold it.")

    def commands(self) -> list[str]:
        """How the folder was made, as commands; each was checked to give this configuration."""
        if not self.configuration:
            return ["<p>The folder does not tell what it was made from.</p>"]
        return _commands(self.verb, self.name, self.configuration, self.options())

    def options(self) -> str:
        """What the command has beside the experiment."""
        return ""


class _Run(_Told):
    """The folder of ``market-abm run``."""

    kind, verb = "run", "run"

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        super().__init__(folder, content)
        self.outcome = _text_of(content.get("status"))
        self.goods = {k: _mapping(v) for k, v in _mapping(content.get("goods")).items()}
        if not self.outcome or not self.goods:
            raise ResultsError(
                f"'{folder.name}/summary.json' is no summary of a run",
                remedy="make the results again",
            )

    def write(self, page: _Page) -> None:
        content = self.content
        message = _text_of(content.get("message")).removeprefix(self.outcome)
        page.outcome = _status(self.outcome) + escape(_sentence(message))
        best = _mapping(content.get("equilibrium"))
        page.add(
            "In numbers",
            _facts(
                [
                    ("steps", content.get("steps")),
                    ("largest error of a price at the end", content.get("error")),
                    ("welfare", content.get("welfare")),
                    ("best welfare", best.get("best_welfare")),
                    ("steps by which prices lag their gradients", content.get("staleness")),
                    ("mean alignment with the gradient", content.get("alignment")),
                    ("share of moves uphill", content.get("uphill_share")),
                    ("largest distance from theory", content.get("theory_error")),
                ]
            ),
        )
        self.write_program(page)
        self._figures(page)
        shocks = self.configuration.get("shocks")
        if isinstance(shocks, list) and shocks:
            told = [(f"from step {s.get('step')}", _changes(s)) for s in map(_mapping, shocks)]
            page.add("Shocks", _facts(told))
        columns = ("name", "quantity", "price", "gradient", "error", "first_step", "staleness")
        page.add(
            "Prices and gradients at the end",
            _table(
                "good",
                self.goods,
                columns,
                "At the last step. The first step is that from "
                "which on the error stays within tolerance.",
            ),
        )
        self.write_derivation(page, self._again)
        industries = {k: _mapping(v) for k, v in _mapping(content.get("industries")).items()}
        if industries:
            page.add(
                "Accounts",
                _table(
                    "industry",
                    industries,
                    ("revenue", "cost", "profit", "margin"),
                    "Money, a step, at the last step's prices; the margin is profit over revenue.",
                ),
            )
        near = _mapping(content.get("near_rest"))
        if isinstance(near.get("regime"), str):
            near = {**near, "regime": REGIMES.get(near["regime"], near["regime"])}
        self._facts_or_nothing(
            page,
            "Near rest",
            near,
            {
                "regime": "a small disturbance",
                "radius": "predicted factor of a step",
                "rate": "measured factor of a step",
                "period": "period, steps",
                "half_life": "half-life, steps",
            },
            "what happens near rest was not computed",
        )
        self._facts_or_nothing(
            page,
            "Distance from the best allocation",
            best,
            {
                "solved": "found, without a market",
                "prices": "largest relative difference of a price",
                "quantities": "largest relative difference of a quantity",
                "welfare": "welfare that is missing, money",
                "best_welfare": "welfare at the best, money",
            },
            "it was not computed, too much is free",
        )
        self.write_origin(page)

    def _facts_or_nothing(
        self, page: _Page, title: str, values: dict[str, Any], names: dict[str, str], why: str
    ) -> None:
        if values:
            page.add(title, _facts([(names.get(key, key), v) for key, v in values.items()]))
        else:
            page.leave_out(f"{title}: {why}.")

    def _figures(self, page: _Page) -> None:
        columns = ("step", "quantity", "price", "gradient", "error")
        path = _csv(self.folder / "trajectory.csv", columns)
        if path is None or "good" not in path or not np.isfinite(path["step"]).all():
            return page.leave_out("The figures: trajectory.csv is missing or cannot be read.")
        measures = _csv(self.folder / "measures.csv", ("step", "welfare", "alignment"))
        shocks = self.configuration.get("shocks")
        steps = [_number_of(_mapping(each).get("step")) for each in shocks or []]
        figures = run_figures(
            path,
            measures,
            tolerance=_number_of(_mapping(self.configuration.get("run")).get("tolerance")),
            best_welfare=_number_of(_mapping(self.content.get("equilibrium")).get("best_welfare")),
            shocks=[int(step) for step in steps if step is not None],
        )
        return page.add_figures("The way there", figures)

    def _again(self, experiment: Experiment) -> Result:
        """The run made again, and checked to be this one."""
        if self.content.get("firm", "Firm") != "Firm":
            raise ResultsError("its firms bid by a rule of their own, which is not in the folder")
        result = _again(experiment, _number_of(self.content.get("steps")))
        rows = result.table()
        goods = [good for good in rows.index if good in self.goods]
        if len(goods) != len(self.goods):
            raise ResultsError("the configuration is not that of these results")
        worst = 0.0
        for column in ("price", "quantity"):
            old = np.array([_number_of(self.goods[g].get(column)) for g in goods], float)
            worst = max(worst, _distance(old, rows.loc[goods, column].to_numpy(float)))
        self.checked = _agreement(worst, "prices and quantities")
        return result

    def commands(self) -> list[str]:
        if self.content.get("firm", "Firm") != "Firm":
            firm = escape(str(self.content["firm"]))
            return [
                f"<p>The firms bid by a rule of their own, <code>{firm}</code>, which is Python "
                "code and not in the folder: no command makes this run.</p>"
            ]
        return super().commands()


class _Comparison(_Told):
    """The folder of ``market-abm compare``: a market beside its twin, or several mechanisms."""

    kind, verb = "comparison", "compare"

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        super().__init__(folder, content)
        told = content.get("mechanisms")
        self.rows = [_mapping(row) for row in told] if isinstance(told, list) else []
        self.distance = {k: _mapping(v) for k, v in _mapping(content.get("distance")).items()}
        if not self.rows and not self.distance:
            raise ResultsError(
                f"'{folder.name}/comparison.json' is no comparison",
                remedy="make the results again",
            )

    def write(self, page: _Page) -> None:
        if self.rows:
            self._contest(page)
        else:
            self._beside(page)
        self.write_program(page)
        self.write_derivation(page, self._again)
        self.write_origin(page)

    def _contest(self, page: _Page) -> None:
        page.outcome = "The same economy under several mechanisms."
        page.add(
            "The mechanisms",
            _table(
                "mechanism",
                {_text_of(row.get("mechanism")): row for row in self.rows},
                ("status", "steps", "messages", "welfare", "wasted", "money_made", "why"),
                "Steps and price messages until all prices and quantities stay within 1e-06 of "
                "the best; goods wasted and money made of nothing, as parts of all.",
            ),
        )
        page.add_figures("Side by side", mechanism_figures(self.rows))

    def _beside(self, page: _Page) -> None:
        content = self.content
        self.outcome = _text_of(content.get("status"))
        market, twin = _text_of(content.get("market")), _text_of(content.get("optimiser"))
        page.outcome = _status(self.outcome) + escape(
            f"A market ({market}) beside its twin, {twin}, which is written from formulas alone."
        )
        page.add(
            "The largest distance between their paths",
            _facts([("steps", content.get("steps"))]),
            _table(
                "of",
                self.distance,
                ("largest", "step"),
                "Relative to the largest size of each good or share on the way; and the step.",
            ),
        )
        columns = ("step", "price", "twin_price", "quantity", "twin_quantity")
        path = _csv(self.folder / "comparison.csv", columns)
        if path is None or "good" not in path or not np.isfinite(path["step"]).all():
            page.leave_out("The figures: comparison.csv is missing or cannot be read.")
        else:
            page.add_figures("Both paths", optimizer_figures(path))

    def _again(self, experiment: Experiment) -> Result:
        result = _again(experiment, _number_of(self.content.get("steps")))
        path = None if self.rows else _csv(self.folder / "comparison.csv", ("step", "price"))
        if path is not None and "good" in path:
            last = path[path["step"] == path["step"].max()].drop_duplicates("good")
            old = last.set_index("good")["price"].reindex(list(result.goods)).to_numpy(float)
            self.checked = _agreement(_distance(old, result.last.prices), "prices")
        return result

    def options(self) -> str:
        names = [_text_of(row.get("mechanism")) for row in self.rows]
        names = [name for name in names if name != "gradient ascent"]
        return f" --mechanisms {shlex.quote(','.join(names))}" if names else ""


def _told_of(design: Mapping[str, Any]) -> tuple[str, ...]:
    """What of a design matters: a grid and a list have their points from their axes."""
    drawn = design.get("design") in ("lhs", "sobol")
    return ("design", "points", "seed") if drawn else ("design",)


class _Sweep(_Told):
    """The folder of ``market-abm sweep``."""

    kind, verb = "sweep", "sweep"

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        super().__init__(folder, content)
        self.name = _text_of(content.get("experiment")) or self.name
        self.axes = _mapping(content.get("axes"))
        table = _csv(folder / TABLE)
        known = {"steps", "error", "rate", "predicted_rate", "alignment", "welfare", "best_welfare"}
        found = set() if table is None else set(table.columns)
        known |= {column for column in found if column.startswith(("quantity.", "best_quantity."))}
        if (
            table is None
            or not known | {"status"} | set(self.axes) <= found
            or any(table[column].dtype.kind != "f" for column in known)
        ):
            raise ResultsError(
                f"'{folder.name}/{TABLE}' is no table of this sweep",
                remedy="make the results again",
            )
        self.table = table
        self.base: Experiment | None = None
        self.trouble = ""
        try:
            self.base = _parsed(
                _text_of(content.get("text")), self.name, _mapping(content.get("overrides"))
            )
            self.question = self.base.question
            self.configuration = resolved(self.base)
        except (MarketError, *_UNREADABLE) as error:
            self.trouble = str(error)

    def experiment(self) -> Experiment:
        if self.base is None:
            raise ResultsError(self.trouble)
        return self.base

    def write(self, page: _Page) -> None:
        table = self.table
        counts = table["status"].value_counts()
        told = ", ".join(f"{n:,} {str(s).replace('_', ' ')}" for s, n in counts.items())
        page.outcome = escape(f"{len(table):,} runs: {told}.")
        design = _mapping(self.content["design"])
        page.add(
            "What was swept",
            self._axes(),
            _facts([(k, v) for k, v in _flat(design) if k in _told_of(design)]),
        )
        figures = sweep_figures(table, list(self.axes))
        if figures:
            page.add_figures("What came out", figures)
        else:
            page.leave_out("Figures: they are drawn where one or two axes have numbers that vary.")
        shown = [*self.axes, "status", "steps", "error", "rate", "predicted_rate", "welfare"]
        kept = np.unique(np.linspace(0, len(table) - 1, min(len(table), MAX_ROWS)).astype(int))
        rows = {str(k + 1): table.iloc[k][shown].to_dict() for k in kept.tolist()}
        every = "" if len(kept) == len(table) else f" {len(kept)} of {len(table):,}, evenly."
        listed = _table("run", rows, shown, f"A row a run.{every}")
        page.add("The runs", f"<details><summary>Show the table</summary>\n{listed}\n</details>")
        self.write_program(page)
        self.checked = "The numbers are those of the experiment itself, at no point of the sweep."
        self.write_derivation(page, _again)
        text = _text_of(self.content.get("text"))
        own = f"<p>As it was written:</p><pre><code>{escape(text)}</code></pre>" if text else ""
        self.write_origin(page, own)

    def _axes(self) -> str:
        rows = {}
        for name, values in self.axes.items():
            listed = values if isinstance(values, list) else [values]
            ends = {"from": listed[0], "to": listed[-1]} if listed else {}
            rows[name] = {"values": len(listed), **ends}
        seeds = self.content.get("seeds")
        if isinstance(seeds, list) and seeds:
            rows["run.seed"] = {"values": len(seeds), "from": seeds[0], "to": seeds[-1]}
        return _table("axis", rows, ("values", "from", "to"), "The axes of the sweep.")

    def commands(self) -> list[str]:
        if self.base is None:
            return [f"<p>The folder's experiment cannot be read: {escape(self.trouble)}.</p>"]
        axes = self._arguments()
        if axes is None:
            return ["<p>Its axes are not such as a command can name; see sweep.json.</p>"]
        sets = [f"{key}={toml_value(v)}" for key, v in self.content["overrides"].items()]
        words = [*axes, *(word for each in sets for word in ("--set", each))]
        options = "".join(f" {shlex.quote(word)}" for word in words)
        text, path = _text_of(self.content["text"]), available().get(self.name)
        if not options.isprintable():
            return ["<p>Its settings are not such as a command can name; see sweep.json.</p>"]
        if path is not None and path.read_text("utf-8") == text:
            return [_command(f"market-abm sweep {shlex.quote(self.name)}{options}")]
        return _by_file("sweep", self.name, options, "the experiment below, as it was written,")

    def _arguments(self) -> list[str] | None:
        """The words that give these axes: none, if they are the file's; None, if no words do."""
        content, base = self.content, self.base
        assert base is not None
        given = dict(base.sweep)
        own = given.pop("axes", {})
        if self._is_same(own, given):
            return []
        words, axes = [], {}
        for (name, values), ends in zip(self.axes.items(), content["ranges"], strict=True):
            low, high, log = ends
            axes[name] = (
                ",".join(toml_value(value) for value in values)
                if low is None or math.isnan(low)
                else f"{low!r}:{high!r}:{'log' if log else 'lin'}:{len(values)}"
            )
            words.append(f"{name}={axes[name]}")
        design = _mapping(content["design"])
        told = {key: design.get(key) for key in _told_of(design) if key != "seed"}
        if content["seeds"]:
            told["seeds"] = ",".join(map(str, content["seeds"]))
        words += [word for key, value in told.items() for word in (f"--{key}", str(value))]
        return words if self._is_same(axes, {**given, **told}) else None

    def _is_same(self, axes: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
        """Whether these axes and settings are those of the folder."""
        assert self.base is not None
        try:
            found = json.loads(
                json.dumps(specification(Sweep.of(self.base, axes, **settings)), default=str)
            )
        except (MarketError, *_UNREADABLE):
            return False
        return all(
            found[key] == self.content.get(key) for key in ("axes", "settings", "seeds", "design")
        )


# --- running it again -----------------------------------------------------------------------------


def _experiment(configuration: Mapping[str, Any], name: str) -> Experiment:
    """The experiment of a resolved configuration, if it reads back as the same."""
    experiment = _parsed(toml_text(configuration), name, {})
    if resolved(experiment) != configuration:
        raise ResultsError("the configuration does not read back as itself")
    return experiment


def _parsed(text: str, name: str, settings: Mapping[str, Any]) -> Experiment:
    """The experiment in a text from a folder, unless it names files of this machine."""
    for keys, value in [*_leaves(tables_of(text)), *_leaves(settings)]:
        if "sectors" in keys and value is not None:
            raise ResultsError(
                "the economy is a table in files of one's own, which are not in the folder"
            )
        if "firms" in keys and isinstance(value, int | float) and value > MAX_FIRMS:
            raise ResultsError(f"it has more than {MAX_FIRMS:,} firms")
    return Experiment.parse(text, name, settings)


def _leaves(tables: Any, keys: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    """What stands in nested tables and lists, each with its keys, dotted ones taken apart."""
    if isinstance(tables, Mapping):
        for key, value in tables.items():
            yield from _leaves(value, (*keys, *key.split(".")))
    elif isinstance(tables, list):
        for value in tables:
            yield from _leaves(value, keys)
    else:
        yield keys, tables


def _again(experiment: Experiment, steps: float | None = None) -> Result:
    """Run it, as long as that does not take long, nor more than the ``steps`` that it took."""
    firms = sum(industry.firms for industry in experiment.economy.topological_order)

    def stop(state: State, seen: Mapping[str, np.ndarray]) -> None:
        step = state.step
        if steps is not None and step > steps:
            raise ResultsError("running the configuration again did not end where the folder's did")
        if step * (firms + STEP) > MOST_WORK:
            raise ResultsError(f"to run it again takes long ({firms:,} firms, {step:,} steps)")

    return run(experiment, progress=stop)


def _distance(old: np.ndarray, new: np.ndarray) -> float:
    """The largest relative difference; what is no number in both is equal.

    Raises:
        ResultsError: it is more than ``SAME``.
    """
    both = np.isfinite(old) & np.isfinite(new)
    size = np.maximum(np.abs(old), np.abs(new))
    gaps = np.abs(old - new) / np.where(size > 0.0, size, 1.0)
    worst = float(gaps[both].max(initial=0.0))
    if not np.array_equal(np.isfinite(old), np.isfinite(new)) or worst > SAME:
        raise ResultsError("running the configuration again gave other numbers than the folder's")
    return worst


def _agreement(worst: float, what: str) -> str:
    how = (
        "the folder's to the last digit"
        if worst == 0.0
        else f"within {format_error(worst)} of the folder's"
    )
    return f"The run was made again for this; its last {what} are {how}."


def _commands(verb: str, name: str, configuration: Mapping[str, Any], options: str) -> list[str]:
    """The command that gives this configuration: of an experiment at hand, or of a file."""
    if name in available():
        try:
            base = resolved(Experiment.load(name))
            here, there = dict(_flat(configuration)), dict(_flat(base))
            changed = {k: v for k, v in here.items() if k not in there or there[k] != v}
            sets = [f"{key}={toml_value(value)}" for key, value in changed.items()]
            again = Experiment.load(name, dict(map(parse_assignment, sets)))
            words = "".join(f" --set {shlex.quote(each)}" for each in sets) + options
            if resolved(again) == configuration and words.isprintable():
                return [_command(f"market-abm {verb} {shlex.quote(name)}{words}")]
        except (MarketError, *_UNREADABLE):
            pass
    return _by_file(verb, name, options, "the configuration below")


def _by_file(verb: str, name: str, options: str, what: str) -> list[str]:
    file = f"{name if re.fullmatch(r'[A-Za-z0-9]+[A-Za-z0-9_-]*', name) else 'experiment'}.toml"
    return [
        f"<p>Save {what} as <code>{escape(file)}</code>; then:</p>",
        _command(f"market-abm {verb} {file}{options}"),
    ]


def _command(text: str) -> str:
    return f'<pre class="command"><code>{escape(text)}</code></pre>'


# --- HTML -----------------------------------------------------------------------------------------


@dataclass
class _Page:
    """Sections as they are added, then the page around them."""

    sections: list[tuple[str, str]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    outcome: str = ""

    def add(self, title: str, *parts: str) -> None:
        """A section of HTML; nothing, if all its parts are empty."""
        if any(parts):
            self.sections.append((title, "\n".join(part for part in parts if part)))

    def add_figures(self, title: str, figures: Sequence[dict[str, Any]]) -> None:
        """A section of figures."""
        parts = []
        for figure in figures:
            name = f"figure-{len(self.figures) + 1}"
            self.figures.append({**figure, "id": name})
            parts.append(
                f'<figure aria-labelledby="{name}-title">\n'
                f'<h3 id="{name}-title">{escape(figure["title"])}</h3>\n'
                f'<ul class="legend" id="{name}-legend" aria-label="Show or hide"></ul>\n'
                f'<div class="plot" id="{name}"></div>\n'
                f'<output class="readout" id="{name}-readout"></output>\n'
                f"<figcaption>{escape(figure['note'])}</figcaption>\n</figure>"
            )
        if parts:
            lead = (
                '<p class="note">Point at a figure, or move along it with the arrow keys, to read '
                "its values; its buttons hide and show.</p>"
                "<noscript><p>The figures need JavaScript; the same numbers are in the folder's "
                "CSV files.</p></noscript>"
            )
            self.add(title, lead, *parts)

    def leave_out(self, what: str) -> None:
        """Say of something that it is not there, and why."""
        self.left_out.append(what)

    def text(self, told: _Told) -> str:
        """The page."""
        if self.left_out:
            items = "\n".join(f"<li>{escape(_sentence(each))}</li>" for each in self.left_out)
            self.add("Left out", f"<ul>\n{items}\n</ul>")
        style, script = (_asset(name) for name in ("report.css", "report.js"))
        version = _text_of(told.versions.get("market-abm"))
        page = Template(_asset("page.html")).substitute(
            style=style,
            style_hash=_hash(style),
            script=script,
            script_hash=_hash(script),
            title=escape(told.question or told.name),
            kind=escape(f"market-abm · {told.kind} · {told.name}"),
            heading=escape(told.question or told.name),
            outcome=self.outcome,
            links="\n".join(
                f'<li><a href="#{_slug(title)}">{escape(title)}</a></li>'
                for title, _ in self.sections
            ),
            sections="\n".join(
                f'<section aria-labelledby="{_slug(title)}">\n'
                f'<h2 id="{_slug(title)}">{escape(title)}</h2>\n{body}\n</section>'
                for title, body in self.sections
            ),
            footer="Written by market-abm report"
            + (f", from results of market-abm {escape(version)}." if version else "."),
            data=_data(self.figures),
        )
        return page.encode("utf-8", "replace").decode("utf-8")


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def _hash(text: str) -> str:
    """By which the page's policy knows its own script and style."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


def _data(figures: Sequence[Mapping[str, Any]]) -> str:
    """JSON that may stand inside an element ``script``: nothing in it can end that."""
    text = json.dumps(figures, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _status(status: str) -> str:
    known = status if status in ("converged", "max_steps", "oscillating", "diverged") else "failed"
    return f'<span class="status {known}">{escape(status.replace("_", " "))}</span> '


def _value(value: Any) -> str:
    """A value of a file: a number with all its digits behind what is shown, or text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<span aria-label="none">–</span>'
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return data(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return escape(", ".join(value))
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _table(
    first: str, rows: Mapping[str, Mapping[str, Any]], columns: Sequence[str], caption: str
) -> str:
    """A table with a header for each row and column."""
    columns = [column for column in columns if any(column in row for row in rows.values())]
    words = {
        column
        for column in columns
        if any(isinstance(row.get(column), str) for row in rows.values())
    }
    more = f" The first {MAX_ROWS} of {len(rows):,}." if len(rows) > MAX_ROWS else ""
    heads = "".join(
        f'<th scope="col"{" class=" + chr(34) + "text" + chr(34) if c in words else ""}>'
        f"{escape(c if '.' in c else c.replace('_', ' '))}</th>"
        for c in columns
    )
    lines = []
    for name, row in list(rows.items())[:MAX_ROWS]:
        cells = "".join(
            f'<td class="text">{_value(row.get(column))}</td>'
            if column in words
            else f"<td>{_value(row.get(column))}</td>"
            for column in columns
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}{more}</caption>\n"
        f'<thead><tr><th scope="col" class="text">{escape(first)}</th>{heads}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )


def _facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Names and values, as a table of two columns; what has no value is left out."""
    lines = [
        f'<tr><th scope="row">{escape(str(name))}</th><td class="text">{_value(value)}</td></tr>'
        for name, value in pairs
        if value is not None and value != {}
    ]
    if not lines:
        return ""
    return f'<div class="scroll"><table><tbody>\n{chr(10).join(lines)}\n</tbody></table></div>'


def _changes(shock: Mapping[str, Any]) -> str:
    """What a shock changes, in words."""
    return "; ".join(f"{key} = {value}" for key, value in _flat(shock) if key != "step")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The entries of nested tables by their dotted names."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _derived(section: Section) -> str:
    """One section of the derivation: heading, sentence, and equations side by side."""
    line = mathml.equation(section.line) if section.line else ""
    profit = mathml.equation(section.profit) if section.profit else ""
    heading = line or escape(section.title)
    if profit:
        note = f'<p class="note">{escape(section.preface)}</p>' if section.preface else ""
        note += f'<div class="formula">{profit}</div>'
    else:
        long = len(section.note) > 300
        note = f'<p class="note">{escape(section.preface if long else section.note)}</p>'
    rows = "\n".join(map(_sides, section.pairs[:MOST_PAIRS]))
    more = len(section.pairs) - MOST_PAIRS
    rest = f'<p class="note">And so on, for {more:,} more inputs.</p>' if more > 0 else ""
    return (
        f'<div class="derived">\n<h3><span class="formula">{heading}</span></h3>\n{note}\n'
        '<table class="pairs"><thead><tr><th scope="col">the firm’s condition</th>'
        '<th scope="col">backprop</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>\n{rest}</div>"
    )


def _sides(pair: Pair) -> str:
    cells = []
    texts = (pair.condition, pair.condition_numbers), (pair.backprop, pair.backprop_numbers)
    names = "the firm’s condition", "backprop"
    for name, (text, numbers), equation in zip(names, texts, pair.equations, strict=True):
        formula = mathml.equation(equation) or escape(text)
        shown = numbers.replace(" * ", " · ").replace("*", " · ").replace("-", "\N{MINUS SIGN}")
        below = f'<span class="numbers">= {escape(shown)}</span>' if numbers else ""
        cells.append(f'<td data-side="{name}"><span class="formula">{formula}</span>{below}</td>')
    return f"<tr>{''.join(cells)}</tr>"
