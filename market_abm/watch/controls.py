"""The controls of the page: buttons, menus, sliders and a field for any other setting.

A browser may send anything: what arrives is clamped to the range of its control, or ignored, and
ranges and choices are those that were offered here, whatever the browser made of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

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

from market_abm.economy.households import endowments
from market_abm.experiment.files import available
from market_abm.experiment.shocks import TARGETS, shocked_numbers
from market_abm.market.base import ACTIVATIONS
from market_abm.market.mechanisms.registry import MECHANISMS
from market_abm.views.words import page as words
from market_abm.watch.scripts import REFOCUS
from market_abm.watch.session import Parameter, Session, choices
from market_abm.watch.sliders import FULL_WIDTH, clamped, parameter_slider, position, value_at

SPEEDS = (0.0, 3.0)
"""Steps per second, as exponents of ten."""

PERCENTS = (-90.0, 100.0)
"""The range of a shock, per cent."""

SHOCKS = [target for target in TARGETS if target != "tax"]
"""What a shock may change; the rates of taxes have sliders."""


@dataclass(frozen=True)
class Actions:
    """What the controls of a page do."""

    toggle: Callable[[], None]
    step: Callable[[], None]
    reset: Callable[[], None]
    shock: Callable[[str, str, float], None]
    save: Callable[[], None]
    set: Callable[[str, Any], None]
    assign: Callable[[str], None]
    load: Callable[[str], None]


class Controls:
    """The controls of one page.

    Parameters
    ----------
    actions
        What they do.
    where
        The experiment that the page is opened with; others are chosen by name.

    Attributes
    ----------
    transport, panel
        The layouts of the buttons that run the market, and of all other controls.
    sliders
        The layout of the sliders.
    """

    def __init__(self, actions: Actions, where: str) -> None:
        self._actions = actions
        self._updating = False
        self._parameters: dict[str, Parameter] = {}
        self._ranges: dict[str, tuple[float, float]] = {}
        self.speed = 10.0
        self.percent = -20.0
        self._make_transport()
        self._make_menus(where)
        self.sliders = Column(name="sliders", sizing_mode="stretch_width")
        self._make_shock()
        self.text = TextInput(
            title=words.ANY_SETTING,
            placeholder="market.share_rate=0.2",
            name="setting",
            **FULL_WIDTH,
        )
        self.text.on_event("value_submit", lambda event: actions.assign(str(event.value)))
        self.panel = Column(
            name="controls",
            sizing_mode="stretch_width",
            children=[
                self.experiment,
                self._mechanism,
                self._activation,
                self.sliders,
                self._target,
                self._good,
                self._percent,
                _button("Shock", self._shock),
                self.text,
                _button(words.SAVE_FILE, actions.save),
            ],
        )

    def _make_transport(self) -> None:
        self._play = _button("Play", self._actions.toggle)
        self._play.js_on_change("label", CustomJS(args={"play": self._play}, code=REFOCUS))
        step, reset = _button("Step", self._actions.step), _button("Reset", self._actions.reset)
        for button in (self._play, step, reset):
            button.update(sizing_mode="fixed", width=88)
        self._speed = Slider(
            title="steps per second",
            start=SPEEDS[0],
            end=SPEEDS[1],
            step=0.1,
            value=math.log10(self.speed),
            format=CustomJSTickFormatter(code="return (10 ** tick).toPrecision(2) * 1 + ''"),
            name="speed",
            **FULL_WIDTH,
        )
        self._on_change(self._speed, "value", self._set_speed)
        self._speed.styles = {"flex": "1 1 10rem"}
        self.transport = Row(
            name="transport",
            sizing_mode="stretch_width",
            styles={"align-items": "center", "gap": "0.4rem", "flex-wrap": "wrap"},
            children=[self._play, step, reset, self._speed],
        )

    def _make_menus(self, where: str) -> None:
        self._experiments = sorted({*available(), where})
        self.experiment = Select(
            title="experiment",
            options=list(self._experiments),
            name="experiment",
            **FULL_WIDTH,
        )
        self._mechanism = Select(
            title="mechanism", options=list(MECHANISMS), name="mechanism", **FULL_WIDTH
        )
        self._activation = Select(
            title="activation", options=list(ACTIVATIONS), name="activation", **FULL_WIDTH
        )
        self._on_change(self.experiment, "value", self._load)
        for menu, key in ((self._mechanism, "mechanism"), (self._activation, "activation")):
            self._on_change(menu, "value", partial(self._actions.set, f"market.{key}"))

    def _make_shock(self) -> None:
        self._target = Select(title="shock", options=SHOCKS, name="target", **FULL_WIDTH)
        self._good = Select(title="of", name="good", **FULL_WIDTH)
        self._on_change(self._target, "value", lambda _: self._list_goods())
        self._percent = Slider(
            title="by, per cent",
            start=PERCENTS[0],
            end=PERCENTS[1],
            step=5,
            value=self.percent,
            name="percent",
            **FULL_WIDTH,
        )
        self._on_change(self._percent, "value", self._set_percent)

    def _shock(self) -> None:
        if self._target.value in SHOCKS:
            self._actions.shock(self._target.value, self._good.value, self.percent)

    def _set_speed(self, exponent: Any) -> None:
        exponent = clamped(exponent, *SPEEDS)
        if exponent is not None:
            self.speed = 10.0**exponent

    def _set_percent(self, percent: Any) -> None:
        percent = clamped(percent, *PERCENTS)
        if percent is not None:
            self.percent = percent

    def _load(self, name: str) -> None:
        if name in self._experiments:  # a page may not read any other file
            self._actions.load(name)

    def _on_change(self, widget: Any, attribute: str, act: Callable[[Any], Any]) -> None:
        """Call ``act`` when the user changes ``widget``, not when :meth:`update` does."""

        def changed(_: str, old: Any, new: Any) -> None:
            if not self._updating:
                act(new)

        widget.on_change(attribute, changed)

    def show_playing(self, playing: bool) -> None:
        """Label the button that starts and pauses the run."""
        self._play.label = "Pause" if playing else "Play"

    def update(self, session: Session, where: str) -> bool:
        """Set all controls to the settings of a session.

        Returns
        -------
        bool
            Whether there are other sliders than before.
        """
        self._updating = True
        try:
            self.experiment.value = where
            self._mechanism.value = session.experiment.market.mechanism
            self._activation.value = session.experiment.market.activation
            self._target.value = self._target.value or SHOCKS[0]
            self._economy = session.economy
            self._list_goods()
            return self._update_sliders(session.parameters())
        finally:
            self._updating = False

    def forget_sliders(self) -> None:
        """Make the sliders of the next session anew."""
        self._ranges = {}

    def _update_sliders(self, parameters: list[Parameter]) -> bool:
        self._parameters = {parameter.key: parameter for parameter in parameters}
        others = list(self._ranges) != list(self._parameters)
        if others:
            self._sliders = [self._slider(parameter) for parameter in parameters]
            self._ranges = {each.name: (each.start, each.end) for each in self._sliders}
            self.sliders.children = list(self._sliders)
        for slider, parameter in zip(self._sliders, parameters, strict=True):
            place = position(parameter)
            low, high = self._ranges[parameter.key]
            self._ranges[parameter.key] = low, high = min(low, place), max(high, place)
            slider.update(start=low, end=high, value=place)
        return others

    def _slider(self, parameter: Parameter) -> Slider:
        slider = parameter_slider(parameter)
        self._on_change(slider, "value_throttled", partial(self._slide, parameter))
        return slider

    def _slide(self, parameter: Parameter, sent: Any) -> None:
        now = self._parameters.get(parameter.key)
        place = None if now is None else clamped(sent, *self._ranges[parameter.key])
        if now is None or place is None:
            return
        value = value_at(parameter, place)
        if value != now.value:
            self._actions.set(parameter.key, value)

    def _list_goods(self) -> None:
        """Offer the goods that the chosen target of a shock can have."""
        economy, owned = self._economy, endowments(self._economy.households)
        goods_of: dict[str, Iterable[str]] = {**shocked_numbers(economy)}
        goods_of["supply"] = [good for good in economy.supply if good not in owned]
        offered = choices(economy, goods_of.get(self._target.value, ()))
        self._good.options = [
            (name, label if name != good else economy.label(good)[:60])
            for name, label, good in offered
        ]
        if offered and self._good.value not in [name for name, *_ in offered]:
            self._good.value = offered[0][0]


def _button(label: str, act: Callable[[], None]) -> Button:
    button = Button(label=label, name=label, **FULL_WIDTH)
    button.on_click(act)
    return button
