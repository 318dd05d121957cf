"""The page of a report: its sections and figures, and the HTML around them.

The file needs only a browser: styles, script and data are inline. A content security policy in its
head allows no script but its own, by hash, so that a stranger's folder cannot add one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from market_abm.views.words import report as words
from market_abm.views.words.text import sentence

ASSETS = Path(__file__).parent / "assets"

GENERATOR = '<meta name="generator" content="market-abm report">'
"""The mark of a report, which another report may replace."""

FIGURES_HTML = (
    f'<p class="note">{words.FIGURES_NOTE}</p><noscript><p>{words.NO_SCRIPT}</p></noscript>'
)


@dataclass
class Page:
    """The sections of a page, in their order, and the page around them."""

    sections: list[tuple[str, str]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    omissions: list[str] = field(default_factory=list)
    outcome: str = ""

    def add(self, title: str, *parts: str) -> None:
        """Add a section of HTML, unless all its parts are empty."""
        if any(parts):
            self.sections.append((title, "\n".join(part for part in parts if part)))

    def add_figures(self, title: str, figures: Sequence[dict[str, Any]]) -> None:
        """Add a section of figures, unless there are none."""
        parts = []
        for figure in figures:
            name = f"figure-{len(self.figures) + 1}"
            self.figures.append({**figure, "id": name})
            parts.append(
                f'<figure aria-labelledby="{name}-title">\n'
                f'<h3 id="{name}-title">{escape(figure["title"])}</h3>\n'
                f'<ul class="legend" id="{name}-legend" aria-label="{words.HIDE_LINES}"></ul>\n'
                f'<div class="plot" id="{name}"></div>\n'
                f'<output class="readout" id="{name}-readout"></output>\n'
                f"<figcaption>{escape(figure['note'])}</figcaption>\n</figure>"
            )
        if parts:
            self.add(title, FIGURES_HTML, *parts)

    def omit(self, what: str) -> None:
        """Report something that is left out, and why."""
        self.omissions.append(what)

    def html(self, *, kind: str, name: str, question: str, version: str) -> str:
        """The whole page.

        Parameters
        ----------
        kind, name
            Of the results.
        question
            The heading; without one it is the name.
        version
            The version of market-abm that made the results, if known.
        """
        if self.omissions:
            items = "\n".join(f"<li>{escape(sentence(each))}</li>" for each in self.omissions)
            self.add("Left out", f"<ul>\n{items}\n</ul>")
        style, script = (_asset(name) for name in ("report.css", "report.js"))
        page = Template(_asset("page.html")).substitute(
            style=style,
            style_hash=_hash(style),
            script=script,
            script_hash=_hash(script),
            title=escape(question or name),
            kind=escape(f"market-abm · {kind} · {name}"),
            heading=escape(question or name),
            outcome=self.outcome,
            links="\n".join(
                f'<li><a href="#{_slug(title)}">{escape(title)}</a></li>'
                for title, _ in self.sections
            ),
            sections="\n".join(
                f'<section aria-labelledby="{_slug(title)}">\n'
                f'<h2 id="{_slug(title)}">{escape(title)}</h2>\n{body}\n</section>'
                for title, body in self.sections
            ),
            footer=words.footer(escape(version)),
            data=_data(self.figures),
        )
        return page.encode("utf-8", "replace").decode("utf-8")


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def _hash(text: str) -> str:
    """The hash by which the page's policy allows its own script and style."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


def _data(figures: Sequence[Mapping[str, Any]]) -> str:
    """JSON for an element ``script``, which nothing in it can end."""
    text = json.dumps(figures, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
