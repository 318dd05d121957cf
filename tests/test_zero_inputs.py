"""Derivatives where there is nothing of an input: one-sided limits, by values and closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_abm import from_text, run
from market_abm.economy.nested_ces import Nest, NestedCES
from market_abm.economy.program import read_program
from market_abm.economy.technology import Technology
from market_abm.errors import ProgramError
from market_abm.experiment.experiment import Experiment
from market_abm.language import expression as ex
from market_abm.language.tape import Tape

INF = math.inf


def line(text: str) -> Technology:
    return read_program(f"y = {text}", {})[0].technology


def values_along(technology: Technology, good: str, **amounts: float):
    """The output as a function of an array of amounts of one good."""

    def values(of_good):
        inputs = [
            of_good if g == good else np.full_like(of_good, amounts[g]) for g in technology.inputs
        ]
        with np.errstate(all="ignore"):
            return np.broadcast_to(technology.production(inputs)[0], of_good.shape)

    return values


def produced(technology: Technology, **amounts: float) -> tuple[float, dict[str, float]]:
    """Output and marginal products, by good."""
    with np.errstate(all="ignore"):
        made, products = technology.production([np.float64(amounts[g]) for g in technology.inputs])
    return float(made), dict(zip(technology.inputs, map(float, products), strict=True))


KNOWN = {
    # what is made, with x = 0 and z = 3: the derivatives by x (from above) and by z
    "cobb_douglas(x, z, exponents=(1, 1))": (3.0, 0.0),
    "cobb_douglas(x, z, exponents=(2, 1))": (0.0, 0.0),
    "cobb_douglas(x, z, exponents=(0.5, 1))": (INF, 0.0),
    "cobb_douglas(x, z, exponents=(1, 0.5))": (3.0**0.5, 0.0),
    "ces(x, z, elasticity=0.5)": (2.0, 0.0),  # w^(σ/(σ-1)) = 0.5^(-1)
    "ces(x, z, elasticity=0.2, weights=(0.3, 0.7))": (0.3**-0.25, 0.0),
    "ces(x, z, elasticity=0.99, weights=(0.5, 0.5))": (2.0**99, 0.0),
    "ces(x, z, elasticity=1)": (INF, 0.0),
    "ces(x, z, elasticity=2)": (INF, 0.25),  # (x^½/2 + z^½/2)²
    "x ** z": (0.0, 0.0),
    "x ** 0 + z": (0.0, 1.0),
    "x ** 1 + z": (1.0, 1.0),
    "x ** 0.5 + z": (INF, 1.0),
    "z ** x": (math.log(3.0), 0.0),
    "z * sqrt(x)": (INF, 0.0),
    "sqrt(x) ** 2 + z": (1.0, 1.0),
    "sqrt(x) * sqrt(x) + z": (1.0, 1.0),
    "sqrt(x * z) ** 2": (3.0, 0.0),
    "sqrt(x * z)": (INF, 0.0),
    "ln(1 + sqrt(x)) ** 2 + z": (math.nan, 1.0),  # 1, but 1 + sqrt(x) has no digits for it
    "cobb_douglas(sqrt(x), z, exponents=(2, 1))": (3.0, 0.0),
    "cobb_douglas(x, x, exponents=(0.5, 0.5)) * z": (3.0, 0.0),
    "ces(x, x, elasticity=0.5) * z": (3.0, 0.0),
    "ces(x, 2*x, elasticity=2, weights=(0.3, 0.7)) + z": ((0.3 + 0.7 * 2**0.5) ** 2, 1.0),
    "x / z": (1 / 3, 0.0),
    "x ** 2 / (x + x) + z": (None, None),  # 0/0: there is no output either
}


@pytest.mark.parametrize("text", KNOWN)
def test_closed_forms_with_nothing_of_an_input(text):
    """1e-12: limits are computed 1e-60 from 0, and ces multiplies roundings by σ/(1 - σ) < 100."""
    technology = line(text)
    made, by_good = produced(technology, x=0.0, z=3.0)
    expected = dict(zip("xz", KNOWN[text], strict=True))
    if expected["x"] is None:
        assert math.isnan(made)
        return
    assert {good: by_good[good] for good in "xz"} == pytest.approx(
        expected, rel=1e-12, abs=1e-30, nan_ok=True
    )
    with np.errstate(all="ignore"):
        columns = [
            np.array([0.0, 2.0]) if g == "x" else np.array([3.0, 3.0]) for g in technology.inputs
        ]
        _, products = technology.production(columns)
    for good, product in zip(technology.inputs, products, strict=True):
        values = np.broadcast_to(product, 2)
        np.testing.assert_equal(values[0], by_good[good])
        assert values[1] == pytest.approx(produced(technology, x=2.0, z=3.0)[1][good], rel=1e-13)


@pytest.mark.parametrize("text", [text for text, known in KNOWN.items() if known[0] is not None])
def test_a_formula_at_0_is_the_number_or_has_none(text):
    """What ``explain`` writes never has another value at 0 than what it says beside it."""
    technology = line(text)
    made, by_good = produced(technology, x=0.0, z=3.0)
    formulas = technology.marginal_product_formulas("made")
    lookup = {"made": made, **{k: {"x": 0.0, "z": 3.0}[g] for k, g in enumerate(technology.inputs)}}
    for good, formula in zip(technology.inputs, formulas, strict=True):
        with np.errstate(all="ignore"):
            value = float(Tape(formula, ()).evaluate(lookup)[0])
        assert math.isnan(value) or value == pytest.approx(by_good[good], rel=1e-12)


def test_formulas_of_whole_powers_hold_at_0():
    texts = [
        line(text).marginal_product_texts("y")
        for text in ("cobb_douglas(x, z, exponents=(1, 2))", "x ** 0 + z", "x * x")
    ]
    assert texts == [("z**2", "2*x*z"), ("0", "1"), ("2*x",)]


# --- against differences of values ----------------------------------------------------------------

EXPONENTS, ELASTICITIES = (0.5, 0.8, 1, 1.5, 2), (0.2, 0.8, 1, 1.5)
INNER = [
    "x", "x*z", "x/z", "z*x + x*x", "sqrt(x)", "expm1(x)", "log1p(x)", "sin(x)", "tan(x)",
    "atan(x)", "sinh(x)", "tanh(x)", "1 - 1/(1 + x)", "1 - cos(x)", "cosh(x) - 1",
    *(f"x ** {a}" for a in EXPONENTS),
    *(f"cobb_douglas(x, z, exponents=({a}, 0.5))" for a in EXPONENTS),
    *(f"ces(x, z, elasticity={s}, weights=(0.3, 0.7))" for s in ELASTICITIES),
]  # fmt: skip
OUTER = [
    "{u}", "z * {u}", "sqrt({u})", "exp({u})", "1/(1 + {u})", "ln(1 + {u})", "z ** {u}", "{u} ** z",
    "{u} * sqrt({u})", "sqrt({u}) * sqrt(x)",
    *(f"({{u}}) ** {a}" for a in EXPONENTS),
    *(f"cobb_douglas({{u}}, z, exponents=({a}, 0.5))" for a in EXPONENTS),
    *(f"ces({{u}}, z, elasticity={s}, weights=(0.3, 0.7))" for s in ELASTICITIES),
    *(f"ces({{u}}, x, elasticity={s}, weights=(0.3, 0.7))" for s in ELASTICITIES),
]  # fmt: skip


ROUNDED = ("1 + ", "1 - ", "- 1")
"""What is in lines whose digits near 0 are lost to rounding."""


def assert_limit_of_differences(values, derivative: float, *, rounded: bool) -> None:
    """``derivative`` is the limit of (f(h) - f(0))/h, h > 0, as far as ``values`` f show it.

    Where f(0) = 0 and nothing is rounded away, the quotient has all digits at any h. Elsewhere it
    has 1e-16/h of rounding, 1e-9 at 1e-7, and a smooth limit is within 1e-6. A limit that is
    approached as a power of h must be nearer from one h to the next by a tenth at least.
    """
    near, far = np.array([1e-3, 1e-5, 1e-7]), np.array([1e-30, 1e-60, 1e-90])
    at_zero, *made = values(np.concatenate([[0.0], near, far]))
    quotients = (made[:3] - at_zero) / near
    if at_zero == 0.0 and not rounded:
        quotients = made[3:] / far
    if math.isinf(derivative):
        sizes = [q * math.copysign(1.0, derivative) for q in quotients]
        assert 0 < sizes[0] < sizes[1] < sizes[2]
    else:
        off = [abs(q - derivative) for q in quotients]
        assert off[2] <= max(1e-6 * max(abs(derivative), 1.0), 0.9 * off[1])


def test_every_function_of_every_function_at_0():
    """The whole language: each line of one operation in another, at x = 0 and z = 3.

    Undefined are only limits that lose their digits, or that two readings of x approach slowly.
    """
    undefined = 0
    for inner, outer in itertools.product(INNER, OUTER):
        text = outer.format(u=inner)
        technology, rounded = line(text), any(part in text for part in ROUNDED)
        made, by_good = produced(technology, x=0.0, z=3.0)
        if not math.isfinite(made):
            continue
        if math.isnan(by_good["x"]):
            undefined += 1
            assert rounded or text.count("x") > 1, text
            continue
        try:
            assert_limit_of_differences(
                values_along(technology, "x", z=3.0), by_good["x"], rounded=rounded
            )
        except AssertionError as error:
            raise AssertionError(f"{text}: {by_good['x']}") from error
    assert undefined < 0.05 * len(INNER) * len(OUTER)


# --- all inputs as one array ----------------------------------------------------------------------

SHARES = np.array([0.3, 0.05, 0.25, 0.1, 0.3])
NESTS = (Nest("materials", 3, "inner"), Nest("factors", 2, 0.7))


@given(
    nests=st.sampled_from([(), NESTS, (*NESTS[:1], Nest("b", 1, 2.0), Nest("c", 1, 2.0))]),
    sigma=st.sampled_from([0.3, 0.8, 1.0, 2.5]),
    inner=st.sampled_from([0.2, 1.0, 3.0]),
    nothing=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_a_wide_line_with_nothing_of_some_inputs(nests, sigma, inner, nothing):
    """Against the same line as an expression, and against differences of its values."""
    parameters = {"outer": sigma, "inner": inner}
    wide = NestedCES("abcde", SHARES, "outer", nests, parameters)
    inputs = np.where(nothing, 0.0, [0.4, 0.1, 0.2, 0.3, 0.5])
    with np.errstate(all="ignore"):
        made, slopes = wide.production(np.stack([inputs, [0.4, 0.1, 0.2, 0.3, 0.5]], axis=-1))
        slow, slow_slopes = Technology(wide.formula, wide.inputs, parameters).production(inputs)
    assert made[0] == pytest.approx(float(slow), rel=1e-13)
    both = ~np.isnan(slopes[:, 0]) & ~np.isnan(np.array(slow_slopes, float))
    np.testing.assert_allclose(slopes[both, 0], np.array(slow_slopes)[both], rtol=1e-9)
    assert not np.any(np.isnan(slopes[:, 1]))
    for k in np.flatnonzero(~np.isnan(slopes[:, 0]) & (inputs == 0.0)):
        values = values_along(wide, "abcde"[k], **dict(zip("abcde", inputs, strict=True)))
        assert_limit_of_differences(values, float(slopes[k, 0]), rounded=False)


# --- no value, and no exception -------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.001, 0.25, 0.5, 1.0, 1.5, 2.0, 1000.0])
def test_ces_of_a_negative_input_has_no_value(sigma):
    """At σ = 0.001 the exponent r is -999 and (-1) ** r is a number: it is still no output."""
    text = f"ces(x, z, elasticity={sigma}, weights=(0.4, 0.6))"
    for z in (3.0, 0.0, -2.0):
        made, by_good = produced(line(text), x=-1.0, z=z)
        assert math.isnan(made) and math.isnan(by_good["x"])
    with np.errstate(all="ignore"):
        made, slopes = NestedCES("xz", np.array([0.4, 0.6]), sigma).production(
            np.array([[-1.0, 0.4], [3.0, 0.6]])
        )
    assert math.isnan(made[0]) and np.all(np.isnan(slopes[:, 0]))
    assert made[1] == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("sigma", [1e-9, 1e-12, 1e-50, 1e-143, 1e-300])
def test_derivatives_of_an_extreme_ces_have_their_digits_or_none(sigma):
    """Towards min(x, z): w^(σ/(σ-1)) = 1 for the scarce input, 0 for the other.

    Of inputs that differ by a rounding the ratio of both, e^(5e-16/σ), is noise; w if they are
    equal. At 1e-12 three digits are left of it, at 1e-9 six.
    """
    text = f"ces(x, z, elasticity={sigma!r}, weights=(0.4, 0.6))"
    wide = NestedCES("xz", np.array([0.5, 0.5]), sigma)
    made, by_good = produced(line(text), x=1.5, z=3.0)
    assert made == pytest.approx(1.5, rel=1e-8)
    assert by_good == pytest.approx({"x": 1.0, "z": 0.0}, rel=1e-6)
    _, slopes = wide.production(np.array([1.5, 3.0]))
    assert slopes == pytest.approx([2.0, 0.0], rel=1e-6)
    assert produced(line(text), x=3.0, z=3.0)[1] == pytest.approx({"x": 0.4, "z": 0.6}, rel=1e-6)
    _, near = produced(line(text), x=3.0, z=3.0 * (1 + 5e-16))
    assert all(map(math.isnan, near.values())) or (
        sigma >= 1e-12 and near == pytest.approx({"x": 0.4, "z": 0.6}, rel=1e-2)
    )


EXTREME = st.sampled_from([0.0, -0.0, 1e-320, 1e-300, -1e-200, 1e-16, -1.0, 1.0, 2, 1e16, 1e308])
BINARY = ("{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / {b}", "{a} ** {b}")
SEVERAL = (
    *BINARY,
    "ces({a}, {b}, elasticity=s)",
    "ces({a}, {b}, elasticity=1/s, weights=(w, 1 - w))",
    "cobb_douglas({a}, {b}, exponents=(s, w))",
)
FORMS = st.sampled_from([*SEVERAL, *(f"{name}({{a}})" for name in ex.FUNCTIONS)])


@given(
    forms=st.tuples(FORMS, FORMS, FORMS),
    values=st.tuples(EXTREME, EXTREME, EXTREME, EXTREME),
    s=st.sampled_from([5e-324, 1e-300, 1e-3, 1.0, 1.0 + 2.0**-52, 1e3, 1e308]),
    w=st.sampled_from([5e-324, 1e-17, 0.5, 1.0 - 2.0**-53]),
)
def test_no_number_of_a_user_is_a_python_exception(forms, values, s, w):
    """Goods and parameters of any size, as Python's numbers and as arrays."""
    text = forms[0].format(a=forms[1].format(a="x", b="p"), b=forms[2].format(a="q", b="z"))
    p, q, x, z = values
    parameters = {"p": float(p), "q": float(q), "s": s, "w": w}
    used = {key: value for key, value in parameters.items() if key in text}
    try:
        technology = read_program(f"y = {text}", used)[0].technology
    except ProgramError:  # a constant is 0 or infinite
        return
    amounts = {"x": float(x), "z": float(z)}
    with np.errstate(all="ignore"):
        given = [amounts[good] for good in technology.inputs]
        numbers = technology.production(given)
        arrays = technology.production([np.array([each, 1.0]) for each in given])
        technology.text()
        technology.marginal_product_texts("y")
    for one, several in zip((numbers[0], *numbers[1]), (arrays[0], *arrays[1]), strict=True):
        assert np.isrealobj(one)
        first = np.ravel(several)[0]
        np.testing.assert_allclose(first, one, rtol=1e-9, atol=1e-300)


# --- markets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize(
    ("program", "supply", "prices"),
    [
        ("y = cobb_douglas(x, z, exponents=(1, 1))", {"x": 0.0, "z": 3.0}, (3.0, 0.0)),
        ("y = ces(x, z, elasticity=0.5)", {"x": 0.0, "z": 3.0}, (2.0, 0.0)),
        ("y = x ** z", {"x": 0.0, "z": 2.0}, (0.0, 0.0)),
        ("y = x ** 0 + z", {"x": 0.0, "z": 2.0}, (0.0, 1.0)),
    ],
)
def test_a_market_prices_what_there_is_nothing_of(engine, program, supply, prices):
    result = run(from_text(program, supply), engine=engine, steps=5)
    assert result.status == "converged"
    assert result.last.prices[:2] == pytest.approx(prices, rel=1e-12)


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_an_embargo(engine):
    """Without gas there is no power, and gas is worth its closed form w^(σ/(σ-1)) at the margin."""
    program = "power = ces(gas, labour, elasticity=0.5, weights=(0.25, 0.75))\nlight = 3 * power"
    economy = from_text(program, {"gas": 2.0, "labour": 1.0})
    experiment = Experiment.of(economy, engine=engine, steps=40)
    result = run(experiment.with_shock_texts(["supply.gas=-100%@20"]))
    table = result.table()
    assert result.status == "converged" and result.steps < 40
    assert table["quantity"].to_dict() == {"gas": 0, "labour": 1, "power": 0, "light": 0}
    assert table["price"].to_dict() == pytest.approx(
        {"gas": 12.0, "labour": 0.0, "power": 3.0, "light": 1.0}, rel=1e-12
    )
