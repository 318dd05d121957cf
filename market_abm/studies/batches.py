"""The batches of a sweep: ranges of neighbouring runs, each sized to take about a second.

Where one takes much longer, its first rows are handed over before the others; in another process
the batch then ends, and the others are made later. Rows do not depend on the batch that they are
made in, so that no timing changes the table.
"""

from __future__ import annotations

import math
import pickle
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from market_abm.errors import ResultsError
from market_abm.language.collector import no_collection

SECONDS = 1.0
"""The time that a batch should take."""

MAX_SECONDS = 1.5
"""The time after which finished rows are handed over."""

START_SECONDS = 3.0
"""The work from which other processes are started: they need about a second to do so."""

MAX_GROWTH = 4.0
"""The most by which a batch is larger or smaller than the last."""

REMEMBERED = 8
"""The batches by which the next is sized."""


class Part(NamedTuple):
    """Finished runs: the number of the first, how many, and their rows as CSV.

    ``stepping`` are the seconds before the rows, 0 if these began in another part; ``seconds`` all.
    """

    first: int
    size: int
    text: str
    stepping: float
    seconds: float


class Batched(Protocol):
    """A sweep, as batches need it."""

    def texts(self, numbers: range) -> Iterator[tuple[int, str]]:
        """The rows of runs as CSV, some at a time: how many, and their text; first none."""


class Sizes:
    """How many runs to put into a batch, by the time that the last ones took.

    A batch of n runs takes a + b n seconds: a for the steps of its longest run, whatever n, and b
    for each run. It should take a second; if a is longer, half of its time may go to a.

    Parameters
    ----------
    first
        Runs in the first batch.
    most
        The most runs in a batch.
    """

    def __init__(self, first: int, most: int) -> None:
        self.most = most
        self.next = max(1, min(most, first))
        self._taken: deque[tuple[int, Part]] = deque(maxlen=REMEMBERED)

    @property
    def known(self) -> bool:
        """Whether any batch is finished."""
        return bool(self._taken)

    def add(self, stepped: int, part: Part) -> None:
        """Take account of a finished batch, in which so many runs were stepped."""
        self._taken.append((stepped, part))
        fixed, each = self._model()
        wanted = max(SECONDS - fixed, fixed) / each if each > 0.0 else math.inf
        size = min(max(wanted, stepped / MAX_GROWTH), stepped * MAX_GROWTH)
        self.next = max(1, min(self.most, round(size)))

    def seconds(self, runs: int) -> float:
        """The time that so many runs will take in one process, once a batch is finished."""
        fixed, each = self._model()
        return fixed * -(-runs // self.next) + each * runs

    def _model(self) -> tuple[float, float]:
        """Seconds of a batch without runs, and of one more run."""
        stepped = np.array([size for size, _ in self._taken], float)
        parts = [part for _, part in self._taken]
        stepping = np.array([part.stepping for part in parts])
        rows = sum(part.seconds - part.stepping for part in parts) / sum(p.size for p in parts)
        slope = float(np.polyfit(stepped, stepping, 1)[0]) if np.ptp(stepped) else 0.0
        slope = max(0.0, min(slope, float(np.min(stepping / stepped))))
        return float(np.mean(stepping - slope * stepped)), slope + rows


def finished_parts(
    sweep: Batched,
    missing: Iterable[range],
    sizes: Sizes,
    executor: Executor | None = None,
    workers: int = 1,
) -> Iterator[Part]:
    """Make the missing runs of a sweep: parts as they are finished, in any order.

    The first batch is made here, and says whether ``executor`` is worth its start. Then at most
    ``workers`` + 1 batches are submitted at a time.

    Parameters
    ----------
    sweep
        What to run.
    missing
        The numbers of the runs.
    sizes
        How many of them to run together.
    executor, workers
        Where batches run; by default here, one after another.

    Raises
    ------
    ResultsError
        A worker process died.
    """
    queue = _Queue(missing)
    while queue.left and (
        executor is None or not sizes.known or sizes.seconds(queue.left) < START_SECONDS
    ):
        asked = queue.take(sizes.next)
        size, stepping, seconds = 0, 0.0, 0.0
        for part in _parts(sweep, asked, patient=executor is not None):
            size, seconds = size + part.size, seconds + part.seconds
            stepping = max(stepping, part.stepping)
            yield part
            if executor is not None:  # which makes the others
                break
        queue.put_back(asked[size:])
        sizes.add(len(asked), Part(asked.start, size, "", stepping, seconds))
    if executor is None or not queue.left:
        return
    packed = pickle.dumps(sweep)
    pending: dict[Future[Part], range] = {}
    try:
        while queue.left or pending:
            while queue.left and len(pending) <= workers:
                asked = queue.take(min(sizes.next, -(-queue.left // workers)))
                pending[executor.submit(_first_part, packed, asked)] = asked
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                part, asked = future.result(), pending.pop(future)
                sizes.add(len(asked), part)
                queue.put_back(asked[part.size :])
                yield part
    except BrokenProcessPool:
        raise ResultsError(
            "a worker process died (was it killed, or out of memory?)",
            remedy="what was finished is kept: continue with --resume, perhaps with fewer --jobs",
        ) from None
    finally:
        for future in pending:
            future.cancel()


class _Queue:
    """The runs that are still to be made, by their numbers."""

    def __init__(self, missing: Iterable[range]) -> None:
        self._ranges = deque(missing)
        self.left = sum(map(len, self._ranges))

    def take(self, most: int) -> range:
        """Some neighbouring runs, at most so many."""
        first = self._ranges.popleft()
        if len(first) > most:
            self._ranges.appendleft(first[most:])
        self.left -= len(first[:most])
        return first[:most]

    def put_back(self, numbers: range) -> None:
        """Make these runs later."""
        if numbers:
            self._ranges.appendleft(numbers)
            self.left += len(numbers)


def _parts(sweep: Batched, numbers: range, *, patient: bool = False) -> Iterator[Part]:
    """These runs in parts that take about a second; ``patient``: or twice as long as the steps."""
    began = time.perf_counter()
    texts, first, size, stepping = [], numbers.start, 0, 0.0
    with no_collection():
        for count, text in sweep.texts(numbers):
            now = time.perf_counter() - began
            stepping = stepping if count else now
            texts.append(text)
            size += count
            late = now > max(MAX_SECONDS, 2.0 * stepping if patient else 0.0)
            if size and (late or first + size == numbers.stop):
                yield Part(first, size, "".join(texts), stepping, now)
                began = time.perf_counter()
                texts, first, size, stepping = [], first + size, 0, 0.0


def _first_part(packed: bytes, numbers: range) -> Part:
    """The first part of these runs, in a process that keeps what it has learned of the sweep."""
    return next(_parts(_unpacked(packed), numbers, patient=True))


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Batched:
    sweep: Batched = pickle.loads(packed)
    return sweep
