"""What tests in a browser ask for (``browser.py``)."""

from browser import browser, open_page  # noqa: F401
