"""Run the tests on every Python at hand, and check that a seed gives the same bits on all of them.

Usage: python tests/every_python.py   (part of ``make test-all`` and ``make test-slow``)

On the Python that runs this the tests are not run again.

Python 3.11 brings Mesa 3.3, later ones Mesa 3.5. Interpreters are looked for on the PATH, and in
the environment variable PYTHONS (paths, separated by colons).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BITS = """
import hashlib, sys
from importlib.metadata import version
from market_abm import from_text, run
digest = hashlib.sha256()
text = "a = x**0.5\\nb = 3 - 1/(1 + x)\\nc = a*b"  # arithmetic that every NumPy rounds alike
for activation in ("simultaneous", "sequential", "random"):
    economy = from_text(text, {"x": 4}, population={"firms": 5, "weights": [.1, .2, .2, .2, .3]})
    result = run(economy, activation=activation, share_rate=1, steps=40, seed=11)
    digest.update(result.prices.tobytes() + result.trajectory.shares.tobytes())
print(digest.hexdigest(), version("mesa"), version("numpy"))
"""


def interpreters() -> dict[str, str]:
    """A working interpreter for each version of Python from 3.11 on, by version."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    candidates = [shutil.which(name) for name in names] + os.environ.get("PYTHONS", "").split(":")
    found: dict[str, str] = {}
    for path in [sys.executable, *filter(None, candidates)]:
        code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and tuple(map(int, done.stdout.split("."))) >= (3, 11):
            found.setdefault(done.stdout.strip(), path)
    return found


def environment(version: str, interpreter: str) -> Path:
    """The Python of an environment of its own, with the package and its tests installed."""
    python = ROOT / f".venv-{version}" / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", python.parent.parent], check=True)
    install = ["-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", ".[test]"]
    subprocess.run([python, *install], cwd=ROOT, check=True)
    return python


def main() -> int:
    """Set up an environment for each, run the tests in it, and compare the bits."""
    bits = {}
    for version, interpreter in interpreters().items():
        python = Path(interpreter)
        if interpreter != sys.executable:
            python = environment(version, interpreter)
            print(f"--- Python {version}", flush=True)
            if subprocess.run([python, "-m", "pytest", "-q"], cwd=ROOT, check=False).returncode:
                return 1
        done = subprocess.run([python, "-c", BITS], cwd=ROOT, capture_output=True, check=True)
        bits[version] = done.stdout.decode().split()
    for version, (digest, mesa, numpy) in bits.items():
        print(f"Python {version}, Mesa {mesa}, NumPy {numpy}: {digest[:16]}")
    if len({digest for digest, _, _ in bits.values()}) > 1:
        print("the same seed gave different bits")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
