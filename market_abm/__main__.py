"""``python -m market_abm``: the command line."""

import market_abm.cli.commands  # noqa: F401 -- the commands of the group
from market_abm.cli.main import main

if __name__ == "__main__":
    main()
