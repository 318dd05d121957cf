"""A market that learns: the perceptron of experiments/digits.py against backprop in NumPy."""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from measure import Goal, Outcome, Row, Size, agreement, interleaved, once, seconds

sys.path.append(str(Path(__file__).parents[1] / "experiments"))

CHECKED_STEPS = 24
"""Steps after which the weights of the market are compared: some beyond the first prices."""


def perceptron(size: Size) -> Outcome:
    """The traced perceptron, 64-32-10 and 32 images a step, without and with dates."""
    import delayed_descent  # late: an older package cannot run it
    import digits

    hidden, batch = (8, 8) if size.quick else (digits.HIDDEN, digits.BATCH)
    rng = np.random.default_rng(1)
    weights = delayed_descent.initial_weights((digits.PIXELS, hidden, digits.CLASSES), rng)
    images, labels = digits.batches(digits.halves()[0], 1, rng)
    images, labels = images[:, :batch], labels[:, :batch]
    batches = list(zip(images, labels, strict=True))
    tracing, economy = once(partial(digits.traced, weights, images, labels, rate=0.1))
    reading, _ = once(partial(digits.economy, digits.OPERATIONS, weights, images, labels, rate=0.1))
    making, dated = once(partial(digits.market, economy, dating="dated"))
    spot = digits.market(economy)
    path = delayed_descent.dated_ascent(weights, batches, 0.1, digits.LINES["operations"])
    now = deque(islice(path, CHECKED_STEPS), maxlen=1)[0]
    for _ in range(CHECKED_STEPS):
        dated.step()
        spot.step()
    offered = digits.weights_of(dated, weights)
    far = max(float(np.abs(one - other).max()) for one, other in zip(offered, now, strict=True))
    if not 0.0 <= far <= 1e-12:
        raise RuntimeError(f"weights differ by {far:.1e}, so that times mean nothing")
    times = interleaved(
        {
            "dated": dated.step,
            "spot": spot.step,
            "NumPy": partial(delayed_descent.gradient, weights, *batches[0]),
        }
    )
    firms, links = len(economy.industries), economy.buyers.size
    what = f"traced perceptron of {firms:,} firms and {links:,} links"
    rows = [
        Row(
            f"perceptron-{kind}-{hidden}",
            f"{what}, {kind}, arrays: a link and step",
            1e9 * times[kind] / links,
            "ns",
            f"{seconds(times[kind])} a step, {seconds(times[kind] / firms)} a firm"
            + (f"; weights agree {agreement(far)} with NumPy's" if kind == "dated" else ""),
            Goal(60),
        )
        for kind in ("dated", "spot")
    ]
    rows += [
        Row(
            f"perceptron-numpy-{hidden}",
            "the same: a step of the dated market over NumPy's forward and backward pass",
            times["dated"] / times["NumPy"],
            detail=f"{seconds(times['dated'])} : {seconds(times['NumPy'])}",
        ),
        Row(
            f"perceptron-epoch-{hidden}",
            f"the same: an epoch of the digits, {len(batches)} steps of {batch} images",
            len(batches) * times["dated"],
            "s",
            f"NumPy {seconds(len(batches) * times['NumPy'])}",
        ),
        Row(
            f"perceptron-setup-{hidden}",
            "the same: set-up",
            tracing + making,
            "s",
            f"function to economy {seconds(tracing)} (text {seconds(reading)}), "
            f"economy to engine {seconds(making)}",
            Goal(5),
        ),
    ]
    return Outcome(rows)
