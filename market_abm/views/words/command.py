"""Messages of the commands that are not about results."""

INTERRUPTED_AT_ONCE = "Interrupted."
INTERRUPTED = "Interrupted: nothing was written."
INTERRUPTED_SWEEP = "Interrupted: completed runs are kept; continue with --resume."


def open_to_others(address: str) -> str:
    """That a page can be reached from other machines."""
    return f"Other machines can open this page and run markets here: {address}"


def page_address(url: str) -> str:
    """Where a page is, and how to end its server."""
    return f"Watch it at {url} (Ctrl-C stops)"


def film_steps(last: int, steps: int) -> str:
    """Which steps of a run a film shows."""
    return f"steps 0 to {last} of {steps}"


def system_error(why: str, path: object) -> str:
    """That the system refused to write: to a file, or what is printed."""
    what = f"'{path}'" if path else "the output"
    return f"Error: cannot write {what} ({why})"
