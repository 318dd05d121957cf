"""Welfare as a function of two free variables, and gradient ascent on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Problem
from market_abm.gradient.equilibrium import Equilibrium

GRID = 60
"""Points of the landscape along each axis."""

MAX_STEPS = 20_000
"""The budget of gradient ascent, steps."""

MAX_LINES = 200_000
"""The budget of gradient ascent, steps times the lines of the program."""

DENSE_VARIABLES = 100
"""Free variables beyond which the largest curvature is found by Lanczos iteration (ARPACK)."""

LEAST_SHARE = 1e-12
"""What a share of 0 at the optimum counts as, so that it has a logarithm."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """W over two free variables, raw quantities (units) or shares of a good.

    Attributes
    ----------
    names
        The variables.
    x, y
        Their values on the grid.
    welfare
        W, money, shape (y, x).
    """

    names: tuple[str, str]
    x: np.ndarray
    y: np.ndarray
    welfare: np.ndarray
    _raw: np.ndarray
    _buyers: np.ndarray

    def route(self, quantities: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """A path in these coordinates, shape (steps, 2).

        Parameters
        ----------
        quantities
            Shape (steps, goods).
        shares
            Shape (steps, buyers).
        """
        return np.concatenate([quantities[:, self._raw], shares[:, self._buyers]], axis=1)


@np.errstate(all="ignore")
def landscape(
    economy: Economy,
    quantities: np.ndarray,
    shares: np.ndarray,
    best: Equilibrium,
    points: int = GRID,
) -> Landscape | None:
    """The landscape around a path and the optimum; None unless exactly two variables are free.

    Of each shared pool all buyers but the first are variables; the first has the rest.

    Parameters
    ----------
    economy
        The economy.
    quantities, shares
        The path, shapes (steps, goods) and (steps, buyers).
    best
        The optimum.
    points
        Grid points along each axis.
    """
    problem = Problem(economy)
    if problem.size != 2:
        return None
    rest = [pool[1:] for pool in problem.pools]
    buyers = np.concatenate([np.arange(0), *rest])
    names = [f"quantity of {economy.goods[k]}" for k in problem.raw]
    names += [
        f"share of {economy.goods[economy.buyers.good[b]]} for {economy.buyer_name(int(b))}"
        for b in buyers
    ]
    ends = np.concatenate([best.quantities[problem.raw], best.shares[buyers]])
    visited = np.concatenate([quantities[:, problem.raw], shares[:, buyers]], axis=1)
    axes = []
    for k, end in enumerate(ends):
        low, high = min(visited[:, k].min(), end), max(visited[:, k].max(), end)
        margin = 0.35 * (high - low) if high > low else 0.5 * abs(high)
        bounds = (1e-3, 1.0 - 1e-3) if k >= len(problem.raw) else (1e-3 * abs(end), np.inf)
        axes.append(
            np.linspace(max(low - margin, bounds[0]), min(high + margin, bounds[1]), points)
        )

    values = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    raw = np.tile(best.quantities[: len(economy.supply)], (len(values), 1))
    split = np.tile(best.shares, (len(values), 1))
    raw[:, problem.raw] = values[:, : len(problem.raw)]
    split[:, buyers] = values[:, len(problem.raw) :]
    for pool in problem.pools:
        split[:, pool[0]] = 1.0 - split[:, pool[1:]].sum(axis=1)
    grid = problem.evaluate(raw, split).value.reshape(len(axes[1]), len(axes[0]))
    first, second = names
    return Landscape((first, second), axes[0], axes[1], grid, problem.raw, buyers)


@dataclass(frozen=True, eq=False)
class Ascent:
    """A path of gradient ascent.

    Attributes
    ----------
    quantities, prices
        Units, and money per unit, shape (steps + 1, goods).
    welfare
        W, money, shape (steps + 1,).
    complete
        Whether it ended before its budget was used up.
    """

    quantities: np.ndarray
    prices: np.ndarray
    welfare: np.ndarray
    complete: bool


@np.errstate(all="ignore")
def gradient_ascent(
    economy: Economy,
    best: Equilibrium,
    accuracy: float,
    progress: Callable[[int, int], None] | None = None,
) -> Ascent | None:
    """Gradient ascent on W from the market's initial allocation, with a constant step size.

    The variables are logarithms of shares and quantities. The step size is one over the largest
    curvature at the optimum, so that no mode overshoots there.

    Parameters
    ----------
    economy
        The economy.
    best
        The optimum.
    accuracy
        The ratio of the last gradient to the first at which to stop.
    progress
        ``progress(done, most)``, called now and then with the number of steps.

    Returns
    -------
    Ascent or None
        None if there are no free variables, or no curvature to choose a step size by. After
        20,000 steps, fewer of more than ten lines, it ends where it is.
    """
    problem = Problem(economy)
    if problem.size == 0:
        return None
    shares = np.maximum(best.shares, LEAST_SHARE)
    optimum = problem.point(best.quantities[: len(economy.supply)], shares)

    top = problem.at(optimum)

    def slope(point: np.ndarray) -> np.ndarray:
        return problem.slope(problem.at(point, near=top))

    largest = _largest_curvature(slope, optimum)
    if largest is None:
        return None
    step = 1.0 / largest
    point = problem.start()
    path = [problem.at(point)]
    gradient = problem.slope(path[0])
    target = accuracy * np.abs(gradient).max()
    most = min(MAX_STEPS, MAX_LINES // len(economy.industries))
    while np.abs(gradient).max() > target and len(path) <= most:
        point = point + step * gradient
        path.append(problem.at(point, near=path[-1]))
        gradient = problem.slope(path[-1])
        if progress and len(path) % 100 == 0:
            progress(len(path), most)
    return Ascent(
        np.array([at.quantities for at in path]),
        np.array([at.prices for at in path]),
        np.array([at.value for at in path]),
        not np.abs(gradient).max() > target,
    )


def _largest_curvature(
    slope: Callable[[np.ndarray], np.ndarray], point: np.ndarray
) -> float | None:
    """The largest |eigenvalue| of the Jacobian of a gradient at ``point``; None if not a number.

    By central differences: along each variable, or, of many variables, along the directions of a
    Lanczos iteration, some dozens whatever the number of variables.
    """

    def along(direction: np.ndarray) -> np.ndarray:
        size = float(np.linalg.norm(direction))
        move = 1e-6 / size * direction.ravel()
        return (slope(point + move) - slope(point - move)) / (2e-6 / size)

    if len(point) <= DENSE_VARIABLES:
        matrix = np.array([along(each) for each in np.eye(len(point))])
        if not np.all(np.isfinite(matrix)):
            return None
        return float(np.abs(np.linalg.eigvalsh((matrix + matrix.T) / 2)).max())
    from scipy.sparse.linalg import LinearOperator, eigsh  # slow to import

    start = np.ones(len(point))
    if not np.all(np.isfinite(along(start))):
        return None
    operator = LinearOperator((len(point), len(point)), matvec=along, dtype=float)
    (largest,) = eigsh(operator, k=1, v0=start, tol=1e-6, return_eigenvectors=False)
    return float(abs(largest))
