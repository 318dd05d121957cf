"""Pictures of a run in the terminal and of the page in the browser: live.png, watch.png.

    python docs/make_screenshots.py

It needs Chromium, and ``pip install -e ".[dev]"``.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from market_abm import Experiment, run
from market_abm.views.terminal import Live

HERE = Path(__file__).parent
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
TERMINAL = "loop"
PAGE = "spiral"
STEPS = 40


def terminal(browser: Browser, where: Path) -> None:
    """What ``market-abm run loop --live`` shows at its end."""
    console = Console(
        file=io.StringIO(),
        record=True,
        force_terminal=True,
        width=100,
        height=30,
        legacy_windows=False,
    )
    live = Live(Experiment.load(TERMINAL), console, clock=lambda: 0.0)
    run(live.experiment, progress=live)
    console.print(live.picture(*live._now))
    html = re.sub("[\u2800-\u28ff]", r"<i>\g<0></i>", console.export_html(inline_styles=True))
    page = browser.new_page(viewport={"width": 900, "height": 600}, device_scale_factor=1.5)
    page.set_content(html)
    page.add_style_tag(content=_style())
    page.evaluate("() => document.fonts.ready")
    page.locator("pre").screenshot(path=where)
    page.close()


def _style() -> str:
    """Matplotlib's fonts; of braille, which is in a wider one, each letter in a cell of its own."""
    faces = []
    for name in ("DejaVuSansMono", "DejaVuSans"):
        font = Path(matplotlib.get_data_path(), "fonts/ttf", f"{name}.ttf").read_bytes()
        data = base64.b64encode(font).decode()
        faces.append(f"@font-face {{ font-family: {name}; src: url(data:font/ttf;base64,{data}) }}")
    cell = 14 * 1233 / 2048  # pixels: the width of a letter of the first
    return (
        "".join(faces) + "body { background: white; margin: 8px }"
        "pre { padding: 8px }"
        "pre, code { font: 14px/1.2 DejaVuSansMono !important }"
        "i { font: 11px/1 DejaVuSans; display: inline-block; text-align: center;"
        f"width: {cell:.4f}px; height: 17px; vertical-align: top; line-height: 17px }}"
    )


def watched(browser: Browser, where: Path) -> None:
    """What ``market-abm watch spiral`` shows after some steps and a shock."""
    command = [sys.executable, "-c", "from market_abm.cli.commands import main; main()"]
    with subprocess.Popen(
        [*command, "watch", PAGE, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            (url,) = re.findall(r"http://\S+", server.stdout.readline())
            page = browser.new_page(
                viewport={"width": 1280, "height": 900}, device_scale_factor=1.5
            )
            page.goto(url)
            step = page.get_by_role("button", name="Step", exact=True)
            for k in range(2 * STEPS):
                if k == STEPS:
                    page.get_by_role("button", name="Shock").click()
                step.click()
                page.wait_for_function(
                    "n => document.getElementById('status').textContent.startsWith(`step ${n}:`)",
                    arg=k + 1,
                )
            page.wait_for_timeout(500)
            page.screenshot(path=where, full_page=True)
            page.close()
        finally:
            server.terminate()


def main() -> None:
    """Take both."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        terminal(browser, HERE / "live.png")
        watched(browser, HERE / "watch.png")
        browser.close()


if __name__ == "__main__":
    main()
