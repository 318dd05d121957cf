"""Where the command ``market-abm`` begins: with Ctrl-C, before anything that takes long."""

from __future__ import annotations

import os

from market_abm.cli.interrupts import catch_interrupts


def main() -> None:
    """Run the command line."""
    catch_interrupts()
    # Matrices are small here: the threads of BLAS would wait for each other, on a busy machine for
    # most of the time. Large markets have threads of their own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import market_abm.cli.commands  # noqa: F401  adds the commands to the group
    from market_abm.cli.main import main as commands

    commands()
