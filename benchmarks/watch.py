"""Updates a second of ``market-abm watch`` in headless Chromium: python benchmarks/watch.py.

An update is one message to the browser with all that is shown, answered when it has been taken in.
Beside it, how many frames a second the browser draws meanwhile, and the server's time an update.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bokeh.document import Document
from playwright.sync_api import sync_playwright

from market_abm.watch.page import Page

EXPERIMENTS = ("essay-chain", "us-economy")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
SECONDS, REPEATS = 3, 5
COUNT = """(seconds) => new Promise((resolve) => {
  const pulse = Bokeh.documents[0].get_model_by_name("controls").tags[0]
  const start = performance.now(), drawn = pulse.drawn
  let frames = 0
  const frame = (now) => {
    frames++
    if (now - start < 1000 * seconds) requestAnimationFrame(frame)
    else resolve([(pulse.drawn - drawn) / seconds, frames / seconds])
  }
  requestAnimationFrame(frame)
})"""


def rates(name: str) -> tuple[float, float]:
    """Medians of updates and of frames a second, playing as fast as it goes, a step an update."""
    command = [sys.executable, "-c", "from market_abm.cli.commands import main; main()"]
    with (
        subprocess.Popen(
            [*command, "watch", name, "--port", "0"], stdout=subprocess.PIPE, text=True
        ) as server,
        sync_playwright() as playwright,
    ):
        try:
            assert server.stdout is not None
            (url,) = re.findall(r"http://\S+", server.stdout.readline())
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                args=list(FLAGS),
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(url)
            page.get_by_role("button", name="Play", exact=True).click()
            page.evaluate("Bokeh.documents[0].get_model_by_name('speed').value = 1.8")
            page.wait_for_timeout(3000)
            seen = [page.evaluate(COUNT, SECONDS) for _ in range(REPEATS)]
            browser.close()
        finally:
            server.terminate()
    updates, frames = (statistics.median(each) for each in zip(*seen, strict=True))
    return updates, frames


def server_time(name: str, updates: int = 100) -> float:
    """Milliseconds of the server for one step and its update, without a browser."""
    page = Page(Document(), name, {})
    times = []
    for _ in range(updates):
        start = time.perf_counter()
        page.step()
        times.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(times)


def main() -> None:
    """Measure, and write a table."""
    lines = [
        "# Updates a second of `market-abm watch`",
        "",
        "Made by `python benchmarks/watch.py`, in headless Chromium without a GPU, which shares "
        f"{os.cpu_count()} cores with the server. Medians of {REPEATS} times {SECONDS} seconds.",
        "",
        "| experiment | updates a second | frames a second | server, ms an update |",
        "| --- | --- | --- | --- |",
    ]
    for name in EXPERIMENTS:
        updates, frames = rates(name)
        lines.append(f"| {name} | {updates:.0f} | {frames:.0f} | {server_time(name):.1f} |")
    text = "\n".join(lines) + "\n"
    Path("results/benchmark/watch.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
