"""Run every experiment in this folder, and write ``results/README.md``, a table of the outcomes.

Usage: python experiments/run_all.py   (from the top of the repository; ``make experiments``)
"""

from pathlib import Path

from market_abm import Experiment, run
from market_abm.result import Result

HEADER = """# Results

Each folder is the outcome of the experiment of that name under `experiments/`, made anew by
`make experiments`: `summary.json` (everything in one object, with configuration, seed and
versions), `trajectory.csv` (a row a step and good), `measures.csv` (a row a step),
`convergence.png` and `network.png`. *Error* is the largest
|price - gradient| / |gradient| of any good at the end.

| experiment | question | outcome | steps | error |
| --- | --- | --- | --- | --- |
"""


def row(result: Result) -> str:
    """One line of the table."""
    name = result.experiment.name
    error = result.errors[-1].max()
    return (
        f"| [{name}]({name}/convergence.png) | {result.experiment.question} "
        f"| {result.status} | {result.steps} | {error:.1e} |"
    )


def main() -> None:
    """Run them all."""
    rows = []
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        result = run(Experiment.load(path))
        result.save(Path("results") / path.stem)
        rows.append(row(result))
        print(rows[-1])
    Path("results/README.md").write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
