"""How objects display themselves: their texts, tables and figures come from above.

A result holds data; ``views`` draws it and stands above. So a class that can be displayed derives
from :class:`Displayable`, ``views/registry.py`` lists its views by name, and the package's root
names the function that finds them. Nothing below ``views`` imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

View = Callable[..., Any]
"""A function of the displayed object."""

_finders: list[Callable[[str, str], View | None]] = []


def find_with(finder: Callable[[str, str], View | None]) -> None:
    """Set the function that finds a view, given the names of the class and of the view."""
    _finders[:] = [finder]


def view(displayed: object, name: str) -> View:
    """The view of an object by name; a function that takes the object as its first argument.

    Raises
    ------
    LookupError
        There is no such view.
    """
    for kind in type(displayed).__mro__:
        for finder in _finders:
            found = finder(kind.__name__, name)
            if found is not None:
                return found
    raise LookupError(f"no view '{name}' of {type(displayed).__name__} is registered")


class Displayable:
    """Base of objects with a ``repr`` in one line and a rich display in notebooks."""

    def __repr__(self) -> str:
        return str(view(self, "text")(self))

    def _repr_html_(self) -> str:
        return str(view(self, "html")(self))


class Savable(Displayable):
    """Base of objects that are written as a folder of files."""

    def save(
        self,
        folder: str | Path,
        *,
        figures: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write it into ``folder``, completely or not at all; see ``views/save.py``.

        Without ``figures`` only data are written; ``progress(done, most)`` is of files.
        """
        path: Path = view(self, "save")(self, folder, figures=figures, progress=progress)
        return path
