"""Before any test file: the Hypothesis profile, and the fixtures of tests in a browser."""

import pytest

pytest.register_assert_rewrite("support")

from support.browser import browser, open_page  # noqa: E402, F401
from support.profiles import load_profile  # noqa: E402

load_profile()
