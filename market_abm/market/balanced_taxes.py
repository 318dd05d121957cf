"""Incomes that contain taxes on what they buy: a household may get what others, or it, just paid.

Used by mechanisms in which households plan what they buy at quoted prices, of the income at these
prices (``mechanisms/tatonnement.py``); where goods are traded, taxes are received a step later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy

MAX_ROUNDS = 60
"""The budget of rounds; three suffice where what is bought is in proportion to income."""

BALANCED = 1e-15
"""How much of all incomes a gap may be: rounding."""

NOTHING = 1e-30
"""A part of all incomes that is none: what is left where it is cut in every round."""


def balanced_incomes(
    earned: np.ndarray, start: np.ndarray, buy: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Incomes m with m = earned + taxes that each gets of what all buy with m.

    Parameters
    ----------
    earned
        What is earned otherwise, money, shape (..., households).
    start
        A guess of m, shape (..., households).
    buy
        Lets all households buy with incomes, and returns what each (on the last axis but one) gets
        of the taxes that each (on the last axis) pays, shape (..., households, households).

    Returns
    -------
    numpy.ndarray
        The incomes that ``buy`` was called with last.

    Notes
    -----
    Newton's method, with what of an income is paid in taxes on average in the place of what is paid
    of its last unit: both are the same where all goods are bought in proportion to income.
    """
    income = np.where(start > 0.0, start, 1.0)
    for _ in range(MAX_ROUNDS):
        taxes = buy(income)
        gap = earned + taxes.sum(axis=-1) - income
        size = np.abs(income).sum(axis=-1, keepdims=True)
        if np.all((np.abs(gap) <= BALANCED * size) | ~np.isfinite(gap)):
            break
        parts = np.where(np.isfinite(taxes), taxes, 0.0) / income[..., None, :]
        change = _solved(np.eye(income.shape[-1]) - parts, gap)
        following = income + change
        better = np.isfinite(following) & (np.abs(gap) > BALANCED * size)
        following = np.where(following > 0.0, following, income / 10.0)
        income = np.where(better, following, income)
    if np.any(income < NOTHING * np.abs(income).sum(axis=-1, keepdims=True)):
        size = np.abs(income).sum(axis=-1, keepdims=True)
        income = np.where(income < NOTHING * size, 0.0, income)  # what it pays takes all it has
        buy(income)
    return income


def taxes_of_others(economy: Economy, paid: np.ndarray, sold: np.ndarray) -> np.ndarray:
    """What each household gets of taxes on what firms and consumers buy, (..., households).

    Parameters are those of :meth:`Economy.tax_incomes`; what households pay does not count.
    """
    of_households = np.isin(economy.uses.maker, economy.claims.good)
    return economy.tax_incomes(np.where(of_households, 0.0, paid), sold)


def taxes_of_households(economy: Economy, paid: np.ndarray) -> np.ndarray:
    """What each gets of the taxes that each pays, (..., households, households); as above."""
    nothing = np.zeros((*paid.shape[:-1], len(economy.final)))
    of_payers = [
        economy.tax_incomes(np.where(economy.uses.maker == good, paid, 0.0), nothing)
        for good in economy.claims.good
    ]
    return np.stack(of_payers, axis=-1)


def _solved(matrix: np.ndarray, right: np.ndarray) -> Any:
    """The solutions of linear systems, not a number where there is none."""
    regular = np.abs(np.linalg.det(matrix)) > 0.0
    system = np.where(regular[..., None, None], matrix, np.eye(matrix.shape[-1]))
    found = np.linalg.solve(system, np.where(np.isfinite(right), right, 0.0)[..., None])[..., 0]
    return np.where(regular[..., None], found, np.nan)
