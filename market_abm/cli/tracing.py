"""``--trace module:function``: a function of the user's own file becomes an experiment.

This is the only place that runs a file of the user's, and only when the option names it.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.errors import MarketError, SettingError, display_path, nearest

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment

_TABLES = ("supply", "demand", "reuse", "industries", "taxes")


def traced_experiment(where: str, settings: Mapping[str, Any]) -> Experiment:
    """The experiment of a function.

    Parameters
    ----------
    where
        ``module:function``, or ``file.py:function``.
    settings
        By dotted key, as for an experiment file: ``market.share_rate``, ``supply.x.quantity``,
        ``economy.parameters.n``.

    Raises
    ------
    MarketError
        There is no such function, it cannot be traced, or a setting is not valid.
    """
    from market_abm.economy.program import from_function
    from market_abm.experiment.experiment import Experiment
    from market_abm.keys import split_key

    function = _function(where)
    plain: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {name: {} for name in _TABLES}
    options: dict[str, Any] = {"parameters": {}}
    for key, value in settings.items():
        parts, _ = split_key(key)
        if parts[0] in ("market", "run") and len(parts) == 2:
            plain[parts[1]] = value
        elif parts[:2] == ["economy", "parameters"] and len(parts) == 3:
            options["parameters"][parts[2]] = value
        elif parts in (["economy", "reuse"], ["economy", "seed"]):
            options[parts[1]] = value
        elif parts[0] in _TABLES and len(parts) == 3:
            tables[parts[0]].setdefault(parts[1], {})[parts[2]] = value
        elif parts[0] in _TABLES and len(parts) == 2:
            tables[parts[0]][parts[1]] = value
        else:
            raise SettingError(
                f"a traced function has no setting '{key}'",
                remedy="set keys of market, run, supply, demand, reuse, industries, taxes or "
                "economy.parameters",
                name=key,
            )
    economy = from_function(
        function,
        tables["supply"],
        tables["demand"],
        reuse_of=tables["reuse"],
        population_of=tables["industries"],
        taxes=tables["taxes"],
        **options,
    )
    return Experiment.of(economy, where.rpartition(":")[2], **plain)


def _function(where: str) -> Callable[..., Any]:
    module, _, name = where.rpartition(":")
    if not module or not name:
        raise SettingError(
            f"cannot read --trace {where}",
            remedy="write module:function or file.py:function, such as my_model.py:growth",
        )
    loaded = _module(module)
    try:
        function = operator.attrgetter(name)(loaded)
    except AttributeError:
        function = None
    if not callable(function):
        raise SettingError(
            f"{module} has no function '{name}'",
            remedy=nearest(name, [k for k, v in vars(loaded).items() if callable(v)]),
            name=name,
        )
    return function


def _module(name: str) -> Any:
    """The module, from the current folder or installed; its code is run."""
    try:
        if name.endswith(".py"):
            path = Path(name)
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[path.stem] = module
            sys.path.insert(0, str(path.parent))
            spec.loader.exec_module(module)
            return module
        sys.path.insert(0, "")
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _not_imported(name, error) from error


def _not_imported(name: str, error: BaseException) -> MarketError:
    """Why a module cannot be imported: there is none, or its own code says so, at a line."""
    told = f"cannot import {name} ({type(error).__name__}: {error})"
    if isinstance(error, SyntaxError):
        return MarketError(
            f"cannot import {name} ({type(error).__name__}: {error.msg})",
            file=error.filename and str(display_path(Path(error.filename))),
            line=error.lineno,
            name=name,
        )
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_file() and not frame.filename.startswith(_IMPORTING)
    ]
    if not frames:
        remedy = "name a module of the current folder, or a file that ends in .py"
        return MarketError(told, remedy=remedy, name=name)
    if isinstance(error, SystemExit):
        told = f"cannot import {name}: it ends Python by sys.exit"
    file = str(display_path(Path(frames[-1].filename)))
    return MarketError(told, file=file, line=frames[-1].lineno, name=name)


_IMPORTING = (__file__, str(Path(importlib.__file__).parent))
"""Code that imports a module, and is not of it."""
