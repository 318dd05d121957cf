"""An experiment: an economy, a market and a run, read from an experiment file or made in Python."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from market_abm.analysis.own_rates import DatedGood, dated_goods
from market_abm.display import Displayable
from market_abm.economy.by_pattern import shortened
from market_abm.economy.economy import Economy
from market_abm.economy.families import chosen_goods
from market_abm.economy.from_table import TableSettings
from market_abm.economy.io_table import InputOutputTable
from market_abm.economy.outputs import program_lines
from market_abm.economy.read_series import as_table
from market_abm.economy.series import in_short
from market_abm.economy.taxes import as_taxes
from market_abm.errors import MarketError, SettingError, display_path
from market_abm.experiment.files import find, read
from market_abm.experiment.market_tables import compatible, market_under, override_all
from market_abm.experiment.reading import (
    as_households,
    expand_terms,
    outside,
    prices_of_owned,
    read_tables,
    split_settings,
)
from market_abm.experiment.settings import MAX_AGENTS, MAX_RECORD_BYTES, RecordSettings, RunSettings
from market_abm.experiment.shocks import (
    GoodShock,
    Shock,
    economies_after,
    in_order,
    located_at,
    with_references_of,
)
from market_abm.experiment.source import Source
from market_abm.experiment.toml import check_depth, composed, tables_of
from market_abm.keys import normal_key
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import read_market
from market_abm.simulation.record import BUYER_FIELDS, MAX_RECORDED_BUYERS


@dataclass(frozen=True, eq=False, repr=False)
class Experiment(Displayable):
    """An economy, how its market works, and how long to run it.

    Read with :meth:`load` or :meth:`parse`, or made from an :class:`Economy` with :meth:`of`.

    Parameters
    ----------
    economy
        The economy at the start.
    market, run, record
        The settings of the tables of these names.
    name, question
        Its name, and the question that it answers.
    configuration
        All settings, defaults included, as nested tables: the resolved experiment file.
    own_rates
        The families whose own rates of interest are reported, each with the formula that predicts
        them or an empty text (``analysis/own_rates.py``).
    sweep
        The table ``[sweep]``: the points at which ``market-abm sweep`` runs it by default.
    shocks
        Changes to numbers of the economy, in the order of their steps.
    source
        The text that it was read from, if any.

    Raises
    ------
    SettingError
        The parts contradict each other, or are too large for one machine.
    """

    economy: Economy
    market: MarketSettings
    run: RunSettings
    record: RecordSettings = dataclasses.field(default_factory=RecordSettings)
    name: str = "experiment"
    question: str = ""
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    own_rates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sweep: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shocks: tuple[Shock, ...] = ()
    source: Source | None = None

    def __post_init__(self) -> None:
        firms = sum(industry.firms for industry in self.economy.industries)
        if firms > MAX_AGENTS and self.run.engine == "agents":
            raise SettingError(
                f"the economy has {firms:,} firms",
                remedy=f'engine = "agents" holds at most {MAX_AGENTS:,}; use engine = "arrays"',
                name="industries.firms",
            )
        self._name_recorded_goods()
        self._check_shocks()
        self._check_record()
        self.dated_goods(self.own_rates)

    def _name_recorded_goods(self) -> None:
        """Put goods in the place of patterns in ``record.goods``."""
        if self.record.goods is None:
            return
        goods = chosen_goods(self.record.goods, self.economy.goods, "record.goods")
        object.__setattr__(self, "record", dataclasses.replace(self.record, goods=goods))

    def _check_shocks(self) -> None:
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

    def _check_record(self) -> None:
        unit = self.economy.numeraire
        if unit is not None and self.record.goods is not None and unit not in self.record.goods:
            raise SettingError(
                f"record.goods leaves out the numeraire {unit}",
                remedy=f"add it: prices are told in units of {unit}",
                name="record.goods",
            )
        a_step = self.record_bytes(len(BUYER_FIELDS))
        steps = self.run.steps // self.record_interval
        if steps * a_step > MAX_RECORD_BYTES:
            raise SettingError(
                f"{steps:,} steps of {a_step:,} bytes each would record up to "
                f"{steps * a_step / 1e9:,.0f} GB",
                remedy=f"lower run.steps to {MAX_RECORD_BYTES // a_step * self.record_interval:,} "
                f"or less, name fewer record.goods, or set record.every to "
                f"{-(-self.run.steps * a_step // MAX_RECORD_BYTES):,}",
                name="run.steps",
            )

    @property
    def record_interval(self) -> int:
        """Steps between records: a recorded step is an observed one."""
        return math.lcm(self.record.every, self.run.observe_every)

    @cached_property
    def changes(self) -> tuple[tuple[int, Economy], ...]:
        """The step of each shock, and the economy from that step on, of the same structure."""
        return economies_after(self.economy, self.shocks)

    @property
    def last_economy(self) -> Economy:
        """The economy after the last shock, at the last step."""
        return self.present_economy(self.run.steps)

    def economy_at(self, step: int) -> Economy:
        """The economy in ``step``, after the shocks until then."""
        return next((e for when, e in reversed(self.changes) if when <= step), self.economy)

    def present_economy(self, step: int) -> Economy:
        """The same with the numbers of that step in the place of series."""
        economy = self.economy_at(step)
        now = economy.at(step)
        if now is economy:
            return now
        if self._present.get("of") is not now:
            self._present.update({"of": now, "economy": with_references_of(self.economy, now)})
        return self._present["economy"]

    @cached_property
    def _present(self) -> dict[str, Economy]:
        """The economy that was asked for last, and what it is made of."""
        return {}

    @cached_property
    def input_output(self) -> InputOutputTable | None:
        """The input-output table of the economy, if the experiment names one."""
        made_of = self.configuration.get("economy", {})
        if self.source is None or "input_output" not in made_of:
            return None
        return TableSettings.of(made_of, "economy").table(self.source.folder)

    def dated_goods(self, families: Mapping[str, str], step: int = 0) -> list[DatedGood]:
        """The goods of families at their dates; formulas read the parameters of ``step``."""
        if not families:
            return []
        parameters = dict(self.configuration.get("economy", {}).get("parameters", {}))
        for industry in self.economy_at(step).industries if self.changes else ():
            parameters |= industry.technology.parameters
        return dated_goods(families, self.economy.goods, parameters)

    def record_bytes(self, buyer_fields: int) -> int:
        """Bytes of one recorded step with this many numbers of each recorded buyer."""
        economy, chosen = self.economy, self.record.goods
        goods = len(chosen or (*economy.supply, *economy.industries))
        buyers = sum(
            industry.firms
            * sum(chosen is None or good in chosen for good in industry.technology.inputs)
            for industry in economy.industries
        )
        return 8 * (3 * goods + buyer_fields * (buyers <= MAX_RECORDED_BUYERS) * buyers + 2)

    # --- made -----------------------------------------------------------------------------------

    @staticmethod
    def load(where: str | Path, settings: Mapping[str, Any] | None = None) -> Experiment:
        """Read an experiment file.

        Parameters
        ----------
        where
            A path, or the name of an available experiment.
        settings
            Overrides by dotted key: ``{"market.share_rate": 0.2}``.

        Raises
        ------
        MarketError
            There is no such file, or it is not valid; names the line.
        """
        path = find(where)
        return Experiment.parse(
            read(path), composed(path.stem), settings, file=str(display_path(path))
        )

    @staticmethod
    def parse(
        text: str,
        name: str = "experiment",
        settings: Mapping[str, Any] | None = None,
        *,
        file: str | None = None,
        economy: Economy | None = None,
    ) -> Experiment:
        """Read the text of an experiment file.

        Parameters
        ----------
        text
            The text, TOML.
        name
            The name of the experiment.
        settings
            Overrides by dotted key.
        file
            The file of the text, for messages, and to find the files that it names.
        economy
            The economy that it describes, if it was read before.

        Raises
        ------
        MarketError
            The text is not valid; names the line.
        """
        overrides = {normal_key(key): value for key, value in (settings or {}).items()}
        source = Source(text.removeprefix("\ufeff"), file, overrides)  # editors' byte order mark
        try:
            tables = tables_of(source.text)
            expand_terms(tables)
            check_depth(source.overrides)
            override_all(tables, source.overrides)
            check_depth(tables)
            parts = read_tables(tables, source.folder, economy)
            return Experiment(**parts, name=name, source=source)
        except MarketError as error:
            raise source.placed(error) from None

    @staticmethod
    def of(economy: Economy, name: str = "economy", **settings: Any) -> Experiment:
        """An experiment with an economy made in Python.

        Parameters
        ----------
        economy
            The economy.
        name
            The name of the experiment.
        **settings
            Keys of ``[market]`` and ``[run]``.

        Raises
        ------
        SettingError
            A setting is unknown, or not valid.
        """
        market, run = split_settings(settings)
        firms = [each for each in economy.industries if not each.household]
        return Experiment(
            economy=economy,
            market=read_market(market),
            run=RunSettings.of(run, "run"),
            name=name,
            configuration={
                "economy": {
                    "program": "\n".join(program_lines(firms, exact=True).values()),
                    "parameters": {
                        key: value
                        for industry in economy.industries
                        for key, value in industry.technology.parameters.items()
                    },
                    "seed": economy.seed,
                    **({"numeraire": economy.numeraire} if economy.numeraire else {}),
                },
                "reuse": shortened(
                    {k: v for k, v in economy.reuse.items() if k not in economy.outputs}
                ),
                "supply": _as_tables(outside(economy, economy.supply)) | prices_of_owned(economy),
                "demand": _as_tables(outside(economy, economy.demand)),
                "industries": _as_tables(
                    {i.good: i.population for i in firms if not i.technology.outputs}
                ),
                **as_taxes(economy.taxes),
                **as_households(economy),
                "market": dataclasses.asdict(read_market(market)),
                "run": dataclasses.asdict(RunSettings.of(run, "run")),
            },
        )

    # --- changed --------------------------------------------------------------------------------

    def with_mechanism(self, mechanism: str) -> Experiment:
        """The same experiment under another mechanism."""
        others = self.configuration.get("mechanisms", {})
        market = market_under(dataclasses.asdict(self.market), others, mechanism)
        configuration = {**self.configuration, "market": dataclasses.asdict(market)}
        chosen, source = {"market.mechanism": mechanism}, self.source
        if source is not None:  # so that it stays when the text is read again
            kept = compatible(source.overrides, chosen)
            source = dataclasses.replace(source, overrides={**kept, **chosen})
        return dataclasses.replace(self, market=market, configuration=configuration, source=source)

    def with_steps(self, steps: int) -> Experiment:
        """The same experiment with another maximum of steps."""
        run = dataclasses.replace(self.run, steps=steps)
        return dataclasses.replace(
            self,
            run=run,
            configuration={**self.configuration, "run": dataclasses.asdict(run)},
            source=self.source and self.source.with_override("run.steps", steps),
        )

    def with_shocks(self, shocks: Iterable[Shock]) -> Experiment:
        """The same experiment with these shocks in place of its own; no text is parsed.

        Raises
        ------
        MarketError
            A shock has an unknown key, a value out of range, or no step of the run.
        """
        shocks = in_order(shocks)
        entries = [shock.entry for shock in shocks]
        return dataclasses.replace(
            self,
            shocks=shocks,
            configuration={**self.configuration, "shocks": entries},
            source=self.source and self.source.with_override("shocks", entries),
        )

    def with_shock_texts(self, texts: Iterable[str], default: int | None = None) -> Experiment:
        """The same experiment with more shocks, as on a command line.

        Parameters
        ----------
        texts
            See :meth:`GoodShock.parse`. A percentage is of the number at its step, after the
            shocks before.
        default
            The step of a shock whose text has none; by default halfway through the run.

        Raises
        ------
        MarketError
            A text is not a valid shock of this economy; names the text.
        """
        parsed = []
        default = max(1, self.run.steps // 2) if default is None else default
        for text in texts:
            with located_at(text):
                parsed.append((text, GoodShock.parse(text, default)))
        experiment = self
        for text, shock in sorted(parsed, key=lambda each: each[1].step):
            with located_at(text):
                more = shock.on(experiment.economy_at(shock.step))
                experiment = experiment.with_shocks([*experiment.shocks, more])
        return experiment

    def with_overrides(self, settings: Mapping[str, Any]) -> Experiment:
        """The same text, read again with more overrides.

        Parameters
        ----------
        settings
            Values by dotted key.

        Raises
        ------
        MarketError
            A setting is not valid, or the experiment was not read from a text.
        """
        if self.source is None:
            raise SettingError(
                "the experiment was not read from a text",
                remedy="use Experiment.load or Experiment.parse",
            )
        source = self.source
        merged = {**compatible(source.overrides, settings), **settings}
        same = all(key.startswith("market.") for key in settings)
        economy = self.economy if same else None
        return Experiment.parse(source.text, self.name, merged, file=source.file, economy=economy)

    def placed(self, error: MarketError) -> MarketError:
        """``error`` with the place in the text that caused it, if there is a text."""
        return self.source.placed(error) if self.source else error


def _as_tables(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of goods as tables; families of which all have the same as one."""
    return {key: as_table(each) for key, each in shortened(in_short(settings)).items()}
