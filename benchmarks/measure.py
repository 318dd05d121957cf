"""How everything is measured: interleaved medians, peak memory, commands, and what a row holds."""

from __future__ import annotations

import math
import os
import platform
import pty
import resource
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import market_abm

PACKAGE = Path(market_abm.__file__).resolve().parents[1]
"""The checkout that is measured: where ``market_abm`` was imported from."""

ROUNDING = 1e-12
"""Up to this relative difference two prices are the same: sums in another order, and powers in
place of logarithms and exponentials, differ by some 1e-14 a step."""

ROUNDS, BUDGET, AT_LEAST = 9, 12.0, 0.04
"""Rounds of a measurement, seconds that all its rounds may take, seconds of a single timing."""


# --- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """What a number should be: at most or at least a limit, or that part of what it was before."""

    limit: float
    least: bool = False
    of_before: bool = False

    def __str__(self) -> str:
        if self.of_before:
            return f"at most 1/{1.0 / self.limit:g} of before"
        return f"{'at least' if self.least else 'at most'} {self.limit:g}"

    def met(self, value: float, before: float | None) -> bool | None:
        """Whether it is met; None if it cannot be said."""
        if self.of_before:
            return None if before is None else value <= self.limit * before
        return value >= self.limit if self.least else value <= self.limit


@dataclass(frozen=True)
class Row:
    """One number of the table, and in ``detail`` what it is a ratio of.

    ``key`` finds the same number of another checkout; a ``value`` of None cannot be measured.
    ``note`` says in what the work differs from what the row is about, or why there is no value.
    """

    key: str
    work: str
    value: float | None
    unit: str = ""
    detail: str = ""
    goal: Goal | None = None
    note: str = ""

    def shown(self) -> str:
        """The value with its unit and note."""
        value = "none" if self.value is None else f"{three_digits(self.value)} {self.unit}".strip()
        return f"{value} ({self.note})" if self.note else value


@dataclass(frozen=True)
class Size:
    """How much is measured: little if ``quick``, and the most firms and runs of a sweep."""

    quick: bool = False
    firms: float = 1e7
    runs: float = 1e5


@dataclass(frozen=True)
class Outcome:
    """What one benchmark found: rows, and points (x, y) of a figure by the name of their series."""

    rows: Sequence[Row]
    series: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Plain lists and numbers, to be kept as JSON."""
        kept = ("value", "detail", "note")
        rows = {row.key: {name: getattr(row, name) for name in kept} for row in self.rows}
        return {"rows": rows, "series": {name: list(each) for name, each in self.series.items()}}


class DifferentPricesError(Exception):
    """Two programs that are compared do not do the same work."""


def same_prices(ours: Any, others: Any) -> float:
    """The largest relative difference of two arrays of prices.

    Raises
    ------
    DifferentPricesError
        It is more than rounding.
    """
    ours, others = np.asarray(ours, float).ravel(), np.asarray(others, float).ravel()
    far = float(np.max(np.abs(ours - others) / np.maximum(np.abs(ours), 1e-300)))
    if not far <= ROUNDING or not np.all(ours > 0.0):
        raise DifferentPricesError(f"prices differ by {far:.1e}, so that times mean nothing")
    return far


def agreement(far: float) -> str:
    """How well numbers agree whose largest relative difference is ``far``."""
    return "to the last bit" if far == 0.0 else f"to {far:.0e}"


# --- time ----------------------------------------------------------------------------------------


def interleaved(
    works: Mapping[Any, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> dict[Any, float]:
    """Median seconds of each piece of work, all measured in turn, round after round.

    Parameters
    ----------
    works
        What to measure, by name. Each is called once first, and then so often that a timing takes
        ``AT_LEAST`` seconds.
    rounds
        Timings of each piece; fewer if all would take longer than ``BUDGET`` seconds.
    clock
        By default the processor's time of this process, which other processes do not change.
    """
    calls, a_round = {}, 0.0
    for name, work in works.items():
        work()
        start = clock()
        work()
        once = clock() - start
        calls[name] = max(1, math.ceil(AT_LEAST / max(once, 1e-7)))
        a_round += max(once, 1e-7) * calls[name]
    times: dict[Any, list[float]] = {name: [] for name in works}
    for _ in range(max(1, min(rounds, int(BUDGET / a_round)))):
        for name, work in works.items():
            start = clock()
            for _ in range(calls[name]):
                work()
            times[name].append((clock() - start) / calls[name])
    return {name: statistics.median(each) for name, each in times.items()}


def once(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor that a single call takes, and what it returns."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent of a power law through the points (x, y)."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def upper_half(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """The points where costs that do not grow no longer count."""
    return points[min(len(points) // 2, len(points) - 2) :]


def seconds(value: float) -> str:
    """A time in the unit that fits, with three digits."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, scale = next((each for each in units if value >= each[1]), ("ns", 1e-9))
    return f"{three_digits(value / scale)} {unit}"


def three_digits(value: float) -> str:
    """A number with three digits, and all those before the point."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- memory --------------------------------------------------------------------------------------


def peak_memory() -> int:
    """The most bytes that this process has held."""
    return _bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _bytes(maxrss: int) -> int:
    return maxrss if sys.platform == "darwin" else 1024 * maxrss


# --- commands ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its processes' time, the time that passed, and what it printed.

    ``memory`` is the most that one of its processes held, bytes; ``silence`` the longest time in
    which a command in a terminal printed nothing, seconds.
    """

    cpu: float
    wall: float
    memory: int
    silence: float
    output: str


def market_abm_command(*arguments: str) -> list[str]:
    """The command line of ``market-abm`` from the checkout that is measured."""
    return [sys.executable, "-m", "market_abm", *arguments]


def has_option(command: str, option: str) -> bool:
    """Whether a command of ``market-abm`` has an option."""
    return option in finished(market_abm_command(command, "--help"), folder=".").output


def finished(
    command: Sequence[str],
    *,
    folder: str | Path,
    terminal: bool = False,
    codes: Iterable[int] = (0,),
) -> Finished:
    """Run a command to its end, in a folder; with ``terminal`` it believes that somebody watches.

    Raises
    ------
    RuntimeError
        It ends with another exit code than ``codes``.
    """
    reader, writer = pty.openpty() if terminal else os.pipe()
    path = os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user has byte code from the second time on
    start = last = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
    )
    os.close(writer)
    pieces, silence = [], 0.0
    while piece := _read(reader):
        now = time.perf_counter()
        pieces.append(piece)
        silence, last = max(silence, now - last), now
    os.close(reader)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    end = time.perf_counter()
    output = b"".join(pieces).decode("utf-8", "replace")
    if process.returncode not in codes:
        raise RuntimeError(
            f"{' '.join(command[1:])} ended with {process.returncode}: ... {output[-200:]}"
        )
    return Finished(
        cpu=used.ru_utime + used.ru_stime,
        wall=end - start,
        memory=_bytes(used.ru_maxrss),
        silence=max(silence, end - last),
        output=output,
    )


def _read(reader: int) -> bytes:
    """What has been written, or nothing when all writers have closed."""
    select.select([reader], [], [])
    try:
        return os.read(reader, 65536)
    except OSError:  # of a pseudo-terminal that nobody holds any more
        return b""


# --- where ---------------------------------------------------------------------------------------


def machine() -> str:
    """The processor and the versions on which times depend, in one sentence."""
    packages = ", ".join(
        f"{label} {version(name)}"
        for name, label in (("numpy", "NumPy"), ("scipy", "SciPy"), ("mesa", "Mesa"))
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor()} ({os.cpu_count()} cores, {memory:.0f} GiB), {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}, {packages}"
    )


def processor() -> str:
    """The name of the processor, where the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit of the checkout that is measured, with a + if files differ from it."""
    try:
        said = subprocess.run(
            ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()
