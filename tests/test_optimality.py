"""What an allocation is: maxima, corners, saddle points and minima, and how the best is sought.

The references are hand calculations, brute force over grids of allocations, SciPy's differential
evolution, and midpoints of random pairs for what is said to be concave.
"""

import itertools
import math

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.profiles import examples

import market_abm
from market_abm.gradient.allocation import Problem
from market_abm.gradient.concavity import POSITIVE, shape_of
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.optimality import Kind, classify
from market_abm.views.words.run import run_sentences

# --- by hand -------------------------------------------------------------------------------------

X4 = {"x": 4}


@pytest.mark.parametrize(
    ("program", "supply", "kind", "welfare"),
    [
        # x^2 + (4 - x)^2 is 8 in the middle, its minimum, and 16 at both ends.
        ("a = x**2\nb = x**2\ny = a + b", X4, Kind.LOCAL_MAXIMUM, 16.0),
        # 1/(2 √e) = 0.02 (4 - e)^4 at e = 0.009725..., and √e + 0.004 (4 - e)^5 there.
        ("a = sqrt(x)\nb = 0.004 * x**5\ny = a + b", X4, Kind.LOCAL_MAXIMUM, 4.145064940362264),
        # x w + (4 - x)(2 - w) is 4 in the middle, a saddle point, and 8 at two corners.
        ("a = x*w\nb = x*w\ny = a + b", {"x": 4, "w": 2}, Kind.LOCAL_MAXIMUM, 8.0),
        # x^4 + (4 - x)^4 likewise.
        ("a = x**4\nb = x**4\ny = a + b", X4, Kind.LOCAL_MAXIMUM, 256.0),
        # ln(1 + 2) and nothing of 0.1 x, whose first unit is worth less than 1/3: a corner.
        ("a = ln(1 + x)\nb = 0.1 * x\ny = a + b", {"x": 2}, Kind.GLOBAL_MAXIMUM, math.log(3)),
        # 4 √x and 2 √x split 4 : 1 of 5.
        ("a = 4*sqrt(x)\nb = 2*sqrt(x)\ny = a + b", {"x": 5}, Kind.GLOBAL_MAXIMUM, 10.0),
        # Nothing is free.
        ("y = x**3", X4, Kind.GLOBAL_MAXIMUM, 64.0),
        # x2 is a nuisance, and its supply is 0: price 1 and cost x/2 give x1 = 2, W = 2 - 1.
        (
            "y = x1 - x2",
            {good: {"quantity": 2, "elasticity": 1} for good in ("x1", "x2")},
            Kind.GLOBAL_MAXIMUM,
            1.0,
        ),
    ],
)
def test_the_best_allocation(program, supply, kind, welfare):
    """The search ends where welfare is best, also in corners: to rounding, 1e-12 of W."""
    best = equilibrium(market_abm.from_text(program, supply=supply))
    assert best.solved and best.complete
    assert best.kind is kind
    assert best.welfare == pytest.approx(welfare, rel=1e-12)


@pytest.mark.parametrize(
    ("program", "shares", "kind"),
    [
        ("a = x**2\nb = x**2\ny = a + b", [0.5, 0.5], Kind.MINIMUM),
        ("a = x**2\nb = x**2\ny = a + b", [1.0, 0.0], Kind.LOCAL_MAXIMUM),
        ("a = x**2\nb = x**2\ny = a + b", [0.4, 0.6], Kind.NOT_STATIONARY),
        # sin(d) + sin(-d) = 0 whatever d is: no split is better.
        ("a = sin(x - 2)\nb = sin(x - 2)\ny = a + b", [0.5, 0.5], Kind.LOCAL_MAXIMUM),
        ("a = sqrt(x)\nb = 0.004 * x**5\ny = a + b", [1.0, 0.0], Kind.LOCAL_MAXIMUM),
        # √0 has an infinite slope: to have none of it is no corner.
        ("a = sqrt(x)\nb = 0.004 * x**5\ny = a + b", [0.0, 1.0], Kind.UNKNOWN),
        # b makes as much of its first unit as a of its last, and more (or less) of the next.
        ("a = x\nb = expm1(x)\ny = a + b", [1.0, 0.0], Kind.MINIMUM),
        ("a = x\nb = sin(x)\ny = a + b", [1.0, 0.0], Kind.LOCAL_MAXIMUM),
        ("a = ln(1 + x)\nb = ln(1 + x)\ny = a + b", [0.5, 0.5], Kind.GLOBAL_MAXIMUM),
    ],
)
def test_what_an_allocation_is(program, shares, kind):
    economy = market_abm.from_text(program, supply=X4)
    buyers = economy.buyers
    split = np.ones(buyers.size)
    split[buyers.slice_of(0)] = shares
    assert classify(economy, np.array([4.0]), split) is kind


def test_a_saddle_point_between_two_goods():
    """x w + (4 - x)(2 - w): up when both go to one line, down when each goes to its own."""
    economy = market_abm.from_text("a = x*w\nb = x*w\ny = a + b", supply={"x": 4, "w": 2})
    shares = economy.buyers.initial_shares
    assert classify(economy, np.array([4.0, 2.0]), shares) is Kind.SADDLE


def test_welfare_without_bound_has_no_optimum():
    """x^3 - x^2/2 grows for ever: no number is called the best."""
    best = equilibrium(
        market_abm.from_text("y = x**3", supply={"x": {"quantity": 2, "elasticity": 1}})
    )
    assert best.kind is Kind.UNBOUNDED and not best.solved


def test_numbers_that_no_solver_can_handle_are_no_optimum():
    """Whatever the search cannot do ends without an optimum, and the run is kept."""
    for sigma in (1e-3, 1e3):
        economy = market_abm.from_text(
            f"a = ces(x, w, elasticity={sigma}) ** 40\nb = 1e200 * x ** 60\ny = a + b",
            supply={"x": {"quantity": 1e5, "elasticity": 1e-3}, "w": {"quantity": 1e-5}},
            demand={"y": {"elasticity": 1e-3}},
        )
        best = equilibrium(economy)
        assert best is None or not best.solved or np.isfinite(best.welfare)


@pytest.mark.parametrize(
    "error",
    [ValueError("array must not contain infs or NaNs"), np.linalg.LinAlgError("no"), OverflowError],
)
def test_a_solver_that_fails_does_not_lose_the_run(error, monkeypatch):
    """Numbers may be too extreme for LAPACK: the run is kept, without an optimum."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("market_abm.gradient.newton._steps", fail)
    result = market_abm.run("rival-diamond")
    assert result.equilibrium is None and result.summary()["equilibrium"] is None
    assert "The optimum was not computed" in " ".join(run_sentences(result))


def test_a_budget_that_is_used_up_is_reported():
    """The same number of evaluations on every machine: it says so, and keeps the best so far."""
    economy = market_abm.from_text("a = x**2\nb = x**2\ny = a + b", supply=X4)
    short = equilibrium(economy, work=60)
    assert not short.complete and short.welfare >= 8.0
    again = equilibrium(economy, work=60)
    assert (short.shares == again.shares).all() and short.starts == again.starts


@pytest.mark.parametrize(
    ("experiment", "program", "kind", "welfare", "best"),
    [
        ("local-optimum", None, "local maximum", 2.0, 4.145064940362264),
        ("local-optimum", "a = x**2\nb = x**2\ny = a + b", "local minimum", 8.0, 16.0),
        ("rival-diamond", None, "global maximum", None, None),
    ],
)
def test_where_a_market_rests(experiment, program, kind, welfare, best):
    """What it rests at is said in words and numbers; only a maximum is called the optimum."""
    overrides = {} if program is None else {"economy.program": program}
    result = market_abm.run(experiment, overrides=overrides)
    told, summary = " ".join(run_sentences(result)), result.summary()
    assert summary["rest"]["kind"] == kind
    assert summary["rest"]["better_known"] == (best is not None)
    if best is None:
        assert "Distance to the optimum (Newton's method)" in told and "rests" not in told
        return
    assert summary["rest"]["welfare"] == pytest.approx(welfare, rel=1e-6)
    assert summary["equilibrium"]["best_welfare"] == pytest.approx(best, rel=1e-12)
    assert f"The market rests at a {kind} of welfare" in told
    assert "the optimum" not in told and "best known allocation" in told


# --- brute force ---------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        "sqrt({0})",
        "{0}**2 / 3",
        "0.5 * {0}",
        "tanh({0})**2",
        "ln(1 + {0})",
        "{0} / (1 + {0})",
        "sqrt({0} * {1})",
        "{0} * {1} / 2",
        "ces({0}, {1}, elasticity=0.5)",
        "{0}**3 / (1 + {0}**2)",
    ]
)


@st.composite
def programs(draw):
    """Three lines that share one or two goods, most of them not concave."""
    goods = draw(st.permutations(["x", "w"]))
    lines = [
        f"{name} = {draw(LINES).format(*draw(st.permutations(goods)))}" for name in ("a", "b", "c")
    ]
    return "\n".join([*lines, "y = a + b + c"]), {"x": 3.0, "w": 2.0}


def economy_of(program, supply):
    used = {good: each for good, each in supply.items() if good in program}
    return market_abm.from_text(program, supply=used)


def best_on_a_grid(economy, steps):
    """The best W of all splits of each good in ``steps`` parts."""
    problem = Problem(economy)
    simplexes = []
    for pool in economy.buyers.shared_pools:
        size = pool.buyers.stop - pool.buyers.start
        points = itertools.product(range(steps + 1), repeat=size - 1)
        simplexes.append([(*p, steps - sum(p)) for p in points if sum(p) <= steps])
    found = -np.inf
    for point in itertools.product(*simplexes):
        shares = np.ones(economy.buyers.size)
        for pool, split in zip(economy.buyers.shared_pools, point, strict=True):
            shares[pool.buyers] = np.array(split) / steps
        value = problem.evaluate(problem.endowment, shares).value
        found = max(found, value if np.isfinite(value) else -np.inf)
    return found


@given(drawn=programs())
@settings(max_examples=examples(6), phases=[Phase.generate], deadline=None)
def test_no_split_of_a_grid_is_better(drawn):
    """Nothing on a grid exceeds what the search calls the best (rounding: 1e-9 of W)."""
    economy = economy_of(*drawn)
    best = equilibrium(economy)
    assert best.solved and best.kind.is_maximum, drawn
    assert best_on_a_grid(economy, 6) <= best.welfare * (1 + 1e-9), drawn


@pytest.mark.slow
@given(drawn=programs())
@settings(max_examples=60, phases=[Phase.generate], deadline=None)
def test_differential_evolution_finds_nothing_better(drawn):
    """A global search of another kind, over shares as gamma variables: no better by 1e-6 of W."""
    from scipy.optimize import differential_evolution

    economy = economy_of(*drawn)
    best, problem = equilibrium(economy), Problem(economy)
    pools = economy.buyers.shared_pools

    def loss(weights):
        shares = np.ones(economy.buyers.size)
        first = 0
        for pool in pools:
            size = pool.buyers.stop - pool.buyers.start
            part = weights[first : first + size] + 1e-12
            shares[pool.buyers], first = part / part.sum(), first + size
        value = problem.evaluate(problem.endowment, shares).value
        return -value if np.isfinite(value) else 1e9

    size = sum(pool.buyers.stop - pool.buyers.start for pool in pools)
    if size:
        other = differential_evolution(loss, [(0.0, 1.0)] * size, seed=1, maxiter=150)
        assert -other.fun <= best.welfare * (1 + 1e-6), drawn
    if best.kind is Kind.GLOBAL_MAXIMUM:  # what is certain must hold for every start
        for seed in range(20):
            rng = np.random.default_rng(seed)
            assert -loss(rng.gamma(0.3, size=size)) <= best.welfare * (1 + 1e-9), drawn


# --- what is certain to be concave ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "concave"),
    [
        ("x ** 0.5", True),
        ("1 - 1/(x + 1)", True),
        ("ln(x) + 2*sqrt(v) - x**1.5", True),
        ("x**0.3 * v**0.3 * 2", True),
        ("sqrt(x * v)", True),
        ("ces(x, sqrt(v), elasticity=0.5) ** 0.9", True),
        ("tanh(ln(1 + x))", True),
        ("cobb_douglas(x, ln(1 + v), exponents=(0.4, 0.6))", True),
        ("-exp(x)", True),
        ("ln(1 + x) - v", True),
        ("x * v", False),
        ("x ** 1.2", False),
        ("ces(x, v, elasticity=0.5) ** 1.1", False),
        ("cobb_douglas(x, v, exponents=(0.7, 0.6))", False),
        ("sin(x)", False),
        ("exp(ln(x))", False),
        ("1/(x + 1)", False),
        ("tanh(x - 1)", False),
        ("sqrt(x ** 3)", False),
    ],
)
def test_concave_lines(line, concave):
    """The rules prove; for a line that they call concave no chord lies above it (1e-12)."""
    supply = {good: 1 for good in "xv" if good in line.replace("exp", "")}
    technology = market_abm.from_text(f"y = {line}", supply=supply).industries[0].technology
    shape = shape_of(technology, [POSITIVE] * len(technology.inputs))
    assert shape.concave is concave
    ends = np.random.default_rng(0).exponential(2.0, (2, len(technology.inputs), 200)) + 1e-9
    (one, _), (other, _), (middle, _) = (
        technology.production(list(each)) for each in (*ends, ends.mean(axis=0))
    )
    below = np.all(middle >= (one + other) / 2 - 1e-12 * np.abs(one))
    assert below or not concave


def test_goods_of_a_loop_are_examined_together():
    """A loop of powers is concave; with a line that may make less than nothing, nothing is said."""
    loop = "steel = ore**0.3 * coal**0.3\ncoal = 0.5 * steel**0.5{}\ntools = steel**0.5"
    for extra, kind in (("", Kind.GLOBAL_MAXIMUM), (" - 0.01", Kind.LOCAL_MAXIMUM)):
        best = equilibrium(market_abm.from_text(loop.format(extra), supply={"ore": 4}))
        assert best.kind is kind
