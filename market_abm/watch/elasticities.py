"""An experiment whose elasticities are all parameters, so that they can be set while it runs."""

from __future__ import annotations

import ast
import math
from contextlib import suppress
from typing import Any

from market_abm.economy.economy import Economy
from market_abm.economy.families import family_and_indices
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.keys import quoted
from market_abm.language.syntax import syntax_tree
from market_abm.runs.families import shown_families
from market_abm.runs.start import start_runs


def with_parameters(experiment: Experiment) -> Experiment:
    """The same experiment, rewritten so that a shock can change each of its elasticities.

    Elasticities that are numbers in the program become parameters; where demand is infinitely
    elastic, its form is set to the one that it has with any other elasticity (but for goods with an
    index, where a parameter decides which there are). An economy so large that families are shown
    is left as it is: to read its program again and again takes long.
    """
    if shown_families(experiment.economy):
        return experiment
    made_of = experiment.configuration["economy"]
    settings: dict[str, Any] = {}
    if "program" in made_of:
        program, found = with_elasticity_parameters(made_of["program"], experiment.economy)
        if found:
            settings["economy.program"] = program
            settings["economy.parameters"] = {**made_of["parameters"], **found}
    economy = experiment.economy
    for good, demand in economy.demand.items():
        may_go = bool(economy.fixed) and family_and_indices(good)[1] != ()
        if math.isinf(demand.elasticity) and not (may_go or demand.of_household):
            settings |= _curved(experiment, good)
    return experiment.with_overrides(settings) if settings else experiment


def _curved(experiment: Experiment, good: str) -> dict[str, Any]:
    """Settings with which demand for ``good`` is as elastic as before, and can be less; or none.

    In a loop, where demand has no reference quantity, it is the quantity at step 0.
    """
    key = f"demand.{quoted(good)}"
    for settings in ({}, {f"{key}.quantity": _first_quantity(experiment, good)}):
        with suppress(MarketError):
            finite = experiment.with_overrides({**settings, f"{key}.elasticity": 1.0})
            form = finite.economy.demand[good].form
            same = {} if form is None else {f"{key}.form": form}
            return {**settings, **same, f"{key}.elasticity": math.inf}
    return {}


def _first_quantity(experiment: Experiment, good: str) -> float:
    market, _ = start_runs([experiment], engine=experiment.run.engine)
    return float(market.state.quantities[0][experiment.economy.index[good]])


def with_elasticity_parameters(program: str, economy: Economy) -> tuple[str, dict[str, float]]:
    """Write each ``elasticity=NUMBER`` of a program as ``elasticity=NAME``.

    Returns
    -------
    str
        The program with names: ``elasticity_of_GOOD``, then ``elasticity_of_GOOD_2`` and so on.
    dict
        The number of each name.
    """
    taken = {
        *economy.goods,
        *(name for i in economy.topological_order for name in i.technology.parameters),
    }
    found: dict[str, float] = {}
    lines = [line.encode() for line in program.splitlines()]
    places = []
    for statement in ast.walk(syntax_tree(program)):
        if not isinstance(statement, ast.Assign):
            continue
        for node in ast.walk(statement):
            if not isinstance(node, ast.keyword) or node.arg != "elasticity":
                continue
            value = node.value
            number = value.value if isinstance(value, ast.Constant) else None
            if isinstance(number, int | float) and value.lineno == value.end_lineno:
                good = ast.unparse(statement.targets[0]).partition("[")[0]
                names = (f"elasticity_of_{good}{k}" for k in ("", *map("_{}".format, range(2, 99))))
                name = next(each for each in names if each not in taken | set(found))
                found[name] = float(number)
                places.append((value.lineno, value.col_offset, value.end_col_offset, name))
    for line, start, stop, name in sorted(places, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:start] + name.encode() + old[stop:]
    return b"\n".join(lines).decode(), found
