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

Value = Any
"""A float, a NumPy array, or an Expression."""


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
    cancellation, and σ = 1 is the limit m. Where g overflows, the largest term is factored out.
    """
    half = len(weights_and_inputs) // 2
    weights, inputs = weights_and_inputs[:half], weights_and_inputs[half:]
    r = (elasticity - 1.0) / elasticity
    at_one = r == 0.0
    logs = [np.log(x) for x in inputs]
    mean = reduce(partial(_into, np.add), map(operator.mul, weights, logs))
    centred = [_into(np.subtract, log, mean) for log in logs]
    gains = [_into(np.expm1, r * log) for log in centred]
    gain = reduce(partial(_into, np.add), map(partial(_into, np.multiply), gains, weights))
    above_mean = _into(np.log1p, gain)
    if np.any(np.isinf(above_mean)):
        above_mean = np.where(np.isinf(above_mean), _log_sum(weights, r, centred), above_mean)
    if np.any(at_one):
        above_mean = np.where(at_one, 0.0, above_mean / np.where(at_one, 1.0, r))
    else:
        above_mean = _into(np.divide, above_mean, r)
    finite = np.isfinite(mean)
    y = _into(np.exp, mean + above_mean)

    def derivative(k: int) -> Value:
        growth = _into(np.divide, above_mean - centred[k - 1 - half], elasticity)
        return _into(np.multiply, _into(np.exp, growth), weights[k - 1 - half])

    if np.all(finite):
        return y, derivative
    power = np.divide(1.0, r)
    plain = sum(w * x**r for w, x in zip(weights, inputs, strict=True)) ** power
    y = np.where(finite | at_one, y, plain)[()]  # an input is 0
    return y, lambda k: ces_derivative(k, y, elasticity, *weights_and_inputs)


def _log_sum(weights: Sequence[Value], r: Value, logs: Sequence[Value]) -> Value:
    """The logarithm of Σ w e^(r ln x), with the largest term factored out."""
    powers = [r * log for log in logs]
    largest = reduce(np.maximum, powers)
    terms = [w * np.exp(each - largest) for w, each in zip(weights, powers, strict=True)]
    return largest + np.log(reduce(operator.add, terms))


def _into(ufunc: np.ufunc, own: Value, *others: Value) -> Value:
    """``ufunc(own, ...)``, written into ``own``, a temporary array, if it is large."""
    large = isinstance(own, np.ndarray) and own.size >= 4096
    if large and np.broadcast(own, *others).shape == own.shape:
        return ufunc(own, *others, out=own)
    return ufunc(own, *others)


def ces_derivative(k: int, y: Value, elasticity: Value, *weights_and_inputs: Value) -> Value:
    """∂y/∂(argument k) = w (y/x)^(1/σ), given y; argument 0 is σ, then weights, then inputs."""
    half = len(weights_and_inputs) // 2
    i = k - 1 - half
    return weights_and_inputs[i] * (y / weights_and_inputs[half + i]) ** (1.0 / elasticity)


# --- CES, all inputs as one array ----------------------------------------------------------------


def log_ces(logs: np.ndarray, weights: np.ndarray, elasticity: Any) -> tuple[Any, np.ndarray]:
    """The logarithm of a CES aggregate, y = (Σ w x^r)^(1/r), r = (σ - 1)/σ.

    Parameters
    ----------
    logs
        ln x, shape (inputs, ...).
    weights
        w, shape (inputs, ...) or broadcast to it; they sum to 1 over the first axis.
    elasticity
        σ > 0, a number or an array of shape (...).

    Returns
    -------
    log_output
        ln y, shape (...).
    gaps
        ln y - ln x, shape (inputs, ...).

    Notes
    -----
    Computed as in :func:`ces_with_derivatives`. Where an input is 0, or g overflows, the largest
    term is factored out.
    """
    r = np.asarray((elasticity - 1.0) / elasticity)
    mean = (weights * logs).sum(axis=0)
    with np.errstate(all="ignore"):
        centred = logs - mean
        if np.all(r == 0.0) and np.all(np.isfinite(mean)):
            return mean, -centred
        divisor = np.where(r == 0.0, 1.0, r)
        above = np.log1p((weights * np.expm1(r * centred)).sum(axis=0)) / divisor
        above = np.where(r == 0.0, 0.0, above)
        if np.all(np.isfinite(above)):
            return mean + above, above - centred
        powers = r * logs
        largest = powers.max(axis=0)
        total = largest + np.log((weights * np.exp(powers - largest)).sum(axis=0))
        no_input = (r <= 0.0) & np.any(np.isneginf(logs), axis=0)
        log_output = np.where(no_input, -np.inf, total / divisor)
        log_output = np.where(np.isfinite(above), mean + above, log_output)
        return log_output, log_output - logs


# --- Cobb-Douglas --------------------------------------------------------------------------------


def cobb_douglas(*exponents_and_inputs: Value) -> Value:
    """Π x^a; the arguments are the exponents a, then as many inputs x."""
    half = len(exponents_and_inputs) // 2
    product: Value = 1.0
    for exponent, x in zip(exponents_and_inputs[:half], exponents_and_inputs[half:], strict=True):
        product = product * x**exponent
    return product


def cobb_douglas_derivative(k: int, y: Value, *exponents_and_inputs: Value) -> Value:
    """∂y/∂(argument k) = a y / x, given y, for the inputs only."""
    half = len(exponents_and_inputs) // 2
    return exponents_and_inputs[k - half] * y / exponents_and_inputs[k]
