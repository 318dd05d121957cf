"""Where the command ``market-abm`` begins: with Ctrl-C, before anything that takes long."""

from __future__ import annotations

from market_abm.cli.interrupts import catch_interrupts


def main() -> None:
    """Run the command line."""
    catch_interrupts()
    import market_abm.cli.commands  # noqa: F401  adds the commands to the group
    from market_abm.cli.main import main as commands

    commands()
