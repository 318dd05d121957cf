"""How a sweep makes its runs: points as data, batches by time, and the measures that are chosen."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from market_abm import Experiment, MarketError, from_text
from market_abm.cli.commands import main
from market_abm.experiment import experiment as experiment_module
from market_abm.gradient.backprop import forward_pass
from market_abm.studies import batches, rows
from market_abm.studies.batches import SECONDS, Part, Sizes, finished_parts
from market_abm.studies.points import Points
from market_abm.studies.sweep import Sweep, run_sweep
from market_abm.views.plots.sweep import sweep_figure
from market_abm.views.report.sweep_figures import sweep_figures

SPLIT = """
question = "Who gets the wheat?"
[economy]
program = '''
bread = ces(wheat, labour, elasticity=sigma, weights=(0.4, 0.6))
beer = wheat ** 0.5
'''
parameters = { sigma = 0.8 }
[supply]
wheat.quantity = 4.0
labour.quantity = 2.0
labour.elasticity = 0.5
[industries]
firms = 2
weight_spread = 0.3
[industries.beer]
firms = 1
[market]
share_rate = 0.2
[run]
steps = 20
"""


def split(**settings):
    return Experiment.parse(SPLIT, "split", settings)


# --- points --------------------------------------------------------------------------------------


def numbers(value):
    """All numbers in an object, by their exact text: settings, arrays, lines."""
    if hasattr(value, "text"):
        return value.text(exact=True), dict(value.parameters)
    if dataclasses.is_dataclass(value):
        return {f.name: numbers(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: numbers(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [numbers(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def parts(experiment):
    kept = ("market", "run", "record", "shocks")
    economies = (experiment.economy, *(economy for _, economy in experiment.changes))
    lines = [
        (each.good, numbers(each.technology), numbers(each.population), each.weights.tolist())
        for economy in economies
        for each in economy.industries
    ]
    terms = [(numbers(economy.supply), numbers(economy.demand)) for economy in economies]
    structure = experiment.economy.structure, experiment.economy.buyers.initial_shares.tolist()
    return lines, terms, structure, [numbers(getattr(experiment, name)) for name in kept]


POINTS = [
    {"economy.parameters.sigma": 0.3, "market.share_rate": 0.5},
    {"supply.labour.elasticity": 2.0, "supply.wheat": 7.0, "demand.beer.price": 3.0},
    {"demand.bread": 2.0, "run.tolerance": 1e-6, "run.steps": 30, "market.lag": 2},
    {"industries.firms": 3, "industries.beer.productivity": 2.0},
    {"run.seed": 5},
    {"run.seed": 5, "industries.productivity_spread": 0.4, "industries.bid_noise": 0.1},
    {"market.mechanism": "trading-post", "market.bid_rate": 0.5},
    {"economy.program": "bread = wheat * labour ** sigma\nbeer = wheat", "supply.wheat": 2.0},
    {"supply.labour": {"quantity": 3.0}, "reuse.wheat": "copy", "record.every": 2},
    {"shocks": [{"step": 9, "supply.wheat.quantity": 2.0}], "supply.wheat.quantity": 3.0},
]


@pytest.mark.parametrize("base", [split(), Experiment.load("us-economy-shock", {"run.steps": 99})])
def test_a_point_is_what_its_text_says(base, monkeypatch):
    """Numbers that are set give the experiment of the text with these numbers, bit for bit."""
    table = "input_output" in base.configuration["economy"]
    own = [
        {"economy.parameters.substitution_elasticity": 0.5, "run.seed": 2},
        {"industries.324.productivity": 0.5, "supply.primary.elasticity": 0.1},
        {"industries.firms": 2, "industries.weight_spread": 0.2, "run.seed": 3},
    ]
    points = own if table else POINTS
    expected = [parts(base.with_overrides(point)) for point in points]
    made = Points(base)
    assert [parts(made.experiment(point)) for point in points] == expected
    monkeypatch.setattr(experiment_module, "tables_of", lambda text: pytest.fail("text was parsed"))
    assert [parts(made.experiment(point)) for point in points] == expected


def test_a_point_that_is_not_valid_is_told_as_in_its_text():
    base = split()
    for point in (
        {"supply.labour.elasticity": "x"},
        {"market.auction_rate": 0.3},
        {"economy.parameters.sigma": -1.0},
        {"supply.labour.quantity": -1.0},
        {"industries.beer.weights": [0.5, 0.5]},
        {"run.steps": 1e12},
    ):
        with pytest.raises(MarketError) as expected:
            base.with_overrides(point)
        with pytest.raises(MarketError) as told:
            Points(base).experiment(point)
        assert str(told.value) == str(expected.value)


def test_a_sweep_parses_its_text_once_and_finds_each_optimum_once(monkeypatch):
    """Three economies at four rates and two seeds, and a failing one; rates go first."""
    sweep = Sweep.of(
        split(**{"industries.weight_spread": 0.0}),
        {"market.share_rate": "0.1:0.4:4", "supply.wheat.quantity": [2.0, 4.0, 8.0]},
        seeds="0..1",
    )
    asked = []

    def optima(economies):
        asked.extend(economies)
        return found(economies)

    found = rows.optima
    monkeypatch.setattr(rows, "optima", optima)
    monkeypatch.setattr(experiment_module, "tables_of", lambda text: pytest.fail("text was parsed"))
    table = run_sweep(sweep, None)
    assert len(table) == 24 and len(asked) == 3
    assert table["best_welfare"].nunique() == 3 and table["best_welfare"].notna().all()


# --- batches -------------------------------------------------------------------------------------

MIXED = {
    "market.activation": "simultaneous,random,sequential",
    "market.mechanism": "unit-bid,trading-post",
    "supply.wheat.quantity": "-1,4",
    "economy.parameters.sigma": "0.3,2",
}
"""Structures, failures and both engines in one sweep."""


def test_the_table_is_the_same_whatever_the_batches(tmp_path, monkeypatch):
    sweep = Sweep.of(split(**{"run.steps": 12}), MIXED)
    whole = run_sweep(sweep, tmp_path / "whole")
    assert set(whole["status"]) >= {"failed", "max_steps"} and len(whole) == 24
    kept = (tmp_path / "whole" / "table.csv").read_bytes()
    monkeypatch.setattr(batches, "MAX_SECONDS", 0.0)  # every batch ends with its first rows
    monkeypatch.setattr(Sweep, "sizes", property(lambda _: Sizes(5, 7)))
    progress = []
    fresh = Sweep.of(split(**{"run.steps": 12}), MIXED)
    run_sweep(fresh, tmp_path / "cut", progress=lambda done, size: progress.append(done))
    assert (tmp_path / "cut" / "table.csv").read_bytes() == kept
    assert len(progress) > 4 and progress == sorted(progress) and progress[-1] == 24


def test_loops_rest_at_the_same_bits_whoever_else_is_solved():
    """Newton's method takes more steps from some guesses; those that have arrived stay."""
    economy = from_text(
        "f = cobb_douglas(k, g, exponents=(0.5, 0.3))\n"
        "g = ces(l, f, elasticity=0.8, weights=(0.6, 0.4))\n"
        "y = f ** 0.5",
        supply={"k": 3.0, "l": 5.0},
    )
    rows = np.random.default_rng(1).uniform(0.1, 2.0, (20, 2))
    made, _ = forward_pass(economy)
    shares, guess = (np.tile(each, (20, 1)) for each in (economy.buyers.initial_shares, made))
    together, _ = forward_pass(economy, shares, rows, guess=guess)
    assert np.isfinite(together).all()
    for k in range(20):
        alone, _ = forward_pass(economy, shares[k], rows[k], guess=guess[k])
        np.testing.assert_array_equal(together[k], alone)


class Clockwork:
    """A sweep on a clock of its own: a batch of n runs takes ``fixed`` + n ``each`` seconds."""

    def __init__(self, fixed, each, *, together=100):
        self.fixed, self.each, self.together, self.now = fixed, each, together, 0.0

    def perf_counter(self):
        return self.now

    def texts(self, numbers):
        self.now += self.fixed
        yield 0, ""
        for first in range(0, len(numbers), self.together):
            count = min(self.together, len(numbers) - first)
            self.now += count * self.each
            yield count, "".join(f"{numbers[first + k]}\n" for k in range(count))


@pytest.mark.parametrize(
    ("fixed", "each", "first"),
    [*itertools.product((0.0, 0.3, 1.5), (1e-4, 1e-3, 0.1, 5.0), (1, 1000))],
)
def test_batches_take_about_a_second(fixed, each, first, monkeypatch):
    """Whatever the first guess: a batch ends within two seconds, or its steps and rows must.

    A batch that is larger than wanted ends with the next hundredth of its runs.
    """
    size = max(40, int(30 / (each + 1e-4)))
    sweep = Clockwork(fixed, each, together=max(1, min(100, int(0.25 / each))))
    monkeypatch.setattr(batches.time, "perf_counter", sweep.perf_counter)
    sizes = Sizes(first, 10**6)
    made, moments = [], [0.0]
    for part in finished_parts(sweep, [range(5), range(9, size)], sizes):
        made.append(part)
        moments.append(sweep.now)
    numbers = [int(n) for part in sorted(made) for n in part.text.split()]
    assert numbers == [*range(5), *range(9, size)]
    longest = np.diff(moments).max()
    assert longest <= max(2.0, 2.0 * fixed + each + 0.5, fixed + each), longest
    late = np.diff(moments)[len(moments) // 2 : -1]
    if each <= 0.1 and sweep.now > 10.0:
        assert np.median(late) >= 0.5 * SECONDS  # steps are shared by many runs
    total = sweep.now
    assert total <= 2.5 * size * each + 20 * (fixed + 0.1)


def test_sizes_do_not_need_a_first_guess():
    sizes = Sizes(1, 10**6)
    for _ in range(12):
        sizes.add(sizes.next, Part(0, sizes.next, "", 0.2, 0.2 + 1e-3 * sizes.next))
    assert sizes.next == pytest.approx(800, rel=0.05)
    assert sizes.seconds(8000) == pytest.approx(10.0, rel=0.05)


# --- measures ------------------------------------------------------------------------------------


def test_chosen_measures_are_columns_of_the_whole_table(tmp_path):
    axes = {"market.share_rate": "0.1:0.4:3"}
    whole = run_sweep(Sweep.of(split(), axes), None)
    always = {"market.share_rate", "status", "steps", "message"} | {
        f"{what}.{good}"
        for what in ("quantity", "price")
        for good in ("wheat", "labour", "bread", "beer")
    }
    of = {"optimum": {c for c in whole if c.startswith("best_")}}
    of["stability"] = {"predicted_rate", "predicted_error"}
    for measures in ([], ["optimum"], ["rate", "stability", "welfare"]):
        table = run_sweep(Sweep.of(split(), axes, measures=measures), None)
        chosen = set().union(*(of.get(name, {name}) for name in measures))
        assert list(table) == [name for name in whole if name in always | chosen]
        assert table.equals(whole[list(table)])
    fast = run_sweep(Sweep.of(split(), axes).fast(), None)
    assert set(whole) - set(fast) == of["optimum"] | of["stability"]
    for one in (fast, whole[[name for name in whole if name in always]]):
        two = pd.concat([one.assign(b=1.0), one.assign(b=2.0)], ignore_index=True)
        for table, names in ((one, list(axes)), (two, [*axes, "b"])):
            assert sweep_figure(table, names, "x") is not None and sweep_figures(table, names)


def test_measures_that_do_not_exist_are_told():
    base = Experiment.parse(f"{SPLIT}[sweep]\nmeasures = ['welfare', 'optimun']\n")
    with pytest.raises(MarketError, match=r"sweep.measures is 'optimun'; did you mean 'optimum'\?"):
        Sweep.planned(base, {"market.share_rate": "0.1,0.2"})
    with pytest.raises(MarketError, match="sweep.measures is 3; must be a list of names"):
        Sweep.of(split(), {"market.share_rate": "0.1,0.2"}, measures=3)


def test_fast_on_the_command_line(tmp_path, monkeypatch):
    """The measures of the file without the slow ones; the report gives the command with --fast."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(f"{SPLIT}[sweep]\nmeasures = ['error', 'optimum']\n")
    line = ["sweep", "a.toml", "market.share_rate=0.1:0.4:3", "--jobs", "1"]
    done = CliRunner().invoke(main, [*line, "--fast", "--out", "s"])
    assert done.exit_code == 0, done.output
    table = pd.read_csv("s/table.csv")
    assert "error" in table and "welfare" not in table and "best_welfare" not in table
    done = CliRunner().invoke(main, ["report", "s", "--out", "s.html"])
    assert done.exit_code == 0, done.output
    assert " --fast" in (tmp_path / "s.html").read_text("utf-8")
