"""Backprop through time is capital theory: saving, own rates of interest, and vanishing gradients.

Where nothing else is said, tolerances are those of the runs, at rest to 1e-12 or less, times some
ten for what is summed and raised along the dates.
"""

import json

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import brentq

from market_abm import Experiment, MarketError, explain, from_text, report, run, sweep
from market_abm.cli.commands import main


def dated(result, family, count):
    """Quantities and prices of the members 0, 1, ... of a family, each of shape (count,)."""
    rows = result.table().loc[[f"{family}[{t}]" for t in range(count)]]
    return rows["quantity"].to_numpy(), rows["price"].to_numpy()


def saved(result, horizon):
    """The saving rates of dates 0 to T - 1."""
    made, _ = dated(result, "y", horizon)
    return dated(result, "k", horizon + 1)[0][1:] / made


# --- saving --------------------------------------------------------------------------------------


def saving_rates(alpha, beta, horizon):
    """αβ (1 - (αβ)^n)/(1 - (αβ)^(n+1)), n = T - t: in sums, which hold at αβ = 1 too."""
    powers = (alpha * beta) ** np.arange(horizon + 1)
    below = np.cumsum(powers)
    return np.array([1 - 1 / below[horizon - t] for t in range(horizon)])


def by_backward_induction(alpha, beta, horizon):
    """The value of k at date t is A ln k + B: A = α(1 + βA'), and s = βA'/(1 + βA')."""
    rates, slope = [], alpha
    for _ in range(horizon):
        rates.append(beta * slope / (1 + beta * slope))
        slope = alpha * (1 + beta * slope)
    return np.array(rates[::-1])


def lifetime_utility(start, alpha, beta, horizon, rates):
    """Σ β^t ln c_t of the saving rates."""
    utility, capital = 0.0, start
    for t in range(horizon + 1):
        made = capital**alpha
        capital = rates[t] * made if t < horizon else 0.0
        utility = utility + beta**t * anp.log(made - capital)
    return utility


def check_saving(result, start, alpha, beta, horizon):
    """Saving rates in closed form and by induction, own rates f'(k) - 1, prices by autograd."""
    expected = saving_rates(alpha, beta, horizon)
    assert np.allclose(by_backward_induction(alpha, beta, horizon), expected, rtol=1e-13)
    assert np.allclose(saved(result, horizon), expected, rtol=1e-13)
    capital, prices = dated(result, "k", horizon + 1)
    assert np.allclose(
        prices[:-1] / prices[1:], alpha * capital[:-1] ** (alpha - 1), rtol=1e-12, atol=0
    )
    gradient = autograd.grad(lifetime_utility)(start, alpha, beta, horizon, expected)
    assert prices[0] == pytest.approx(gradient, rel=1e-12)
    by_rates = autograd.grad(lifetime_utility, 4)(start, alpha, beta, horizon, expected)
    assert np.abs(by_rates).max() < 1e-12  # so that no other saving is better


def test_saving_is_that_of_an_optimal_plan():
    """Money climbs 2T + 1 stages to the first date, and its goods descend as many."""
    result = run("capital-saving", overrides={"run.engine": "arrays"})
    assert result.steps == 4 * 5 + 2 and result.status == "converged"
    printed = [0.284617, 0.283653, 0.280251, 0.268056, 0.221790]
    assert np.abs(saved(result, 5) - printed).max() < 5e-7
    check_saving(result, 0.1, 0.3, 0.95, 5)
    rates = result.own_rates()
    assert np.abs(rates["rate"] - rates["predicted"]).max() < 1e-13


@pytest.mark.slow
def test_saving_of_any_life():
    """Also of those who prefer later dates, and with increasing returns: U is concave in ln s."""
    rng = np.random.default_rng(14)
    for _ in range(20):
        alpha, beta, start = rng.uniform(0.05, 1.5), rng.uniform(0.3, 1.3), rng.uniform(0.05, 5)
        horizon = int(rng.integers(1, 9))
        settings = {
            "economy.parameters": {"alpha": alpha, "beta": beta, "T": horizon},
            "supply.k[0].quantity": start,
            "run.engine": "arrays",
        }
        result = run("capital-saving", overrides=settings)
        assert result.steps <= 4 * horizon + 2  # fewer where early money is below rounding
        check_saving(result, start, alpha, beta, horizon)


def test_patience_and_length_of_life_are_swept():
    axes = {"economy.parameters.beta": [0.5, 0.95], "economy.parameters.T": [1, 3]}
    table = sweep(Experiment.load("capital-saving", {"run.engine": "arrays"}), axes)
    assert len(table) == 4
    for _, row in table.iterrows():
        beta, horizon = (row[f"economy.parameters.{key}"] for key in ("beta", "T"))
        kept = 1 - saving_rates(0.3, beta, int(horizon))[0]
        assert row["quantity.c[0]"] == pytest.approx(kept * 0.1**0.3, rel=1e-13)


# --- any curvature, and capital that lasts --------------------------------------------------------

PLAN = '''
[economy]
program = """
for t in 0..T:
    w[t] = k[t] ** alpha + (1 - delta) * k[t]
    c[t] = w[t]
for t in 0..T-1: k[t+1] = w[t]
"""
parameters = {{ alpha = {alpha}, beta = {beta}, delta = {delta}, T = {horizon} }}
[supply]
"k[0]" = {start}
[demand]
"c[t]" = {{ price = "beta ** t", elasticity = {elasticity}, quantity = 1.0 }}
[own_rates]
"c[t]" = "alpha * k[t+1] ** (alpha - 1) - delta"
[market]
mechanism = "trading-post"
[run]
engine = "arrays"
steps = 5000
tolerance = 1e-11
'''


def by_shooting(alpha, beta, delta, horizon, start, elasticity):
    """Capital by Euler's equation c' = c (β (f'(k') + 1 - δ))^ε, from the c_0 that leaves none."""

    def path(first):
        capital, consumed = [start], first
        for _ in range(horizon):
            later = capital[-1] ** alpha + (1 - delta) * capital[-1] - consumed
            if later <= 0:
                return capital, -1.0
            capital.append(later)
            earned = alpha * later ** (alpha - 1) + 1 - delta
            consumed *= (beta * earned) ** elasticity
        return capital, capital[-1] ** alpha + (1 - delta) * capital[-1] - consumed

    most = start**alpha + (1 - delta) * start
    return path(brentq(lambda c: path(c)[1], 1e-9 * most, most, xtol=1e-15))[0]


@pytest.mark.slow
def test_own_rates_are_what_capital_earns_for_any_utility():
    """Prices β^t c^(-1/ε) are marginal utility: the market is at the plan that shooting finds.

    1e-10: the run rests to 1e-11, and the error of k grows along the dates.
    """
    rng = np.random.default_rng(3)
    for _ in range(12):
        numbers = {
            "alpha": rng.uniform(0.2, 0.7),
            "beta": rng.uniform(0.6, 1.02),
            "delta": rng.uniform(0.02, 1),
            "horizon": int(rng.integers(1, 7)),
            "start": rng.uniform(0.3, 3),
            "elasticity": np.exp(rng.uniform(-0.5, 1.2)),
        }
        result = run(Experiment.parse(PLAN.format(**numbers)))
        capital, _ = dated(result, "k", numbers["horizon"] + 1)
        assert np.allclose(capital, by_shooting(**numbers), rtol=1e-10)
        rates = result.own_rates()
        assert np.abs(rates["rate"] - rates["predicted"]).max() < 1e-10


# --- the steady state of a saver who lives for ever -----------------------------------------------


def modified_golden_rule(alpha, beta, delta):
    """The k with β (f'(k) + 1 - δ) = 1, by SciPy."""
    return brentq(
        lambda k: beta * (alpha * k ** (alpha - 1) + 1 - delta) - 1, 1e-6, 1e6, xtol=1e-14
    )


def check_ramsey(alpha, beta, delta, horizon):
    parameters = {"alpha": alpha, "beta": beta, "delta": delta, "T": horizon}
    result = run("capital-ramsey", overrides={"economy.parameters": parameters, "run.steps": 9000})
    capital, prices = dated(result, "k", horizon + 2)
    assert np.allclose(capital, modified_golden_rule(alpha, beta, delta), rtol=1e-10)
    assert np.allclose(prices[1:] / prices[:-1], beta, rtol=1e-12)
    return result


def test_at_the_ramsey_steady_state_prices_fall_by_beta():
    """k* is 2.6257; the market keeps it to the tolerance of the run times the dates."""
    result = check_ramsey(0.3, 0.95, 0.1, 2)
    assert dated(result, "k", 1)[0][0] == pytest.approx(2.62574565, abs=5e-9)
    away = run("capital-ramsey", overrides={"supply.k[t].quantity": 2.0, "economy.parameters.T": 2})
    _, prices = dated(away, "c", 3)
    assert np.abs(prices[1:] / prices[:-1] / 0.95 - 1).max() > 1e-3  # elsewhere they do not


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_at_any_ramsey_steady_state_prices_fall_by_beta(seed):
    rng = np.random.default_rng(seed)
    delta = 1.0 if seed == 0 else rng.uniform(0.05, 1)
    check_ramsey(rng.uniform(0.2, 0.6), rng.uniform(0.7, 0.97), delta, int(rng.integers(1, 9)))


# --- the vanishing gradient ----------------------------------------------------------------------


def final_consumption(start, alpha, delta, saving, horizon):
    """What a Solow economy consumes at date T."""
    capital = [start]
    for _ in range(horizon):
        capital.append(saving * capital[-1] ** alpha + (1 - delta) * capital[-1])
    return (1 - saving) * capital[-1] ** alpha


def check_solow(alpha, delta, saving, horizon):
    """At the steady state: the price of k[0] is (1 - s) α k*^(α - 1) (1 - δ(1 - α))^T."""
    rest = brentq(lambda k: saving * k**alpha - delta * k, 1e-9, 1e9, xtol=1e-15, rtol=1e-15)
    parameters = {"alpha": alpha, "delta": delta, "s": saving, "T": horizon}
    settings = {"economy.parameters": parameters, "supply.k[0].quantity": rest}
    settings["market.activation"] = "sequential"
    result = run("capital-solow", overrides=settings)
    factor = 1 - delta * (1 - alpha)
    _, prices = dated(result, "k", horizon + 1)
    last = (1 - saving) * alpha * rest ** (alpha - 1)
    assert np.allclose(prices, last * factor ** np.arange(horizon, -1, -1.0), rtol=1e-11)
    gradient = autograd.grad(final_consumption)(rest, alpha, delta, saving, horizon)
    assert prices[0] == pytest.approx(gradient, rel=1e-11)


def test_the_gradient_of_a_solow_economy_vanishes_at_its_rate_of_convergence():
    """Capital and own rates approach their steady state by 1 - δ(1 - α) a date, as the price does.

    The factors of late dates are within 1e-4 of it: what is left of the start is 0.93^100.
    """
    check_solow(0.3, 0.1, 0.2, 50)
    horizon, factor = 150, 0.93
    settings = {"economy.parameters.T": horizon, "market.activation": "sequential"}
    result = run("capital-solow", overrides=settings)
    capital, prices = dated(result, "k", horizon + 1)
    gradient = autograd.grad(final_consumption)(1.0, 0.3, 0.1, 0.2, horizon)
    assert prices[0] == pytest.approx(gradient, rel=1e-12)
    gaps = (0.2 / 0.1) ** (1 / 0.7) - capital
    late = slice(100, 140)
    assert np.abs((prices[:-1] / prices[1:])[late] - factor).max() < 1e-4
    assert np.abs((gaps[1:] / gaps[:-1])[late] - factor).max() < 1e-4
    rates = result.own_rates()
    assert np.allclose(rates["rate"], rates["predicted"], rtol=0, atol=1e-13)
    gap = rates["rate"].to_numpy() - (factor - 1)
    assert gap[0] == pytest.approx(0.03) and abs(gap[-1]) < 0.03 * 0.94**149


@pytest.mark.slow
def test_any_gradient_of_a_solow_economy_vanishes_so():
    rng = np.random.default_rng(5)
    for _ in range(20):
        check_solow(
            rng.uniform(0.1, 0.9), rng.uniform(0.01, 1), rng.uniform(0.05, 0.9),
            int(rng.integers(1, 80)),
        )  # fmt: skip


def test_with_another_technology_it_vanishes_by_its_elasticity():
    """f = k/(0.4 + 0.6 k): the factor is 1 - δ(1 - ε), ε = f'(k) k/f at the steady state."""
    rest = 0.2 / 0.1 / 0.6 - 0.4 / 0.6  # s f(k) = δ k
    elasticity = 0.4 / (0.4 + 0.6 * rest)
    economy = from_text(
        "for t in 0..9: k[t+1] = 0.2 * k[t] / (0.4 + 0.6*k[t]) + 0.9 * k[t]", {"k[0]": rest}
    )
    rates = run(economy, activation="sequential").own_rates("k[t]")
    assert np.allclose(rates["rate"], -0.1 * (1 - elasticity), rtol=1e-13, atol=0)


def test_fixed_saving_by_a_split_and_by_copies_is_the_same():
    """Half is saved: by shares that do not move, or by two lines that use a nonrival output."""
    ends = {"k[0]": 0.2}, {"c[*]": 0.1, "k[10]": 1.0}
    line = "for t in 0..9:\n y[t] = k[t]**0.3\n"
    split = from_text(f"{line} k[t+1] = y[t]\n c[t] = y[t]", *ends)
    copies = from_text(f"{line} k[t+1] = 0.5*y[t]\n c[t] = 0.5*y[t]", *ends, reuse="copy")
    by_split = run(split, engine="arrays", share_rate=0.0)
    by_copies = run(copies, engine="arrays")
    assert np.allclose(dated(by_split, "k", 11), dated(by_copies, "k", 11), rtol=1e-12)


# --- own rates of interest in what is shown -------------------------------------------------------

SHOWN = """
[economy]
program = '''
for t in 1..4:
    for j in 0..1: w[t,j] = r * w[t-1,j]
'''
parameters = { r = 2.0 }
[supply]
"w[0,*]" = 1
[own_rates]
"w[t,j]" = "r - 1 + 0*j"
"w[t,1]" = ""
[market]
activation = "sequential"
[[shocks]]
step = 3
economy.parameters.r = 4.0
"""


def experiment(**settings):
    return Experiment.parse(SHOWN, "two-goods", {"run.engine": "arrays", **settings})


def test_every_other_index_has_rates_of_its_own():
    """Predictions read the parameters of the last step, after its shocks."""
    result = run(experiment())
    rates = result.own_rates()
    assert list(dict.fromkeys(rates["name"])) == ["w[t,0]", "w[t,1]"]
    assert len(rates) == 3 * 4 and rates["good"].tolist()[:2] == ["w[0,0]", "w[1,0]"]
    assert np.allclose(rates["rate"], 3.0) and np.allclose(rates["gradient"], 3.0)
    assert np.allclose(rates["predicted"].dropna(), 3.0) and rates["predicted"].isna().sum() == 4
    told = json.loads(json.dumps(result.summary()))
    assert told["own_rates"][0] == {
        "name": "w[t,0]", "t": 0, "good": "w[0,0]", "rate": 3.0, "gradient": 3.0, "predicted": 3.0,
    }  # fmt: skip
    assert told["configuration"]["own_rates"] == {"w[t,j]": "r - 1 + 0*j", "w[t,1]": ""}
    assert result.own_rates("w[*,t]")["name"].tolist() == [f"w[{t},t]" for t in range(5)]
    assert "own_rates" not in run("essay-chain").summary()


def test_own_rates_are_printed_drawn_and_reported(tmp_path):
    folder = str(tmp_path / "solow")
    settings = ["market.activation=sequential", 'own_rates."k[t]"=-delta * (1 - alpha)']
    options = [option for each in settings for option in ("--set", each)]
    done = CliRunner().invoke(main, ["run", "capital-solow", *options, "--out", folder])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    head = lines.index("Own rates of interest")
    assert lines[head + 2].split() == ["date", "t", "k[t]", "predicted"]
    assert lines[head + 4].split() == ["0", "-0.04", "-0.07"]
    assert "10 of 50 dates; all are in summary.json." in lines
    assert "within 0.03 (at t = 0; 0.000439 at t = 49) of those predicted (-delta" in done.output
    assert (tmp_path / "solow/own-rates.png").stat().st_size > 10_000
    page = report(folder).read_text("utf-8")
    assert "Own rates of interest by date" in page and page.count("k[t] (predicted)") == 1
    sections = explain(run("capital-saving", overrides={"run.engine": "arrays"}))
    assert sections[-2].title == "Own rates of interest, k[t]"
    assert sections[-2].pairs[0].backprop == "r_k[0] = df_dk[0]/df_dk[1] - 1"
    assert sections[-2].pairs[0].condition_numbers == "4.19356/2.78908 - 1 = 0.503562"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"own_rates.w[s,0]": ""}, r'own_rates."w\[s,0\]" names no date; let the index'),
        ({"own_rates.k": ""}, 'own_rates."k" names no date'),
        ({"own_rates.q[t]": ""}, r"no good is named by 'q\[t\]'; there are w\[0..4,0..1\]"),
        ({"own_rates.w[t+1,0]": ""}, "names no date"),
        ({"own_rates.w[t,0]": "w[t+9,0]"}, r"there is no good 'w\[9,0\]'"),
        ({"own_rates.w[t,0]": "1; z[t] = 2"}, "which cannot be read .write one formula"),
        ({"own_rates.w[t,0]": "(("}, "which cannot be read"),
        ({"own_rates.w[t,0]": "1/(t-2)"}, r"no finite number \(at t = 2\)"),
        ({"own_rates.w[t,r]": "r"}, "'r' is an index of the pattern, and a parameter"),
        ({"own_rates.w[t,0]": True}, "must be a number"),
        ({"own_rates": 3}, r"make it a table: \[own_rates\]"),
    ],
)
def test_what_is_wrong_with_own_rates_is_told(settings, message):
    with pytest.raises(MarketError, match=message):
        experiment(**settings)


def test_a_number_predicts_a_constant_rate_and_one_date_has_none():
    result = run(experiment(**{"own_rates.w[t,0]": 0.25}))
    assert result.own_rates()["predicted"].iloc[-4:].tolist() == [0.25] * 4
    assert run("capital-saving", overrides={"economy.parameters.T": 1}).own_rates_figure()
    alone = from_text("y[0] = x", {"x": 1.0})
    assert run(alone).own_rates("y[t]").empty and run(alone).own_rates_figure("y[t]") is None
