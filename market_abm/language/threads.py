"""Work on the blocks of a large market, on several cores; the bits are those of one."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np

from market_abm.language.segments import BLOCK

MIN_NUMBERS = 8 * BLOCK
"""Numbers of the arrays that are worked on, from which several threads take less time."""


class Threads:
    """Threads that share work: NumPy lets go of Python's lock in what they do.

    Parameters
    ----------
    count
        How many; by default as many as there are cores, and one in a process made by another.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = cores() if count is None else count

    def run_all(self, work: Callable[[Any], None], parts: Sequence[Any], numbers: int) -> None:
        """Do ``work`` on every part; no part depends on another, and each has room of its own.

        The caller has told NumPy not to warn.

        Parameters
        ----------
        work
            What is done with a part.
        parts
            Each thread takes the next one when it has done its last.
        numbers
            The size of the arrays that they are parts of.
        """
        count = min(self.count, len(parts)) if numbers >= MIN_NUMBERS else 1
        if count == 1:
            for part in parts:
                work(part)
            return
        left = deque(parts)

        def some() -> None:
            with np.errstate(all="ignore"):  # each thread has a state of its own
                while left:
                    try:
                        part = left.popleft()
                    except IndexError:  # another thread took the last one
                        return
                    work(part)

        others = [_executor(self.count).submit(some) for _ in range(1, count)]
        some()
        for other in others:
            other.result()


@lru_cache
def _executor(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, "market")


def cores() -> int:
    """The number of cores, and one in a process made by another."""
    if multiprocessing.parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
