"""Extensions of Sphinx for this documentation.

Sections for commands, formulas in MathML, links to files that are not pages of it, and two
conventions of docstrings: names without their module, and ``|x|`` for an absolute value.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from latex2mathml.converter import convert
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

from market_abm.cli.commands import main


class CommandLine(Directive):
    """``.. command-line::`` is a section for each command, with what its ``--help`` prints."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        sections = [_section("market-abm", main)]
        sections += [
            _section(f"market-abm {name}", command)
            for name, command in sorted(main.commands.items())
        ]
        for section in sections:
            self.state.document.note_implicit_target(section, section)
        return sections


def _section(name: str, command: click.Command) -> nodes.section:
    context = click.Context(command, info_name=name, terminal_width=96, max_content_width=96)
    section = nodes.section(ids=[nodes.make_id(name)], names=[nodes.fully_normalize_name(name)])
    section += nodes.title(text=name)
    text = command.get_help(context)
    section += nodes.literal_block(text, text, language="text")
    return section


FUNCTION = re.compile("<mi>(ln|sin|arg)</mi>")


def _mathml(formula: str, display: str) -> str:
    """A formula as MathML, with space around the names of functions."""
    apart = r'<mo lspace="0.15em" rspace="0.15em">\1</mo>'
    return FUNCTION.sub(apart, convert(formula, display=display))


def _inline(translator: Any, node: Any) -> None:
    translator.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{_mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def _without_outside_links(app: Sphinx, doctree: nodes.document) -> None:
    """Name files of the repository instead of linking to them: they are not in the build."""
    links = [*doctree.findall(pending_xref), *doctree.findall(download_reference)]
    for link in links:
        page = Path(link["reftarget"])
        target = page if page.is_absolute() else Path(app.srcdir) / page
        if link.get("reftype") not in ("myst", None) or target.is_relative_to(app.srcdir):
            continue
        path = Path(os.path.normpath(target)).relative_to(Path(app.srcdir).parent).as_posix()
        named = nodes.literal(text=f"{path}.md" if isinstance(link, pending_xref) else path)
        link.replace_self([*link.children, nodes.Text(" ("), named, nodes.Text(")")])


def _by_last_part(app: Sphinx, env: Any, node: Any, contents: nodes.Node) -> nodes.Node | None:
    """The entry of a name written without its module, if there is one."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].lstrip(".")
    python = env.get_domain("py")
    names = [name for name in python.objects if f".{name}".endswith(f".{target}")]
    if not names:
        return None
    entry = python.objects[min(names, key=len)]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contents)


def _absolute_values(*arguments: Any) -> None:
    """Let ``|x|`` in docstrings be an absolute value, not a substitution."""
    lines = arguments[-1]
    for k, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[k] = "``".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("command-line", CommandLine)
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_inline, None), block_renderers=(_block, None)
    )
    app.connect("doctree-read", _without_outside_links)
    app.connect("autodoc-process-docstring", _absolute_values)
    app.connect("missing-reference", _by_last_part)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
