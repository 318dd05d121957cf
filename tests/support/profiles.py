"""What ``make test`` leaves to ``make test-all``: Hypothesis examples, and members of tests.

The environment variable HYPOTHESIS_PROFILE chooses ``quick`` or ``thorough``. Both profiles are
derandomized, so that a failure on one machine is a failure on all, and without deadlines, because
the first example pays for the imports.
"""

import os
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

THOROUGH = 100
EXAMPLES = {"quick": 30, "thorough": THOROUGH}


def load_profile() -> None:
    """Load the profile that the environment names; before any test file is imported."""
    for name, count in EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=count,
            derandomize=True,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def examples(thorough: int) -> int:
    """The number of examples of a test that tries ``thorough`` of them in that profile."""
    return -(-thorough * settings.default.max_examples // THOROUGH)


def members(every: Iterable[Any], quick: Iterable[Any]) -> list[Any]:
    """All members of a parametrized test; those that are not ``quick`` are marked slow."""
    every, quick = list(every), list(quick)
    assert set(quick) <= set(every)
    return [
        pytest.param(
            *(each if isinstance(each, tuple) else (each,)),
            marks=[pytest.mark.slow] * (each not in quick),
        )
        for each in every
    ]
