"""A market that is run step by step while its settings change; independent of the browser.

Numbers that a shock can change (of ``[supply]``, ``[demand]``, ``[industries]`` and the parameters)
change while the market runs, and are recorded as ``[[shocks]]``; any other setting restarts it. So
a session can always be saved as an experiment file, and ``market-abm run`` reproduces it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.economy.economy import Economy
from market_abm.economy.households import endowments
from market_abm.economy.read_series import with_paths
from market_abm.economy.values import is_value_key
from market_abm.errors import MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.reading import WITH_SERIES
from market_abm.experiment.shocks import GoodShock, Shock, in_order
from market_abm.experiment.toml import toml_text
from market_abm.keys import key_parts, quoted
from market_abm.market.state import State
from market_abm.runs.families import shown_families
from market_abm.runs.numeraire import relative_prices
from market_abm.runs.start import start_runs
from market_abm.simulation.endings import Ending, divergence
from market_abm.simulation.loop import advance
from market_abm.views.words.page import (
    demand_elasticity,
    endowment_of,
    supply_elasticity,
    tax_rate,
)
from market_abm.watch.elasticities import with_parameters

DECADES = (0.05, 20.0)
"""The ends of the slider of an elasticity, if it is between them."""

FILES = ("economy", "economy.input_output", "economy.sectors")
"""Settings that name files; a page may not read any file of this machine."""

UNBOUNDED = {"share_rate": 2.0, "auction_rate": 0.2, "output_rate": 2.0, "wage_rate": 2.0}
"""The upper ends of the sliders of rates that may exceed 1, or are not fractions, at least."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A setting that is a number, and the range of its slider.

    Parameters
    ----------
    key
        The dotted key.
    label
        The label of the slider.
    value
        The present value.
    low, high
        The ends of the slider.
    logarithmic
        Whether the slider moves in ratios.
    endless
        Whether infinity is valid, beyond ``high``.
    whole
        Whether only integers are valid.
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
    """A market that is run step by step while its settings change.

    Parameters
    ----------
    where
        A file, or the name of an available experiment.
    settings
        Overrides by dotted key.

    Attributes
    ----------
    experiment
        The experiment with all settings so far, shocks included.
    state
        The state at the last step, without an axis of runs.
    observations
        What the gradient observer reports at the last step, by name.
    ending
        Why the market cannot continue, or None.

    Raises
    ------
    MarketError
        The experiment cannot be read, or its market cannot start.
    """

    def __init__(self, where: str, settings: Mapping[str, Any] | None = None) -> None:
        experiment = Experiment.load(where, settings)
        try:
            self._begin(with_parameters(experiment))
        except MarketError:  # an error in the file must be reported as it is there
            self._begin(experiment)

    def _begin(self, experiment: Experiment) -> None:
        """Start the market of ``experiment``; if it is not valid, keep the present one."""
        try:
            market, observer = start_runs([experiment], engine=experiment.run.engine)
            if market.failed:
                raise market.failed[0]
        except MarketError as error:
            raise experiment.placed(error) from None
        self.first = self.experiment = experiment
        self._numbers_set: dict[str, Any] = {}
        self._market, self._observer = market, observer
        self.ending: Ending | None = None
        state = market.state
        self._update(state, observer(state))

    def _update(self, state: State, observations: Mapping[str, np.ndarray]) -> None:
        self.state = state.select_runs(0)
        self.observations = {name: each[0] for name, each in observations.items()}

    # --- steps ------------------------------------------------------------------------------------

    def step(self) -> None:
        """Run one step, unless the market cannot continue: then ``ending`` says why.

        Raises
        ------
        MarketError
            The step shows an error of the experiment.
        """
        if self.ending is not None:
            return
        changes = dict(self.experiment.changes)
        economy = changes.get(self.state.step + 1)
        state, observations = advance(self._market, self._observer, [economy] if economy else None)
        if self._market.failed:
            raise self.experiment.placed(self._market.failed[0])
        self._update(state, observations)
        self.ending = divergence(self._market.economy, state, 0)

    def restart(self) -> None:
        """Restart at step 0 with all settings, but without the shocks of :meth:`shock`."""
        self._begin(self._restarted({}))

    def _restarted(self, settings: dict[str, Any]) -> Experiment:
        """The experiment without added shocks, with all that was set, and ``settings``."""
        settings = {**self._numbers_set, **settings}
        return self.first.with_overrides(settings) if settings else self.first

    @property
    def economy(self) -> Economy:
        """The present economy."""
        return self.experiment.present_economy(self.state.step)

    @property
    @np.errstate(all="ignore")
    def prices(self) -> np.ndarray:
        """Prices in the unit of account, shape (goods,); NaN where the numeraire has none."""
        return relative_prices(self.economy, self.state.prices)

    @property
    @np.errstate(all="ignore")
    def gradients(self) -> np.ndarray:
        """Exact gradients in units of the numeraire's own, shape (goods,)."""
        return relative_prices(self.economy, self.observations["gradients"])

    @property
    @np.errstate(all="ignore")
    def errors(self) -> np.ndarray:
        """|price - gradient| / |gradient| of all goods, shape (goods,)."""
        return relative_error(self.prices, self.gradients)

    # --- settings ---------------------------------------------------------------------------------

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
                self._numbers_set[key] = value
                return False
            self._begin(self._restarted({key: value}))
            return True

    def _is_shock(self, key: str, value: Any) -> bool:
        """Whether a number can be set from now on: not if the structure of the economy changes.

        It must be valid from step 0 on too, for a restart.
        """
        *_, name = key_parts(key)
        if key.startswith("economy.parameters.") and name in self.first.economy.fixed:
            return False
        values, structure = {**self._numbers_set, key: value}, self.first.economy.structure
        initial = dataclasses.replace(self.first, economy=self.first.economy.with_values(values))
        return initial.economy.structure == structure

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
            raise MarketError("this market cannot continue", remedy="reset it, and then shock it")
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

    # --- parameters -------------------------------------------------------------------------------

    def parameters(self) -> list[Parameter]:
        """The parameters with sliders: rates, lag, elasticities, and numbers of the economy."""
        of_economy = (*self._endowments(), *self._taxes(), *self._parameters())
        return [*self._rates(), *self._elasticities(), *of_economy]

    def _endowments(self) -> Iterator[Parameter]:
        for name, household in self._next_economy.households.items():
            for good, units in household.endowment.items():
                key = f"households.{quoted(name)}.endowment.{quoted(good)}"
                if units > 0.0:
                    ends = units / 2.0, units * 2.0
                    yield Parameter(key, endowment_of(name, good), units, *ends, logarithmic=True)

    def _taxes(self) -> Iterator[Parameter]:
        for name, tax in self._next_economy.taxes.items():
            ends = min(-0.5, tax.rate), max(1.0, tax.rate)
            yield Parameter(f"taxes.{quoted(name)}.rate", tax_rate(name), tax.rate, *ends)

    def _rates(self) -> Iterator[Parameter]:
        market = self.experiment.market
        symbols = {"bid_rate": " α", "share_rate": " κ"}
        for name in market.rules.rates:
            value = getattr(market, name)
            label = name.replace("_", " ") + symbols.get(name, "")
            high = max(UNBOUNDED[name], 2.0 * value) if name in UNBOUNDED else 1.0
            yield Parameter(f"market.{name}", label, value, min(0.01, value), max(high, value))
        with suppress(MarketError):
            lagging = dataclasses.replace(market, lag=max(1, market.lag))
            market.rules.check(self.experiment.economy, lagging)
            yield Parameter(
                "market.lag", "lag, steps", market.lag, 0, max(10, market.lag), whole=True
            )

    def _elasticities(self) -> Iterator[Parameter]:
        economy = self._next_economy
        owned = endowments(economy.households)
        consumers = [good for good in economy.demand if good not in economy.households]
        for name, label, good in choices(economy, consumers):
            demand = economy.demand[good]
            if demand.form == "elastic":  # with no other elasticity: see elasticities.py
                continue
            key, value = f"demand.{quoted(name)}.elasticity", demand.elasticity
            ends, text = _decades(value), demand_elasticity(label)
            yield Parameter(key, text, value, *ends, logarithmic=True, endless=True)
        for name, label, good in choices(economy, [g for g in economy.supply if g not in owned]):
            supply = economy.supply[good]
            if supply.cost != "curve" or supply.series is not None:
                continue
            key, value = f"supply.{quoted(name)}.elasticity", supply.elasticity
            yield Parameter(key, supply_elasticity(label), value, 0.0, max(4.0, value))

    def _parameters(self) -> Iterator[Parameter]:
        values: dict[str, float] = {}
        for industry in self._next_economy.industries:
            values.update(industry.technology.parameters)
        own = self.experiment.configuration["economy"]["parameters"]  # not of nests of a table
        fixed = self.experiment.economy.fixed
        values.update({name: own[name] for name in sorted(fixed) if name in own})
        for name, value in values.items():
            if name not in own:
                continue
            key, label = f"economy.parameters.{quoted(name)}", name.replace("_", " ")
            if name in fixed and value.is_integer():
                yield Parameter(
                    key, label, value, min(0.0, value), max(10.0, 2 * value), whole=True
                )
            elif value > 0:
                ends = _decades(value) if "elasticity" in name else (value / 4.0, value * 4.0)
                yield Parameter(key, label, value, *ends, logarithmic=True)
            else:
                reach = max(1.0, abs(value))
                yield Parameter(key, label, value, value - reach, value + reach)

    @property
    def _next_economy(self) -> Economy:
        """The economy of the next step, with all that was set."""
        return self.experiment.economy_at(self.state.step + 1)

    def text(self) -> str:
        """The session as an experiment file, whose run has the same steps, bit for bit.

        The run ends when it is settled after the last shock. Files that it names are named by
        their absolute paths.
        """
        steps = max(self.experiment.run.steps, self.state.step)
        configuration = dict(self.experiment.configuration)
        economy, source = dict(configuration["economy"]), self.experiment.source
        if source is not None and economy.get("sectors") is not None:
            for key in ("input_output", "sectors"):
                economy[key] = str((source.folder / economy[key]).resolve())
        configuration["economy"] = economy
        if source is not None:
            for name in WITH_SERIES:
                configuration[name] = with_paths(configuration[name], source.folder)
        configuration["run"] = {**configuration["run"], "steps": steps}
        return toml_text(configuration)


def choices(economy: Economy, goods: Iterable[str]) -> list[tuple[str, str, str]]:
    """What controls offer of goods: for each its name, its label, and the good itself.

    Where families are shown, one for each family of these goods: its pattern, its label, and its
    first member among them, for which its numbers are shown.
    """
    found, some = [], set(goods)
    for family in shown_families(economy):
        first = next((good for good in family.goods if good in some), None)
        if first is not None:
            found.append((family.pattern, family.label, first))
    if found:
        return found
    return [(good, good, good) for good in goods]


def _decades(value: float) -> tuple[float, float]:
    """The ends of the slider of an elasticity."""
    low, high = DECADES
    return (min(low, value), max(high, value)) if math.isfinite(value) and value > 0 else DECADES


@contextmanager
def _without_place() -> Iterator[None]:
    """Report an error without the place of a --set or of a shock, which the user did not type."""
    try:
        yield
    except MarketError as error:
        if (error.file or "").startswith("--set "):
            error.file = error.line = None
        error.what = re.sub(r"^the shock at step \d+:? ", "", error.what)
        raise
