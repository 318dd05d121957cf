"""Programs with indices, and patterns as keys: each against what is written out by hand."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_abm import Experiment, MarketError, from_text, run, sweep
from market_abm.economy.program import read_program
from market_abm.experiment.toml import toml_text
from market_abm.language import indices, parser
from market_abm.language.patterns import pattern
from market_abm.language.reader import parse, read
from market_abm.runs.summary import resolved
from market_abm.watch.session import Session

PARAMETERS = {"a": 0.3, "beta": 0.95, "T": 3.0, "n": 2.0}


def same_lines(program, by_hand, parameters=PARAMETERS):
    """Whether two programs are the same lines: goods, inputs, formulas and their last digits."""
    made, expected = parse(program, parameters), parse(by_hand, parameters)
    assert [line.good for line in made] == [line.good for line in expected]
    for one, other in zip(made, expected, strict=True):
        assert (one.inputs, one.parameters) == (other.inputs, other.parameters)
        (key, constants), (key2, constants2) = pattern(one.formula), pattern(other.formula)
        assert (key, list(constants)) == (key2, list(constants2)), one.good


EXPANDED = {
    "a loop, its last number included": (
        """
        for t in 0..T-1:        # T is 3; 0..9 in a comment is no range
            y[t] = k[t] ** a
            k[t+1] = y[t] * beta ** (t+1)
        """,
        """
        y[0] = k[0] ** a
        k[1] = y[0] * beta ** 1
        y[1] = k[1] ** a
        k[2] = y[1] * beta ** 2
        y[2] = k[2] ** a
        k[3] = y[2] * beta ** 3
        """,
    ),
    "nested, with bounds that depend on the outer index, on one line": (
        "for i in 1..n:\n    for j in i..n: w[i,j] = x[i+j] / (i+1) + (j-1)/2 * z",
        "w[1,1] = x[2]/2 + 0*z\nw[1,2] = x[3]/2 + 0.5*z\nw[2,2] = x[4]/3 + 0.5*z",
    ),
    "arithmetic of indices": (
        "for i in -1..1: y[i] = x[(i+n)//2, i%2, -(2*i - n)] * (i//2)",
        "y[-1] = x[0,1,4] * -1\ny[0] = x[1,0,2] * 0\ny[1] = x[1,1,0] * 0",
    ),
    "sums and products of turns that differ in number; goods that coincide": (
        "for t in 0..2: s[t] = sum(w[i]*x[t] for i in 0..t) - 2*prod(x[i]+1 for i in t..2)",
        """
        s[0] = (w[0]*x[0]) - 2*((x[0]+1) * (x[1]+1) * (x[2]+1))
        s[1] = (w[0]*x[1] + w[1]*x[1]) - 2*((x[1]+1) * (x[2]+1))
        s[2] = (w[0]*x[2] + w[1]*x[2] + w[2]*x[2]) - 2*(x[2]+1)
        """,
    ),
    "a sum of sums": (
        "y = sum(m[i,j] * sum(u[k] for k in j..j+i) for i in 0..1 for j in 0..i)",
        "y = m[0,0]*u[0] + m[1,0]*(u[0] + u[1]) + m[1,1]*(u[1] + u[2])",
    ),
    "aggregates": (
        """
        for s in 1..2:
            y[s] = ces((x[i] for i in 1..2), elasticity=s/2, weights=(i/3 for i in 1..2))
        """,
        """
        y[1] = ces(x[1], x[2], elasticity=0.5, weights=(0.3333333333333333, 0.6666666666666666))
        y[2] = ces(x[1], x[2], elasticity=1, weights=(0.3333333333333333, 0.6666666666666666))
        """,
    ),
    "several terms, and members outside of loops": (
        "y[3] = sum(x[2], z, 1) * prod(z, z)\nq = y[3] + exp(-0.5)",
        "y[3] = (x[2] + z + 1) * (z*z)\nq = y[3] + exp(-0.5)",
    ),
}


@pytest.mark.parametrize("name", EXPANDED)
def test_a_program_with_indices_is_the_lines_that_it_stands_for(name):
    same_lines(*EXPANDED[name])


@given(st.integers(-2, 2), st.integers(-1, 3), st.integers(-2, 2), st.integers(1, 3))
def test_ranges_are_those_of_python(low, size, shift, step):
    """Any bounds, also empty ones: Python's own loops write the lines."""
    program = f"""
z = x
for i in {low}..{low + size}:
    for j in i-1..{step}*i:
        y[i,j] = x * i * sum(w[j+{shift}, k] for k in j..j+{step})
"""
    lines = ["z = x"]
    for i in range(low, low + size + 1):
        for j in range(i - 1, step * i + 1):
            terms = " + ".join(f"w[{j + shift},{k}]" for k in range(j, j + step + 1))
            lines.append(f"y[{i},{j}] = x * {i} * ({terms})")
    same_lines(program, "\n".join(lines))


def test_a_statement_is_translated_once_for_each_number_of_terms(monkeypatch):
    calls = []
    real = parser.translate_line
    monkeypatch.setattr(indices, "translate_line", lambda *a: calls.append(1) or real(*a))
    lines = parse("for t in 0..999:\n y[t] = x[t]/(t+1)\n z[t] = sum(y[t-i] for i in 0..t%3)", {})
    assert len(lines) == 2000 and len(calls) == 4


def test_text_is_read_again_as_the_same_lines():
    """Also of numbers below 0, and of a sum that is too deep for Python's parser with + signs."""
    program = "for b in 1..2: y[b] = (b-2)*sum(w[i]**(1-b)*x[i,b] for i in b..3)\nq = -y[1]"
    program += "\nz = sum(x[i] for i in 1..1001)"
    industries = read_program(program, {})
    text = "\n".join(industry.text(exact=True) for industry in industries)
    assert text.count("sum(") == 1
    same_lines(program, text)
    assert [i.text(exact=True) for i in read_program(text, {})] == text.split("\n")


def test_what_a_program_comes_to_is_counted_before_it_is_made(monkeypatch):
    """The count is that of the lines and of what they read, whatever the order of the ranges."""
    program = "for i in 0..9:\n for j in i..n: y[i,j] = sum(x[k] + z for k in 0..5-j)"
    lines = parse(program, PARAMETERS)
    read_goods = 2 * sum(6 - j for i, j in itertools.product(range(10), range(3)) if j >= i)
    for limit, count, what in (
        ("MAX_LINES", len(lines), "lines"),
        ("MAX_INPUTS", read_goods, "inputs"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(indices, limit, count - 1)
            with pytest.raises(MarketError, match=f"come to (at least )?{count} {what}"):
                parse(program, PARAMETERS)
            patched.setattr(indices, limit, count + 10)  # of loops' turns
            parse(program, PARAMETERS)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("for t in 0..10**2: y[t] = x", r"line 1: '10 \*\* 2' is no index"),
        ("for t in 0..a: y[t] = x", "the parameter 'a' in line 1 .* is 0.3; .* whole numbers"),
        ("for t in 0..2.5: y[t] = x", "line 1: 2.5 stands in an index or a bound"),
        ("for t in 0..m: y[t] = x", "line 1: 'm' stands in an index, and is neither"),
        ("for time in 0..3: y[tim] = x", "did you mean 'time'"),
        ("for t in range(3): y[t] = x", r"line 1: 'range\(3\)' is no range; write for t in 0..9"),
        ("for t in 0..3: y[t//2] = x", r"'y\[0\]', the first is line 1 at t = 0 \(at t = 1\)"),
        ("y[1] = x\nfor t in 0..3: y[t] = x", r"'y\[1\]', the first is line 1 \(at t = 1\)"),
        ("for T in 0..3: y[T] = x", "the loop variable 'T' is a parameter"),
        ("for sum in 0..3: y[sum] = x", "the loop variable 'sum' is a function"),
        ("for t in 0..1:\n for t in 0..1: y[t] = x", "line 2: .* variable of a loop around it"),
        ("for t in 0..1: y[t] = x\nz = 2*t", "'t' is a loop variable, and a good in line 2"),
        ("for t in 2..0: y[t] = x", "line 1: the program has no line, as the ranges"),
        ("for t in 0..2: y[t] = sum(x*i for i in 1..t)", r"line 1: .* no term.* \(at t = 0\)"),
        ("y = sum(x for i in 0..3 if i)", "line 1: .* has a condition"),
        ("y = ces(x for i in 0..3, elasticity=.5)", "line 1: .*; put the generator in parenth"),
        ("y = (x for i in 1..3)", "line 1: .* is not arithmetic"),
        ("y = sum(x)", r"line 1: sum\(\) takes several terms"),
        ("y = x[1:3]", "line 1: '1:3' is no index; .* sum over a range"),
        ("y = x[1][2]", r"line 1: 'x\[1\]\[2\]' is no good; write x\[i\] or w\[i,j\]"),
        ("y = x[9**0]", r"line 1: '9 \*\* 0' is no index"),
        ("y = x[99999*99999]", "line 1: the index 9999800001 is too large"),
        ("y = T[1]", "line 1: 'T' is a parameter, and has no index"),
        ("y = x // 2", "line 1: 'x // 2' is not arithmetic"),
        ("for t in 0..3: y[t] = x*(1/(t-2))", r"line 1: .* no finite number \(at t = 2\)"),
        ("for t in 0..3: y[t] = x*ln(t-1)", r"'ln\(t - 1\)' is no finite number \(at t = 0\)"),
        (f"for t in 0..3: y[t] = x*(t+1{'0' * 400})", r"is no finite number \(at t = 0\)"),
        ("for t in 0..3: y[t] = x[4//(t-2)]", r"line 1: .* divided by 0 \(at t = 2\)"),
        ("for t in 0..3: y[t] = ces(x, x, elasticity=1-t)", r"elasticity is 0 \(at t = 1\)"),
        ("for t in 0..3: y[t] = x\nelse:\n z = x", "line 3: a loop has no else"),
        ("for t in 0..3\n    y[t] = x", "line 1: cannot read .*; write 'for t in 0..9:' and ind"),
        ("y = x\n    z = y", "line 2: .*; indent the lines of a loop alone"),
        ("for t in 0..3:\ny[t] = x", "line 2: .*; indent the lines below it"),
        ("for t in 0...3: y[t] = x", "line 1: a range has three dots; write two dots"),
        ("y = x >> 2", "line 1: '>>' is not arithmetic"),
        ("for i in 0..10**2", "line 1: cannot read"),
        ("for t in 0..999999999999: y[t] = x", "would come to 1,000,000,000,000 lines"),
        ("y = sum(x[i] for i in 1..99999999)", "would come to 99,999,999 inputs"),
        ("for i in 0..99999999:\n for j in i..3: y[i] = x", "at least 100,000,000 turns of loops"),
        ("for i in 0..99999999:\n for j in 1..0: y[i] = x", "100,000,000 turns of loops"),
        ("for t in 0..3: x[t+1] = x[t]\nz = x + 1", r"'x' and .* its index: there are x\[0..4\]"),
        ("for t in 0..3: y[t] = u[t]", r"makes 'u\[0\]' and it has no endowment; add \[supply"),
        ("y[0] = x[0]\nfor t in 1..3: y[t] = x[t]", r"'x\[1\]' .*; there are x\[0\]: let"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_turn(program, message):
    with pytest.raises(MarketError, match=message):
        supply = {"x[0]": 1.0} if "x[t" in program else {} if "u[t" in program else {"x": 1.0}
        from_text(program, supply, parameters=PARAMETERS)


# --- a program whose prices are known ------------------------------------------------------------

GROWTH = """
[economy]
program = '''
for t in 0..T: y[t] = k[t] ** a
for t in 0..T-1: k[t+1] = y[t]
for t in 0..T: c[t] = y[t]
'''
parameters = { a = 0.3, T = 5, beta = 0.95 }
[supply]
"k[0]" = 1.0
[demand."c[t]"]
price = "beta ** t"
elasticity = 1.0
quantity = 1.0
[market]
mechanism = "trading-post"
[run]
engine = "arrays"
"""


@pytest.mark.parametrize("horizon", [1, 5])
def test_saving_is_optimal_growth(horizon):
    """A saver with log utility: s = αβ (1 - (αβ)^n) / (1 - (αβ)^(n+1)), n dates before the last.

    The tolerance is that of the run, at rest to 1e-10.
    """
    growth = Experiment.parse(GROWTH, settings={"economy.parameters.T": horizon})
    ended = run(growth)
    quantity = ended.table().quantity
    saved = [quantity[f"k[{t + 1}]"] / quantity[f"y[{t}]"] for t in range(horizon)]
    x, left = 0.3 * 0.95, horizon - np.arange(horizon)
    assert ended.status == "converged"
    assert np.allclose(saved, x * (1 - x**left) / (1 - x ** (left + 1)), rtol=1e-9)


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_a_loop_trades_as_the_same_lines_by_hand(engine):
    """Bit for bit, at every step."""
    program = "for t in 1..3: h[t] = sqrt(h[t-1]*t) + sum(w[i] for i in t..3)/t"
    by_hand = "\n".join(
        f"h[{t}] = sqrt(h[{t - 1}]*{t}) + ({' + '.join(f'w[{i}]' for i in range(t, 4))})/{t}"
        for t in (1, 2, 3)
    )
    paths = [
        run(from_text(text, {"h[0]": 2.0, "w[*]": 3.0}, {"h[3]": 2.0}), steps=30, engine=engine)
        for text in (program, by_hand)
    ]
    assert np.array_equal(paths[0].prices, paths[1].prices)
    assert np.array_equal(paths[0].quantities, paths[1].quantities)


def test_prices_of_coefficients_are_powers_by_horners_rule():
    """And the price of x is the polynomial's derivative; NumPy says what it is."""
    prices = run("horner").table().price
    x, coefficients = 1.25, 1.0 / np.arange(1.0, 10.0)
    assert [prices[f"a[{k}]"] for k in range(9)] == pytest.approx(x ** np.arange(9), rel=1e-15)
    derivative = np.polynomial.Polynomial(coefficients).deriv()
    assert prices["x"] == pytest.approx(derivative(x), rel=1e-14)


def test_bounds_and_what_formulas_read_are_swept_and_cannot_be_shocked():
    growth = Experiment.parse(GROWTH)
    table = sweep(growth, {"economy.parameters.T": [1, 2], "economy.parameters.beta": [0.5, 0.9]})
    x = 0.3 * table["economy.parameters.beta"]
    one = table[table["economy.parameters.T"] == 1]
    assert set(table.status) == {"converged"}
    assert np.allclose(one["quantity.c[0]"], (1 / (1 + x))[one.index], rtol=1e-9)
    assert growth.economy.fixed == {"T", "beta"}
    for name in ("T", "beta"):
        with pytest.raises(MarketError, match=f"'{name}' is in indices, bounds of loops or form"):
            growth.economy.with_values({f"economy.parameters.{name}": 1.0})
    changed = growth.economy.with_values({"economy.parameters.a": 0.4})
    assert changed.industries[0].technology.parameters == {"a": 0.4}
    with pytest.raises(MarketError, match="--set economy.parameters.T=4.5: the parameter 'T'"):
        growth.with_overrides({"economy.parameters.T": 4.5})


def test_the_page_names_elasticities_in_loops_and_restarts_for_a_bound(tmp_path):
    file = tmp_path / "loop.toml"
    file.write_text(
        "[economy]\nprogram = '''\nfor t in 1..T: y[t] = ces((x[t+i] for i in 0..1), "
        "elasticity=0.5) * t ** g\n'''\nparameters = { T = 2, g = 1 }\n[supply]\n\"x[*]\" = 1\n"
    )
    session = Session(str(file))
    assert session.economy.industries[1].technology.parameters == {"elasticity_of_y": 0.5, "g": 1}
    (bound,) = (each for each in session.parameters() if each.key == "economy.parameters.T")
    assert (bound.value, bound.whole) == (2, True)
    session.step()
    assert not session.set("economy.parameters.elasticity_of_y", 0.7)
    assert session.set("economy.parameters.T", 3)
    assert len(session.economy.industries) == 3 and session.state.step == 0


# --- patterns as keys ----------------------------------------------------------------------------

FILE = """
[economy]
program = '''
for i in 0..5: y[i] = x[i] ** g
for i in 0..5:
    for j in 0..1: z[i,j] = y[i] * (j+1)
'''
parameters = { g = 0.5, r = 2 }
[supply]
"x[*]" = 2
"x[1]".elasticity = 0.5
"x[k]" = { quantity = "r + k**2" }
"x[0..2]" = { price = 3 }
"x[2]" = 7
[demand]
"z[i,1]".price = "1/(1+i)"
[industries."y[*]"]
firms = 2
[industries."z[i,i]"]
firms = "2 + i"
[reuse]
"y[*]" = "copy"
"y[3]" = "rival"
[record]
goods = ["x[4..9]", "z[*,0]", "x[0]", "x[*]"]
"""


def test_patterns_name_many_goods_of_a_file():
    """Exact names win over patterns, and later patterns over earlier ones, key by key."""
    made = Experiment.parse(FILE)
    supply, economy = made.economy.supply, made.economy
    assert [supply[f"x[{k}]"].quantity for k in range(6)] == [2, 3, 7, 11, 18, 27]
    assert [supply[f"x[{k}]"].price for k in range(6)] == [3, 3, 3, 1, 1, 1]
    assert [supply[f"x[{k}]"].elasticity for k in range(6)] == [0, 0.5, 0, 0, 0, 0]
    assert [economy.demand[f"z[{i},1]"].price for i in range(3)] == [1, 1 / 2, 1 / 3]
    assert economy.demand["z[2,0]"].price == 1
    firms = {industry.good: industry.firms for industry in economy.industries}
    assert firms["y[4]"] == 2 and (firms["z[0,0]"], firms["z[1,1]"], firms["z[2,1]"]) == (2, 3, 1)
    assert economy.reuse["y[0]"] == "copy" and economy.reuse["y[3]"] == "rival"
    assert made.record.goods[:2] == ("x[4]", "x[5]") and len(made.record.goods) == 12
    assert economy.fixed == {"r"}


def test_the_resolved_configuration_keeps_patterns_and_is_read_again():
    made = Experiment.parse(FILE)
    again = Experiment.parse(toml_text(json.loads(json.dumps(resolved(made)))))
    assert resolved(again) == resolved(made)
    assert again.economy.supply == made.economy.supply
    assert again.economy.demand == made.economy.demand
    assert again.record == made.record
    large = FILE.replace("0..5", "0..499")
    assert len(json.dumps(resolved(Experiment.parse(large)))) < 3000
    of_python = Experiment.of(from_text("for i in 0..9: y[i] = 2*x[i]", {"x[*]": 1, "x[3]": 1}))
    assert list(of_python.configuration["supply"]) == ["x[*]"]


def test_patterns_in_overrides_sweeps_and_shocks():
    made = Experiment.parse(FILE, settings={'supply."x[*]".quantity': 4, "demand.z[*,0]": 5})
    assert made.economy.supply["x[0]"].quantity == 2 + 0**2  # a later pattern of the file
    assert made.economy.demand["z[3,0]"].price == 5
    made = Experiment.parse(FILE, settings={'supply."x[3..9]".quantity': 4})
    assert [made.economy.supply[f"x[{k}]"].quantity for k in (2, 3, 5)] == [7, 4, 4]

    changed = made.economy.with_values({"supply.x[*].price": 9, "supply.x[2].price": 8})
    assert [changed.supply[f"x[{k}]"].price for k in (1, 2, 3)] == [9, 8, 9]
    shocked = made.with_shock_texts(["supply.x[0..1]=+50%@3", "supply.x[4..5]=-50%@4"])
    values = [shock.values for shock in shocked.shocks]
    assert values == [
        {'supply."x[0]".quantity': 3.0, 'supply."x[1]".quantity': 4.5},
        {'supply."x[4..5]".quantity': 2.0},
    ]
    assert shocked.last_economy.supply["x[5]"].quantity == 2

    swept = sweep(Experiment.parse(GROWTH), {'demand."c[*]".elasticity': [1.0, 2.0]})
    assert swept["quantity.c[0]"].nunique() == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"supply.y[*].quantity": 1}, r"supply.\"y\[\*\]\": no raw good .*; there are x\[0..5\]"),
        ({"supply.x[0,*].quantity": 1}, "no raw good is named"),
        ({"supply.x[8..9].quantity": 1}, "no raw good is named"),
        ({"supply.x[i+1].quantity": 1}, "cannot read the pattern"),
        ({"demand.y[*].price": 1}, r"no final good .*; there are z\[0..5,0..1\]"),
        ({"industries.x[*].firms": 1}, "no good that a line makes"),
        ({"reuse.q[*]": "copy"}, r"no good is named .*; there are x\[0..5\], y"),
        ({"record.goods": ["q[*]"]}, r"record.goods.*no good is named"),
        ({"supply.x[*].quantity": "i + 1"}, "there is no 'i': choose one of: g, r"),
        ({"supply.x[g].quantity": "g"}, "'g' is an index of the pattern, and a parameter"),
        ({"supply.x[i].quantity": "ln(i-5)"}, r"supply.x\[0\].quantity is nan|must be finite"),
        ({"supply.x[i].quantity": "i; j"}, "which is no number"),
        ({"supply.x[i].kind": "i"}, r"supply.x\[i\].kind is 'i'"),
        ({"supply.x[i].amount": 1}, "unknown key"),
        ({"industries.y[i].firms": "i/2"}, "must be an integer"),
    ],
)
def test_what_is_wrong_with_patterns_is_told(settings, message):
    with pytest.raises(MarketError, match=message):
        Experiment.parse(FILE, settings=settings)


def test_parameters_of_indices_count_as_read():
    assert read("for t in 0..T: y[t] = x", {"T": 2}).fixed == {"T"}
    with pytest.raises(MarketError, match="no line of the program reads the parameter 'r'"):
        Experiment.parse(
            GROWTH, settings={"economy.parameters": {"a": 1, "T": 1, "beta": 1, "r": 1}}
        )
