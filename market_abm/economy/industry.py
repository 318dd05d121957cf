"""Goods, industries, suppliers and consumers: the validated, immutable production network.

Vocabulary: an *industry* makes one *good* with one *technology* and consists of *firms*, replicas
of the line. A *raw good* comes from a *supplier*; a *final good* goes to a *consumer*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.economy.terms import FirmPopulation


@dataclass(frozen=True, eq=False)
class Industry:
    """One line of the program: what it makes, how, and its firms.

    ``weights`` and ``productivity`` have shape (firms,), or (runs, firms) in a stacked economy;
    ``line`` is the line's number in the program's text, where it has one. ``own_keys`` are those
    keys of ``population`` that are set for this industry alone, not for all.
    """

    good: str
    technology: Technology
    population: FirmPopulation = field(default_factory=FirmPopulation)
    line: int | None = None
    weights: np.ndarray = field(default_factory=lambda: np.ones(1))
    productivity: np.ndarray = field(default_factory=lambda: np.ones(1))
    own_keys: frozenset[str] = frozenset()

    @property
    def firms(self) -> int:
        """How many firms the industry holds."""
        return self.weights.shape[-1]

    def text(self, *, exact: bool = False) -> str:
        """The line itself, its numbers to twelve digits or, if ``exact``, to the last."""
        return f"{self.good} = {self.technology.text(exact=exact)}"


def production(
    technology: Technology, inputs: Iterable[Any], weight: Any, productivity: Any
) -> tuple[Any, Any]:
    """What a replica of the line makes of ``inputs``, and its marginal products.

    Output is f_i(x) = z w f(x / w), in units of the good, and ∂f_i/∂x = z f'(x / w). ``inputs`` has
    one entry an input, each of shape (...) as ``weight`` w and ``productivity`` z; the output has
    that shape too, and so has each marginal product. Replicas with z = 1 that hold each input by
    their weights together make exactly f. A line of many inputs takes them as one array, shape
    (inputs, ...), and so are its products.
    """
    if technology.vectorized:
        output, products = technology.production(np.asarray(inputs) / weight)
        return productivity * weight * output, productivity * np.asarray(products)
    output, products = technology.production([x / weight for x in inputs])
    return productivity * weight * output, [productivity * product for product in products]
