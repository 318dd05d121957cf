"""An experiment file (TOML) becomes an experiment, and an experiment is run.

The only module that knows both the market and the analysis: it lets the market trade, and has a
witness watch it from outside.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.economy import REUSE, Economy
from market_abm.errors import MarketError, SettingError, nearest
from market_abm.files import (
    clip,
    find,
    key_lines,
    key_parts,
    program_offset,
    quoted,
    read,
    tables_of,
    where_text,
)
from market_abm.national import TableSettings
from market_abm.participants import Population
from market_abm.program import from_text
from market_abm.record import BOOKS, recorded_places
from market_abm.settings import (
    Settings,
    check_choice,
    check_number,
    check_whole,
    choice,
    integer,
    names,
    number,
    words,
)
from market_abm.state import MarketSettings

if TYPE_CHECKING:
    from market_abm.agents import Firm
    from market_abm.analysis.comparison import Witness
    from market_abm.input_output import InputOutputTable
    from market_abm.result import Result
    from market_abm.simulation import Engine, Progress

MOST_AGENTS = 1_000_000
"""Firms that one Mesa model may hold: some 4 kB and 50 microseconds a step each."""

ENGINES = ("agents", "arrays")

MOST_RECORDED = 16_000_000_000
"""Bytes that the record of one run may come to."""


@dataclass(frozen=True)
class RunSettings(Settings):
    """How long to run, and when to stop.

    ``engine`` is what moves the market (``agents``: one Mesa agent a firm; ``arrays``: all firms
    together, for large economies), ``steps`` the most that
    a run may take, ``tolerance`` the relative gradient error of every good that counts as settled,
    with quantities at rest; ``seed`` fixes every random number.
    """

    engine: str = choice("agents", ENGINES)
    steps: int = integer(500, low=0, high=1_000_000_000)
    tolerance: float = number(1e-9, above=0.0, high=1.0)
    seed: int = integer(1, low=0, high=2**63 - 1)


@dataclass(frozen=True)
class RecordSettings(Settings):
    """What of a run is kept: every ``every``-th step, of these ``goods`` (by default all).

    Always kept is the last step, with all goods.
    """

    every: int = integer(1, low=1)
    goods: tuple[str, ...] | None = names(None)


@dataclass(frozen=True)
class ProgramSettings(Settings):
    """What is made of what: the program, how its goods are reused, the values of its parameters."""

    program: str = words()
    reuse: str = choice("rival", REUSE)
    parameters: Mapping[str, float] = dataclasses.field(
        default_factory=dict, metadata={"check": lambda v, w: _table(v, w, check_number)}
    )


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


@dataclass(frozen=True, eq=False)
class Experiment:
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
        firms = sum(industry.firms for industry in self.economy.flow)
        if firms > MOST_AGENTS and self.run.engine == "agents":
            raise SettingError(
                f"the economy has {firms:,} firms",
                remedy=f'engine = "agents" holds at most {MOST_AGENTS:,}; use engine = "arrays"',
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
        a_step = self.record_bytes(len(BOOKS))
        steps = self.run.steps // self.record.every
        if steps * a_step > MOST_RECORDED:
            raise SettingError(
                f"{steps:,} steps of {a_step:,} bytes each would record up to "
                f"{steps * a_step / 1e9:,.0f} GB",
                remedy=f"lower run.steps to {MOST_RECORDED // a_step * self.record.every:,} "
                f"or less, name fewer record.goods, or set record.every to "
                f"{-(-self.run.steps * a_step // MOST_RECORDED):,}",
                name="run.steps",
            )

    def __repr__(self) -> str:
        from market_abm.display.result import experiment_text

        return experiment_text(self)

    def _repr_html_(self) -> str:
        from market_abm.display.result import experiment_html

        return experiment_html(self)

    def under(self, mechanism: str) -> Experiment:
        """The same experiment under another mechanism."""
        market = dataclasses.replace(self.market, mechanism=mechanism)
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
            for key, value in source.overrides.items():
                _override(tables, key, copy.deepcopy(value))  # another may change a part of it
            return dataclasses.replace(_experiment(tables, name, source.folder), source=source)
        except MarketError as error:
            raise source.placed(error) from None

    def placed(self, error: MarketError) -> MarketError:
        """``error`` with the place in the text that caused it, if there is a text."""
        return self.source.placed(error) if self.source else error

    def again(self, settings: Mapping[str, Any]) -> Experiment:
        """The same text, read again with more ``settings`` (by dotted key) that override it.

        Raises:
            MarketError: the settings are wrong, or the experiment was not read from a text.
        """
        if self.source is None:
            raise SettingError(
                "the experiment was not read from a text",
                remedy="use Experiment.load or Experiment.parse",
            )
        source, merged = self.source, {**self.source.overrides, **settings}
        return Experiment.parse(source.text, self.name, merged, file=source.file)

    @staticmethod
    def of(economy: Economy, name: str = "economy", **settings: Any) -> Experiment:
        """An experiment with one's own economy; ``settings`` are keys of [market] and [run]."""
        market, run = split_settings(settings)
        return Experiment(
            economy=economy,
            market=MarketSettings.of(market, "market"),
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
                "market": dataclasses.asdict(MarketSettings.of(market, "market")),
                "run": dataclasses.asdict(RunSettings.of(run, "run")),
            },
        )


def run(
    what: Experiment | Economy | str | Path,
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002
    firm: type[Firm] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Run an experiment (or an economy, a file, or the name of an experiment) to its end.

    ``settings`` are keys of [market] and [run] (``share_rate=0.2, steps=100``); ``set`` overrides
    any key of a file by its dotted name. ``firm`` is a subclass of ``Firm`` with another bidding
    rule. ``progress(state, seen)`` is called at the start and after each step, with the ``State``
    of the market and what a ``Witness`` saw of it by name, such as the exact ``gradients`` (money
    per unit, shape (goods,)) and ``welfare`` (money); a KeyboardInterrupt there stops the run.

    Raises:
        MarketError: the experiment cannot be read, or a rival good cannot be split.
    """
    from market_abm.agents import Firm
    from market_abm.result import Result
    from market_abm.simulation import simulate

    if isinstance(what, Economy):
        if set:
            raise SettingError(
                "'set' overrides the keys of a file", remedy="change the economy itself", name="set"
            )
        experiment = Experiment.of(what, **settings)
    elif isinstance(what, Experiment):
        if set or settings:
            raise SettingError(
                "the experiment is already made",
                remedy="give the settings to Experiment.load",
                name="set",
            )
        experiment = what
    else:
        market, rest = split_settings(settings)
        dotted = {f"market.{k}": v for k, v in market.items()}
        dotted |= {f"run.{k}": v for k, v in rest.items()}
        experiment = Experiment.load(what, {**dotted, **(set or {})})

    try:
        engine, witness = watched(experiment, firm or Firm)
        record = experiment.record
        (outcome,) = simulate(
            engine,
            experiment.run.steps,
            witness,
            progress and _of_one_run(progress),
            every=record.every,
            goods=record.goods,
            changes=[(step, [economy]) for step, economy in experiment.changes],
        )
        if outcome.error:
            raise outcome.error
    except MarketError as error:
        raise experiment.placed(error) from None
    return Result.of(experiment, outcome, firm or Firm)


def watched(experiment: Experiment, firm: type[Firm] | None = None) -> tuple[Engine, Witness]:
    """The market of an experiment at its start, and the witness who watches it.

    Raises:
        MarketError: the market cannot begin.
    """
    from market_abm.agents import Firm
    from market_abm.analysis.comparison import Witness

    market = _market(experiment, firm or Firm)
    witness = Witness(
        market.economy,
        experiment.run.tolerance,
        shares_move=experiment.market.shares_move,
        rules=experiment.market.rules,
        reference=market.reference,
    )
    return market, witness


def _of_one_run(progress: Progress) -> Progress:
    """``progress`` without the axis of runs."""
    return lambda state, saw: progress(state.rows(0), {name: v[0] for name, v in saw.items()})


def _market(experiment: Experiment, firm: type[Firm]) -> Engine:
    """The market of an experiment, moved by the engine that it asks for."""
    if experiment.run.engine == "arrays":
        from market_abm.agents import Firm
        from market_abm.arrays import array_market

        if firm is not Firm:
            raise SettingError(
                f'{firm.__name__} cannot bid with engine = "arrays"',
                remedy='a bidding rule of your own needs engine = "agents"',
                name="run.engine",
            )
        return array_market([experiment.economy], [experiment.market], [experiment.run.seed])
    from market_abm.model import MarketModel
    from market_abm.simulation import Alone

    seed = experiment.run.seed
    return Alone(MarketModel(experiment.economy, experiment.market, seed=seed, firm=firm))


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``settings`` sorted into keys of [market] and keys of [run]."""
    market = {f.name for f in dataclasses.fields(MarketSettings)}
    rest = {f.name for f in dataclasses.fields(RunSettings)}
    for key in settings:
        if key not in market | rest:
            raise SettingError(
                f"unknown setting '{key}'", remedy=nearest(key, market | rest), name=key
            )
    return (
        {k: v for k, v in settings.items() if k in market},
        {k: v for k, v in settings.items() if k in rest},
    )


# --- from tables to an experiment ----------------------------------------------------------------


def _table(
    value: Any, where: str, check: Callable[[Any, str], Any] | None = None
) -> dict[str, Any]:
    """``value`` if it is a table, its entries checked by ``check``."""
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{where} is {clip(repr(value))}", remedy=f"make it a table: [{where}]", name=where
        )
    return {k: check(v, f"{where}.{k}") if check else v for k, v in value.items()}


_TOP = (
    "question",
    "economy",
    "reuse",
    "supply",
    "demand",
    "industries",
    "market",
    "run",
    "record",
    "sweep",
    "shocks",
)

SHOCKABLE = ("economy.parameters", "supply", "demand", "industries")
"""The tables whose numbers a shock may change."""


def _experiment(tables: dict[str, Any], name: str, folder: Path) -> Experiment:
    for key in tables:
        if key not in _TOP:
            raise SettingError(f"unknown key '{key}'", remedy=nearest(key, _TOP), name=key)
    question = tables.get("question", "")
    if not isinstance(question, str):
        raise SettingError("question is not text", remedy="put it in quotes", name="question")
    table = {key: _table(tables.get(key, {}), key) for key in _TOP[1:-1]}
    made_of = _made_of(table["economy"])
    market = MarketSettings.of(table["market"], "market")
    run = RunSettings.of(table["run"], "run")
    record = RecordSettings.of(table["record"], "record")
    economy = _economy(table, run.seed, folder)
    common = {k: v for k, v in table["industries"].items() if not isinstance(v, Mapping)}
    single = {k: v for k, v in table["industries"].items() if isinstance(v, Mapping)}
    changes, shocks = _changes(tables, economy, run.seed, folder)
    return Experiment(
        economy=economy,
        market=market,
        run=run,
        record=record,
        sweep=table["sweep"],
        changes=changes,
        name=name,
        question=question,
        configuration={
            "question": question,
            "economy": dataclasses.asdict(made_of),
            "reuse": table["reuse"],
            "supply": {k: dataclasses.asdict(v) for k, v in economy.supply.items()},
            "demand": {k: dataclasses.asdict(v) for k, v in economy.demand.items()},
            "industries": dataclasses.asdict(Population.of(common, "industries")) | single,
            "market": dataclasses.asdict(market),
            "run": dataclasses.asdict(run),
            "record": dataclasses.asdict(record),
            "shocks": shocks,
        },
    )


def _made_of(economy: Mapping[str, Any]) -> ProgramSettings | TableSettings:
    """What the table ``[economy]`` says: a program, or an input-output table."""
    if "input_output" not in economy:
        return ProgramSettings.of(economy, "economy")
    if "program" in economy:
        raise SettingError(
            "the economy has a program and an input-output table",
            remedy="leave one out: economy.program, or economy.input_output",
            name="economy.program",
        )
    return TableSettings.of(economy, "economy")


def _economy(tables: Mapping[str, Any], seed: int, folder: Path) -> Economy:
    """The economy that the tables of a file in ``folder`` describe."""
    made_of = _made_of(tables["economy"])
    industries = tables.get("industries", {})
    for good, kind in tables.get("reuse", {}).items():
        check_choice(kind, f"reuse.{good}", REUSE)
    options = {
        "supply": tables.get("supply", {}),
        "demand": tables.get("demand", {}),
        "reuse_of": tables.get("reuse", {}),
        "population": {k: v for k, v in industries.items() if not isinstance(v, Mapping)},
        "population_of": {k: v for k, v in industries.items() if isinstance(v, Mapping)},
        "seed": seed,
    }
    if isinstance(made_of, TableSettings):
        return made_of.economy(folder, **options)
    economy = from_text(
        made_of.program, parameters=made_of.parameters, reuse=made_of.reuse, **options
    )
    read = {name for i in economy.industries for name in i.technology.parameters}
    for name in made_of.parameters:
        if name not in read:
            raise SettingError(
                f"no line of the program reads the parameter '{name}'",
                remedy=nearest(name, read) if read else "leave it out",
                name=f"economy.parameters.{quoted(name)}",
            )
    return economy


def _changes(
    tables: Mapping[str, Any], first: Economy, seed: int, folder: Path
) -> tuple[tuple[tuple[int, Economy], ...], list[dict[str, Any]]]:
    """The economies that shocks lead to, one after another, and the shocks in full."""
    shocks = tables.get("shocks", [])
    if not isinstance(shocks, list) or not all(isinstance(each, Mapping) for each in shocks):
        raise SettingError("shocks is no list of tables", remedy="write [[shocks]]", name="shocks")
    told = []
    for shock in shocks:
        if "step" not in shock:
            raise SettingError("a shock has no step", remedy="write step = ...", name="shocks")
        settings = dict(_flat({key: shock[key] for key in shock if key != "step"}))
        for key in settings:
            if not key.startswith(tuple(f"{table}." for table in SHOCKABLE)):
                raise SettingError(
                    f"a shock cannot change '{key}'",
                    remedy=f"it can change numbers under {', '.join(SHOCKABLE)}",
                    name="shocks",
                )
        told.append({"step": check_whole(shock["step"], "shocks.step", low=1), **settings})
    told.sort(key=lambda shock: shock["step"])
    now = copy.deepcopy({key: tables[key] for key in tables if key != "shocks"})
    changes = []
    for shock in told:
        for key, value in shock.items():
            if key != "step":
                _override(now, key, value)
        try:
            economy = _economy(now, seed, folder)
        except MarketError as error:
            error.what = f"the shock at step {shock['step']}: {error.what}"
            error.name, error.line = "shocks", None
            raise
        changes.append((shock["step"], _with_references_of(first, economy)))
    return tuple(changes), told


def _with_references_of(first: Economy, economy: Economy) -> Economy:
    """``economy`` with demand around what ``first`` makes at its start, where it names no other."""
    from market_abm.backprop import references

    if all(terms.quantity is not None for terms in economy.demand.values()):
        return economy
    try:
        made = references(first)
    except MarketError:  # a loop that does not settle: its demand has references of its own
        return economy
    return dataclasses.replace(
        economy,
        demand={
            good: terms
            if terms.quantity is not None
            else dataclasses.replace(terms, quantity=float(quantity))
            for (good, terms), quantity in zip(economy.demand.items(), made, strict=True)
        },
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested tables by their dotted names; those of the first may be dotted."""
    for key, value in table.items():
        name = prefix + quoted(key) if prefix else key
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _override(tables: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key_parts(key)
    table = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise SettingError(
                f"unknown key '{key}'", remedy=f"'{part}' has no keys of its own", name=key
            )
    table[last] = value
