"""One market under somebody's hands: it moves step by step, and its numbers can be turned.

Nothing here knows of a browser. What a shock may change (the numbers of ``[supply]``, ``[demand]``,
``[industries]`` and the economy's parameters) changes while the market runs, and is noted as one of
``[[shocks]]``; anything else starts the market anew. So what was seen can always be written down as
an experiment file, and ``market-abm run`` sees the same.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.economy.economy import Economy
from market_abm.economy.values import is_value_key
from market_abm.errors import MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.shocks import GoodShock, Shock, in_order
from market_abm.experiment.toml import toml_text
from market_abm.keys import key_parts, quoted
from market_abm.market.state import State
from market_abm.runs.run import watched
from market_abm.simulation.endings import Ending, divergence
from market_abm.simulation.loop import advance

DECADES = (0.05, 20.0)
"""The ends of an elasticity's slider, unless it stands beyond."""


FILES = ("economy", "economy.input_output", "economy.sectors")
"""Settings that name files: who opens a page may not have any file of this machine read."""


UNBOUNDED = {"share_rate": 2.0, "auction_rate": 0.2, "output_rate": 2.0, "wage_rate": 2.0}
"""Where the sliders of rates end that may be larger than 1, or mean something else."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A number that can be turned: a setting by its dotted ``key``, and where a slider ends.

    ``logarithmic`` sliders move in ratios; ``endless`` ones have infinity beyond ``high``; those
    with ``whole`` numbers stop at these only.
    """

    key: str
    label: str
    value: float
    low: float
    high: float
    logarithmic: bool = False
    endless: bool = False
    whole: bool = False


class Session:
    """A market that is watched and turned.

    ``experiment`` is what has been asked for so far, shocks included; ``state`` (arrays without an
    axis of runs) and ``seen`` (what the witness makes of it, by name) are those of the last step.
    ``ending`` says why the market cannot go on, once it cannot.

    Raises:
        MarketError: the experiment cannot be read, or its market cannot begin.
    """

    def __init__(self, where: str, settings: Mapping[str, Any] | None = None) -> None:
        experiment = Experiment.load(where, settings)
        try:
            self._begin(_ready(experiment))
        except MarketError:  # it is the file's own mistake that is to be told, or none
            self._begin(experiment)

    def _begin(self, experiment: Experiment) -> None:
        """Start the market of ``experiment``, or keep the one that there is if it has a mistake."""
        try:
            market, witness = watched(experiment)
            if market.failed:
                raise market.failed[0]
        except MarketError as error:
            raise experiment.placed(error) from None
        self.first = self.experiment = experiment
        self._set: dict[str, Any] = {}
        self._market, self._witness = market, witness
        self.ending: Ending | None = None
        state = market.state
        self._take(state, witness(state))

    def _take(self, state: State, saw: Mapping[str, np.ndarray]) -> None:
        self.state = state.select_runs(0)
        self.seen = {name: each[0] for name, each in saw.items()}

    # --- moving -----------------------------------------------------------------------------------

    def step(self) -> None:
        """Move one step on; where the market cannot, ``ending`` says why.

        Raises:
            MarketError: a mistake of the experiment shows on the way.
        """
        if self.ending is not None:
            return
        changes = dict(self.experiment.changes)
        economy = changes.get(self.state.step + 1)
        state, saw = advance(self._market, self._witness, [economy] if economy else None)
        if self._market.failed:
            raise self.experiment.placed(self._market.failed[0])
        self._take(state, saw)
        self.ending = divergence(self._market.economy, state, 0)

    def restart(self) -> None:
        """Back to step 0; shocks that were made by hand are forgotten, what was turned is kept."""
        self._begin(self._restarted({}))

    def _restarted(self, settings: dict[str, Any]) -> Experiment:
        """The experiment without added shocks, with all that was set, and ``settings``."""
        settings = {**self._set, **settings}
        return self.first.with_overrides(settings) if settings else self.first

    @property
    def economy(self) -> Economy:
        """The economy as it is now."""
        return self.experiment.economy_at(self.state.step)

    @property
    def errors(self) -> np.ndarray:
        """|price - gradient| / |gradient| of all goods, shape (goods,)."""
        with np.errstate(all="ignore"):
            return relative_error(self.state.prices, self.seen["gradients"])

    # --- turning ----------------------------------------------------------------------------------

    def set(self, key: str, value: Any) -> bool:
        """Set a setting; a number of the economy while the market runs, any other restarts it.

        Parameters
        ----------
        key
            The dotted key.
        value
            The new value.

        Returns
        -------
        bool
            Whether the market was restarted.

        Raises
        ------
        MarketError
            The setting is unknown, not valid, or names files to be read. Nothing is changed.
        """
        if ".".join(key_parts(key)) in FILES:  # however it is quoted
            raise SettingError(
                f"{key} names a file, and this page reads none",
                remedy="name it in an experiment file, or with --set, and watch that",
            )
        with _without_place():
            running = self.state.step > 0 and self.ending is None
            if is_value_key(key) and running and self._is_shock(key, value):
                self._add_shock(Shock(self.state.step + 1, {key: value}))
                self._set[key] = value
                return False
            self._begin(self._restarted({key: value}))
            return True

    def _is_shock(self, key: str, value: Any) -> bool:
        """Whether a number can be set from now on: not if the structure of the economy changes.

        It must be valid from step 0 on too, for a restart.
        """
        values = {**self._set, key: value}
        initial = dataclasses.replace(self.first, economy=self.first.economy.with_values(values))
        return initial.economy.structure == self.economy.structure

    def shock(self, target: str, good: str, percent: float) -> None:
        """Change a number of a good by so many per cent, from the next step on.

        Parameters
        ----------
        target, good
            See :class:`GoodShock`.
        percent
            The change.

        Raises
        ------
        MarketError
            There is no such number, or it cannot change so. Nothing is changed.
        """
        if self.ending is not None:
            raise MarketError("this market cannot go on", remedy="reset it, and then shock it")
        step = self.state.step + 1
        shock = GoodShock(target, good, percent, relative=True, step=step)
        with _without_place():
            self._add_shock(shock.on(self.experiment.economy_at(step)))

    def _add_shock(self, shock: Shock) -> None:
        """Add a shock, merged with others of its step, to a run that is long enough for it."""
        values: dict[int, dict[str, Any]] = {}
        for each in in_order([*self.experiment.shocks, shock]):
            values.setdefault(each.step, {}).update(each.values)
        steps = max(self.experiment.run.steps, 2 * shock.step)
        self.experiment = self.experiment.with_steps(steps).with_shocks(
            Shock(step, merged) for step, merged in values.items()
        )

    # --- what can be turned, and what was ---------------------------------------------------------

    def knobs(self) -> list[Parameter]:
        """The numbers that are worth turning: the market's rates and lag, and all elasticities."""
        return [*self._rates(), *self._elasticities(), *self._parameters()]

    def _rates(self) -> Iterator[Parameter]:
        market = self.experiment.market
        symbols = {"bid_rate": " α", "share_rate": " κ"}
        for name in market.rules.rates:
            value = getattr(market, name)
            label = name.replace("_", " ") + symbols.get(name, "")
            high = UNBOUNDED.get(name, 1.0)
            yield Parameter(f"market.{name}", label, value, min(0.01, value), max(high, value))
        with suppress(MarketError):
            lagging = dataclasses.replace(market, lag=max(1, market.lag))
            market.rules.check(self.experiment.economy, lagging)
            yield Parameter(
                "market.lag", "lag, steps", market.lag, 0, max(10, market.lag), whole=True
            )

    def _elasticities(self) -> Iterator[Parameter]:
        for good, demand in self._coming.demand.items():
            if demand.form == "elastic":  # it can be nothing else: see _curved
                continue
            key = f"demand.{quoted(good)}.elasticity"
            label, value = f"elasticity of demand for {good}", demand.elasticity
            yield Parameter(key, label, value, *_decades(value), logarithmic=True, endless=True)
        for good, supply in self._coming.supply.items():
            key = f"supply.{quoted(good)}.elasticity"
            label, value = f"elasticity of supply of {good}", supply.elasticity
            yield Parameter(key, label, value, 0.0, max(4.0, value))

    def _parameters(self) -> Iterator[Parameter]:
        values: dict[str, float] = {}
        for industry in self._coming.industries:
            values.update(industry.technology.parameters)
        for name, value in values.items():
            key, label = f"economy.parameters.{quoted(name)}", name.replace("_", " ")
            if value > 0:
                ends = _decades(value) if "elasticity" in name else (value / 4.0, value * 4.0)
                yield Parameter(key, label, value, *ends, logarithmic=True)
            else:
                reach = max(1.0, abs(value))
                yield Parameter(key, label, value, value - reach, value + reach)

    @property
    def _coming(self) -> Economy:
        """The economy of the next step, with all that has been turned."""
        return self.experiment.economy_at(self.state.step + 1)

    def text(self) -> str:
        """All this as an experiment file; step by step a run of it goes the same way, to its end.

        A run ends where the market has come to rest after the last shock. Files that are read are
        named by where they are.
        """
        steps = max(self.experiment.run.steps, self.state.step)
        configuration = dict(self.experiment.configuration)
        economy, source = dict(configuration["economy"]), self.experiment.source
        if source is not None and economy.get("sectors") is not None:
            for key in ("input_output", "sectors"):
                economy[key] = str((source.folder / economy[key]).resolve())
        configuration["economy"] = economy
        configuration["run"] = {**configuration["run"], "steps": steps}
        return toml_text(configuration)


def _decades(value: float) -> tuple[float, float]:
    """The ends of the slider of an elasticity that is ``value`` now."""
    low, high = DECADES
    return (min(low, value), max(high, value)) if math.isfinite(value) and value > 0 else DECADES


@contextmanager
def _without_place() -> Iterator[None]:
    """A mistake here is one of what was turned: nobody typed a --set, or a list of shocks."""
    try:
        yield
    except MarketError as error:
        if (error.file or "").startswith("--set "):
            error.file = error.line = None
            error.what = re.sub(r"^the shock at step \d+:? ", "", error.what)
        raise


# --- so that every elasticity can be turned ------------------------------------------------------


def _ready(experiment: Experiment) -> Experiment:
    """The same experiment, said so that a shock can change each of its elasticities.

    Elasticities that stand in the program as numbers become parameters, and where demand is
    infinitely elastic, the form is written down that it has with any other elasticity.
    """
    made_of = experiment.configuration["economy"]
    settings: dict[str, Any] = {}
    if "program" in made_of:
        program, found = with_elasticity_parameters(made_of["program"], experiment.economy)
        if found:
            settings["economy.program"] = program
            settings["economy.parameters"] = {**made_of["parameters"], **found}
    for good, demand in experiment.economy.demand.items():
        if math.isinf(demand.elasticity):
            settings |= _curved(experiment, good)
    return experiment.with_overrides(settings) if settings else experiment


def _curved(experiment: Experiment, good: str) -> dict[str, Any]:
    """Settings by which demand for ``good`` is as elastic as before, and can be less; or none.

    In a loop nobody knows a reference quantity: there it is what the market begins with.
    """
    key = f"demand.{quoted(good)}"
    for settings in ({}, {f"{key}.quantity": _first_quantity(experiment, good)}):
        with suppress(MarketError):
            finite = experiment.with_overrides({**settings, f"{key}.elasticity": 1.0})
            form = finite.economy.demand[good].form
            told = {} if form is None else {f"{key}.form": form}
            return {**settings, **told, f"{key}.elasticity": math.inf}
    return {}


def _first_quantity(experiment: Experiment, good: str) -> float:
    quantities = watched(experiment)[0].state.quantities[0]
    return float(quantities[experiment.economy.index[good]])


def with_elasticity_parameters(program: str, economy: Economy) -> tuple[str, dict[str, float]]:
    """``program`` with ``elasticity=NUMBER`` written as ``elasticity=NAME``; each name's number.

    Names are ``elasticity_of_GOOD``, with ``_2`` and so on behind if the line has several.
    """
    taken = {
        *economy.goods,
        *(name for i in economy.topological_order for name in i.technology.parameters),
    }
    found: dict[str, float] = {}
    lines = [line.encode() for line in program.splitlines()]
    places = []
    for statement in ast.parse(program).body:
        for node in ast.walk(statement):
            if not isinstance(node, ast.keyword) or node.arg != "elasticity":
                continue
            value = node.value
            number = value.value if isinstance(value, ast.Constant) else None
            if isinstance(number, int | float) and value.lineno == value.end_lineno:
                good = statement.targets[0].id  # type: ignore[attr-defined]
                names = (f"elasticity_of_{good}{k}" for k in ("", *map("_{}".format, range(2, 99))))
                name = next(each for each in names if each not in taken | set(found))
                found[name] = float(number)
                places.append((value.lineno, value.col_offset, value.end_col_offset, name))
    for line, start, stop, name in sorted(places, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:start] + name.encode() + old[stop:]
    return b"\n".join(lines).decode(), found
