"""How objects show themselves: what is drawn or written of them is registered from above.

A result knows its data; how it is drawn is known in ``views`` only, which stands above. So a class
that can be shown derives from :class:`Displayable`, ``views/registry.py`` registers its views by
name, and the package's root says who is to be asked for them. Nothing below ``views`` imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

View = Callable[..., Any]

_views: dict[type, dict[str, View]] = {}
_loaders: list[Callable[[], object]] = []


def register(kind: type, **views: View) -> None:
    """Register the views of a class by name: ``text``, ``html``, ``save``, or a figure."""
    _views.setdefault(kind, {}).update(views)


def load_with(loader: Callable[[], object]) -> None:
    """Name the function that registers all views; it is called when the first one is needed."""
    _loaders.append(loader)


def view(shown: object, name: str) -> View:
    """The view of an object by that name, taking the object as its first argument.

    Raises
    ------
    LookupError
        There is no such view.
    """
    while _loaders:
        _loaders.pop()()
    for kind in type(shown).__mro__:
        if name in _views.get(kind, {}):
            return _views[kind][name]
    raise LookupError(f"no view '{name}' of {type(shown).__name__} is registered")


class Displayable:
    """Base of all that has a ``repr`` in one line and shows itself in a notebook."""

    def __repr__(self) -> str:
        return str(view(self, "text")(self))

    def _repr_html_(self) -> str:
        return str(view(self, "html")(self))
