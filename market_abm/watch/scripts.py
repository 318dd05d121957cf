"""Scripts that run in the browser; ``page`` is the ``PageState`` of the tab."""

from __future__ import annotations

import json
from pathlib import Path

from market_abm.views.words.page import CONNECTION_LOST, CONNECTION_REFUSED
from market_abm.watch.path_figures import MIN_STEPS

FRAME = Path(__file__).with_name("frame.js").read_text("utf-8").replace("MIN_STEPS", str(MIN_STEPS))
"""Shows one update of all figures."""

TEXTS = """
for (const [id, text] of [["name", page.name_], ["question", page.question],
                          ["message", page.message]]) {
  document.getElementById(id).textContent = text
}
document.title = `${page.name_} – market_abm`
"""
"""Shows the texts above the figures."""

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
"""Names new sliders for screen readers."""

REFOCUS = """
const view = Bokeh.index.find_one(play)
let left = 20
const focus = () => {
  if (document.activeElement === document.body) view.button_el.focus()
  if (--left > 0) setTimeout(focus, 25)
}
focus()
"""
"""Keeps the keyboard focus on a button: Bokeh replaces it when its label changes."""

LOST = f"""
if (window.connected) document.getElementById("message").textContent = {json.dumps(CONNECTION_LOST)}
"""
"""Reports a lost connection."""

REFUSED = f"""
window.WebSocket = class extends WebSocket {{
  constructor(...given) {{
    super(...given)
    this.addEventListener("open", () => {{ window.connected = true }})
    this.addEventListener("close", () => {{
      if (window.connected) return
      const text = {json.dumps(CONNECTION_REFUSED)}.replace("HERE", location.host)
      document.getElementById("message").textContent = text
    }})
  }}
}}
"""
"""Runs first: reports a connection that could never be opened."""

SAVE = """
const link = document.createElement("a")
link.href = URL.createObjectURL(new Blob([page.file], {type: "application/toml"}))
link.download = `${page.name_}-watched.toml`
link.click()
URL.revokeObjectURL(link.href)
"""
"""Downloads the experiment file."""

READY = """
document.getElementById("status").textContent = page.frame.status
page.drawn = page.frame.sent
const dark = window.matchMedia("(prefers-color-scheme: dark)")
page.dark = dark.matches
dark.addEventListener("change", () => { page.dark = dark.matches })
"""
"""Runs once, when the page is loaded: shows the first frame, and reports the colour scheme."""
