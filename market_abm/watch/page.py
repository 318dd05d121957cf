"""The page of one browser tab: a session, its figures, and the loop that runs the market."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bokeh.core.properties import Any as Anything
from bokeh.core.properties import AnyRef, Bool, Int, String
from bokeh.document import Document
from bokeh.model import DataModel
from bokeh.models import Column, CustomJS, Row
from jinja2 import Environment, FileSystemLoader

from market_abm.errors import MarketError
from market_abm.experiment.toml import parse_assignment
from market_abm.views.words.optimum import welfare_text
from market_abm.views.words.page import SETTLED
from market_abm.views.words.run import progress_text
from market_abm.watch.controls import Actions, Controls
from market_abm.watch.figures import MAX_POINTS
from market_abm.watch.network_figure import NetworkFigure
from market_abm.watch.path_figures import PathFigures
from market_abm.watch.scripts import FRAME, LOST, NAMES, READY, REFUSED, SAVE, TEXTS
from market_abm.watch.session import Session
from market_abm.watch.theme import INKS, PAPERS, THEMES
from market_abm.watch.welfare_map import WelfareMap

TEMPLATE = Path(__file__).with_name("page.html")

TICK = 10
"""Milliseconds between calls of the loop."""

MAX_PENDING = 3
"""Updates that the browser has not drawn yet; a slow or hidden tab pauses the run."""

REDRAW_DELAY = 0.15
"""Seconds from a change of settings to new figures, while a slider may still move."""

MAX_UPDATE = 0.05
"""Seconds of steps in one update: the same loop serves all tabs."""


class PageState(DataModel):
    """What server and browser exchange besides figures and controls.

    ``frame`` is the last update of the figures, ``drawn`` the number of the last one that was
    drawn; ``saves`` and ``named`` count requests to save, and to name new sliders.
    """

    name_ = String("")
    question = String("")
    message = String("")
    frame = Anything({})
    sources = AnyRef({})
    drawn = Int(0)
    dark = Bool(False)
    file = String("")
    saves = Int(0)
    named = Int(0)


class Page:
    """One tab with a session of its own, shown in a document until the tab is closed.

    Parameters
    ----------
    document
        The document of the tab.
    where
        A file, or the name of an available experiment.
    settings
        Overrides by dotted key.

    Raises
    ------
    MarketError
        The experiment cannot be read, or its market cannot start.
    """

    def __init__(self, document: Document, where: str, settings: Mapping[str, Any]) -> None:
        self.document = document
        self.first = self.where = where
        self.settings = dict(settings)
        self.session = Session(where, settings)
        self.playing = False
        self._sent = 0
        self._changed: float | None = None  # when settings changed, if figures are out of date
        self._since = time.perf_counter()
        self.state: Any = PageState(name="state")
        self._connect_scripts()
        self.controls = Controls(
            Actions(
                toggle=self.toggle,
                step=self.step,
                reset=self.reset,
                shock=self.shock,
                save=self.save,
                set=self.set,
                assign=self.assign,
                load=self.load,
            ),
            where,
        )
        self.figures = Column(name="figures", sizing_mode="stretch_width")
        self._make_figures()
        self._show_titles()
        self._fill_document()

    def _fill_document(self) -> None:
        environment = Environment(loader=FileSystemLoader(TEMPLATE.parent))
        self.document.template = environment.get_template(TEMPLATE.name)
        self.document.template_variables["refused"] = REFUSED
        self.document.title = "market_abm"
        self.controls.panel.tags = [self.state]
        for root in (self.controls.transport, self.controls.panel, self.figures):
            self.document.add_root(root)
        self.document.theme = THEMES[False]
        self.document.add_periodic_callback(self._tick, TICK)

    def _connect_scripts(self) -> None:
        state, arguments = self.state, {"page": self.state}
        for name, code in (
            ("frame", FRAME),
            *((name, TEXTS) for name in ("name_", "question", "message")),
            ("named", NAMES),
            ("saves", SAVE),
        ):
            state.js_on_change(name, CustomJS(args=arguments, code=code))
        state.on_change("drawn", lambda attribute, old, new: self._tick())
        state.on_change("dark", lambda attribute, old, new: self._apply_theme())
        self.document.js_on_event(
            "document_ready", CustomJS(args=arguments, code=READY + TEXTS + NAMES)
        )
        self.document.js_on_event("connection_lost", CustomJS(code=LOST))

    def _apply_theme(self) -> None:
        """Show the page in the colour scheme of the browser."""
        self.document.theme = THEMES[self.state.dark]
        ink, paper = INKS[self.state.dark], PAPERS[self.state.dark]
        for figure in self._all_figures():
            for renderer in figure.select({"name": "themed"}):
                glyph = renderer.glyph
                if hasattr(glyph, "text_color"):
                    glyph.text_color, glyph.background_fill_color = ink, paper
                else:
                    glyph.line_color = ink

    # --- actions ----------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Start or pause the run."""
        self._set_playing(not self.playing)

    def _set_playing(self, playing: bool) -> None:
        self.playing = playing and self.session.ending is None
        self.controls.show_playing(self.playing)
        self._since = time.perf_counter()

    def step(self) -> None:
        """Pause, and run one step."""
        self._set_playing(False)
        self._try(lambda: self._advance(1))

    def reset(self) -> None:
        """Restart at step 0."""
        self._try(self.session.restart, restarted=True)

    def shock(self, target: str, good: str, percent: float) -> None:
        """Change a number of a good by so many per cent, from the next step on."""
        self._try(lambda: self.session.shock(target, good, percent))

    def save(self) -> None:
        """Send the session to the browser as an experiment file."""
        self.state.file = self.session.text()
        self.state.saves += 1

    def set(self, key: str, value: Any) -> None:
        """Set a setting by its dotted key."""
        if self._try(lambda: self.session.set(key, value)):
            self._changed = time.perf_counter()

    def assign(self, text: str) -> None:
        """Set a setting as on a command line: ``key=value``."""
        if not text.strip():
            return
        try:
            key, value = parse_assignment(text)
        except MarketError as error:
            self.state.message = str(error)
            return
        self.set(key, value)
        if not self.state.message:
            self.controls.text.value = ""

    def load(self, name: str) -> None:
        """Show another experiment."""
        settings = self.settings if name == self.first else {}

        def load() -> None:
            self.controls.forget_sliders()
            self.session = Session(name, settings)
            self.where = name

        self._try(load, restarted=True)

    def _try(self, act: Callable[[], Any], *, restarted: bool = False) -> Any:
        """Act, or show the message of an error; an action that fails changes nothing."""
        result = None
        try:
            result = act()
            self.state.message = ""
            if restarted:
                self._make_figures()
        except MarketError as error:
            self.state.message = str(error)
        self._show_settings()
        self._show_titles()
        return result

    # --- the loop ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Run the steps that are due, unless the browser is behind."""
        if self._changed is not None:
            if time.perf_counter() >= self._changed + REDRAW_DELAY:
                self._make_figures()
                self._since = time.perf_counter()
            return
        if not self.playing or self._sent - self.state.drawn >= MAX_PENDING:
            return
        speed = self.controls.speed
        now = time.perf_counter()
        due = int((now - self._since) * speed)
        if due < 1:
            return
        try:
            done = self._advance(due)
        except MarketError as error:
            self.state.message = str(error)
            self._set_playing(False)
            return
        if done < due:  # as fast as possible
            self._since = now
        else:
            self._since += done / speed
        if self.session.ending is not None:
            self._set_playing(False)

    def _advance(self, steps: int) -> int:
        """Run up to so many steps, and show them in one update; returns their number."""
        if self._changed is not None:
            self._make_figures()
        end, done = time.perf_counter() + MAX_UPDATE, 0
        while done < steps and self.session.ending is None and time.perf_counter() < end:
            self.session.step()
            done += 1
            self._path.add(self.session)
            if self._map:
                self._map.add(self.session)
        self._show()
        return done

    # --- showing ----------------------------------------------------------------------------------

    def _make_figures(self) -> None:
        """Construct all figures for a market at its start."""
        self._changed = None
        session = self.session
        self._network = NetworkFigure(session)
        self._path = PathFigures(session, self._network.goods)
        self._map = WelfareMap.of(session)
        self.figures.children = [
            Row(
                children=[self._network.frame, *self._all_figures()[1:]],
                sizing_mode="stretch_width",
                styles={"flex-wrap": "wrap", "gap": "0.5rem"},
            )
        ]
        self.state.sources = {
            **self._network.sources,
            **self._path.sources,
            **(self._map.sources if self._map else {}),
        }
        self._apply_theme()
        self._show_settings()
        self._show()

    def _all_figures(self) -> list[Any]:
        path = self._path
        more = [self._map.figure] if self._map else []
        return [self._network.figure, path.prices, path.errors, path.alignment, *more]

    def _show(self) -> None:
        """Send the present step, and those since the last update, to the browser."""
        nodes, flows = self._network.columns(self.session)
        self._sent += 1
        self.state.frame = {
            "nodes": nodes,
            "flows": flows,
            "rows": self._path.rows(),
            "route": self._map.rows(self.session) if self._map else None,
            "kept": MAX_POINTS,
            "status": self._status(),
            "sent": self._sent,
        }

    def _show_settings(self) -> None:
        if self.controls.update(self.session, self.where):
            self.state.named += 1

    def _show_titles(self) -> None:
        self.state.name_ = self.session.experiment.name
        self.state.question = self.session.experiment.question

    def _status(self) -> str:
        session = self.session
        welfare = float(session.observations["welfare"])
        if session.ending is not None:
            return f"{session.ending.detail}; {welfare_text(welfare)}"
        settled = session.observations["settled"]
        note = SETTLED if settled else ""
        goods = session.economy.goods
        return progress_text(session.state.step, session.errors, goods, welfare, note=note)
