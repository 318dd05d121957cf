"""Messages of the commands that are not about results."""

INTERRUPTED_AT_ONCE = "Interrupted."
INTERRUPTED = "Interrupted: nothing was written."
WRITING, FRAMES, RUNS = "files", "frames", "runs"
"""Pieces of work, in rows that show their progress."""

INTERRUPTED_SWEEP = "Interrupted: completed runs are kept; continue with --resume."


def open_to_others(address: str) -> str:
    """That a page can be reached from other machines."""
    return f"Other machines can open this page and run markets here: {address}"


def page_address(url: str) -> str:
    """Where a page is, and how to end its server."""
    return f"Watch it at {url} (Ctrl-C stops)"


def time_text(elapsed: float | None, left: float | None) -> str:
    """The seconds left of a piece of work; if unknown, those since it began."""
    seconds = elapsed if left is None else left
    if seconds is None:
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return clock if left is None else f"{clock} left"


def film_steps(last: int, steps: int) -> str:
    """Which steps of a run a film shows."""
    return f"steps 0 to {last} of {steps}"


def system_error(why: str, path: object) -> str:
    """That the system refused to write: to a file, or what is printed."""
    what = f"'{path}'" if path else "the output"
    return f"Error: cannot write {what} ({why})"
