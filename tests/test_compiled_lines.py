"""Lines as plain Python functions of floats, beside the same lines in NumPy's arithmetic."""

import copy
import itertools
import math
import pickle
import re

import numpy as np
import pytest

from market_abm import MarketModel, from_text, market_settings
from market_abm.economy.industry import production
from market_abm.economy.program import read_program
from market_abm.economy.technology import Technology
from market_abm.language import compiled, expression
from market_abm.language.outputs import KEYWORDS

PARAMETERS = {"k": 0.7, "weight": 2.5}
LINES_OF_EACH = [
    *(f"{name}(x) + z / (1 + x)" for name in expression.FUNCTIONS),
    *(f"(x + 1.5) {sign} (k * z)" for sign in ("+", "-", "*", "/", "**")),
    "-x ** z",
    "x ** 2 - z ** 0.5",
    "x ** 0 + z ** 1",
    "ces(x, z, elasticity=k, weights=(0.3, 0.7))",
    "ces(x, 2 * x + z, x * z, elasticity=1)",
    "ces(x, z, elasticity=1e-12)",
    "cobb_douglas(x, z, exponents=(k, 1)) * weight",
    "3 + 0 * x - 1 / (z - z)",
    "7",
    "x",
    "sqrt(x * z) ** 2",
    "min(x / 2, z / 3) ** k",
    "max(x, 1.5, z) * min(x, z) + min(x, 0)",
    "abs(x - z) + abs(x) * z",
    *(f"where(x {sign} z, sqrt(x) * z, ln(z)) * x" for sign in expression.COMPARISONS),
]
CORNERS = (0.0, -0.0, 1.0, -1.5, 0.3, 2.5, 1e-300, 1e300, 750.0, math.inf, -math.inf, math.nan)


def line(text: str) -> Technology:
    return read_program(f"y = {text}", PARAMETERS)[0].technology


def both(technology: Technology, inputs: list[float]):
    """Output and products by floats, or None, and by NumPy."""
    with np.errstate(all="ignore"):
        made, products = production(technology, np.array(inputs), 0.5, 1.3)
    return technology.float_production(inputs, 0.5, 1.3), (float(made), *map(float, products))


@pytest.mark.parametrize("text", LINES_OF_EACH)
def test_floats_give_what_numpy_gives_or_nothing(text):
    """1e-14: mathematical functions differ from NumPy's by a rounding or two.

    In ces these are roundings of logarithms of up to 690, which its 1/k multiplies.
    """
    technology = line(text)
    tolerance = 1e-12 if "ces" in text else 1e-14
    usual = 0
    for inputs in itertools.product(CORNERS, repeat=len(technology.inputs)):
        floats, numpy = both(technology, list(inputs))
        if floats is not None:
            usual += 1
            assert all(type(each) is float for each in (floats[0], *floats[1]))
            np.testing.assert_allclose((floats[0], *floats[1]), numpy, rtol=tolerance, atol=0)
    assert usual or "1e-12" in text or "z - z" in text


def test_no_operation_is_left_to_numpy():
    """Between 0.5 and 3 every operation has a result in floats: none is left uncompiled."""
    rng = np.random.default_rng(3)
    for text in LINES_OF_EACH:
        technology = line(text)
        inputs = rng.uniform(0.5, 3.0, len(technology.inputs)).tolist()
        left = both(technology, inputs)[0] is None
        assert left is ("1e-12" in text or "z - z" in text), text
    used = {node.operation for text in LINES_OF_EACH for node in line(text)._tape.nodes}
    assert used >= set(expression.OPERATIONS) - set(KEYWORDS)  # these divide an activity


HOSTILE = ("__import__", "os", "print", "line", "make", "inputs", "c0", "x1", "v2", "inf", "größe")


def test_nothing_of_a_program_gets_into_the_source(monkeypatch):
    """Names of goods and parameters, and numbers, stay outside, whatever they are."""
    sources = []
    make = compiled._maker
    monkeypatch.setattr(compiled, "_maker", lambda source: sources.append(source) or make(source))
    for a, b, parameter in itertools.permutations(HOSTILE[:5] + HOSTILE[-2:], 3):
        text = f"y = ces({a}, 12345.678 * {b}, elasticity={parameter}) ** {parameter} + exp({b})"
        (industry,) = read_program(text, {parameter: 0.987})
        assert industry.technology.float_production([2.0, 3.0], 1.0, 1.0) is not None
    assert len(set(sources)) == 1
    functions = {text.removesuffix("({})") for text in compiled.FORMATS.values()}
    words = set(re.findall(r"[^\W\d]\w*", sources[0])) - functions
    assert {word for word in words if not re.fullmatch(r"[cvx]\d+", word)} == {
        *("def", "make", "line", "try", "if", "and", "return", "except", "None"),
        *("inputs", "weight", "productivity", "inf", "REFUSALS"),
    } - ({"and"} - words)
    assert not re.findall(r"[\"'\[\]{}@.\\]|(?<!\w)\d", sources[0])
    codes = [make(sources[0]).__code__]
    codes += [const for const in codes[0].co_consts if hasattr(const, "co_names")]
    assert len(codes) == 2
    for code in codes:
        assert set(code.co_names) <= set(compiled.NAMES)
        assert {const for const in code.co_consts if const is not codes[1]} <= {
            None,
            "make.<locals>.line",
        }


def test_lines_that_differ_in_numbers_share_their_code():
    one, two = line("2 * x ** 0.5 + 1").float_production, line("3 * z ** 0.25 + 4").float_production
    assert one.__code__ is two.__code__
    assert (one([4.0], 1.0, 1.0)[0], two([16.0], 1.0, 1.0)[0]) == (5.0, 10.0)


def test_a_line_of_too_many_operations_is_left_to_numpy(monkeypatch):
    many = " + ".join(f"ln(x{k})" for k in range(100))
    monkeypatch.setattr(compiled, "MAX_OPERATIONS", 500)
    for text, is_left in ((many, False), (f"{many} + ln({many})", True)):
        technology = line(text)
        inputs = [1.5 + k for k in range(100)]
        assert (technology.float_production(inputs, 1.0, 1.0) is None) is is_left


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
@pytest.mark.parametrize("activation", ["simultaneous", "sequential", "random"])
def test_books_are_floats_and_are_read_as_arrays(mechanism, activation):
    text = "b = ces(a, c, elasticity=0.5)\nd = sqrt(b) * ln(1 + b)"
    economy = from_text(text, {"a": 1, "c": 2}, population={"firms": 3, "weight_spread": 0.2})
    model = MarketModel(economy, market_settings(mechanism, activation=activation, bid_rate=0.5))
    for model_again in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for _ in range(3):
            model_again.step()
        for firm in model_again.firms:
            count = len(firm.technology.inputs)
            books = (firm.input_book, firm._products, firm._bids)
            assert all(type(number) is float for book in books for number in book)
            assert type(firm.output) is type(firm.sale_price) is float
            for array in (firm.inputs, firm.products, firm.purchases, firm.bids):
                assert array.shape == (count,) and array.dtype == float
            assert firm.sale_price == model_again.markets[firm.good].price
    # Both copies went on from where the model was.
    assert model.clock == 3
