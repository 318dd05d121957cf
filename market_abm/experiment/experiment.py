"""An experiment file (TOML) becomes an experiment, and an experiment is run.

The only module that knows both the market and the analysis: it lets the market trade, and has a
witness watch it from outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.display import Displayable
from market_abm.economy.economy import Economy
from market_abm.economy.from_table import TableSettings
from market_abm.errors import MarketError, SettingError, clip, nearest, where_text
from market_abm.experiment.files import (
    find,
    key_lines,
    program_offset,
    read,
    tables_of,
)
from market_abm.experiment.reading import (
    compatible,
    market_under,
    override_all,
    read_tables,
    split_settings,
)
from market_abm.experiment.settings import MAX_AGENTS, MAX_RECORD_BYTES, RecordSettings, RunSettings
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import read_market
from market_abm.simulation.record import BUYER_FIELDS, recorded_places

if TYPE_CHECKING:
    from market_abm.economy.io_table import InputOutputTable


@dataclass(frozen=True)
class Source:
    """What an experiment was read from: a text, the file that it stood in, what overrode it."""

    text: str
    file: str | None
    overrides: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the files that it names are looked for; those named by an override, here."""
        here = "economy.input_output" in self.overrides
        return Path(self.file).parent if self.file and not here else Path()

    def placed(self, error: MarketError) -> MarketError:
        """``error`` with the file and line, or the override, that caused it."""
        if error.file:  # it is another file that is wrong
            return error
        for key, value in self.overrides.items():
            if error.name and (error.name == key or error.name.startswith(f"{key}.")):
                return error.located(file=f"--set {key}={clip(str(value))}")
            if key == "economy.program" and error.line is not None:
                return error.located(file=f"--set {key}")
        places = key_lines(self.text)
        if error.line is None:
            name = error.name or ""
            while name and name not in places:
                name = name.rpartition(".")[0]
            error.located(line=places.get(name))
        elif "economy.program" in places and not isinstance(error, SettingError):
            error.line += program_offset(self.text, places["economy.program"])
        return error.located(file=self.file)


@dataclass(frozen=True, eq=False, repr=False)
class Experiment(Displayable):
    """An economy, how its market works, and how long to run it.

    Read with :meth:`load` or :meth:`parse`, or made from an :class:`Economy` of one's own.
    ``configuration`` holds every setting, defaults included, as nested tables: the resolved file.
    ``changes`` are the shocks: with which step the economy becomes which other, of the same
    structure. ``sweep`` says at which points ``market-abm sweep`` runs it, unless told otherwise;
    ``source`` is the text that it was read from.
    """

    economy: Economy
    market: MarketSettings
    run: RunSettings
    record: RecordSettings = dataclasses.field(default_factory=RecordSettings)
    name: str = "experiment"
    question: str = ""
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sweep: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    changes: tuple[tuple[int, Economy], ...] = ()
    source: Source | None = None

    def __post_init__(self) -> None:
        """Refuse what one machine cannot hold, before anything is run."""
        firms = sum(industry.firms for industry in self.economy.topological_order)
        if firms > MAX_AGENTS and self.run.engine == "agents":
            raise SettingError(
                f"the economy has {firms:,} firms",
                remedy=f'engine = "agents" holds at most {MAX_AGENTS:,}; use engine = "arrays"',
                name="industries.firms",
            )
        for good in self.record.goods or ():
            if good not in self.economy.index:
                raise SettingError(
                    f"record.goods: there is no good '{good}'",
                    remedy=nearest(good, self.economy.goods),
                    name="record.goods",
                )
        for step, economy in self.changes:
            if not 1 <= step <= self.run.steps:
                raise SettingError(
                    f"a shock comes at step {step}, and there are {self.run.steps} steps",
                    remedy="let it come between 1 and run.steps",
                    name="shocks",
                )
            if economy.structure != self.economy.structure:
                raise SettingError(
                    f"the shock at step {step} changes more than numbers",
                    remedy="keep the lines, the firms, the kinds of supply and the forms of demand",
                    name="shocks",
                )
        a_step = self.record_bytes(len(BUYER_FIELDS))
        steps = self.run.steps // self.record.every
        if steps * a_step > MAX_RECORD_BYTES:
            raise SettingError(
                f"{steps:,} steps of {a_step:,} bytes each would record up to "
                f"{steps * a_step / 1e9:,.0f} GB",
                remedy=f"lower run.steps to {MAX_RECORD_BYTES // a_step * self.record.every:,} "
                f"or less, name fewer record.goods, or set record.every to "
                f"{-(-self.run.steps * a_step // MAX_RECORD_BYTES):,}",
                name="run.steps",
            )

    def with_mechanism(self, mechanism: str) -> Experiment:
        """The same experiment under another mechanism."""
        others = self.configuration.get("mechanisms", {})
        market = market_under(dataclasses.asdict(self.market), others, mechanism)
        configuration = {**self.configuration, "market": dataclasses.asdict(market)}
        return dataclasses.replace(self, market=market, configuration=configuration)

    @cached_property
    def input_output(self) -> InputOutputTable | None:
        """The input-output table that the economy was made of, if the experiment names one."""
        made_of = self.configuration.get("economy", {})
        if self.source is None or "input_output" not in made_of:
            return None
        return TableSettings.of(made_of, "economy").table(self.source.folder)

    @property
    def last_economy(self) -> Economy:
        """The economy as it is after the last shock."""
        return self.changes[-1][1] if self.changes else self.economy

    def economy_at(self, step: int) -> Economy:
        """The economy as it is in ``step``: after the shocks that came by then."""
        return next((e for when, e in reversed(self.changes) if when <= step), self.economy)

    def record_bytes(self, books: int) -> int:
        """Bytes of one recorded step; ``books`` numbers of each buyer are kept, while few."""
        goods, buyers = recorded_places(self.economy, self.record.goods)
        return 8 * (3 * len(goods) + books * len(buyers) + 2)

    @staticmethod
    def load(where: str | Path, settings: Mapping[str, Any] | None = None) -> Experiment:
        """The experiment in a file, or of that name among the experiments at hand.

        ``settings`` override the file, by dotted key: ``{"market.share_rate": 0.2}``.

        Raises:
            MarketError: there is no such file, or it is not an experiment; names the line.
        """
        path = find(where)
        return Experiment.parse(read(path), path.stem, settings, file=str(where_text(path)))

    @staticmethod
    def parse(
        text: str,
        name: str = "experiment",
        settings: Mapping[str, Any] | None = None,
        *,
        file: str | None = None,
    ) -> Experiment:
        """The experiment that ``text``, the content of an experiment file, describes."""
        source = Source(text, file, dict(settings or {}))
        try:
            tables = tables_of(text)
            override_all(tables, source.overrides)
            return Experiment(**read_tables(tables, source.folder), name=name, source=source)
        except MarketError as error:
            raise source.placed(error) from None

    def placed(self, error: MarketError) -> MarketError:
        """``error`` with the place in the text that caused it, if there is a text."""
        return self.source.placed(error) if self.source else error

    def with_overrides(self, settings: Mapping[str, Any]) -> Experiment:
        """The same text, read again with more ``settings`` (by dotted key) that override it.

        Raises:
            MarketError: the settings are wrong, or the experiment was not read from a text.
        """
        if self.source is None:
            raise SettingError(
                "the experiment was not read from a text",
                remedy="use Experiment.load or Experiment.parse",
            )
        source = self.source
        merged = {**compatible(source.overrides, settings), **settings}
        return Experiment.parse(source.text, self.name, merged, file=source.file)

    @staticmethod
    def of(economy: Economy, name: str = "economy", **settings: Any) -> Experiment:
        """An experiment with one's own economy; ``settings`` are keys of [market] and [run]."""
        market, run = split_settings(settings)
        return Experiment(
            economy=economy,
            market=read_market(market),
            run=RunSettings.of(run, "run"),
            name=name,
            configuration={
                "economy": {
                    "program": "\n".join(i.text(exact=True) for i in economy.industries),
                    "parameters": {
                        key: value
                        for industry in economy.industries
                        for key, value in industry.technology.parameters.items()
                    },
                    "seed": economy.seed,
                },
                "reuse": dict(economy.reuse),
                "supply": {k: dataclasses.asdict(v) for k, v in economy.supply.items()},
                "demand": {k: dataclasses.asdict(v) for k, v in economy.demand.items()},
                "industries": {
                    i.good: dataclasses.asdict(i.population) for i in economy.industries
                },
                "market": dataclasses.asdict(read_market(market)),
                "run": dataclasses.asdict(RunSettings.of(run, "run")),
            },
        )
