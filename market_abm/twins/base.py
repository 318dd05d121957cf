"""Each mechanism's twin: the optimiser that it is claimed to be, run from the same start.

A twin is written from formulas alone and shares no line with the market: no agent, no book, no
trade. It knows the whole program. Two move the split of its goods, as an optimiser would that has
gradients some steps old:

* ``unit-bid``, exponentiated gradient (Kivinen and Warmuth 1997): s ← s (v/g)^κ / Σ, with v the
  marginal value of a unit to a buyer and g = Σ s v. To first order in v/g - 1 it is their
  s ← s exp(κ v/g) / Σ: mirror descent with the entropy as its mirror map, and the money at stake as
  the unit of the gradient.
* ``trading-post``, proportional response (Wu and Zhang 2007; Birnbaum, Devanur and Xiao 2011,
  who show it to be mirror descent with unit step): money follows what it earned.

Two move prices, by the program's dual:

* ``tatonnement``, gradient descent on the dual potential (``dual.py``): prices go down the slope of
  what everybody gains by the best answers to them.
* ``posted-price``, the primal-dual method of Arrow, Hurwicz and Uzawa (``primal_dual.py``): orders
  go up the slope of a Lagrangian and prices down, both in logarithms.

Signals travel as in docs/model.md, 2: one line a step if ``simultaneous``, all the way in a reverse
sweep if ``sequential``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from market_abm.economy.economy import Economy

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class TwinPath:
    """The path of an optimiser, entry by entry what a run of its market records.

    ``quantities`` (units) and ``prices`` (money per unit: the gradient that the optimiser works
    with) have shape (steps + 1, goods); ``shares``, by which the inputs of each step's batch had
    been handed out, (steps + 1, buyers): of ``tatonnement``, where nobody trades, what is demanded
    at a step's prices of what is supplied at them.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray


class Optimiser(Protocol):
    """An optimiser on its way; it begins where its market does.

    ``name`` is what it is called, and ``activations`` are those in which its market is one.
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]]

    def __init__(self, economy: Economy, settings: Any) -> None:
        """Stand at step 0."""

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a :class:`TwinPath` keeps of a step: quantities, prices and shares."""

    def step(self) -> None:
        """Go on by one step."""


@np.errstate(all="ignore")
def largest_distance(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """The largest |a - b|, relative to the largest size in its column, and the row it is in.

    Both have shape (steps, columns). What is no number in both is no distance, what is none in one
    an infinite one.
    """
    largest = np.fmax(np.abs(a), np.abs(b)).max(axis=0, initial=0.0, where=_finite(a, b))
    distance = np.abs(a - b) / np.where(largest > 0.0, largest, 1.0)
    distance = np.where(np.isnan(distance), np.inf, distance)
    distance[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    worst = distance.max(axis=1, initial=0.0)
    return float(worst.max(initial=0.0)), int(worst.argmax()) if len(worst) else 0


def _finite(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isfinite(a) & np.isfinite(b)
