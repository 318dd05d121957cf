"""Run or sweep every experiment in this folder, compare some, and tabulate in results/README.md.

Usage: python experiments/run_all.py   (from the top of the repository; ``make experiments``)
"""

import shutil
from pathlib import Path

from market_abm import (
    Experiment,
    Result,
    compare,
    compare_mechanisms,
    phase_plane,
    run,
    sweep,
)

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
"""Experiments, and mechanisms under which they are compared with their twins."""

MECHANISM_COMPARISONS = ("spiral", "rival-diamond", "mechanisms")
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


def plane_rows() -> list[str]:
    """The phase planes of the published model and ours: a row per model."""
    plane = phase_plane()
    plane.save("results/phase-plane")
    return [
        f"| [{model}](phase-plane/phase-plane.png) | {plane.cells[model]} | "
        + " | ".join(f"{count:.1f}" for count in counts)
        + " |"
        for model, counts in plane.counts.iterrows()
    ]


def twin_row(name: str, mechanism: str) -> str:
    """A market compared with its twin: a row."""
    comparison = compare(Experiment.load(name).with_mechanism(mechanism))
    folder = f"{name}-compare" if mechanism == "unit-bid" else f"{name}-{mechanism}"
    comparison.save(f"results/{folder}")
    summary = comparison.summary()
    worst = max(size for size, _ in comparison.distances.values())
    return (
        f"| [{name} beside its twin]({folder}/comparison.png) | {summary['market']} and "
        f"{summary['optimiser']}: largest distance {worst:.1e} in {summary['steps']} steps |"
    )


def mechanisms_row(name: str) -> str:
    """An experiment under every mechanism: a row."""
    comparison = compare_mechanisms(name)
    comparison.save(f"results/{name}-mechanisms")
    steps = comparison.table()["steps"].dropna()
    reached = ", ".join(f"{mechanism} {count:.0f}" for mechanism, count in steps.items())
    return (
        f"| [{name} under every mechanism]({name}-mechanisms/comparison.png) | steps to 1e-6: "
        f"{reached} |"
    )


def result_row(result: Result) -> str:
    """The result of an experiment: a row."""
    name = result.experiment.name
    error = result.last_errors.max()
    return (
        f"| [{name}]({name}/convergence.png) | {result.experiment.question} "
        f"| {result.status} | {result.steps} | {error:.1e} |"
    )


def sweep_row(experiment: Experiment) -> str:
    """The sweep of an experiment, with its table and figure in a folder: a row."""
    name = experiment.name
    folder = Path("results") / name
    shutil.rmtree(folder, ignore_errors=True)
    table = sweep(experiment, folder=folder)
    (folder / "table.parquet").unlink(missing_ok=True)
    counts = table["status"].value_counts()
    outcome = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"| [{name}]({name}/sweep.png) | {experiment.question} | {len(table)} | {outcome} |"


def main() -> None:
    """Run them all."""
    results, sweeps = [], []
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        experiment = Experiment.load(path)
        if experiment.sweep:
            sweeps.append(sweep_row(experiment))
            print(sweeps[-1])
            continue
        result = run(experiment)
        result.save(Path("results") / path.stem)
        results.append(result_row(result))
        print(results[-1])
    comparisons = [twin_row(*each) for each in TWINS]
    comparisons += [mechanisms_row(name) for name in MECHANISM_COMPARISONS]
    print(*comparisons, sep="\n")
    planes = plane_rows()
    print(*planes, sep="\n")
    tables = ((HEADER, results), (SWEEPS, sweeps), (COMPARISONS, comparisons), (PUBLISHED, planes))
    text = "".join(header + "\n".join(rows) + "\n" for header, rows in tables)
    Path("results/README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
