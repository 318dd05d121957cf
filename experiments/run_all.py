"""Run every experiment in this folder, and sweep those that say how; tabulate in results/README.md.

Usage: python experiments/run_all.py   (from the top of the repository; ``make experiments``)
"""

import shutil
from pathlib import Path

from market_abm import Experiment, run
from market_abm.runs.result import Result
from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
from market_abm.studies.phase_plane import PhasePlane, PlaneSettings
from market_abm.studies.sweep import Sweep, run_sweep

HEADER = """# Results

Each folder is the outcome of the experiment of that name under `experiments/`, made anew by
`make experiments`: `summary.json` (everything in one object, with configuration, seed and
versions), `trajectory.csv` (a row a step and good), `measures.csv` (a row a step),
`convergence.png` and `network.png` (and `shock.png`, where many goods are shocked).
*Error* is the largest |price - gradient| / |gradient| of any good at the end.

| experiment | question | outcome | steps | error |
| --- | --- | --- | --- | --- |
"""


SWEEPS = """
Sweeps, each with `sweep.json` (what was swept), `table.csv` (a row a run) and `sweep.png`:

| sweep | question | runs | outcome |
| --- | --- | --- | --- |
"""


TWINS = (
    ("spiral", "unit-bid"),
    ("rival-diamond", "unit-bid"),
    ("mechanisms", "tatonnement"),
    ("mechanisms", "posted-price"),
)
"""Experiments, and mechanisms under which they are run beside their twins."""

CONTESTS = ("spiral", "rival-diamond", "mechanisms")
"""Experiments that are run under every mechanism."""

COMPARISONS = """
Comparisons (`market-abm compare`), each with `comparison.json`, `.csv` and `.png`:

| comparison | outcome |
| --- | --- |
"""


PUBLISHED = """
The published model beside ours (`market-abm phase-plane`), with `table.csv` (a row a run) and
`phase-plane.png`: cells of the plane of rates that come back to the equilibrium, on average over
the same random networks. Ours has an elasticity of substitution of 0.05 in the place of 0.

| model | cells | Leontief | q = 1/3 | q = 1 | Cobb–Douglas |
| --- | --- | --- | --- | --- | --- |
"""


def phase_plane() -> list[str]:
    """The published model's phase plane beside ours: a line a model."""
    plane = PhasePlane.of(PlaneSettings())
    plane.save("results/phase-plane")
    return [
        f"| [{model}](phase-plane/phase-plane.png) | {plane.cells[model]} | "
        + " | ".join(f"{count:.1f}" for count in counts)
        + " |"
        for model, counts in plane.counts.iterrows()
    ]


def beside_twin(name: str, mechanism: str) -> str:
    """An experiment beside its twin, in one line."""
    twin = OptimizerComparison.of(Experiment.load(name).with_mechanism(mechanism))
    folder = f"{name}-compare" if mechanism == "unit-bid" else f"{name}-{mechanism}"
    twin.save(f"results/{folder}")
    told = twin.summary()
    worst = max(size for size, _ in twin.distances.values())
    return (
        f"| [{name} beside its twin]({folder}/comparison.png) | {told['market']} and "
        f"{told['optimiser']}: largest distance {worst:.1e} in {told['steps']} steps |"
    )


def contest(name: str) -> str:
    """An experiment under every mechanism, in one line."""
    outcome = MechanismComparison.of(Experiment.load(name))
    outcome.save(f"results/{name}-mechanisms")
    steps = outcome.table()["steps"].dropna()
    reached = ", ".join(f"{mechanism} {count:.0f}" for mechanism, count in steps.items())
    return (
        f"| [{name} under every mechanism]({name}-mechanisms/comparison.png) | steps to 1e-6: "
        f"{reached} |"
    )


def row(result: Result) -> str:
    """One line of the table."""
    name = result.experiment.name
    error = result.last_errors.max()
    return (
        f"| [{name}]({name}/convergence.png) | {result.experiment.question} "
        f"| {result.status} | {result.steps} | {error:.1e} |"
    )


def swept(experiment: Experiment) -> str:
    """Sweep an experiment, keep its table and figure, and describe it in one line."""
    given = dict(experiment.sweep)
    folder = Path("results") / experiment.name
    shutil.rmtree(folder, ignore_errors=True)
    table = run_sweep(Sweep.of(experiment, given.pop("axes"), **given), folder)
    (folder / "table.parquet").unlink(missing_ok=True)
    counts = table["status"].value_counts()
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    name = experiment.name
    return f"| [{name}]({name}/sweep.png) | {experiment.question} | {len(table)} | {told} |"


def main() -> None:
    """Run them all."""
    rows, sweeps = [], []
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        experiment = Experiment.load(path)
        if experiment.sweep:
            sweeps.append(swept(experiment))
            print(sweeps[-1])
            continue
        result = run(experiment)
        result.save(Path("results") / path.stem)
        rows.append(row(result))
        print(rows[-1])
    comparisons = [beside_twin(*each) for each in TWINS] + [contest(name) for name in CONTESTS]
    print(*comparisons, sep="\n")
    published = phase_plane()
    print(*published, sep="\n")
    tables = (
        (HEADER, rows),
        (SWEEPS, sweeps),
        (COMPARISONS, comparisons),
        (PUBLISHED, published),
    )
    text = "".join(header + "\n".join(lines) + "\n" for header, lines in tables)
    Path("results/README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
