"""A page in a browser, under the eyes of a test that hears everything that it says or asks for.

``browser`` is one Chromium a module, ``open_page`` opens pages in a fresh context a test: it fails
on any word on the console, any error, any request that fails or goes to another machine. Tests are
skipped where there is no Chromium, but never where the environment variable CI is set.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from support.commands import COMMAND

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20_000
"""Milliseconds that a page may take for anything."""

TABLE = """question = "{question}"
[economy]
input_output = "flows.csv"
sectors = "sectors.csv"
[market]
mechanism = "trading-post"
[run]
engine = "arrays"
steps = 50
"""


def table_experiment(folder, codes=("a", "b", "c"), names=("Arms", "", "Cars"), question="?"):
    """The path of an experiment in ``folder`` of a small input-output table beside it."""
    flows = ((1, 2, 0), (0, 0, 2), (3, 1, 0))
    rows = [f'"{code}",{",".join(map(str, row))}' for code, row in zip(codes, flows, strict=True)]
    header = ",".join(f'"{code}"' for code in codes)
    (folder / "flows.csv").write_text("\n".join([f"code,{header}", *rows, ""]), "utf-8")
    rows = [
        f'"{code}","{name}",10,{final}'
        for code, name, final in zip(codes, names, (7, 8, 6), strict=True)
    ]
    head = "code,name,gross_output,final_use"
    (folder / "sectors.csv").write_text("\n".join([head, *rows, ""]), "utf-8")
    path = folder / "made-up.toml"
    path.write_text(TABLE.format(question=question), "utf-8")
    return path


def chromium():
    """The path of a browser; skips the test where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and "CI" not in os.environ:
        pytest.skip(f"there is no browser: none of {', '.join(NAMES)} is on the path")
    assert path, "there is no browser, and where CI is set there must be one"
    return path


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of a module."""
    api = pytest.importorskip("playwright.sync_api") if "CI" not in os.environ else None
    if api is None:
        from playwright import sync_api as api
    path = chromium()
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@dataclass
class Heard:
    """What pages said and asked for."""

    trouble: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self, context):
        """Take down everything that pages of ``context`` do."""
        context.on("console", lambda message: self.trouble.append(f"console: {message.text}"))
        context.on("weberror", lambda error: self.trouble.append(f"error: {error.error}"))
        context.on("request", lambda request: self._asked(request.url))
        context.on(
            "requestfailed",
            lambda request: self.trouble.append(f"failed: {request.url} {request.failure}"),
        )
        context.on("response", self._answered)
        context.on("dialog", lambda dialog: self.trouble.append(f"dialog: {dialog.message}"))
        context.on("page", lambda page: page.on("websocket", lambda ws: self._asked(ws.url)))

    def _asked(self, url):
        self.requests.append(url)
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "localhost") or parts.scheme in ("data", "blob")
        if not local and parts.scheme != "file":
            self.trouble.append(f"asked another machine: {url}")

    def _answered(self, response):
        if response.status >= 400:
            self.trouble.append(f"answer {response.status}: {response.url}")


@pytest.fixture
def open_page(browser):
    """Open a page: ``open_page(url, **options of the context)``; one context for the same options.

    After the test it fails on all trouble that was heard.
    """
    heard, contexts = Heard(), {}

    def opened(url, **options):
        key = repr(sorted(options.items()))
        if key not in contexts:
            contexts[key] = browser.new_context(**{"accept_downloads": True, **options})
            contexts[key].set_default_timeout(PATIENCE)
            heard.listen(contexts[key])
        page = contexts[key].new_page()
        page.goto(url)
        return page

    opened.heard = heard
    yield opened
    for context in contexts.values():
        context.close()
    assert not heard.trouble, "\n".join(heard.trouble)


@contextlib.contextmanager
def watching(*arguments, cwd=None, complaint="^$"):
    """The URL of ``market-abm watch`` with these arguments; fails if it complains of anything else.

    Every line that it writes to standard error is to match ``complaint``.
    """
    process = subprocess.Popen(
        [*COMMAND, "watch", *arguments, "--port", "0"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line + process.stderr.read()
        yield found.group()
        assert process.poll() is None
    finally:
        process.terminate()
        complaints = process.communicate(timeout=20)[1].splitlines()
    assert [line for line in complaints if not re.search(complaint, line)] == []


MODEL = """window.modelOf = (name) => {
  const pulse = Bokeh.documents[0].get_model_by_name("controls").tags[0]
  if (name in pulse.sources) return pulse.sources[name]
  const found = new Set()
  for (const root of Bokeh.documents[0].roots()) {
    for (const model of root.references()) if (model.name === name) found.add(model)
  }
  if (found.size > 1) throw new Error(`there are ${found.size} models named ${name}`)
  return [...found][0] ?? null
}"""
"""A model of the page by its name: of those that are shown, for the library forgets others late."""


class Watch:
    """The page of ``market-abm watch`` in a tab, as a person handles it."""

    def __init__(self, page):
        self.page = page
        page.wait_for_function("document.getElementById('status').textContent.startsWith('step ')")
        page.evaluate(f"() => {{ {MODEL} }}")

    # --- looking ---

    def get(self, name, attribute):
        """An attribute of the model of that name, as the browser has it."""
        return self.page.evaluate(
            "([name, attribute]) => modelOf(name)[attribute]",
            [name, attribute],
        )

    def has(self, name):
        """Whether there is a model of that name."""
        return self.page.evaluate("(name) => modelOf(name) !== null", name)

    def columns(self, source):
        """The columns of a data source, as lists; numbers that are none are as they are."""
        return self.page.evaluate(
            """(name) => {
              const source = modelOf(name), found = {}
              for (const key of source.columns()) found[key] = Array.from(source.get_array(key))
              return found
            }""",
            source,
        )

    @property
    def step(self):
        """The step that the path has come to."""
        return self.page.evaluate("Array.from(modelOf('path').get_array('step')).at(-1)")

    @property
    def status(self):
        return self.page.locator("#status").inner_text()

    @property
    def message(self):
        return self.page.locator("#message").inner_text()

    def picture(self, figure):
        """A figure as it is on the screen: pixels, shape (height, width, 3)."""
        box = self.page.evaluate(
            """async (name) => {
              const figure = modelOf(name)
              const place = Bokeh.index.find_one(figure).el
              place.scrollIntoView({block: "center"})
              await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
              const {x, y, width, height} = place.getBoundingClientRect()
              return {x, y, width, height}
            }""",
            figure,
        )
        with Image.open(io.BytesIO(self.page.screenshot(clip=box))) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    # --- doing ---

    def press(self, button):
        self.page.get_by_role("button", name=button, exact=True).click()

    def set(self, name, value, attribute="value"):
        """Give a widget another value, in one go, as a person does step by step."""
        self.page.evaluate(
            """([name, attribute, value]) => {
              const model = modelOf(name)
              if (attribute === "value_throttled") model.value = value
              model[attribute] = value
            }""",
            [name, attribute, value],
        )

    def slide(self, name, value):
        self.set(name, value, "value_throttled")

    def key(self, name, key, times=1):
        """Press a key on the handle of a slider."""
        handle = self.page.evaluate_handle(
            """(name) => Bokeh.index.find_one(modelOf(name))
                .shadow_el.querySelector(".noUi-handle")""",
            name,
        ).as_element()
        handle.focus()
        for _ in range(times):
            handle.press(key)

    def choose(self, label, option):
        self.page.get_by_label(label, exact=True).select_option(option)

    def type(self, text):
        """Type a setting, and Enter."""
        box = self.page.get_by_label("any other setting", exact=True)
        box.fill(text)
        box.press("Enter")

    def saved(self):
        """The experiment file that the page gives: its name and its text."""
        with self.page.expect_download() as coming:
            self.press("Save as experiment file")
        return coming.value.suggested_filename, Path(coming.value.path()).read_text("utf-8")

    def until(self, condition, *, seconds=15):
        """Wait until ``condition()`` holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.status, self.message)
            self.page.wait_for_timeout(20)

    def reach(self, step):
        """Wait until the market has come to ``step``."""
        self.until(lambda: self.step >= step)

    def press_step(self, times=1):
        """Make so many steps, one by one."""
        for _ in range(times):
            before = self.step
            self.press("Step")
            self.until(lambda before=before: self.step == before + 1)

    def settled(self):
        """Wait until all that was done has been answered: what is asked last is answered last."""
        saves = "modelOf('controls').tags[0].saves"
        before = self.page.evaluate(saves)
        self.saved()
        self.until(lambda: self.page.evaluate(saves) > before)
