"""Ctrl-C in a command: one line and exit code 130, at any moment.

It is a KeyboardInterrupt only while a command runs (within :func:`interruptible`), so that runs
keep what is finished. Outside, and in the middle of an import, where it would be lost or end as
another error, it ends the process at once.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from market_abm.views.words.command import INTERRUPTED_AT_ONCE

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

SHOW_CURSOR = "\x1b[?25h"
"""What a terminal needs at the end, whose cursor a view of progress may have hidden."""

_commands: list[bool] = []  # of each running command, whether it was interrupted


def catch_interrupts() -> None:
    """Handle Ctrl-C, unless whoever started the process wants it to be ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        # registered first, so called last, when nothing is left to be interrupted
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, Ctrl-C is a KeyboardInterrupt, also where a library made another error of it."""
    _commands.append(False)
    try:
        yield
    except Exception as error:
        if _commands[-1]:
            raise KeyboardInterrupt from error
        raise
    finally:
        _commands.pop()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    if not _commands or _imports(frame):
        _leave()
    _commands[-1] = True
    raise KeyboardInterrupt


def _leave() -> NoReturn:
    with suppress(OSError):  # nobody listens any longer
        shown = SHOW_CURSOR if os.isatty(2) else ""
        os.write(2, f"{shown}{INTERRUPTED_AT_ONCE}\n".encode())
    os._exit(INTERRUPTED)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported in this frame or in one that called it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
