"""A market in the browser: `session.py` moves it, `page.py` shows it, `server.py` serves it."""
