"""Branches of traced arrays: comparisons that ``np.where`` chooses by, least and largest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from market_abm.language.tracing import Answer, Traced, extreme


class TracedMask(np.ndarray):
    """The answers to comparisons of traced values as an array of bool.

    They are noted. What ``np.where`` chooses by them is an operation, and they are forgotten. Of a
    mask that is changed, or made of others, the answers are no longer known.
    """

    answers: Any = None

    def __setitem__(self, key: Any, value: Any) -> None:
        """Change a part."""
        self.answers = None
        super().__setitem__(key, value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute with plain arrays; into a mask that is changed, as by ``&=``."""
        changed = options.get("out", ())
        for each in changed:
            if isinstance(each, TracedMask):
                each.answers = None
        if changed:
            options["out"] = tuple(_as_plain(each) for each in changed)
        result = getattr(ufunc, method)(*map(_as_plain, inputs), **options)
        return changed[0] if changed else result

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """Let arrays of traced values compute ``np.where``."""
        if function is np.where and any(map(_is_traced, args)):
            return NotImplemented
        return super().__array_function__(function, types, args, options)


def _as_plain(value: Any) -> Any:
    """A mask as a plain array; any other value."""
    return value.view(np.ndarray) if isinstance(value, TracedMask) else value


def _is_traced(value: Any) -> bool:
    """Whether a value is traced, or an array of traced values."""
    return isinstance(value, Traced) or (isinstance(value, np.ndarray) and value.dtype == object)


def compared(answers: Any) -> Any:
    """The answers to comparisons, element by element, as a mask; that to one as it is."""
    if not isinstance(answers, np.ndarray):
        return answers
    mask = np.array([bool(each) for each in answers.ravel()], bool).reshape(answers.shape)
    result = mask.view(TracedMask)
    result.answers = answers
    return result


def answers_of(condition: Any) -> Any:
    """The answers that a condition holds, an array of objects; None if there are none."""
    if not isinstance(condition, Answer):
        return getattr(condition, "answers", None)
    array = np.empty((), object)
    array[()] = condition
    return array


def _chosen(answer: Any, yes: Any, no: Any) -> Any:
    """``where`` of one element; the branch of the numbers where the other one has no value."""
    if not isinstance(answer, Answer):
        return yes if answer else no
    other = no if answer.holds else yes
    if yes is no or not np.isfinite(other.value if isinstance(other, Traced) else other):
        return yes if answer else no
    return answer.choose(yes, no)


CHOSEN = np.frompyfunc(_chosen, 3, 1)
"""``np.where`` by answers, element by element."""


def plain_reduction(options: Mapping[str, Any]) -> bool:
    """Whether a reduction has no other options than an axis."""
    return all(key in ("axis", "keepdims") or each is None for key, each in options.items())


def reduced(name: str, values: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The least or the largest along an axis, each one operation, as an array of objects."""
    array = np.asarray(values, object)
    axes = range(array.ndim) if axis is None else np.atleast_1d(axis).tolist()
    axes = sorted(each % array.ndim for each in axes)
    kept = [each for each in range(array.ndim) if each not in axes]
    lead = tuple(array.shape[each] for each in kept)
    rows = array.transpose(*kept, *axes).reshape(*lead, -1)
    result = np.empty(lead, object)
    for place in np.ndindex(lead):
        result[place] = extreme(name, rows[place].tolist())
    return np.expand_dims(result, tuple(axes)) if keepdims else result


def clipped(values: Any, low: Any, high: Any) -> Any:
    """``np.clip``: not below ``low``, nor above ``high``."""
    values = values if low is None else np.maximum(values, low)
    return values if high is None else np.minimum(values, high)
