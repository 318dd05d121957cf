"""The command line in a process of its own, and an experiment that never settles."""

import sys

COMMAND = [sys.executable, "-c", "from market_abm.cli.commands import main; main()"]
ENDLESS = """
[economy]
program = '''
a = 0.3 * ln(x)
b = 0.7 * ln(x)
'''
[supply.x]
quantity = 1
[market]
share_rate = 1e-9
[run]
steps = 1000000
"""
