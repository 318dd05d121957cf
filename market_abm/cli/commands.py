"""The command line: parse, call, write; no mathematics. Heavy imports stay inside commands."""

from __future__ import annotations

import itertools
import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from market_abm.errors import MarketError

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.market.state import State
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
    from market_abm.studies.phase_plane import PhasePlane

EXPERIMENT = click.argument("experiment", metavar="FILE|NAME")


SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the file by its dotted name, e.g. market.share_rate=0.2. Repeatable.",
)


STEPS = click.option("--steps", type=int, help="Stop after so many steps (run.steps).")


class _Commands(click.Group):
    """Turns a user's mistake into one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MarketError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted: nothing was written.", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="market-abm", prog_name="market-abm")
def main() -> None:
    """Markets as distributed backprop: firms' bids become exact derivatives.

    Start with: market-abm run essay-chain
    """


@main.command()
@EXPERIMENT
@SET
@click.option("--seed", type=int, help="Fix every random number (run.seed).")
@STEPS
@click.option(
    "--shock",
    "shocks",
    multiple=True,
    metavar="TARGET.GOOD=CHANGE[@STEP]",
    help="Change productivity, supply (its quantity) or demand (its price) of a good while it "
    "runs: productivity.324=-20%, or =0.8 for a new value.  [default step: half of run.steps]  "
    "Repeatable.",
)
@click.option("--out", metavar="DIR", help="Write the results here.  [default: results/<name>]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--live", is_flag=True, help="Draw prices and errors in the terminal as it runs.")
def run(
    experiment: str,
    assignments: tuple[str, ...],
    seed: int | None,
    steps: int | None,
    shocks: tuple[str, ...],
    out: str | None,
    as_json: bool,
    live: bool,
) -> None:
    """Run a market, compare its prices with backprop's, and write and draw the results.

    Exit code: 0 converged, 2 a mistake in the input, 3 max_steps, 4 oscillating, 5 diverged.
    """
    chosen = _load(experiment, assignments, seed=seed, steps=steps).with_shock_texts(shocks)
    folder = Path(out or f"results/{chosen.name}")
    _check_folder(folder)
    result = _run(chosen, quiet=as_json, live=live)
    folder = result.save(folder)
    if as_json:
        click.echo(json.dumps(result.summary(), ensure_ascii=False, allow_nan=False))
    else:
        from market_abm.errors import where_text

        _print_result(result)
        click.echo(f"Written to {where_text(folder)}: {', '.join(sorted(_names(folder)))}")
    sys.exit(result.ending.status.exit_code)


@main.command()
@EXPERIMENT
@click.argument("axes", nargs=-1, metavar="[KEY=VALUES]...")
@SET
@click.option("--seeds", help="Run every point with each of these seeds: 0..4, or 1,7,9.")
@click.option("--design", help="grid, list, lhs or sobol.  [default: grid]")
@click.option("--points", type=int, help="Points of an lhs or sobol design.  [default: 64]")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one a core]")
@click.option("--scheduler", metavar="ADDRESS", help="Use the Dask cluster at tcp://host:port.")
@click.option("--resume", is_flag=True, help="Do what is missing of an interrupted sweep.")
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
    jobs: int | None,
    scheduler: str | None,
    resume: bool,
    out: str | None,
) -> None:
    """Run a market at many points, in parallel, into one table and one figure.

    VALUES are a range, low:high:log:count or low:high:count; or a list, a,b,c. Without any, the
    file's [sweep] table says what to do. For example:

    market-abm sweep essay-chain demand.tupperware.elasticity=0.1:10:log:41
    """
    from market_abm.errors import where_text
    from market_abm.studies.executors import executor
    from market_abm.studies.sweep import Sweep, run_sweep

    chosen = _load(experiment, assignments)
    given = dict(chosen.sweep)
    told = {"seeds": seeds, "design": design, "points": points}
    given.update({key: value for key, value in told.items() if value is not None})
    own = given.pop("axes", {})
    planned = Sweep.of(chosen, dict(_axis(axis) for axis in axes) or own, **given)
    folder = Path(out or f"results/{chosen.name}-sweep")
    size, batches = planned.design.size, planned.batches
    click.echo(f"{chosen.name}: {size:,} runs, up to {planned.batch_size:,} at a time")
    try:
        with executor(jobs, scheduler, batches) as (pool, workers), _bar(size) as progress:
            table = run_sweep(
                planned, folder, executor=pool, workers=workers, resume=resume, progress=progress
            )
    except KeyboardInterrupt:
        click.echo("Interrupted: what was finished is kept; go on with --resume.", err=True)
        sys.exit(130)
    for status, count in table["status"].value_counts().items():
        click.echo(f"  {status!s:<12} {count:,}")
    click.echo(f"Written to {where_text(folder)}: {', '.join(sorted(_names(folder)))}")


@main.command()
@EXPERIMENT
@SET
@click.option("--mechanisms", help="Instead, compare these with each other: all, or a,b.")
@STEPS
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
    out: str | None,
) -> None:
    """Run a market beside its twin: the optimiser that its mechanism is claimed to be.

    The twin is written from formulas alone and starts where the market does; the largest distance
    between their paths is told, and both are drawn.
    """
    from market_abm.errors import where_text
    from market_abm.runs.folders import check_folder
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
    from market_abm.views.save import COMPARISON_FILES

    chosen = _load(experiment, assignments, steps=steps)
    folder = Path(out or f"results/{chosen.name}-{'mechanisms' if mechanisms else 'compare'}")
    check_folder(folder, COMPARISON_FILES)
    if mechanisms:
        contest = MechanismComparison.of(chosen, [name.strip() for name in mechanisms.split(",")])
        _print_contest(contest)
        folder = contest.save(folder)
    else:
        comparison = OptimizerComparison.of(chosen)
        _print_beside(comparison)
        folder = comparison.save(folder)
    click.echo(f"Written to {where_text(folder)}: {', '.join(sorted(_names(folder)))}")


@main.command("phase-plane")
@click.option("--networks", type=int, default=5, show_default=True, help="Random networks.")
@click.option("--firms", type=int, default=30, show_default=True, help="Firms of each network.")
@click.option("--degree", type=int, default=4, show_default=True, help="Goods a firm buys.")
@click.option("--steps", type=int, default=3000, show_default=True, help="Steps of a run, at most.")
@click.option(
    "--out", metavar="DIR", default="results/phase-plane", show_default=True, help="Write here."
)
def phase_plane(networks: int, firms: int, degree: int, steps: int, out: str) -> None:
    """Run the published excess-demand model and our markets on the same random networks.

    In each cell of the plane of its rates, a run starts near the equilibrium: does it come back?
    """
    from market_abm.errors import where_text
    from market_abm.runs.folders import check_folder
    from market_abm.studies.phase_plane import PhasePlane, PlaneSettings
    from market_abm.views.save import PLANE_FILES

    given = {"networks": networks, "firms": firms, "degree": degree, "steps": steps}
    settings = PlaneSettings.of(given, "phase-plane")
    folder = Path(out)
    check_folder(folder, PLANE_FILES)
    size = PhasePlane.size(settings)
    click.echo(f"{settings.networks} networks of {settings.firms} firms: {size:,} runs")
    with _bar(size) as progress:
        plane = PhasePlane.of(settings, progress)
    _print_plane(plane)
    folder = plane.save(folder)
    click.echo(f"Written to {where_text(folder)}: {', '.join(sorted(_names(folder)))}")


@main.command()
@EXPERIMENT
@SET
@click.option(
    "--steps",
    type=click.IntRange(1, 200),
    default=30,
    show_default=True,
    help="Film so many steps, from the first on.",
)
@click.option("--fps", type=click.IntRange(1, 50), default=12, show_default=True, help="Speed.")
@click.option(
    "--out", metavar="FILE", help="Write this .gif or .mp4.  [default: results/<name>.gif]"
)
def animate(
    experiment: str, assignments: tuple[str, ...], steps: int, fps: int, out: str | None
) -> None:
    """Film a run: goods flow down a small network, and price signals climb up, step by step."""
    from market_abm.errors import where_text
    from market_abm.views.animation import film as films

    chosen = _load(experiment, assignments)
    path = Path(out or f"results/{chosen.name}.gif")
    films.check_film(chosen, path)
    result = _run(chosen, quiet=False)
    films.animate(result, path, steps=steps, fps=fps)
    click.echo(
        f"Written to {where_text(path)}: steps 0 to {min(steps, result.steps)} of {result.steps}"
    )


@main.command()
@EXPERIMENT
@SET
def explain(experiment: str, assignments: tuple[str, ...]) -> None:
    """Show each firm's profit condition beside backprop's line, as formulas and as numbers."""
    from market_abm.views.explain import explain as explanation

    result = _run(_load(experiment, assignments), quiet=True)
    console = _console()
    for section in explanation(result):
        console.print(f"\n[bold]{_plain(section.title)}[/bold]")
        console.print(f"  {_plain(section.note)}", style="dim")
        table = _table(("the firm's condition", "left"), ("backprop", "left"))
        for pair in section.pairs:
            table.add_row(_plain(pair.condition), _plain(pair.backprop))
            if pair.condition_numbers:
                table.add_row(
                    _aligned(pair.condition, pair.condition_numbers),
                    _aligned(pair.backprop, pair.backprop_numbers),
                    style="cyan",
                )
        console.print(table)
    console.print(f"\nPrices are those of the market: {_plain(result.ending.detail)}.")


@main.command()
@click.argument("folder", metavar="DIR")
@click.option("--out", metavar="FILE", help="Write the page here.  [default: DIR.html]")
def report(folder: str, out: str | None) -> None:
    """Make one HTML file of a folder of results, to hand on: it needs nothing but a browser.

    DIR is what run, sweep or compare wrote. The page has the question, the program, the derivation,
    figures to point at, tables, the configuration, and the command that makes it all again.
    """
    from market_abm.errors import where_text
    from market_abm.views.report.report import save_report

    click.echo(f"Written to {where_text(save_report(folder, out))}")


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
def watch(
    experiment: str,
    assignments: tuple[str, ...],
    port: int,
    open_browser: bool,
    address: str,
    network: bool,
) -> None:
    """Play a market in the browser, turn its elasticities, and shock it; Ctrl-C stops.

    Every tab has a market of its own. The page needs no network: it asks nobody but this command.
    """
    from market_abm.experiment.toml import parse_assignment
    from market_abm.watch.server import is_loopback, server
    from market_abm.watch.session import Session

    settings = dict(parse_assignment(assignment) for assignment in assignments)
    Session(experiment, settings)  # better to hear of a mistake here than in the page
    if not is_loopback(address) and not network:
        raise MarketError(
            f"other machines could reach {address}",
            remedy="add --network if they may; who can open the page can make this machine work",
        )
    served, url = server(experiment, settings, address=address, port=port)
    if not is_loopback(address):
        click.echo(
            f"Other machines can open this page, and make this one work: {address}", err=True
        )
    click.echo(f"Watch it at {url} (Ctrl-C stops)")
    served.start()
    if open_browser:
        served.io_loop.add_callback(click.launch, url)
    try:
        served.io_loop.start()
    except KeyboardInterrupt:
        served.stop()
        click.echo("Stopped.")


@main.command("list")
def list_experiments() -> None:
    """List the experiments at hand, each with its question."""
    from market_abm.errors import where_text
    from market_abm.experiment.experiment import Experiment
    from market_abm.experiment.files import available

    table = _table(("name", "left"), ("question", "left"), ("file", "left"))
    for name, path in available().items():
        try:
            question = Experiment.load(path).question
        except MarketError as error:
            question = f"cannot be read: {error}"
        table.add_row(name, _plain(question), str(where_text(path)))
    _console().print(table)


@main.command()
@EXPERIMENT
@SET
def check(experiment: str, assignments: tuple[str, ...]) -> None:
    """Say what is wrong with an experiment file, without running it."""
    chosen = _load(experiment, assignments)
    economy = chosen.economy
    loops = [
        " <-> ".join(industry.good for industry in component)
        for component in economy.components
        if economy.is_loop(component)
    ]
    firms = sum(industry.firms for industry in economy.topological_order)
    click.echo(f"{chosen.name}: no mistake found")
    for what, names in (
        ("raw goods", economy.supply),
        ("industries", [industry.good for industry in economy.topological_order]),
        ("final goods", economy.demand),
        ("loops", loops),
    ):
        if names:
            click.echo(f"  {what}: {', '.join(names)}")
    click.echo(f"  firms: {firms}")


# --- helpers -------------------------------------------------------------------------------------


def _load(
    experiment: str,
    assignments: Iterable[str],
    *,
    seed: int | None = None,
    steps: int | None = None,
) -> Experiment:
    from market_abm.experiment.experiment import Experiment
    from market_abm.experiment.toml import parse_assignment

    settings = dict(parse_assignment(assignment) for assignment in assignments)
    if seed is not None:
        settings["run.seed"] = seed
    if steps is not None:
        settings["run.steps"] = steps
    return Experiment.load(experiment, settings)


def _axis(text: str) -> tuple[str, str]:
    """A swept key and its values, as text."""
    from market_abm.errors import SettingError

    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise SettingError(
            f"cannot read the axis '{text}'",
            remedy="write key=low:high:log:count or key=a,b,c, such as market.share_rate=0.1,0.2",
        )
    return key.strip(), values


@contextmanager
def _bar(size: int) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar with the time left, if there is somebody to watch it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=size)
        yield lambda done, _: bar.update(task, completed=done)


def _check_folder(folder: Path) -> None:
    """Better to hear of a folder that cannot be used before a long run than after it."""
    from market_abm.runs.folders import check_folder
    from market_abm.views.save import RUN_FILES

    check_folder(folder, RUN_FILES)


def _run(chosen: Experiment, *, quiet: bool, live: bool = False) -> Result:
    """Run with a progress bar, or a live picture, if there is somebody to watch it."""
    from market_abm.runs.run import run as run_experiment

    if live and not quiet:
        from market_abm.views.terminal import Live, watchable

        console = _console()
        if watchable(console):
            with Live(chosen, console) as picture:
                return run_experiment(chosen, progress=picture)
    if quiet or not sys.stderr.isatty():
        return run_experiment(chosen)
    with click.progressbar(
        length=chosen.run.steps, label=chosen.name, file=sys.stderr, show_pos=True
    ) as bar:

        def advance(state: State, _: object) -> None:
            bar.update(state.step - bar.pos)

        return run_experiment(chosen, progress=advance)


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def _table(*columns: tuple[str, str]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header, justify in columns:
        table.add_column(header, justify=justify)  # type: ignore[arg-type]
    return table


def _plain(string: str) -> str:
    from rich.markup import escape

    return escape(string)


def _aligned(equation: str, numbers: str) -> str:
    """The numbers under the right side of their equation."""
    return _plain(" " * equation.index("=") + "= " + numbers)


def _print_result(result: Result) -> None:
    from market_abm.runs.result import MANY

    console = _console()
    if result.experiment.question:
        console.print(f"[bold]{_plain(result.experiment.question)}[/bold]")
    if len(result.goods) > MANY:
        table, rest = _largest_goods(result)
        console.print(table)
        click.echo(rest)
    else:
        console.print(_all_goods(result))
    message = result.ending.detail
    click.echo(message[0].upper() + message[1:] + ".")
    click.echo(_path_sentence(result))
    click.echo(_equilibrium_sentence(result))
    accounts = result.accounts()
    in_business = accounts["revenue"] > 1e-9 * accounts["revenue"].max()
    losing = accounts[in_business & (accounts["margin"] < -1e-6)]["margin"].items()
    for good, margin in itertools.islice(losing, 5):
        click.echo(f"The makers of {good} lose money: {-margin:.3g} of every unit that they earn.")
    near = result.near_rest()
    if near is not None and near["radius"] > 0:
        click.echo(_stability_sentence(near))


def _error_text(error: float) -> str:
    return "0" if error == 0 else f"{error:.1e}"


def _all_goods(result: Result) -> Any:
    """A row for every good."""
    right = "right"
    table = _table(
        ("good", "left"),
        ("quantity", right),
        ("price", right),
        ("gradient", right),
        ("error", right),
        ("first step", right),
    )
    for good, row in result.table().iterrows():
        table.add_row(
            _plain(str(good)),
            f"{row['quantity']:.6g}",
            f"{row['price']:.10g}",
            f"{row['gradient']:.10g}",
            _error_text(row["error"]),
            "-" if row["first_step"] < 0 else f"{row['first_step']:.0f}",
        )
    return table


def _largest_goods(result: Result) -> tuple[Any, str]:
    """A row for each of the ten industries with the largest sales, and where the rest is told.

    Of an input-output table, also what sales must be by the table alone: the Domar weights, over
    what the household spends.
    """
    from market_abm.gradient.closed_form import domar_weights

    given, rows = result.experiment.input_output, result.table()
    weights = {} if given is None else dict(zip(given.codes, domar_weights(given), strict=True))
    columns = ["price", "gradient", *(["Domar weight"] if weights else []), "sales", "error"]
    table = _table(("industry", "left"), *((column, "right") for column in columns))
    largest = result.largest[:10]
    for good in largest:
        row = rows.loc[good]
        table.add_row(
            _plain(textwrap.shorten(result.experiment.economy.label(good), 60, placeholder=" …")),
            f"{row['price']:.10g}",
            f"{row['gradient']:.10g}",
            *([f"{weights[good]:.10f}"] if weights else []),
            f"{row['price'] * row['quantity']:.10f}",
            _error_text(row["error"]),
        )
    note = (
        f"The {len(largest)} industries with the largest sales; all {len(result.goods)} goods are "
        "in summary.json and trajectory.csv."
    )
    return table, note


def _print_beside(comparison: OptimizerComparison) -> None:
    told = comparison.summary()
    table = _table(("", "left"), ("largest distance", "right"), ("at step", "right"))
    for name, (size, step) in comparison.distances.items():
        table.add_row(name, "0" if size == 0 else f"{size:.1e}", str(step))
    _console().print(table)
    click.echo(
        f"{told['market']} beside {told['optimiser']}, its twin: {told['steps']} steps, "
        f"{told['status']}. Distances are relative to the largest price, quantity or share."
    )


def _print_contest(contest: MechanismComparison) -> None:
    columns = ("steps", "messages", "welfare", "wasted", "money_made")
    headers = ("steps", "messages", "welfare", "goods wasted", "money made")
    table = _table(("mechanism", "left"), ("status", "left"), *((h, "right") for h in headers))
    frame = contest.table()
    for name, row in frame.iterrows():
        cells = ["-" if row.get(c) is None or row.get(c) != row.get(c) else row[c] for c in columns]
        shown = [c if isinstance(c, str) else f"{c:.6g}" for c in cells]
        table.add_row(str(name), str(row["status"]), *shown)
    _console().print(table)
    for name, row in frame.iterrows():
        if row["status"] == "refused":
            click.echo(f"{name}: {row['why']}")
    click.echo(
        "Steps and price messages until all prices and quantities stay within 1e-06 of best."
    )


def _print_plane(plane: PhasePlane) -> None:
    cells, counts = plane.cells, plane.counts
    table = _table(("model", "left"), *((name, "right") for name in counts), ("of", "right"))
    for model, row in counts.iterrows():
        table.add_row(str(model), *(f"{count:.1f}" for count in row), str(cells[model]))
    _console().print(table)
    click.echo("Cells of the plane that come back to the equilibrium, on average over networks.")


def _path_sentence(result: Result) -> str:
    summary, mechanism = result.summary(), result.experiment.market.mechanism
    parts = []
    if summary["alignment"] is not None:
        what = "dual potential's descent" if mechanism == "tatonnement" else "gradient"
        parts.append(f"mean alignment with the {what} {summary['alignment']:.3f}")
    elif mechanism in ("unit-bid", "trading-post"):
        return (
            "No good was divided between buyers who could outbid each other: quantities stayed put."
        )
    if summary["staleness"] is not None:
        lag = int(summary["staleness"])
        parts.append(f"prices lag their gradients by {lag} step{'s' * (lag != 1)}")
    if summary["uphill_share"] is not None:
        parts.append(f"welfare rose in {summary['uphill_share']:.0%} of the steps that moved it")
    sentence = "; ".join(parts) or "nothing moved"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _stability_sentence(near: dict[str, Any]) -> str:
    what = {"unstable": "grows", "oscillating": "swings and dies down", "monotone": "dies down"}
    parts = [f"Near rest a disturbance {what[near['regime']]}"]
    if math.isfinite(near["period"]):
        parts.append(f"with a period of {near['period']:.3g} steps")
    if math.isfinite(near["half_life"]):
        parts.append(f"halved in {near['half_life']:.3g}")
    measured = "" if math.isnan(near["rate"]) else f"; measured {near['rate']:.4f}"
    return f"{', '.join(parts)}: predicted rate {near['radius']:.4f} a step{measured}."


def _equilibrium_sentence(result: Result) -> str:
    from market_abm.analysis.observer import relative_error

    distance = result.distance()
    if distance is None and result.rest_prices is not None and result.status != "diverged":
        off = relative_error(result.last.prices, result.rest_prices).max()
        return (
            f"At rest, in closed form and without a market: prices differ by {off:.1e} (relative)."
        )
    if distance is None:
        return "The best allocation was not computed: too much is free."
    best = distance["best_welfare"]
    if not distance["solved"]:
        return "SciPy did not find the best allocation of this program."
    if result.status == "diverged":
        return f"Welfare at the best allocation, found without a market: {best:.6g}."
    return (
        f"The best allocation, found without a market: prices differ by {distance['prices']:.1e}, "
        f"quantities by {distance['quantities']:.1e} (relative); "
        f"welfare {result.path.welfare[-1]:.6g} of {best:.6g}."
    )


def _names(folder: Any) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
