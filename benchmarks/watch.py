"""Measure updates per second of ``market-abm watch`` in headless Chromium.

Usage: python benchmarks/watch.py [--seconds N] [--repeats N] [--out FILE]

An update is one message with all values of the page, acknowledged by the browser. Also measured:
frames per second that the browser draws meanwhile, and the server's time per update.
"""

from __future__ import annotations

import argparse
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


def rates(name: str, seconds: float, repeats: int) -> tuple[float, float]:
    """Median updates and frames per second at full speed, one step per update."""
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
            counted = [page.evaluate(COUNT, seconds) for _ in range(repeats)]
            browser.close()
        finally:
            server.terminate()
    updates, frames = (statistics.median(each) for each in zip(*counted, strict=True))
    return updates, frames


def server_time(name: str, updates: int = 100) -> float:
    """Median milliseconds of the server for one step and its update, without a browser."""
    page = Page(Document(), name, {})
    times = []
    for _ in range(updates):
        start = time.perf_counter()
        page.step()
        times.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(times)


def main() -> None:
    """Measure, and write a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3, help="length of a measurement")
    parser.add_argument("--repeats", type=int, default=5, help="measurements, of which the median")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark/watch.md"))
    options = parser.parse_args()
    lines = [
        "# Updates per second of `market-abm watch`",
        "",
        "Made by `python benchmarks/watch.py`, in headless Chromium without a GPU, which shares "
        f"{os.cpu_count()} cores with the server. Medians of {options.repeats} times "
        f"{options.seconds:g} seconds.",
        "",
        "| experiment | updates per second | frames per second | server, ms per update |",
        "| --- | --- | --- | --- |",
    ]
    for name in EXPERIMENTS:
        updates, frames = rates(name, options.seconds, options.repeats)
        lines.append(f"| {name} | {updates:.0f} | {frames:.0f} | {server_time(name):.1f} |")
    text = "\n".join(lines) + "\n"
    options.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
