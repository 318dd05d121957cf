"""What the server of the page reports in the terminal: one error, one line."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path

from market_abm.errors import clip, in_one_line

LOGGERS = ("bokeh", "tornado", "asyncio", "market_abm.watch")
"""Whose reports are shown."""

MAX_LENGTH = 300
"""Characters of a line."""

QUIET_SECONDS = 60.0
"""Seconds for which an error of one kind is not reported again."""


class _Line(logging.Formatter):
    """A report in one line: an exception by its name, its message, and where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return clip(in_one_line(record.getMessage()), MAX_LENGTH)
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({Path(each.filename).name}:{each.lineno})" for each in place)
        text = in_one_line(f"{type(error).__name__}: {error}")
        return f"Error in the page: {clip(text, MAX_LENGTH)}{where}"


class _Once(logging.Filter):
    """Lets a report of each kind pass once in a while: a page cannot fill the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[object, ...], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = (record.name, record.lineno, record.exc_info and record.exc_info[0])
        now = time.monotonic()
        if now - self._last.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._last[kind] = now
        return True


def log_in_lines() -> None:
    """Report the errors of the libraries that serve the page, and its own, in lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    handler.addFilter(_Once())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.handlers = [handler]
        logger.propagate = False
