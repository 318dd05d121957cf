"""Work on the blocks of a large market, on several cores; the bits are those of one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from market_abm.language.segments import BLOCK

MIN_NUMBERS = 4 * BLOCK
"""Numbers of the arrays that are worked on, from which several threads take less time."""

_chosen: list[int] = []
_executors: dict[int, ThreadPoolExecutor] = {}


def use_threads(count: int | None) -> None:
    """Use so many threads; None: as many as there are cores, and one in a worker of a sweep."""
    _chosen[:] = [] if count is None else [count]


def thread_count() -> int:
    """The number of threads that a large market uses."""
    if _chosen:
        return _chosen[0]
    if multiprocessing.parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(work: Callable[[Any], None], parts: Sequence[Any], numbers: int) -> None:
    """Do ``work`` on every part; no part depends on another, and each has room of its own.

    Parameters
    ----------
    work
        NumPy lets go of Python's lock in what it does.
    parts
        Whose work takes about the same time.
    numbers
        The size of the arrays that all parts are of.
    """
    threads = min(thread_count(), len(parts)) if numbers >= MIN_NUMBERS else 1

    @np.errstate(all="ignore")  # a thread has a state of its own
    def some(own: Iterable[Any]) -> None:
        for part in own:
            work(part)

    if threads == 1:
        some(parts)
        return
    if threads not in _executors:
        _executors[threads] = ThreadPoolExecutor(threads - 1, "market")
    others = [_executors[threads].submit(some, parts[k::threads]) for k in range(1, threads)]
    some(parts[::threads])
    for other in others:
        other.result()
