"""Colours of the page, light and dark: of its figures and of its controls."""

from __future__ import annotations

from bokeh.themes import Theme


def _theme(*, ink: str, grey: str, faint: str) -> Theme:
    text = {"text_color": ink}
    axis = {
        "axis_label_text_color": ink,
        "axis_label_text_font_style": "normal",
        "axis_label_text_font_size": "11px",
        "major_label_text_color": ink,
        "axis_line_color": grey,
        "major_tick_line_color": grey,
        "minor_tick_line_color": None,
    }
    plot = {
        "background_fill_color": None,
        "border_fill_color": None,
        "outline_line_color": None,
    }
    legend = {
        "label_text_color": ink,
        "label_text_font_size": "11px",
        "background_fill_alpha": 0.0,
        "border_line_color": None,
        "glyph_width": 16,
        "spacing": 8,
    }
    bar = {
        "background_fill_color": None,
        "title_text_color": ink,
        "major_label_text_color": ink,
        "title_text_font_style": "normal",
    }
    return Theme(
        json={
            "attrs": {
                "Plot": plot,
                "Axis": axis,
                "Grid": {"grid_line_color": faint},
                "Title": {**text, "text_font_size": "12px"},
                "Legend": legend,
                "ColorBar": bar,
                "Span": {"line_color": grey},
            }
        }
    )


INKS = {False: "#222222", True: "#e6e8eb"}
"""Colour of text, by whether the page is dark."""

PAPERS = {False: "#ffffff", True: "#15181c"}
"""Colour of the background, by whether the page is dark."""

THEMES = {
    False: _theme(ink=INKS[False], grey="#7b8490", faint="#e7eaee"),
    True: _theme(ink=INKS[True], grey="#8b95a1", faint="#2b3138"),
}
"""Theme of all figures, by whether the page is dark."""

WIDGETS = """
    :host { --color: var(--ink); color: var(--ink); width: 100% }
    .bk-input { background: var(--paper); color: var(--ink); border-color: var(--line) }
    .bk-btn { background: var(--paper); color: var(--ink); border-color: var(--line) }
    .bk-btn:hover { background: var(--line) }
    .bk-slider-title, label { color: var(--ink) }
    select.bk-input { background-image: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/\
svg' width='9' height='6'%3E%3Cpath d='M0 0h9L4.5 6z' fill='%238b95a1'/%3E%3C/svg%3E") !important }
    .noUi-target { background: var(--line); width: calc(100% - 16px) !important;
        margin: 6px 8px 10px !important }
"""
"""Style sheet of all controls."""
