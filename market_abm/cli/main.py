"""The group of all commands, and what a command that fails prints and returns.

Exit codes: 0 for success, or a run that converged; 2 for a user error; 130 after Ctrl-C; ``run``
returns 3, 4 or 5 for a run that did not converge.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from market_abm import __version__
from market_abm.cli.interrupts import INTERRUPTED, interruptible
from market_abm.cli.tables import say
from market_abm.errors import FigureWarning, MarketError
from market_abm.views.words import command as words

USER_ERROR = 2


class _Commands(click.Group):
    """Prints a user error, and a warning about a figure, as one sentence."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError):  # letters that the terminal cannot show
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            with suppress(OSError, ValueError):  # what waits to be printed would fail once more
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo(words.system_error(error.strerror or str(error), error.filename), err=True)
            sys.exit(USER_ERROR)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with interruptible(), warnings.catch_warnings():
                warnings.simplefilter("always", FigureWarning)
                warnings.showwarning = _show(warnings.showwarning)
                return super().invoke(ctx)
        except MarketError as error:
            say(f"Error: {error}", err=True)
            ctx.exit(USER_ERROR)
        except (KeyboardInterrupt, click.Abort):
            click.echo(words.INTERRUPTED, err=True)
            ctx.exit(INTERRUPTED)


def _show(others: Callable[..., None]) -> Callable[..., None]:
    """A way to show warnings: those about figures as a sentence, and the others as before."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, FigureWarning):
            say(f"Warning: {message}", err=True)
        else:
            others(message, category, *where, **more)

    return show


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="market-abm")
def main() -> None:
    """Markets as distributed backprop: firms' bids become exact derivatives.

    Start with: market-abm run essay-chain
    """
