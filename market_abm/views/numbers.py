"""Numbers as text: every view formats its numbers with these functions.

``format_number`` is for prose and HTML, ``format_label`` for figures, ``format_plain`` for the
terminal and wherever a number may be copied from.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: Any, digits: int = 6) -> str:
    """A number with at least ``digits`` significant digits: 0.0416667, 12,345.7, 1.2 × 10⁻⁹.

    Parameters
    ----------
    value
        A number, or an array of one number a run, shown as the range that it spans.
    digits
        Significant digits; trailing zeros are dropped, digits before the point are not.
    """
    if isinstance(value, np.ndarray) and value.size != 1:
        low, high = format_number(value.min(), digits), format_number(value.max(), digits)
        return low if value.min() == value.max() else f"{low} … {high}"
    exact = float(np.asarray(value).item())
    if math.isnan(exact):
        return "no number"
    sign, size = MINUS if exact < 0.0 else "", abs(exact)
    if size == 0.0:
        return "0"
    if math.isinf(size):
        return f"{sign}∞"
    if 1e-4 <= size < 1e9:
        places = max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{size:,.{places}f}"
        return sign + (text.rstrip("0").rstrip(".") if "." in text else text)
    mantissa, _, power = f"{size:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{sign}{'' if mantissa == '1' else f'{mantissa} × '}10{_superscript(int(power))}"


def format_label(value: float, digits: int = 4) -> str:
    """A number of ``digits`` significant digits as a figure shows it: 0.04167, −2, 1.2e−09."""
    return f"{value:.{digits}g}".replace("-", MINUS)


def format_plain(value: float, digits: int = 6) -> str:
    """A number of ``digits`` significant digits as Python reads it: 0.0416667, -2, 1.2e-09."""
    return f"{value:.{digits}g}"


def format_fixed(value: float, places: int) -> str:
    """A number with ``places`` digits after the point."""
    return f"{value:.{places}f}"


def format_count(count: int, one: str, several: str = "") -> str:
    """How many of something: 1 good, 2 goods, 1,000 industries."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def format_error(error: float) -> str:
    """A relative error or distance by its order of magnitude: 0, 1.2e-09."""
    return "0" if error == 0.0 else f"{error:.1e}"


def format_share(share: float, digits: int = 0) -> str:
    """A fraction of 1 as a percentage: 75%."""
    return f"{share:.{digits}%}"


def format_percent(percent: float, digits: int | None = None) -> str:
    """A change in per cent, with its sign: +3 %, −0.25 %.

    Parameters
    ----------
    percent
        The change, 100 for a doubling.
    digits
        Digits after the point; by default as few as represent it.
    """
    shown = f"{percent:+g}" if digits is None else f"{percent:+.{digits}f}"
    return "0 %" if float(shown) == 0.0 else f"{shown.replace('-', MINUS)} %"


def format_power_of_ten(value: float) -> str:
    """The nearest power of ten: 10⁻³.

    In plain characters, because matplotlib's renderer of formulas takes half a second to load.
    """
    return f"10{_superscript(round(math.log10(value)))}"


def _superscript(power: int) -> str:
    return str(power).translate(_SUPERSCRIPTS)
