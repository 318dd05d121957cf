"""The production functions CES and Cobb-Douglas: values and derivatives, exact at every scale."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

Value = Any
"""A float, a NumPy array, or an Expression: whatever arithmetic is being done on."""


def ces(*arguments: Value) -> Value:
    """(Σ w x^r)^(1/r), r = (σ - 1)/σ; ``arguments`` are σ, the weights and the inputs."""
    return ces_jointly(*arguments)[0]


def ces_jointly(
    elasticity: Value, *weights_and_inputs: Value
) -> tuple[Value, Callable[[int], Value]]:
    """CES and its derivatives, exact to rounding at every scale and for every σ.

    With m the mean of ln x by the weights, which sum to 1, ln y = m + ln(1 + g) / r, where
    g = Σ w (e^(r (ln x - m)) - 1) is never negative: no digits cancel, and σ = 1 is the limit m.
    Where g is too large for a number, one input is all that counts, and ln(1 + g) is taken over it.
    ∂y/∂x = w (y/x)^(1/σ), from the same logarithms.
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

    def slope(k: int) -> Value:
        growth = _into(np.divide, above_mean - centred[k - 1 - half], elasticity)
        return _into(np.multiply, _into(np.exp, growth), weights[k - 1 - half])

    if np.all(finite):
        return y, slope
    plain = sum(w * x**r for w, x in zip(weights, inputs, strict=True)) ** (1.0 / r)
    y = np.where(finite | at_one, y, plain)[()]  # an input is 0
    return y, lambda k: ces_derivative(k, y, elasticity, *weights_and_inputs)


def _log_sum(weights: Sequence[Value], r: Value, logs: Sequence[Value]) -> Value:
    """The logarithm of Σ w e^(r ln x), by way of its largest term."""
    powers = [r * log for log in logs]
    largest = reduce(np.maximum, powers)
    terms = [w * np.exp(each - largest) for w, each in zip(weights, powers, strict=True)]
    return largest + np.log(reduce(operator.add, terms))


def _into(ufunc: np.ufunc, own: Value, *others: Value) -> Value:
    """``ufunc(own, ...)``, in the memory of ``own``, which nobody else uses, if it is large."""
    large = isinstance(own, np.ndarray) and own.size >= 4096
    if large and np.broadcast(own, *others).shape == own.shape:
        return ufunc(own, *others, out=own)
    return ufunc(own, *others)


def ces_derivative(k: int, y: Value, elasticity: Value, *weights_and_inputs: Value) -> Value:
    half = len(weights_and_inputs) // 2
    i = k - 1 - half
    return weights_and_inputs[i] * (y / weights_and_inputs[half + i]) ** (1.0 / elasticity)


def cobb_douglas(*exponents_and_inputs: Value) -> Value:
    half = len(exponents_and_inputs) // 2
    product: Value = 1.0
    for exponent, x in zip(exponents_and_inputs[:half], exponents_and_inputs[half:], strict=True):
        product = product * x**exponent
    return product


def cobb_douglas_derivative(k: int, y: Value, *exponents_and_inputs: Value) -> Value:
    half = len(exponents_and_inputs) // 2
    return exponents_and_inputs[k - half] * y / exponents_and_inputs[k]
