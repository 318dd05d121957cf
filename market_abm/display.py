"""How objects display themselves: their texts, tables and figures are registered from above.

A result holds data; ``views`` draws it and stands above. So a class that can be displayed derives
from :class:`Displayable`, ``views/registry.py`` registers its views by name, and the package names
the loader of that registry. Nothing below ``views`` imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

View = Callable[..., Any]
"""A function of the displayed object."""

_views: dict[type, dict[str, View]] = {}
_loaders: list[Callable[[], object]] = []


def register(kind: type, **views: View) -> None:
    """Register the views of a class by name: ``text``, ``html``, ``save``, or a figure."""
    _views.setdefault(kind, {}).update(views)


def load_with(loader: Callable[[], object]) -> None:
    """Set the function that registers all views; it is called when the first view is needed."""
    _loaders.append(loader)


def view(displayed: object, name: str) -> View:
    """The view of an object by name; a function that takes the object as its first argument.

    Raises
    ------
    LookupError
        There is no such view.
    """
    while _loaders:
        _loaders.pop()()
    for kind in type(displayed).__mro__:
        if name in _views.get(kind, {}):
            return _views[kind][name]
    raise LookupError(f"no view '{name}' of {type(displayed).__name__} is registered")


class Displayable:
    """Base of objects with a ``repr`` in one line and a rich display in notebooks."""

    def __repr__(self) -> str:
        return str(view(self, "text")(self))

    def _repr_html_(self) -> str:
        return str(view(self, "html")(self))
