"""``python -m market_abm``: the command line."""

from market_abm.cli.entry import main

if __name__ == "__main__":
    main()
