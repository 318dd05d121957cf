"""How many examples Hypothesis tries: the profile ``quick``, or ``thorough`` (``make test-all``).

Both are derandomized, so that a failure on one machine is a failure on all, and without deadlines,
because the first example pays for the imports. The environment variable HYPOTHESIS_PROFILE chooses.
"""

import os

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
