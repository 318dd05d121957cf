"""Experiments in words: what is run, and what its economy consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market_abm.runs.families import shown_families
from market_abm.views.numbers import format_count
from market_abm.views.words.families import family_texts
from market_abm.views.words.taxes import tax_texts

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.experiment.experiment import Experiment


def experiment_line(experiment: Experiment) -> str:
    """An experiment in one line."""
    return (
        f"<Experiment {experiment.name}: {experiment.market.mechanism}, "
        f"{format_count(len(experiment.economy.industries), 'industry', 'industries')}, "
        f"at most {format_count(experiment.run.steps, 'step')}>"
    )


def experiment_lines(experiment: Experiment) -> list[str]:
    """That an experiment is valid, and what its economy consists of."""
    economy = experiment.economy
    lines = [each for each in economy.topological_order if each.is_line]
    loops = [
        " <-> ".join(industry.good for industry in component)
        for component in economy.components
        if economy.is_loop(component)
    ]
    listed = family_texts if shown_families(economy) else ", ".join
    groups: dict[str, str] = {
        "raw goods": listed(economy.supply),
        "industries": listed([each.good for each in lines]),
        "final goods": listed([good for good in economy.demand if good not in economy.households]),
        "households": listed(economy.households),
        "taxes": tax_texts(economy.taxes),
        "loops": ", ".join(loops),
    }
    return [
        f"{experiment.name}: valid",
        *(f"  {group}: {names}" for group, names in groups.items() if names),
        f"  firms: {sum(each.firms for each in lines)}",
        *(f"  {note}" for note in (*table_notes(experiment), *branch_notes(economy))),
    ]


def branch_notes(economy: Economy) -> list[str]:
    """How many comparisons decided the lines of a traced function, if any did."""
    count = len(economy.conditions)
    return [f"branches of the starting quantities: {count:,}"] if count else []


def table_notes(experiment: Experiment) -> list[str]:
    """What was changed in the input-output table of an experiment, if there is one."""
    table = experiment.input_output
    return [] if table is None else list(filter(None, [table.moved_note()]))
