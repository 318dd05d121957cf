"""The exact gradient against hand-solved cases and an independent automatic differentiation."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from market_abm import MarketError, exact_gradient, from_text, run
from market_abm.gradient.backprop import forward_pass, reverse_sweep

# Both sides compute the same closed forms in floating point, in different orders; a dozen
# operations lose a few units in the last place (2e-16 each).
EXACT = 1e-14


def test_the_essay_by_hand():
    economy = from_text("a = x**0.5\nb = 1 - 1/(a+1)\nc = ln(b)", {"x": 4})
    quantities, _ = forward_pass(economy)
    assert quantities == pytest.approx([4, 2, 2 / 3, np.log(2 / 3)], rel=EXACT)
    assert exact_gradient(economy) == pytest.approx(
        {"c": 1, "b": 1.5, "a": 1 / 6, "x": 1 / 24}, rel=EXACT
    )


def test_copied_goods_follow_the_sum_rule():
    economy = from_text("a = x*y\nb = tanh(x) + a*a", {"x": 0.7, "y": 1.3}, reuse="copy")

    def f(x, y):
        a = x * y
        return anp.tanh(x) + a * a

    found = exact_gradient(economy)
    assert found["x"] == pytest.approx(autograd.grad(f, 0)(0.7, 1.3), rel=EXACT)
    assert found["y"] == pytest.approx(autograd.grad(f, 1)(0.7, 1.3), rel=EXACT)


def test_split_goods_use_the_shares_as_the_derivative_of_the_split():
    economy = from_text("a = 3*x\nb = sqrt(x)\nc = a*b", {"x": 2.0}, {"c": 5.0})
    shares = economy.buyers.initial_shares.copy()
    shares[:2] = [0.3, 0.7]
    found = exact_gradient(economy, shares)
    expected = autograd.grad(lambda x: 5 * (3 * 0.3 * x) * anp.sqrt(0.7 * x))(2.0)
    assert found["x"] == pytest.approx(expected, rel=EXACT)


def test_several_final_goods_add_their_values():
    economy = from_text(
        "a = exp(x)\nb = a**2\nc = a*3", {"x": 0.4}, {"b": 2, "c": -1}, reuse="copy"
    )
    expected = autograd.grad(lambda x: 2 * anp.exp(x) ** 2 - 3 * anp.exp(x))(0.4)
    assert exact_gradient(economy)["x"] == pytest.approx(expected, rel=EXACT)


def test_a_loop_solves_a_linear_system():
    """Against the same loop unrolled by autograd until it has settled."""
    economy = from_text(
        "s = o**0.3 * c**0.3\nc = 0.5*s**0.5 * l**0.4\nt = s**0.5", {"o": 4, "l": 2}, reuse="copy"
    )

    def unrolled(extra):
        c, s = 1.0, 1.0
        for _ in range(200):  # contracts by 0.15 a round: settled to rounding long before
            s = (4 + extra[0]) ** 0.3 * (c + extra[3]) ** 0.3
            c = 0.5 * (s + extra[2]) ** 0.5 * (2 + extra[1]) ** 0.4
        return (s + extra[2]) ** 0.5

    expected = autograd.grad(unrolled)(anp.zeros(4))
    found = exact_gradient(economy)
    assert [found[good] for good in "olsc"] == pytest.approx(expected, rel=1e-13)


def test_firms_of_an_industry_add_up():
    """Twenty equal firms are one firm; unequal ones are the derivative with their shares held."""
    text, supply = "a = x**0.7\nb = a*y", {"x": 3, "y": 2}
    one = exact_gradient(from_text(text, supply))
    many = exact_gradient(from_text(text, supply, population={"firms": 20}))
    assert many == pytest.approx(one, rel=EXACT)
    options = {"firms": 2, "weights": [0.3, 0.7], "productivity": [1, 2]}
    economy = from_text("a = x**0.7", {"x": 3}, population=options)

    def f(x):
        return 0.3 * (0.3 * x / 0.3) ** 0.7 + 2 * 0.7 * (0.7 * x / 0.7) ** 0.7

    assert exact_gradient(economy)["x"] == pytest.approx(autograd.grad(f)(3.0), rel=EXACT)


def test_a_loop_that_grows_for_ever_is_told():
    economy = from_text("a = x + 2*a\nb = a", {"x": 1}, reuse="copy")
    with pytest.raises(MarketError, match="does not converge"):
        forward_pass(economy)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_large_loop_is_solved_as_a_sparse_matrix(monkeypatch, sign):
    """A ring of 60 lines with chords: sparse and dense solutions agree, and with the definition.

    Signs that differ make some gradients a thousandth of their terms, whose rounding is 1e-16.
    """
    lines = [
        f"g{k} = x + 0.5 * g{(k - 1) % 60} + {sign} * 0.3 * g{(7 * k + 3) % 60}" for k in range(60)
    ]
    economy = from_text("\n".join([*lines, "y = g0"]), {"x": 1.0}, reuse="copy")
    shares, guess = economy.buyers.initial_shares[None], np.full((1, len(economy.goods)), 2.0)
    raw, found = np.ones((1, 1)), []
    for most in (0, 60):
        monkeypatch.setattr("market_abm.gradient.loops.MAX_DENSE_LINES", most)
        quantities, products = forward_pass(economy, shares, raw, guess=guess)
        gradient = reverse_sweep(economy, products, shares, np.ones((1, 1)))
        found.append((quantities, gradient))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    value = dict(zip(economy.goods, quantities[0], strict=True))
    for k in range(60):
        made = 1 + 0.5 * value[f"g{(k - 1) % 60}"] + sign * 0.3 * value[f"g{(7 * k + 3) % 60}"]
        assert value[f"g{k}"] == pytest.approx(made, rel=1e-14)
    assert gradient[0, 0] == pytest.approx(value["y"], rel=1e-13)  # everything is linear in x


def test_a_singular_loop_has_no_gradient():
    economy = from_text("a = x + 1*a\nb = a", {"x": 1}, reuse="copy")
    found = reverse_sweep(economy, np.ones(3), np.ones(3), np.ones(1))
    assert np.isnan(found[economy.index["a"]])


@pytest.mark.parametrize(
    ("program", "undefined"),
    [
        ("a = 1e-160 * x\ny = 1e-155 * a", "x"),
        ("a = 1e-200 * x\ny = 1e-200 * a", "x"),
        ("b = 1e90 * x\na = 1e-160 * b\ny = 1e-155 * a", "xb"),
        ("a = 0.1 * x\nb = 0.2 * x\nc = 0.3 * x\ny = a + b - c", "x"),
        ("m = 1e9 * x\na = 0.1 * m\nb = 0.2 * m\nc = 0.3 * m\ny = a + b - c", "x"),
        ("m = 0.5 * x\na = 0.1 * m\nb = 0.2 * m\nc = 0.3 * m\ny = a + b - c + 1e-3 * x", ""),
        ("a = 1e-150 * x\ny = 1e-150 * a", ""),
        ("a = 0.1 * x\nb = 0.2 * x\nc = 0.2999999 * x\ny = a + b - c", ""),
        ("a = 0.5 * x\nb = 0.5 * x\ny = a - b", ""),
        ("a = 0 * x\ny = 1e-200 * a", ""),
    ],
)
def test_a_gradient_without_digits_is_undefined(program, undefined):
    """Where a product underflows or a sum is rounding alone; not where 0 or little is exact.

    Such a sum of a good that is made, ``m``, is 0, and counts where it is all that is upstream.
    """
    economy = from_text(program, {"x": 1.0}, reuse="copy")
    found = exact_gradient(economy)
    assert {good for good, value in found.items() if np.isnan(value)} == set(undefined)
    result = run(economy)
    assert result.status == ("off_gradient" if undefined else "converged")
    assert ("the gradient of x is undefined" in result.ending.detail) == bool(undefined)
