"""Where the batches of a sweep run: here, in local processes, or on a Dask cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

from market_abm.errors import SettingError, installing


@contextmanager
def executor(
    jobs: int | None, scheduler: str | None, batches: int
) -> Iterator[tuple[Executor | None, int]]:
    """An executor and its number of workers; None and 1 to run batches in this process.

    Parameters
    ----------
    jobs
        The number of local processes, at most ``batches``; None for one per core.
    scheduler
        The address of a Dask scheduler, to use its cluster instead.
    batches
        The number of batches.

    Raises
    ------
    SettingError
        Dask is not installed, or no scheduler answers at that address.
    """
    if scheduler is not None:
        with _dask(scheduler) as (pool, workers):
            yield pool, workers
        return
    wanted = min(jobs or os.cpu_count() or 1, batches)
    if wanted <= 1:
        yield None, 1
        return
    pool = ProcessPoolExecutor(
        wanted, mp_context=get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield pool, wanted
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
        from distributed import Client
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
        yield client.get_executor(pure=False, retries=5), max(1, len(client.ncores()))
    finally:
        client.close()
