"""Whatever a file or a command line says: an answer or one sentence, never a traceback."""

import contextlib
import dataclasses
import itertools
import random
import re

import numpy as np
import pytest
from autograd import grad
from click.testing import CliRunner
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.mutations import (
    extreme_programs,
    extreme_texts,
    mutated_texts,
    settings_of_keys,
)
from support.profiles import examples
from support.strategies import compute, goods_read, in_order

from market_abm import Experiment, MarketError, compare, from_text, run
from market_abm.cli.commands import main

COMMANDS = (
    ("check",),
    ("explain",),
    ("run", "--out", "run"),
    ("report", "--out", "run.html"),
    ("compare", "--out", "compare"),
    ("compare", "--mechanisms", "all", "--out", "mechanisms"),
    ("sweep", "run.tolerance=1e-9,1e-6", "--jobs", "1", "--out", "sweep"),
    ("animate", "--steps", "2", "--out", "film.gif"),
    ("list",),
)
QUICK = [command for command in COMMANDS if "--out" not in command]
INPUTS = st.one_of(
    st.tuples(mutated_texts(), settings_of_keys()), st.tuples(extreme_texts(), st.just([]))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs")
    with contextlib.chdir(path):
        yield path


def assert_answered(folder, text, overrides, command, steps):
    """The command ends with one of its exit codes; 2 with one line, or where all runs failed.

    Returns command and code.
    """
    (folder / "a.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    name, *options = command
    arguments = [name, *([] if name == "list" else ["run" if name == "report" else "a.toml"])]
    arguments += options
    if name not in ("list", "report"):  # report reads what the last run wrote, if it did
        arguments += [part for each in overrides for part in ("--set", each)]
        arguments += ["--set", f"run.steps={steps}"] * (name != "check")
    done = CliRunner().invoke(main, arguments)
    failure = (text, arguments, done.output, done.exc_info)
    assert done.exception is None or isinstance(done.exception, SystemExit), failure
    assert done.exit_code in ((0, 2, 3, 4, 5, 6) if name == "run" else (0, 2)), failure
    assert "Traceback" not in done.output, failure
    if done.exit_code == 2 and not (name == "sweep" and "All runs failed" in done.stderr):
        assert re.fullmatch(r"(Warning: .*\n)*Error: .*\n", done.stderr), failure
    return f"{name}: {done.exit_code}"


@given(given=INPUTS, command=st.sampled_from(QUICK), steps=st.sampled_from((1, 10)))
@settings(max_examples=examples(40))
def test_commands_without_files_answer(folder, given, command, steps):
    event(assert_answered(folder, *given, command, steps))


@pytest.mark.slow
@given(given=INPUTS, command=st.sampled_from(COMMANDS), steps=st.sampled_from((1, 10)))
@settings(max_examples=300)
def test_every_command_answers(folder, given, command, steps):
    event(assert_answered(folder, *given, command, steps))


LONG = {
    "a key of many parts": "a" + ".a" * 50_000 + " = 1",
    "a quoted key of many parts": '"a"' + '."a"' * 50_000 + " = 1",
    "a table of many parts": "[a" + ".a" * 50_000 + "]",
    "tables in tables": "a = " + "{a = " * 300 + "1" + "}" * 300,
    "a word": "a" * 2_000_000,
    "dots": "." * 5_000_000,
    "quotes": '"' * 1_000_001,
    "an integer": "[run]\nsteps = 0x" + "f" * 100_000,
    "a choice": "[market]\nmechanism = 0x" + "f" * 100_000,
    "a list of lists": "[market]\nmechanism = " + "[" * 90 + "]" * 90,
    "a number in a line": "[economy]\nprogram = 'y = x * 0x" + "f" * 100_000 + "'",
    "a power of powers": "[economy]\nprogram = 'y = x ** 9**9**9**9'\n[supply.x]\nquantity = 'x'",
    "brackets": "[economy]\nprogram = 'y = " + "([{" * 60 + "'",
    "signs": "[economy]\nprogram = 'y = " + "-" * 100_000 + "x'",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_inputs_are_refused_at_once(text):
    with pytest.raises(MarketError) as refused:
        Experiment.parse(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "override",
    ["run.seed=0x" + "f" * 6000, "economy.parameters" + ".a" * 2000 + "=1", "question=\x1b[31m\n"],
)
def test_messages_are_one_line_that_no_terminal_obeys(override):
    done = CliRunner().invoke(main, ["check", "essay-chain", "--set", override])
    assert done.exit_code in (0, 2) and len(done.stderr.splitlines()) <= 1
    assert "\x1b" not in done.output


CASES = {
    "a share that becomes 0": (
        "[economy]\nprogram = 'l = x\\nr = x\\ny = ces(l, r, elasticity=1, weights=(0.3, 0.7))'\n"
        "[supply.x]\nquantity = 4.0\n[market]\nshare_rate = 4\n",
        5,
        "Diverged at step 16",
    ),
    "three final goods": (
        "[economy]\nprogram = 'c = 2*m**0.8\\nw = c**0.7\\np = 1.5*c**0.5\\nd = ln(1 + c)'\n"
        "[supply.m]\nquantity = 5\n[demand.w]\nelasticity = 2\n[demand.p]\nprice = 0.8\n"
        "[demand.d]\nprice = 2\nelasticity = 0.7\n[market]\nshare_rate = 0.1\n",
        0,
        "Converged",
    ),
    "noise in bids": (
        "[economy]\nprogram = 'a = g**0.5\\nb = g**0.5\\ny = ces(a, b, elasticity=0.8)'\n"
        "[supply.g]\nquantity = 2.0\n[industries]\nbid_noise = 0.1\n[run]\nsteps = 20\n",
        3,
        "Not settled after 20 steps",
    ),
    "a mark of the byte order": (
        "\ufeffquestion = 'Who wins, [A] or [/B]? costs $5 and $6_x'\n"
        "[economy]\nprogram = 'y = sqrt(_x)'\n[supply._x]\nquantity = 4.0\n",
        0,
        "Who wins, [A] or [/B]? costs $5 and $6_x",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("text", "code", "words"), CASES.values(), ids=CASES)
def test_odd_cases_in_every_command(folder, text, code, words):
    text = text.replace("'", '"')
    answers = [assert_answered(folder, text, [], command, 20) for command in COMMANDS]
    assert "sweep: 0" in answers and "animate: 0" in answers
    (folder / "a.toml").write_text(text, "utf-8")
    done = CliRunner().invoke(main, ["run", "a.toml", "--out", "run"])
    assert done.exit_code == code and words in done.output, done.output


@pytest.mark.parametrize("mechanism", ["unit-bid", "posted-price"])
def test_a_line_without_inputs_has_a_twin_too(mechanism):
    economy = from_text("y = 3\nz = y ** 0.5 * x ** 0.3", {"x": 2}, population={"firms": 2})
    compared = compare(economy, mechanism=mechanism, steps=20)
    assert all(distance < 1e-14 for distance, _ in compared.distances.values())


def test_a_plan_of_a_line_without_inputs_is_refused():
    """Nothing can be planned there; nor where derivatives are beyond all numbers."""
    for program, reason in (
        ("y = 3\nz = x ** 0.5", "has no inputs"),
        ("y = x ** 1e308", "maximum"),
    ):
        economy = from_text(program, {"x": 2})
        with pytest.raises(MarketError, match=reason):
            run(economy, mechanism="tatonnement")


def extended(node, error):
    """The expression in extended precision, whose floating point never raises; each good that it
    reads is off by a relative ``error()``."""
    if isinstance(node, float):
        return np.longdouble(node)
    if not isinstance(node, tuple):
        return node
    if node[0] == "read":
        return ("*", node, ("num", np.longdouble(1) + np.longdouble(error())))
    return tuple(extended(part, error) for part in node)


def values(program, error):
    """Quantities and gradient of the program by autograd, in extended precision."""
    program = dataclasses.replace(program, lines=extended(program.lines, error))
    zeros = np.zeros(len(program.goods), np.longdouble)
    quantity = program.forward(zeros)
    found = np.array([quantity[good] for good in program.goods], np.longdouble)
    return found, grad(program.value)(zeros)


def by_place(node, numbers):
    """The expression with a name of its own for each place where a good is read."""
    if not isinstance(node, tuple):
        return node
    if node[0] == "read":
        return ("read", f"{node[1]} {next(numbers)}")
    return tuple(by_place(part, numbers) for part in node)


def positive_gradient(program, quantities):
    """The gradient if every derivative, of each place where a good is read, were positive: what
    rounding is relative to, where terms of the gradient cancel."""
    found = {good: abs(program.demand.get(good, 0.0)) for good in program.goods}
    made = dict(zip(program.goods, quantities, strict=True))
    for name, expression in reversed(program.lines):
        line = by_place(expression, itertools.count())
        places = goods_read(line)
        if not places:
            continue
        inputs = [made[place.split()[0]] for place in places]
        slopes = grad(lambda inputs, line=line: compute(line, inputs))(inputs)
        for place, slope in zip(places, slopes, strict=True):
            found[place.split()[0]] += np.abs(slope) * found[name]
    return np.array([found[good] for good in program.goods])


@pytest.mark.slow
@given(program=extreme_programs())
@settings(max_examples=400)
def test_what_converged_is_what_the_program_says(program):
    """Quantities and prices, by autograd from the tree in extended precision.

    The tolerance is 1e-9, and where digits cancel, as much as errors of 2e-14, a hundred times the
    rounding of double precision, in what is read or in the terms of the gradient change the result.
    """
    arguments = {**program.arguments, "reuse": "copy"}
    try:
        result = run(from_text(**arguments), engine="arrays", steps=30)
    except MarketError as error:
        event(type(error).__name__)
        return
    event(result.status)
    if result.status != "converged":
        return
    order = in_order(program, result.goods)
    signs = random.Random(1)
    try:
        with np.errstate(all="raise", under="ignore"):
            exact = values(program, lambda: 0.0)
            others = [values(program, lambda: signs.choice((-2e-14, 2e-14))) for _ in range(3)]
            terms = positive_gradient(
                dataclasses.replace(program, lines=extended(program.lines, lambda: 0.0)), exact[0]
            )
    except FloatingPointError:
        event("the reference cannot be computed")
        return
    event("compared")
    for k, market in enumerate((result.last.quantities, result.last.prices)):
        lost = np.max([np.abs(other[k] - exact[k]) for other in others], axis=0)
        distance = np.abs(market - exact[k][order])
        allowed = 1e-9 * np.abs(exact[k]) + 10 * lost + np.finfo(float).tiny
        allowed += 2e-14 * terms * (k == 1)
        assert np.all(distance <= allowed[order]), (program.text, program.supply, distance)
