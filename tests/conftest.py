"""Before any test file: the Hypothesis profile, and the fixtures of tests in a browser."""

import os

import pytest

# Before NumPy is imported: the workers of pytest-xdist use every core already.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

pytest.register_assert_rewrite("support")

from support.browser import browser, open_page  # noqa: E402, F401
from support.profiles import load_profile  # noqa: E402

load_profile()
