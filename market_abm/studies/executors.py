"""Where the batches of a sweep run: here, in local processes, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from market_abm.errors import MarketError, ResultsError, SettingError, installing

_NO_WARNING = "ignore::UserWarning:multiprocessing.resource_tracker"


@contextmanager
def executor(
    jobs: int | None, scheduler: str | None, runs: int
) -> Iterator[tuple[Executor | None, int]]:
    """An executor and its number of workers; None and 1 to run batches in this process.

    Parameters
    ----------
    jobs
        The number of local processes, at most ``runs``; None for one per core. They start when
        something is submitted.
    scheduler
        The address of a Dask scheduler, to use its cluster instead.
    runs
        The number of runs.

    Raises
    ------
    SettingError
        Dask is not installed, or no scheduler answers at that address.
    ResultsError
        The scheduler, or worker after worker, died.
    """
    if scheduler is not None:
        with _dask(scheduler) as (pool, workers):
            yield pool, workers
        return
    wanted = min(jobs or os.cpu_count() or 1, runs)
    if wanted <= 1:
        yield None, 1
        return
    _prepare_processes()
    processes = _Workers()
    pool = ProcessPoolExecutor(wanted, mp_context=processes, initializer=_end_with_parent)
    try:
        yield pool, wanted
    except BaseException:
        processes.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare_processes() -> None:
    """Import what starting processes would: Ctrl-C in an import ends this one without cleaning.

    Semaphores of a process that ends so are removed by Python's resource tracker, which would warn
    of them.
    """
    with suppress(ImportError):  # on Windows there is no such module
        import multiprocessing.popen_spawn_posix
        import multiprocessing.synchronize  # noqa: F401
        from multiprocessing import resource_tracker

        sys.warnoptions.append(_NO_WARNING)  # which processes are started with
        try:
            resource_tracker.ensure_running()
        finally:
            sys.warnoptions.remove(_NO_WARNING)


class _Worker(SpawnProcess):
    """A process that Ctrl-C in the terminal does not reach: whoever started it ends it."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            super().start()
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # and is inherited
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Workers(SpawnContext):
    """Starts processes, and knows them."""

    def __init__(self) -> None:
        self._started: list[_Worker] = []

    def Process(self, *args: Any, **options: Any) -> _Worker:  # type: ignore[override]  # noqa: N802
        self._started.append(_Worker(*args, **options))
        return self._started[-1]

    def terminate(self) -> None:
        """End all of them, in the middle of whatever they do."""
        for worker in self._started:
            if worker.is_alive():
                worker.terminate()


def _end_with_parent() -> None:
    """In a worker: exit when the process that started the sweep ends, however it ends."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _dask(scheduler: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise SettingError(
            "--scheduler needs Dask, which is not installed",
            remedy=installing("distributed>=2024.1"),
            name="scheduler",
        ) from None
    try:
        client = Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SettingError(
            f"no Dask scheduler answers at {scheduler} ({type(error).__name__})",
            remedy="start one with 'dask scheduler', and workers with 'dask worker'",
            name="scheduler",
        ) from None
    try:
        # the batches of a worker that dies are given to another
        with _quiet():
            yield client.get_executor(pure=False, retries=5), max(1, len(client.ncores()))
    except Exception as error:
        lost = isinstance(error, CancelledError | KilledWorker) or client.status != "running"
        if not lost or isinstance(error, MarketError):
            raise
        what = "workers" if isinstance(error, KilledWorker) else "scheduler"
        raise ResultsError(
            f"the Dask {what} at {scheduler} died ({type(error).__name__})",
            remedy="what was finished is kept: start the cluster again and continue with --resume",
        ) from None
    finally:
        with _quiet():
            client.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is logged by Dask; its errors are reported once, as exceptions."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
