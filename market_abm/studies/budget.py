"""The budget of a comparison of mechanisms: how many steps each may make, and in which engine."""

from __future__ import annotations

import dataclasses

from market_abm.experiment.experiment import Experiment
from market_abm.market.arrays import ACTIVATIONS

MAX_AGENTS = 30
"""Firms beyond which mechanisms are compared in the array engine, if it can run the experiment."""

MAX_FIRM_STEPS = 1_000_000
"""The budget of each run in a comparison of mechanisms: its steps times the economy's firms."""

MIN_STEPS = 500
"""Steps that each of these runs has in any case."""


def within_budget(experiment: Experiment) -> Experiment:
    """The experiment with the steps that the budget allows; of many firms, in the array engine."""
    firms = sum(industry.firms for industry in experiment.economy.industries)
    steps = min(experiment.run.steps, max(MIN_STEPS, MAX_FIRM_STEPS // firms))
    within = experiment if steps == experiment.run.steps else experiment.with_steps(steps)
    if firms > MAX_AGENTS and experiment.market.activation in ACTIVATIONS:
        settings = dataclasses.replace(within.run, engine="arrays")
        written = {**within.configuration, "run": dataclasses.asdict(settings)}
        within = dataclasses.replace(within, run=settings, configuration=written)
    return within
