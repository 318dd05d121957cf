"""The page of one browser tab: its controls, its figures, and the loop that plays the market."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.core.properties import Any as Anything
from bokeh.core.properties import AnyRef, Bool, Int, String
from bokeh.document import Document
from bokeh.model import DataModel
from bokeh.models import (
    Button,
    Column,
    CustomJS,
    CustomJSTickFormatter,
    Row,
    Select,
    Slider,
    TextInput,
)
from bokeh.themes import Theme
from jinja2 import Environment, FileSystemLoader

from market_abm.errors import MarketError
from market_abm.experiment.files import available, parse_assignment
from market_abm.experiment.shocks import TARGETS
from market_abm.market.base import ACTIVATIONS
from market_abm.market.mechanisms.registry import MECHANISMS
from market_abm.views.words import progress_text, welfare_text
from market_abm.watch.figures import KEPT, SHORTEST, NetworkFigure, PathFigures, WelfareMap
from market_abm.watch.session import Parameter, Session

TEMPLATE = Path(__file__).with_name("page.html")


TICK = 10
"""Milliseconds from one look at the clock to the next."""


AHEAD = 3
"""Updates that may be under way to the browser: a tab that is slow, or hidden, waits."""


WAIT = 0.15
"""Seconds until figures are made anew: somebody may still be turning."""


PATIENCE = 0.05
"""Seconds of steps that one update may hold: others are served by the same loop."""


SLOWEST, FASTEST = 1.0, 1000.0
"""Steps a second."""


STEPS_OF_A_SLIDER = 200


DECADE = 0.05
"""The step of a logarithmic slider, as a power of ten; infinity is one step beyond the end."""


class Pulse(DataModel):
    """What goes to and fro beside the figures: texts, and how many updates were sent and drawn."""

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


PAPERS = {False: "#ffffff", True: "#15181c"}


THEMES = {
    False: _theme(ink=INKS[False], grey="#7b8490", faint="#e7eaee"),
    True: _theme(ink=INKS[True], grey="#8b95a1", faint="#2b3138"),
}


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


FRAME = Path(__file__).with_name("frame.js").read_text("utf-8")


TEXTS = """
for (const [id, text] of [["name", pulse.name_], ["question", pulse.question],
                          ["message", pulse.message]]) {
  document.getElementById(id).textContent = text
}
document.title = `${pulse.name_} – market_abm`
"""


NAMES = """
const name = (root) => {
  for (const element of root.querySelectorAll("*")) {
    if (element.shadowRoot) name(element.shadowRoot)
    const title = element.matches(".noUi-handle") && root.querySelector(".bk-slider-title")
    if (title) element.setAttribute("aria-label", title.textContent.split(":")[0])
  }
}
for (const wait of [0, 100, 300, 1000]) setTimeout(() => name(document), wait)
"""
"""Sliders that are new get a name for those who do not see them."""


REFOCUS = """
const view = Bokeh.index.find_one(play)
let left = 20
const focus = () => {
  if (document.activeElement === document.body) view.button_el.focus()
  if (--left > 0) setTimeout(focus, 25)
}
focus()
"""
"""A button whose label changes is made anew: who uses the keyboard stays on it."""


LOST = """
document.getElementById("message").textContent =
  "The connection to market-abm watch is lost; start it again, and load this page again"
"""


SAVE = """
const link = document.createElement("a")
link.href = URL.createObjectURL(new Blob([pulse.file], {type: "application/toml"}))
link.download = `${pulse.name_}-watched.toml`
link.click()
URL.revokeObjectURL(link.href)
"""


READY = """
document.getElementById("status").textContent = pulse.frame.status
pulse.drawn = pulse.frame.sent
const dark = window.matchMedia("(prefers-color-scheme: dark)")
pulse.dark = dark.matches
dark.addEventListener("change", () => { pulse.dark = dark.matches })
"""


class Page:
    """One tab: a session of its own, shown in ``document`` until the tab is closed.

    Raises:
        MarketError: the experiment cannot be read, or its market cannot begin.
    """

    def __init__(self, document: Document, where: str, settings: Mapping[str, Any]) -> None:
        self.document = document
        self.first = self.where = where
        self.settings = dict(settings)
        self.session = Session(where, settings)
        self.playing = False
        self._quiet = False
        self._sent = 0
        self._stale: float | None = None
        self._since = time.perf_counter()
        self.pulse: Any = Pulse(name="pulse")
        self._listen()
        self.figures = Column(name="figures", sizing_mode="stretch_width")
        self.transport = Row(
            name="transport",
            sizing_mode="stretch_width",
            styles={"align-items": "center", "gap": "0.4rem", "flex-wrap": "wrap"},
        )
        self.controls = Column(name="controls", sizing_mode="stretch_width")
        self._make_controls()
        self._make_figures()
        self._tell()
        document.template = Environment(loader=FileSystemLoader(TEMPLATE.parent)).get_template(
            TEMPLATE.name
        )
        document.title = "market_abm"
        self.controls.tags = [self.pulse]
        for root in (self.transport, self.controls, self.figures):
            document.add_root(root)
        document.theme = THEMES[False]
        document.add_periodic_callback(self._tick, TICK)

    def _listen(self) -> None:
        pulse, arguments = self.pulse, {"pulse": self.pulse}
        code = FRAME.replace("SHORTEST", str(SHORTEST))
        pulse.js_on_change("frame", CustomJS(args=arguments, code=code))
        for name in ("name_", "question", "message"):
            pulse.js_on_change(name, CustomJS(args=arguments, code=TEXTS))
        pulse.js_on_change("named", CustomJS(args=arguments, code=NAMES))
        pulse.js_on_change("saves", CustomJS(args=arguments, code=SAVE))
        pulse.on_change("drawn", lambda attribute, old, new: self._tick())
        pulse.on_change("dark", lambda attribute, old, new: self._color())
        self.document.js_on_event(
            "document_ready", CustomJS(args=arguments, code=READY + TEXTS + NAMES)
        )
        self.document.js_on_event("connection_lost", CustomJS(code=LOST))

    def _color(self) -> None:
        """Show the page in the colours that the reader's system asks for."""
        self.document.theme = THEMES[self.pulse.dark]
        ink, paper = INKS[self.pulse.dark], PAPERS[self.pulse.dark]
        for figure in self._all_figures():
            for renderer in figure.select({"name": "themed"}):
                glyph = renderer.glyph
                if hasattr(glyph, "text_color"):
                    glyph.text_color, glyph.background_fill_color = ink, paper
                else:
                    glyph.line_color = ink

    # --- controls ---------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        self._play = _button("Play", self.toggle)
        refocus = CustomJS(args={"play": self._play}, code=REFOCUS)
        self._play.js_on_change("label", refocus)
        step, reset = _button("Step", self.step), _button("Reset", self.reset)
        self._speed = Slider(
            title="steps a second",
            start=np.log10(SLOWEST),
            end=np.log10(FASTEST),
            step=0.1,
            value=1.0,
            format=CustomJSTickFormatter(code="return (10 ** tick).toPrecision(2) * 1 + ''"),
            name="speed",
            **_WIDE,
        )
        self._experiment = Select(
            title="experiment",
            options=sorted({*available(), self.where}),
            name="experiment",
            **_WIDE,
        )
        self._mechanism = Select(
            title="mechanism", options=list(MECHANISMS), name="mechanism", **_WIDE
        )
        self._activation = Select(
            title="activation", options=list(ACTIVATIONS), name="activation", **_WIDE
        )
        self._on(self._experiment, "value", self._load)
        self._on(self._mechanism, "value", partial(self._turn, "market.mechanism"))
        self._on(self._activation, "value", partial(self._turn, "market.activation"))
        self._knobs = Column(name="knobs", sizing_mode="stretch_width")
        self._target = Select(title="shock", options=list(TARGETS), name="target", **_WIDE)
        self._good = Select(title="of", name="good", **_WIDE)
        self._percent = Slider(
            title="by, per cent", start=-90, end=100, step=5, value=-20, name="percent", **_WIDE
        )
        self._on(self._target, "value", lambda value: self._list_goods())
        self._text = TextInput(
            title="any other setting", placeholder="market.share_rate=0.2", name="setting", **_WIDE
        )
        self._text.on_event("value_submit", lambda event: self._assign(event.value))
        save = _button("Save as experiment file", self.save)
        for button in (self._play, step, reset):
            button.update(sizing_mode="fixed", width=88)
        self._speed.styles = {"flex": "1 1 10rem"}
        self.transport.children = [self._play, step, reset, self._speed]
        self.controls.children = [
            self._experiment,
            self._mechanism,
            self._activation,
            self._knobs,
            self._target,
            self._good,
            self._percent,
            _button("Shock", self.shock),
            self._text,
            save,
        ]

    def _on(self, widget: Any, attribute: str, act: Callable[[Any], None]) -> None:
        """Let a person's change of ``widget`` act; the page's own do not."""

        def changed(_: str, old: Any, new: Any) -> None:
            if not self._quiet:
                act(new)

        widget.on_change(attribute, changed)

    def _show_settings(self) -> None:
        """Set all controls to what is now."""
        self._quiet = True
        try:
            session = self.session
            self._experiment.value = self.where
            self._mechanism.value = session.experiment.market.mechanism
            self._activation.value = session.experiment.market.activation
            self._target.value = self._target.value or next(iter(TARGETS))
            self._list_goods()
            knobs = session.knobs()
            sliders = list(self._knobs.children)
            if [slider.name for slider in sliders] != [knob.key for knob in knobs]:
                sliders = [self._slider(knob) for knob in knobs]
                self._knobs.children = sliders
                self.pulse.named += 1
            for slider, knob in zip(sliders, knobs, strict=True):
                place = _position(knob)
                slider.update(
                    start=min(slider.start, place), end=max(slider.end, place), value=place
                )
        finally:
            self._quiet = False

    def _slider(self, knob: Parameter) -> Slider:
        low, high, step = knob.low, knob.high, _round_step(knob.high - knob.low)
        code = "return tick.toPrecision(3) * 1 + ''"
        if knob.whole:
            step = 1
        elif knob.logarithmic:
            low, high, step = np.log10(low), np.log10(high), DECADE
            code = f"return tick > {high + DECADE / 2} ? '∞' : (10 ** tick).toPrecision(3) * 1 + ''"
            high += DECADE * knob.endless
        slider = Slider(
            title=knob.label,
            name=knob.key,
            start=low,
            end=high,
            step=step,
            value=_position(knob),
            format=CustomJSTickFormatter(code=code),
            **_WIDE,
        )
        self._on(slider, "value_throttled", partial(self._slide, knob))
        return slider

    def _slide(self, knob: Parameter, position: float) -> None:
        value = _value(knob, position)
        if value != {each.key: each.value for each in self.session.knobs()}.get(knob.key):
            self._turn(knob.key, value)

    def _list_goods(self) -> None:
        economy = self.session.economy
        kinds: dict[str, Any] = {
            "productivity": [industry.good for industry in economy.topological_order],
            "supply": economy.supply,
            "demand": economy.demand,
        }
        goods = list(kinds[self._target.value])
        self._good.options = [(good, economy.label(good)[:60]) for good in goods]
        if self._good.value not in goods:
            self._good.value = goods[0]

    # --- what they do -----------------------------------------------------------------------------

    def toggle(self) -> None:
        """Play, or pause."""
        self._set_playing(not self.playing)

    def _set_playing(self, playing: bool) -> None:
        self.playing = playing and self.session.ending is None
        self._play.label = "Pause" if self.playing else "Play"
        self._since = time.perf_counter()

    def step(self) -> None:
        """Pause, and make one step."""
        self._set_playing(False)
        self._try(lambda: self._advance(1))

    def reset(self) -> None:
        """Back to the start."""
        self._try(self.session.restart, anew=True)

    def shock(self) -> None:
        """Change the chosen number by so many per cent, with the next step."""
        target, good, percent = self._target.value, self._good.value, self._percent.value
        self._try(lambda: self.session.shock(target, good, percent))

    def save(self) -> None:
        """Give the browser all this as an experiment file."""
        self.pulse.file = self.session.text()
        self.pulse.saves += 1

    def _turn(self, key: str, value: Any) -> None:
        if self._try(lambda: self.session.turn(key, value)):
            self._stale = time.perf_counter() + WAIT

    def _assign(self, text: str) -> None:
        if not text.strip():
            return
        try:
            key, value = parse_assignment(text)
        except MarketError as error:
            self.pulse.message = str(error)
            return
        self._turn(key, value)
        if not self.pulse.message:
            self._text.value = ""

    def _load(self, name: str) -> None:
        if name not in self._experiment.options:  # a page may not have any file read
            return
        settings = self.settings if name == self.first else {}

        def load() -> None:
            self._knobs.children = []
            self.session = Session(name, settings)
            self.where = name

        self._try(load, anew=True)

    def _try(self, act: Callable[[], Any], *, anew: bool = False) -> Any:
        """Act, and say what came of it; a mistake is told in the page, and all stays as it was."""
        result = None
        try:
            result = act()
            self.pulse.message = ""
            if anew:
                self._make_figures()
        except MarketError as error:
            self.pulse.message = str(error)
        self._show_settings()
        self._tell()
        return result

    # --- playing ----------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Make the steps that are due, if the browser has drawn what it was sent."""
        if self._stale is not None:
            if time.perf_counter() >= self._stale:
                self._make_figures()
                self._since = time.perf_counter()
            return
        if not self.playing or self._sent - self.pulse.drawn >= AHEAD:
            return
        speed = 10.0**self._speed.value
        now = time.perf_counter()
        due = int((now - self._since) * speed)
        if due < 1:
            return
        try:
            made = self._advance(due)
        except MarketError as error:
            self.pulse.message = str(error)
            self._set_playing(False)
            return
        if made < due:  # faster is not to be had
            self._since = now
        else:
            self._since += made / speed
        if self.session.ending is not None:
            self._set_playing(False)

    def _advance(self, steps: int) -> int:
        """Make up to so many steps, and show them in one update; says how many there were."""
        if self._stale is not None:
            self._make_figures()
        end, made = time.perf_counter() + PATIENCE, 0
        while made < steps and self.session.ending is None and time.perf_counter() < end:
            self.session.step()
            made += 1
            self._path.take(self.session)
            if self._map:
                self._map.take(self.session)
        self._show()
        return made

    # --- showing ----------------------------------------------------------------------------------

    def _make_figures(self) -> None:
        """Draw everything anew: another market, or the same from its start."""
        self._stale = None
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
        self.pulse.sources = {
            **self._network.sources,
            **self._path.sources,
            **(self._map.sources if self._map else {}),
        }
        self._color()
        self._show_settings()
        self._show()

    def _all_figures(self) -> list[Any]:
        path = self._path
        more = [self._map.figure] if self._map else []
        return [self._network.figure, path.prices, path.errors, path.alignment, *more]

    def _show(self) -> None:
        """Send what there is now to the browser, as one update."""
        nodes, flows = self._network.columns(self.session)
        self._sent += 1
        self.pulse.frame = {
            "nodes": nodes,
            "flows": flows,
            "rows": self._path.rows(),
            "route": self._map.rows(self.session) if self._map else None,
            "kept": KEPT,
            "status": self._status(),
            "sent": self._sent,
        }

    def _tell(self) -> None:
        """The words above the figures."""
        session, pulse = self.session, self.pulse
        pulse.name_ = session.experiment.name
        pulse.question = session.experiment.question

    def _status(self) -> str:
        session = self.session
        welfare = float(session.seen["welfare"])
        if session.ending is not None:
            return f"{session.ending.detail}; {welfare_text(welfare)}"
        note = "stationary, every price at its gradient" if session.seen["settled"] else ""
        goods = session.economy.goods
        return progress_text(session.state.step, session.errors, goods, welfare, note=note)


_WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [WIDGETS]}


def _button(label: str, act: Callable[[], None]) -> Button:
    button = Button(label=label, name=label, **_WIDE)
    button.on_click(act)
    return button


def _round_step(span: float) -> float:
    """A round number, of which ``span`` has no more than STEPS_OF_A_SLIDER."""
    unit = 10.0 ** np.floor(np.log10(span / STEPS_OF_A_SLIDER))
    return float(next(unit * k for k in (1, 2, 5, 10) if span / (unit * k) <= STEPS_OF_A_SLIDER))


def _position(knob: Parameter) -> float:
    """Where a knob's slider stands."""
    if not knob.logarithmic:
        return knob.value
    high = float(np.log10(knob.high))
    return high + DECADE if np.isinf(knob.value) else float(np.log10(knob.value))


def _value(knob: Parameter, position: float) -> float:
    """What a knob's slider says, to three digits."""
    if knob.whole:
        return int(position)
    if not knob.logarithmic:
        return float(f"{position:.3g}")
    if knob.endless and position > np.log10(knob.high) + DECADE / 2:
        return np.inf
    return float(f"{10.0**position:.3g}")
