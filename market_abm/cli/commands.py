"""The commands: each parses its arguments, calls the package, and prints or writes the results.

Whatever takes long to import is imported inside the command that needs it, so that ``--help`` and
error messages are immediate.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from market_abm.cli import printing
from market_abm.cli.arguments import (
    EXPERIMENT,
    FIGURES,
    GOODS,
    OPTIONAL_EXPERIMENT,
    SET,
    STEPS,
    TRACE,
    load,
    named,
    parse_assignments,
    parse_axes,
    place,
)
from market_abm.cli.interrupts import INTERRUPTED
from market_abm.cli.main import USER_ERROR, main
from market_abm.cli.progress import ProgressBars, run_with_progress
from market_abm.cli.tables import say
from market_abm.errors import MarketError, display_path
from market_abm.views.words.command import FRAMES, RUNS, WRITING

if TYPE_CHECKING:
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison

# --- running markets ------------------------------------------------------------------------------


@main.command()
@OPTIONAL_EXPERIMENT
@SET
@TRACE
@click.option("--seed", type=int, help="The seed of all random numbers (run.seed).")
@STEPS
@click.option(
    "--shock",
    "shocks",
    multiple=True,
    metavar="TARGET.GOOD=CHANGE[@STEP]",
    help="Change productivity, supply (its quantity) or demand (its price) of a good, "
    "endowment.HOUSEHOLD.GOOD or tax.NAME in the run: productivity.324=-20%, or =0.8 (the value).  "
    "[default step: when prices have settled]  Repeatable.",
)
@GOODS
@click.option("--out", metavar="DIR", help="Write the results here.  [default: results/<name>]")
@FIGURES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--live", is_flag=True, help="Plot prices and errors in the terminal during the run.")
def run(
    experiment: str | None,
    assignments: tuple[str, ...],
    trace: str | None,
    seed: int | None,
    steps: int | None,
    shocks: tuple[str, ...],
    goods: tuple[str, ...],
    out: str | None,
    figures: bool,
    as_json: bool,
    live: bool,
) -> None:
    """Run a market and compare its prices with backprop's.

    The results are printed, and written as tables and figures.

    Exit code: 0 converged, 2 user error, 3 max_steps, 4 oscillating, 5 diverged, 6 off_gradient.
    """
    from market_abm.runs.folders import check_folder
    from market_abm.runs.progress import analyse
    from market_abm.runs.run import shocked
    from market_abm.views.save import RUN_FILES, left_out

    read = load(experiment, assignments, trace=trace, seed=seed, steps=steps)
    listed = named(goods, read)
    with ProgressBars(quiet=as_json) as bars:
        chosen = shocked(read, shocks, bars.of_run(read))
        folder = place(out, chosen.name)
        check_folder(folder, RUN_FILES)  # before a run that may take long
        result = run_with_progress(chosen, bars, live=live and not as_json)
        analyse(result, bars.of_work)
        folder = result.save(folder, figures=figures, progress=bars.of_parts(WRITING))
    if as_json:
        plain = not (sys.stdout.encoding or "").lower().startswith("utf")
        click.echo(json.dumps(result.summary(), ensure_ascii=plain, allow_nan=False))
    else:
        printing.print_result(result, listed, left_out(result))
        printing.print_written(folder)
    sys.exit(result.ending.status.exit_code)


@main.command()
@EXPERIMENT
@click.argument("axes", nargs=-1, metavar="[KEY=VALUES]...")
@SET
@click.option("--seeds", help="Run every point with each of these seeds: 0..4, or 1,7,9.")
@click.option("--design", help="grid, list, lhs or sobol.  [default: grid]")
@click.option("--points", type=int, help="Points of an lhs or sobol design.  [default: 64]")
@click.option("--fast", is_flag=True, help="Leave out the optimum and stability, which take long.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option("--scheduler", metavar="ADDRESS", help="Use the Dask cluster at tcp://host:port.")
@click.option("--resume", is_flag=True, help="Complete an interrupted sweep.")
@FIGURES
@click.option(
    "--out", metavar="DIR", help="Write the results here.  [default: results/<name>-sweep]"
)
def sweep(
    experiment: str,
    axes: tuple[str, ...],
    assignments: tuple[str, ...],
    seeds: str | None,
    design: str | None,
    points: int | None,
    fast: bool,
    jobs: int | None,
    scheduler: str | None,
    resume: bool,
    figures: bool,
    out: str | None,
) -> None:
    """Run a market at many points, in parallel.

    The results are one table and one figure.

    VALUES are a range, low:high:log:count or low:high:count; or a list, a,b,c. Without any, the
    axes of the file's [sweep] table are used. For example:

    market-abm sweep essay-chain demand.tupperware.elasticity=0.1:10:log:41

    Exit code: 0, or 2 for a user error, also if all runs fail.
    """
    from market_abm.studies.executors import executor
    from market_abm.studies.sweep import Sweep, run_sweep
    from market_abm.views.words.command import INTERRUPTED_SWEEP
    from market_abm.views.words.sweep import sweep_sentences, sweep_start

    chosen = load(experiment, assignments)
    planned = Sweep.planned(chosen, parse_axes(axes), seeds=seeds, design=design, points=points)
    planned = planned.fast() if fast else planned
    folder = place(out, f"{chosen.name}-sweep")
    say(sweep_start(planned))
    try:
        with (
            executor(jobs, scheduler, planned.design.size) as (pool, workers),
            ProgressBars() as bars,
        ):
            table = run_sweep(
                planned,
                folder,
                executor=pool,
                workers=workers,
                resume=resume,
                figures=figures,
                progress=bars.of_parts(RUNS),
            )
    except KeyboardInterrupt:
        click.echo(INTERRUPTED_SWEEP, err=True)
        sys.exit(INTERRUPTED)
    printing.print_statuses(table["status"].value_counts())
    printing.print_written(folder)
    failed = bool((table["status"] == "failed").all())
    for sentence in sweep_sentences(table, planned.design.axis_names):
        say(sentence, err=failed)
    if failed:
        sys.exit(USER_ERROR)


@main.command()
@EXPERIMENT
@SET
@click.option("--mechanisms", help="Compare these mechanisms with each other instead: all, or a,b.")
@STEPS
@FIGURES
@click.option(
    "--out",
    metavar="DIR",
    help="Write the results here.  [default: results/<name>-compare, or -mechanisms]",
)
def compare(
    experiment: str,
    assignments: tuple[str, ...],
    mechanisms: str | None,
    steps: int | None,
    figures: bool,
    out: str | None,
) -> None:
    """Compare a market with optimisers.

    The twin is the optimiser that the mechanism is identical to; beside it runs the textbook's.
    Both are written from formulas alone, and start at the same point. The largest distances of the
    market's path from theirs are printed, and the paths are plotted.
    """
    from market_abm.runs.folders import check_folder
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison
    from market_abm.views.save import COMPARISON_FILES

    chosen = load(experiment, assignments, steps=steps)
    folder = place(out, f"{chosen.name}-{'compare' if mechanisms is None else 'mechanisms'}")
    check_folder(folder, COMPARISON_FILES)
    with ProgressBars() as bars:
        compared: MechanismComparison | OptimizerComparison
        if mechanisms is not None:
            names = [name.strip() for name in mechanisms.split(",")]
            compared = MechanismComparison.of(chosen, names, bars.of_work)
        else:
            compared = OptimizerComparison.of(chosen, bars.of_work)
        folder = compared.save(folder, figures=figures, progress=bars.of_parts(WRITING))
    if isinstance(compared, MechanismComparison):
        printing.print_mechanisms(compared)
    else:
        printing.print_comparison(compared)
    printing.print_written(folder)


@main.command("phase-plane")
@click.option("--networks", type=int, default=5, show_default=True, help="Random networks.")
@click.option("--firms", type=int, default=30, show_default=True, help="Firms of each network.")
@click.option("--degree", type=int, default=4, show_default=True, help="Inputs of each firm.")
@click.option("--steps", type=int, default=3000, show_default=True, help="Maximum steps of a run.")
@click.option(
    "--out", metavar="DIR", default="results/phase-plane", show_default=True, help="Write here."
)
@FIGURES
def phase_plane(
    networks: int, firms: int, degree: int, steps: int, out: str, figures: bool
) -> None:
    """Compare our markets with the published excess-demand model.

    Both run on the same random networks. In each cell of the plane of their rates, a run starts
    near the equilibrium: does it return?
    """
    from market_abm.runs.folders import check_folder
    from market_abm.studies.phase_plane import PhasePlane, PlaneSettings
    from market_abm.views.save import PLANE_FILES
    from market_abm.views.words.sweep import plane_start

    given = {"networks": networks, "firms": firms, "degree": degree, "steps": steps}
    settings = PlaneSettings.of(given, "phase-plane")
    folder = Path(out)
    check_folder(folder, PLANE_FILES)
    size = PhasePlane.size(settings)
    say(plane_start(settings, size))
    with ProgressBars() as bars:
        plane = PhasePlane.of(settings, bars.of_work)
        folder = plane.save(folder, figures=figures, progress=bars.of_parts(WRITING))
    printing.print_plane(plane)
    printing.print_written(folder)


# --- other views of a run -------------------------------------------------------------------------


@main.command()
@EXPERIMENT
@SET
@click.option(
    "--steps",
    type=click.IntRange(1, 200),
    default=30,
    show_default=True,
    help="Animate this many steps, from step 0.",
)
@click.option(
    "--fps", type=click.IntRange(1, 50), default=12, show_default=True, help="Frames a second."
)
@click.option(
    "--out", metavar="FILE", help="Write this .gif or .mp4.  [default: results/<name>.gif]"
)
def animate(
    experiment: str, assignments: tuple[str, ...], steps: int, fps: int, out: str | None
) -> None:
    """Animate a run of a small network.

    Goods flow downstream, and price signals upstream.
    """
    from market_abm.views.animation.animate import animate as write_film
    from market_abm.views.animation.animate import check_film
    from market_abm.views.words.command import film_steps
    from market_abm.views.words.text import written

    chosen = load(experiment, assignments)
    path = place(out, f"{chosen.name}.gif")
    check_film(chosen, path)
    with ProgressBars() as bars:
        result = run_with_progress(chosen, bars)
        write_film(result, path, steps=steps, fps=fps, progress=bars.of_parts(FRAMES))
    say(written(path, film_steps(min(steps, result.steps), result.steps)))


@main.command()
@OPTIONAL_EXPERIMENT
@GOODS
@SET
@TRACE
def explain(
    experiment: str | None,
    goods: tuple[str, ...],
    assignments: tuple[str, ...],
    trace: str | None,
) -> None:
    """Show each firm's profit condition beside backprop's line.

    Both as formulas and as numbers; of a large economy, for one member of each family of goods.
    """
    from market_abm.runs.progress import analyse

    chosen = load(experiment, assignments, trace=trace)
    lines = named(goods, chosen)
    with ProgressBars() as bars:
        result = run_with_progress(chosen, bars)
        analyse(result, bars.of_work)
    printing.print_explanation(result, lines)


@main.command()
@click.argument("folder", metavar="DIR")
@click.option("--out", metavar="FILE", help="Write the page here.  [default: DIR.html]")
def report(folder: str, out: str | None) -> None:
    """Make one HTML file of a folder of results.

    DIR is what run, sweep or compare wrote. The file needs nothing but a browser. It has the
    question, the program, the derivation, interactive figures, tables, the configuration, and the
    command that reproduces the results.
    """
    from market_abm.views.report.report import report as write_report
    from market_abm.views.words.text import written

    with ProgressBars() as bars:
        path = write_report(folder, out, bars.of_work)
    say(written(path))


@main.command()
@EXPERIMENT
@SET
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5006,
    show_default=True,
    help="0: any free one.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--address", default="127.0.0.1", show_default=True, help="Listen here; see --network."
)
@click.option(
    "--network", is_flag=True, help="Allow an --address that other machines can reach, too."
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="HOST:PORT",
    help="Allow the page to be opened by this name, too, as behind a proxy. Repeatable.",
)
def watch(
    experiment: str,
    assignments: tuple[str, ...],
    port: int,
    open_browser: bool,
    address: str,
    network: bool,
    origins: tuple[str, ...],
) -> None:
    """Run a market in the browser.

    Set its elasticities, and shock it; Ctrl-C stops.

    Every tab has a market of its own. The page needs no network: all it loads is from this command.
    """
    from market_abm.views.words.command import open_to_others, page_address
    from market_abm.watch.server import is_loopback, server
    from market_abm.watch.session import Session

    settings = parse_assignments(assignments)
    Session(experiment, settings)  # so that a user error is printed here and not in the page
    if not is_loopback(address) and not network:
        raise MarketError(
            f"other machines could reach {address}",
            remedy="add --network to allow it; anyone who opens the page can run markets here",
        )
    served, url = server(experiment, settings, address=address, port=port, more_origins=origins)
    if not is_loopback(address):
        click.echo(open_to_others(address), err=True)
    click.echo(page_address(url))
    served.start()
    if open_browser:
        served.io_loop.add_callback(click.launch, url)
    try:
        served.io_loop.start()
    except KeyboardInterrupt:
        served.stop()
        click.echo("Stopped.")


# --- experiments ----------------------------------------------------------------------------------


@main.command("list")
def list_experiments() -> None:
    """List the available experiments and their questions."""
    from market_abm.experiment.experiment import Experiment
    from market_abm.experiment.files import available

    rows = []
    for name, path in available().items():
        try:
            question = Experiment.load(path).question
        except MarketError as error:
            question = f"cannot be read: {error}"
        rows.append((name, question, str(display_path(path))))
    printing.print_experiments(rows)


@main.command()
@OPTIONAL_EXPERIMENT
@SET
@TRACE
def check(experiment: str | None, assignments: tuple[str, ...], trace: str | None) -> None:
    """Check an experiment file without running it."""
    from market_abm.views.words.experiment import experiment_lines

    chosen = load(experiment, assignments, trace=trace)
    size = None
    if chosen.sweep:
        from market_abm.studies.sweep import Sweep
        from market_abm.views.words.sweep import sweep_size

        size = sweep_size(Sweep.planned(chosen, None))
    for line in experiment_lines(chosen):
        say(line)
    if size is not None:
        say(size)
