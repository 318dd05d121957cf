"""A perceptron of ten lines of NumPy becomes a market, which learns to read digits by prices alone.

This is the economy of digits.toml, in Python; learn_digits.py measures how well its markets learn.
``python experiments/digits.py --series`` writes the two series that digits.toml reads.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from delayed_descent import Weights

from market_abm import Economy, Supply, from_function, from_text, market_settings
from market_abm.economy.read_series import series_of
from market_abm.market.arrays import ArrayEngine
from market_abm.market.mechanisms.registry import array_market

FILE = Path(__file__).with_name("digits.toml")
PIXELS, HIDDEN, CLASSES, BATCH = 64, 32, 10, 32
SPLIT = 1
"""The seed of the images that are held out."""


def perceptron(
    images: np.ndarray,
    labels: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    v: np.ndarray,
    c: np.ndarray,
) -> np.ndarray:
    """The log-likelihood of the label of each image, shape (images,)."""
    drive = images @ w + b
    h = np.tanh(drive)
    z = h @ v + c
    odds = np.exp(z)
    total = odds.sum(axis=1)
    evidence = np.log(total)
    likelihood = (labels * z).sum(axis=1) - evidence
    return likelihood  # noqa: RET504 (its name is that of the good)


# --- data -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    """Images, ink from 0 to 1, shape (images, pixels), and the digits that they show."""

    images: np.ndarray
    digits: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """1 for the digit of an image, 0 for the others, shape (images, classes)."""
        return np.eye(CLASSES)[self.digits]

    def __getitem__(self, chosen: Any) -> Digits:
        """Some of the images."""
        return Digits(self.images[chosen], self.digits[chosen])


def all_digits() -> Digits:
    """The 1,797 images of market_abm/data/PROVENANCE.md."""
    with np.load(str(files("market_abm") / "data" / "digits.npz")) as data:
        return Digits(data["images"] / 16.0, data["labels"].astype(int))


def halves(seed: int = SPLIT) -> tuple[Digits, Digits]:
    """Images to learn from, and a quarter of each digit's that is held out."""
    known, rng, held = all_digits(), np.random.default_rng(seed), []
    for digit in range(CLASSES):
        own = rng.permutation(np.flatnonzero(known.digits == digit))
        held.append(own[: round(len(own) / 4)])
    out = np.isin(np.arange(len(known.digits)), np.concatenate(held))
    return known[~out], known[out]


def batches(known: Digits, epochs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, shape (steps, batch, ...): each epoch all images in another order.

    What does not fill a batch is left out of an epoch.
    """
    count = len(known.digits) // BATCH
    orders = [rng.permutation(len(known.digits))[: count * BATCH] for _ in range(epochs)]
    chosen = known[np.concatenate(orders).reshape(-1, BATCH)]
    return chosen.images, chosen.labels


def write_series() -> None:
    """Write what digits.toml reads: the batches of one epoch."""
    images, labels = batches(halves()[0], 1, np.random.default_rng(SPLIT))
    np.savez_compressed(FILE.with_name("digits-images.npz"), images.astype(np.float16))
    np.savez_compressed(FILE.with_name("digits-labels.npz"), labels.astype(np.uint8))


# --- the economy ----------------------------------------------------------------------------------

OPERATIONS: str = tomllib.loads(FILE.read_text(encoding="utf-8"))["economy"]["program"]
"""One firm an operation, as the function is traced: 7 firms from the first weights to the end."""

NEURONS = """
for s in 0..batch-1:
    for j in 0..hidden-1:
        h[s,j] = tanh(sum(images[s,i]*w[i,j] for i in 0..pixels-1) + b[j])
    for k in 0..classes-1:
        z[s,k] = sum(h[s,j]*v[j,k] for j in 0..hidden-1) + c[k]
    likelihood[s] = (sum(labels[s,k]*z[s,k] for k in 0..classes-1)
                     - log(sum(exp(z[s,k]) for k in 0..classes-1)))
"""
"""One firm a neuron, and one that judges an image: 3 firms from the first weights to the end."""

RELAYS = """
for s in 0..batch-1:
    said[s,0] = likelihood[s]
    for d in 1..relays-1:
        said[s,d] = said[s,d-1]
"""
"""Firms that only pass on what is made of an image."""

LINES = {"operations": (7, 5), "neurons": (3, 2)}
"""The firms from a weight of each layer to the consumer."""


def supply_of(
    weights: Weights, images: np.ndarray, labels: np.ndarray, held: int = 1, **terms: Any
) -> dict[str, Supply]:
    """The suppliers of images and labels, each batch on sale for ``held`` steps, and of weights.

    ``terms`` are those of the suppliers of weights.
    """
    data = {
        name: Supply(series=series_of(values, name), period=held)
        for name, values in (("images", images), ("labels", labels))
    }
    shape = {"images": images.shape[1:], "labels": labels.shape[1:]}
    supply = {
        f"{name}[{s},{i}]": data[name] for name, size in shape.items() for s, i in np.ndindex(*size)
    }
    learner = {"kind": "gradient", "cost": "none", **terms}
    for name, array in parts(weights).items():
        for place in np.ndindex(array.shape):
            supply[_member(name, place)] = Supply(quantity=float(array[place]), **learner)
    return supply


def parts(weights: Weights) -> dict[str, np.ndarray]:
    """The arguments of the perceptron: weights and biases."""
    first, second = weights
    return {"w": first[:-1], "b": first[-1], "v": second[:-1], "c": second[-1]}


def economy(
    program: str,
    weights: Weights,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    relays: int = 0,
    **terms: Any,
) -> Economy:
    """The perceptron as the market of a text.

    Parameters
    ----------
    program
        ``OPERATIONS`` or ``NEURONS``.
    weights
        At the start.
    images, labels
        Shape (steps, batch, pixels) and (steps, batch, classes).
    relays
        The number of firms that pass on what is made of an image.
    **terms
        Those of :func:`supply_of`.
    """
    batch, hidden = images.shape[1], weights[0].shape[1]
    last = f"said[*,{relays - 1}]" if relays else "likelihood[*]"
    sizes = {"batch": batch, "hidden": hidden, "pixels": images.shape[2]}
    sizes |= {"classes": labels.shape[2], "relays": relays}
    text = program + (RELAYS if relays else "")
    return from_text(
        text,
        supply_of(weights, images, labels, **terms),
        {last.replace("*", str(s)): 1.0 / batch for s in range(batch)},
        parameters={name: size for name, size in sizes.items() if name in text},
        reuse="copy",
    )


def traced(weights: Weights, images: np.ndarray, labels: np.ndarray, **terms: Any) -> Economy:
    """The same market, of the Python function itself."""
    learner = {"kind": "gradient", "cost": "none", **terms}
    supply = {name: {"quantity": array, **learner} for name, array in parts(weights).items()}
    data = {"images": {"series": images}, "labels": {"series": labels}}
    return from_function(perceptron, {**supply, **data}, {"likelihood[*]": 1.0 / images.shape[1]})


# --- learning, and the test -----------------------------------------------------------------------


def market(of: Economy, **settings: Any) -> ArrayEngine:
    """The market of an economy, in arrays; ``settings`` are those of [market]."""
    return array_market([of], [market_settings(**settings)], [1])


def weights_of(engine: ArrayEngine, like: Weights) -> Weights:
    """What the suppliers of weights offer now, in arrays like those of the start."""
    offered, index = engine.state.quantities[0], engine.economy.index
    w, b, v, c = (
        np.array([offered[index[_member(name, place)]] for place in np.ndindex(each.shape)])
        for name, each in parts(like).items()
    )
    hidden, classes = len(b), len(c)
    first, second = w.reshape(-1, hidden), v.reshape(hidden, classes)
    return [np.concatenate([first, b[None]]), np.concatenate([second, c[None]])]


def _member(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{','.join(map(str, place))}]"


def learn(engine: ArrayEngine, like: Weights, steps: int, every: int) -> Iterator[Weights]:
    """The weights at the start and after each ``every`` steps, until the market breaks down."""
    yield weights_of(engine, like)
    for step in range(1, steps + 1):
        engine.step()
        if engine.failed:
            return
        if step % every == 0:
            yield weights_of(engine, like)


def test_accuracy(weights: Weights, held_out: Digits) -> float:
    """Run the function on images that nobody has seen: the digit of the largest likelihood."""
    with np.errstate(all="ignore"):  # a market that learns nothing may offer any numbers
        said = [
            perceptron(held_out.images, np.eye(CLASSES)[[digit]], **parts(weights))
            for digit in range(CLASSES)
        ]
    return float(np.mean(np.argmax(said, axis=0) == held_out.digits))


if __name__ == "__main__":
    if sys.argv[1:] == ["--series"]:
        write_series()
    else:
        sys.exit("usage: python experiments/digits.py --series")
