"""The production functions CES and Cobb-Douglas: values and derivatives, accurate at every scale.

CES stands here for both kinds of line: :func:`ces_with_derivatives` takes one argument per input,
as an operation of an expression does; :func:`log_ces` takes logarithms of all inputs as one array,
for lines of many inputs. Both compute relative to the mean logarithm, for the same reason.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from market_abm.language.segments import Segments, Whole, some

FIRST_AXIS = Whole()

MIN_ELASTICITY = 1e-11
"""σ below which ln y - ln x has no digits as a difference of logarithms, once divided by σ."""

Value = Any
"""A float, a NumPy array, or an Expression."""


# --- an output of a line that makes several ----------------------------------------------------


def transform(elasticity: Value, weight: Value, share: Value) -> Value:
    """w^(1/(1+η)) s^(η/(1+η)): what a unit of an activity makes of an output with this share of it.

    η is the elasticity of transformation, w the weight of the output (``language/outputs.py``).
    """
    return weight ** (1.0 / (1.0 + elasticity)) * share ** (elasticity / (1.0 + elasticity))


def transform_derivative(k: int, y: Value, elasticity: Value, weight: Value, share: Value) -> Value:
    """∂y/∂s = y/s η/(1+η), of the share alone."""
    return elasticity / (1.0 + elasticity) * (y / share)


# --- CES, one argument per input -----------------------------------------------------------------


def ces(*arguments: Value) -> Value:
    """(Σ w x^r)^(1/r), r = (σ - 1)/σ; ``arguments`` are σ, the weights and the inputs."""
    return ces_with_derivatives(*arguments)[0]


def ces_with_derivatives(
    elasticity: Value, *weights_and_inputs: Value
) -> tuple[Value, Callable[[int], Value]]:
    """CES and its derivatives, accurate to rounding at every scale and for every σ.

    Parameters
    ----------
    elasticity
        σ > 0.
    weights_and_inputs
        The weights w, which sum to 1, then as many inputs x. Floats or arrays.

    Returns
    -------
    value
        y = (Σ w x^r)^(1/r), r = (σ - 1)/σ.
    derivative
        A function of k that gives ∂y/∂(argument k) = w (y/x)^(1/σ), for the inputs only (argument
        0 is σ).

    Notes
    -----
    With m = Σ w ln x, ln y = m + ln(1 + g) / r, where g = Σ w (e^(r (ln x - m)) - 1) ≥ 0: no
    cancellation, and σ = 1 is the limit m. A negative input has no value, for any σ. Of two inputs
    ln x - m is the difference of their logarithms, times the other's weight.
    """
    half = len(weights_and_inputs) // 2
    weights, inputs = weights_and_inputs[:half], weights_and_inputs[half:]
    r = (elasticity - 1.0) / elasticity
    logs = [np.log(x) for x in inputs]
    centred = _centred(logs, weights)
    gains = [_into(np.expm1, r * log) for log in centred]
    gain = reduce(partial(_into, np.add), map(partial(_into, np.multiply), gains, weights))
    above_mean = _into(np.log1p, gain)
    unusual: Any = None
    if not np.isfinite(np.add.reduce(above_mean, axis=None)) or some(elasticity < MIN_ELASTICITY):
        unusual = ~np.isfinite(above_mean) | np.less(elasticity, MIN_ELASTICITY)
        if np.ndim(unusual) == 0 or np.all(unusual):
            return _ces_by_largest_term(elasticity, weights, inputs)
    at_one = r == 0.0
    if some(at_one):
        above_mean = np.where(at_one, 0.0, above_mean / np.where(at_one, 1.0, r))
    else:
        above_mean = _into(np.multiply, above_mean, 1.0 / r)
    gaps = [_onto(log, np.subtract, above_mean, log) for log in centred]  # ln y - ln x
    y = _into(np.exp, _into(np.add, logs[-1], gaps[-1]))
    powers = [_into(np.exp, _into(np.multiply, gap, 1.0 / elasticity)) for gap in gaps]
    slopes = list(map(partial(_into, np.multiply), powers, weights))
    if unusual is None or not np.any(unusual):
        return y, lambda k: slopes[k - 1 - half]
    own = (np.broadcast_to(each, np.shape(y))[unusual] for each in (elasticity, *weights, *inputs))
    sigma, *others = own
    y[unusual], others_derivative = _ces_by_largest_term(sigma, others[:half], others[half:])

    def patched(k: int) -> Value:
        slope = slopes[k - 1 - half]
        slope[unusual] = others_derivative(k)
        return slope

    return y, patched


def _centred(logs: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
    """Logarithms less their mean; all but the last may be overwritten."""
    if len(logs) == 2:
        difference = _into(np.subtract, *logs)
        return [weights[1] * difference, -weights[0] * difference]
    mean = reduce(partial(_into, np.add), map(operator.mul, weights, logs))
    return [log - mean for log in logs]


def _ces_by_largest_term(
    elasticity: Value, weights: Sequence[Value], inputs: Sequence[Value]
) -> tuple[Value, Callable[[int], Value]]:
    """The same by :func:`log_ces`, where an input is 0, negative or far from the others."""
    shape = np.broadcast_shapes(*(np.shape(each) for each in (elasticity, *weights, *inputs)))
    logs, parts = (
        np.stack([np.broadcast_to(each, shape) for each in several])
        for several in (map(np.log, inputs), weights)
    )
    log_output, gaps = log_ces(logs, parts, elasticity)

    def derivative(k: int) -> Value:
        i = k - 1 - len(weights)
        return parts[i] * np.exp(gaps[i] / elasticity)

    return np.exp(log_output), derivative


def _into(ufunc: np.ufunc, own: Value, *others: Value) -> Value:
    """``ufunc(own, ...)``, written into ``own``, a temporary array, if it is large."""
    return _onto(own, ufunc, own, *others)


def _onto(room: Value, ufunc: np.ufunc, *values: Value) -> Value:
    """``ufunc(*values)``, written over ``room``, a temporary array, if it is large."""
    if isinstance(room, np.ndarray) and room.size >= 4096:
        try:
            return ufunc(*values, out=room)
        except (TypeError, ValueError):  # the result is complex, or larger
            pass
    return ufunc(*values)


def ces_derivative(k: int, y: Value, elasticity: Value, *weights_and_inputs: Value) -> Value:
    """∂y/∂(argument k) = w (y/x)^(1/σ), given y; argument 0 is σ, then weights, then inputs."""
    half = len(weights_and_inputs) // 2
    i = k - 1 - half
    return weights_and_inputs[i] * (y / weights_and_inputs[half + i]) ** (1.0 / elasticity)


# --- CES, all inputs as one array ----------------------------------------------------------------


def log_ces(
    logs: np.ndarray, weights: np.ndarray, elasticity: Any, over: Whole | Segments = FIRST_AXIS
) -> tuple[Any, np.ndarray]:
    """The logarithm of a CES aggregate, y = (Σ w x^r)^(1/r), r = (σ - 1)/σ.

    Parameters
    ----------
    logs
        ln x, shape (inputs, ...).
    weights
        w, shape (inputs, ...) or broadcast to it; they sum to 1 over the first axis.
    elasticity
        σ > 0, a number or an array of shape (...).
    over
        What is aggregated: the first axis, or, for several aggregates, segments of the last; then
        ``logs`` and ``weights`` have shape (..., elements), ``elasticity`` (..., segments).

    Returns
    -------
    log_output
        ln y, shape (...), or (..., segments).
    gaps
        σ ln(∂y/∂x / w), in the shape of ``logs``: ln y - ln x, and its limit where x is 0. Not a
        number where another input is 0, too: y has no derivative there, only one in each direction.

    Notes
    -----
    Computed as in :func:`ces_with_derivatives`. Where an input is 0, g overflows, or σ is tiny, the
    largest term is factored out. There, towards min x, inputs that differ by a rounding have no
    derivative: all its digits would be noise.
    """
    r = np.asarray((elasticity - 1.0) / elasticity)
    weighted = weights * logs
    mean = over.total(weighted)
    room = None if mean is weighted else weighted  # a segment may be a single element
    with np.errstate(all="ignore"):
        at_one = r == 0.0
        if at_one.all() and np.isfinite(mean).all():
            return mean, _onto(room, np.subtract, over.spread(mean), logs)
        centred = _onto(room, np.subtract, logs, over.spread(mean))
        gains = _into(np.expm1, over.spread(r) * centred)
        above = np.log1p(over.total(_into(np.multiply, gains, weights)))
        above = np.where(at_one, 0.0, above / np.where(at_one, 1.0, r))
        tiny = np.less(elasticity, MIN_ELASTICITY)
        usual = np.isfinite(above) & np.isfinite(mean) & ~tiny
        usual_output = mean + above
        gaps = _onto(centred, np.subtract, over.spread(above), centred)
        if np.all(usual):
            return usual_output, gaps
        log_output, others = _by_largest_term(logs, weights, mean, r, tiny, over)
        log_output = np.where(usual, usual_output, log_output)[()]
        gaps = np.where(over.spread(usual), gaps, others)
        return log_output, np.where(over.spread(np.isnan(mean)), np.nan, gaps)


def _by_largest_term(
    logs: np.ndarray, weights: np.ndarray, mean: Any, r: Any, tiny: Any, over: Whole | Segments
) -> tuple[Any, np.ndarray]:
    """``log_ces`` with the largest term factored out."""
    divisor = np.where(r == 0.0, 1.0, r)
    powers = over.spread(r) * logs
    largest = over.highest(powers)
    below = over.spread(largest) - powers
    terms = np.log(over.total(weights * np.exp(-below)))
    zero = np.isneginf(np.real(logs))
    zeros, inputs = over.total(zero.astype(float)), over.sizes_of(logs)
    nothing = np.where(r > 0.0, zeros == inputs, zeros > 0.0)
    log_output = np.where(nothing & ~np.isnan(mean), -np.inf, (largest + terms) / divisor)
    gaps = np.where(
        over.spread(zeros > 0.0),
        over.spread(log_output) - logs,
        (over.spread(terms) + below) / over.spread(divisor),
    )
    # The limit as x tends to 0 and the others stay above it: for σ < 1 the scarce input's own term
    # is all, y = w^(1/r) x; for σ ≥ 1 a first unit is worth without limit. An only input is y.
    at_zero = np.where(over.spread(r < 0.0), np.log(weights) / over.spread(r), np.inf)
    at_zero = np.where(over.spread(zeros > 1.0), np.nan, at_zero)
    at_zero = np.where(over.spread(inputs == np.ones(1)), 0.0, at_zero)
    gaps = np.where(zero, at_zero, gaps)
    scale = over.highest(np.maximum(1.0, np.abs(logs)))
    rounding = over.spread(4.0 * np.finfo(float).eps * np.abs(r) * scale)
    close = over.total(((below > 0.0) & (below <= rounding)).astype(float)) > 0.0
    tied = over.spread(tiny & close) & (rounding > 0.5)
    return log_output, np.where(tied, np.nan, gaps)


# --- Cobb-Douglas --------------------------------------------------------------------------------


def cobb_douglas(*exponents_and_inputs: Value) -> Value:
    """Π x^a; the arguments are the exponents a, then as many inputs x."""
    half = len(exponents_and_inputs) // 2
    product: Value = 1.0
    for exponent, x in zip(exponents_and_inputs[:half], exponents_and_inputs[half:], strict=True):
        product = product * x**exponent
    return product


def cobb_douglas_with_derivatives(
    *exponents_and_inputs: Value,
) -> tuple[Value, Callable[[int], Value]]:
    """Π x^a, and a function of k that gives ∂y/∂(argument k), for the inputs only, also at 0."""
    y = cobb_douglas(*exponents_and_inputs)

    def derivative(k: int) -> Value:
        slope = cobb_douglas_derivative(k, y, *exponents_and_inputs)
        zero = np.equal(exponents_and_inputs[k], 0.0)
        if np.any(zero):
            at_zero = cobb_douglas_without_division(k, *exponents_and_inputs)
            slope = np.where(zero, at_zero, slope)
        return slope

    return y, derivative


def cobb_douglas_derivative(k: int, y: Value, *exponents_and_inputs: Value) -> Value:
    """∂y/∂(argument k) = a y / x, given y, for the inputs only."""
    half = len(exponents_and_inputs) // 2
    return exponents_and_inputs[k - half] * y / exponents_and_inputs[k]


def cobb_douglas_without_division(k: int, *exponents_and_inputs: Value) -> Value:
    """The same as a x^(a-1) times the other factors, which holds at x = 0."""
    half = len(exponents_and_inputs) // 2
    exponent = exponents_and_inputs[k - half]
    lowered = list(exponents_and_inputs)
    lowered[k - half] = exponent - 1.0
    return exponent * cobb_douglas(*lowered)
