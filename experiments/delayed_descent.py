"""Gradient ascent of a perceptron by old gradients, in NumPy alone: what a market should do.

It knows no market: a gradient is taken of all weights at once, at the weights of the steps at which
a market of dated goods, or of spot goods, would have sold them. Arrays may have a leading axis of
runs. ``experiments/digits.py`` compares it with markets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Weights = list[np.ndarray]
"""One array of each layer, shape (..., inputs + 1, outputs); the last row is the bias."""

Batch = tuple[np.ndarray, np.ndarray]
"""Images, shape (..., batch, pixels), and labels as 0 and 1, (..., batch, classes)."""


def initial_weights(sizes: Sequence[int], rng: np.random.Generator) -> Weights:
    """Normal numbers over the root of the number of inputs, the bias being one of them."""
    return [
        rng.standard_normal((one + 1, other)) / np.sqrt(one + 1) for one, other in pairwise(sizes)
    ]


def with_one(inputs: np.ndarray) -> np.ndarray:
    """The inputs, and 1 as the input of the bias."""
    return np.concatenate([inputs, np.ones_like(inputs[..., :1])], axis=-1)


def layers(weights: Weights, images: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The inputs of each layer, with 1, and the logits."""
    inputs = [with_one(images)]
    for own in weights[:-1]:
        inputs.append(with_one(np.tanh(inputs[-1] @ own)))
    return inputs, inputs[-1] @ weights[-1]


def likelihood(weights: Weights, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean log-likelihood of the labels."""
    logits = layers(weights, images)[1]
    own = (labels * logits).sum(axis=-1) - np.log(np.exp(logits).sum(axis=-1))
    return np.asarray(own.mean(axis=-1))


def gradient(weights: Weights, images: np.ndarray, labels: np.ndarray) -> Weights:
    """The derivative of the mean log-likelihood by all weights."""
    inputs, logits = layers(weights, images)
    odds = np.exp(logits)
    above = (labels - odds / odds.sum(axis=-1, keepdims=True)) / images.shape[-2]
    found = []
    for own, given in zip(reversed(weights), reversed(inputs), strict=True):
        found.append(np.swapaxes(given, -1, -2) @ above)
        above = (above @ np.swapaxes(own, -1, -2))[..., :-1] * (1.0 - given[..., :-1] ** 2)
    return found[::-1]


def accuracy(weights: Weights, images: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """The part of the images whose digit has the largest logit."""
    guess = layers(weights, images)[1].argmax(axis=-1)
    return np.asarray((guess == digits).mean(axis=-1))


def ascent(
    weights: Weights, batches: Iterable[Batch], rate: float, *, decay: float = 0.0
) -> Iterator[Weights]:
    """Plain backprop: w ← w + rate (gradient - decay w); the weights after each batch."""
    for batch in batches:
        slopes = gradient(weights, *batch)
        weights = [w + rate * (g - decay * w) for w, g in zip(weights, slopes, strict=True)]
        yield weights


def dated_ascent(
    weights: Weights,
    batches: Sequence[Batch],
    rate: Any,
    lines: Sequence[int],
    *,
    decay: float = 0.0,
    supply_line: float = 0.0,
    forecast: float = 0.0,
) -> Iterator[Weights]:
    """Ascent by gradients of earlier dates, a market of dated goods; the weights after each step.

    Parameters
    ----------
    weights
        At step 0, and, as all else, before.
    batches
        One for each step.
    rate
        Of all weights; of several runs, shape (runs, 1, 1).
    lines
        The firms on the longest way from a weight of each layer to the consumer, n_j. With N the
        most of them, a layer sells for a date after N - n_j steps, and is paid after N + n_j.
    decay
        The slope of the suppliers' own cost.
    supply_line
        What a supplier deducts from the price for each unit shipped since the date that is priced.
    forecast
        The part of the steps from sale to price by which a supplier extrapolates its own last move
        when it sells.
    """
    longest, layers_ = max(lines), range(len(weights))
    paths = [[own] for own in weights]  # what each layer has sold, step by step
    sold = [[own] for own in weights]
    for t in range(len(batches)):
        moved = []
        for j in layers_:
            now, date = paths[j][-1], t - longest - lines[j]
            if t < lines[j]:
                moved.append(now)
                continue
            then = [sold[k][max(0, date + longest - lines[k])] for k in layers_]
            slope = gradient(then, *batches[max(0, date)])[j]
            shipped = now - paths[j][max(0, t - 2 * lines[j])]
            moved.append(now + rate * (slope - decay * now - supply_line * shipped))
        for j in layers_:
            paths[j].append(moved[j])
            ahead = forecast * 2 * lines[j]
            sold[j].append(moved[j] + ahead * (moved[j] - paths[j][-2]) if ahead else moved[j])
        yield moved


def spot_ascent(
    weights: Weights, batches: Sequence[Batch], rate: float, held: int = 1
) -> Iterator[Weights]:
    """The prices of a spot market of one firm a neuron and one a label; weights after each step.

    A price is made of slopes of several dates: each layer values the batch that it has just sold by
    the last price of that, whatever batch it was of. Each batch is on sale for ``held`` steps.
    """
    count = len(weights)
    images, labels = batches[0]
    inputs, logits = layers(weights, images)
    used = [(inputs[j], weights[j]) for j in range(count)]
    judged = logits, labels
    prices = [np.zeros_like(each) for each in inputs[1:]] + [np.zeros_like(logits)]
    paid: Weights = []
    for t in range(1, len(batches) * held + 1):
        images, coming = batches[t // held % len(batches)]
        odds = np.exp(judged[0])
        below: list[np.ndarray] = []
        earned: Weights = []
        for j in range(count):
            given, own = used[j]
            value = prices[j]
            if j < count - 1:
                value = value[..., :-1] * (1.0 - inputs[j + 1][..., :-1] ** 2)
            earned.append(np.swapaxes(given, -1, -2) @ value)
            below.append(value @ np.swapaxes(own, -1, -2))
        share = odds / odds.sum(axis=-1, keepdims=True)
        prices = [*below[1:], (judged[1] - share) / images.shape[-2]]
        used, judged = [(inputs[j], weights[j]) for j in range(count)], (logits, labels)
        made = [with_one(np.tanh(inputs[j] @ weights[j])) for j in range(count - 1)]
        logits = inputs[-1] @ weights[-1]
        inputs, labels = [with_one(images), *made], coming
        if paid:
            weights = [w + rate * p for w, p in zip(weights, paid, strict=True)]
        paid = earned
        yield weights
