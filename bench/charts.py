"""The first chart of a comparison in a headless Chromium, beside the bare cost of Plotly.

Seconds are from the start of the navigation to the moment at which Plotly has drawn every line of
the first figure. Cold is a new browser profile each time; warm is one that has been here before.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from bench.filling import filled, query_of
from bench.processes import free_port, started, wait_ready
from bench.web import SERVER

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
VIEW = {"width": 1280, "height": 900}
COLD_ROUNDS, WARM_ROUNDS = 5, 5
WARMING = 3  # Chromium keeps a script's compiled code from about its third use
WAIT_MS = 60_000
MOVES = 60
SIZES = ((10, 100), (100, 1_000), (500, 100), (200, 2_000))
TARGETS = {(100, 1_000): "at most 2.5 cold and 1.5 warm", (500, 100): "at most 4 cold"}

# A page with nothing but Plotly's script and an empty figure: what no chart of ours can beat.
BARE = """<!doctype html><title>bare</title><div id="plot"></div>
<script src="{plotly}"></script><script src="/bare.js"></script>"""
BARE_SCRIPT = """Plotly.newPlot("plot", [], {}).then(() => performance.mark("curves-drawn"));"""
DRAWN = """() => performance.getEntriesByName("curves-drawn")[0]?.startTime ?? 0"""
RUNS_DRAWN = """() => {
  const traces = document.querySelector(".curve-plot").data;
  const lines = traces.filter((trace) => trace.mode.startsWith("lines") && trace.meta.series);
  return lines.reduce((sum, { y }) => {
    const gap = (index) => !Number.isFinite(y[index]);
    return sum + [...y.keys()].filter((index) => !gap(index) && gap(index - 1)).length;
  }, 0);
}"""
RECORD = """() => {
  window.frames = [];
  let last = performance.now();
  const note = (now) => {
    window.frames.push(now - last);
    last = now;
    window.noting = requestAnimationFrame(note);
  };
  window.noting = requestAnimationFrame(note);
}"""
RECORDED = """() => { cancelAnimationFrame(window.noting); return window.frames.slice(1); }"""


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as place:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        floor = 0.0
        for runs, points in SIZES:
            with _served(Path(place) / f"{runs}x{points}", runs, points) as (address, query):
                if not floor:
                    cold = [_cold(browser, address, "/bare") for _ in range(COLD_ROUNDS)]
                    floor = statistics.median(cold)
                    yield f"Plotly's script and an empty figure alone, cold: {_spread(cold)} s"
                page = f"/compare?{query}"
                cold = [_cold(browser, address, page, 2 * runs) for _ in range(COLD_ROUNDS)]
                warm = _warm(playwright, Path(place) / f"profile-{runs}", address, page)
                target = TARGETS.get((runs, points), "")
                yield (
                    f"{runs} × {points:,}, first chart: cold {_spread(cold)} s, "
                    f"{statistics.median(cold) / floor:.2f} times Plotly alone; "
                    f"warm {_spread(warm)} s{f' ({target})' if target else ''}"
                )
                if (runs, points) == (200, 2_000):
                    yield from _frames(browser, address, page)
        browser.close()


@contextmanager
def _served(folder: Path, runs: int, points: int) -> Iterator[tuple[str, str]]:
    run_ids = filled(folder, runs, points)
    port = free_port()
    with started([*SERVER, "--port", str(port)], folder, port):
        wait_ready(port)
        address = f"http://127.0.0.1:{port}"
        page = httpx.get(f"{address}/compare?{query_of(run_ids)}", timeout=60)  # warms the server
        page.raise_for_status()
        httpx.get(
            f"{address}/api/v1/compare/curves?{query_of(run_ids)}&metric=val_accuracy", timeout=60
        ).raise_for_status()
        httpx.get(address + _plotly(page.text), timeout=60).raise_for_status()
        yield address, query_of(run_ids)


def _plotly(page: str) -> str:
    return page.partition('src="/static/vendor/')[2].partition('"')[0].join(("/static/vendor/", ""))


def _cold(browser: Browser, address: str, path: str, lines: int = 0) -> float:
    context = browser.new_context(viewport=VIEW)
    try:
        return _seconds(context.new_page(), address, path, lines)
    finally:
        context.close()


def _warm(playwright: Playwright, profile: Path, address: str, path: str) -> list[float]:
    context: BrowserContext = playwright.chromium.launch_persistent_context(
        str(profile), executable_path=CHROMIUM, args=list(ARGUMENTS), viewport=VIEW
    )
    try:
        taken = []
        for _ in range(WARMING + WARM_ROUNDS):
            page = context.new_page()
            taken.append(_seconds(page, address, path, 0))
            page.close()
        return taken[WARMING:]
    finally:
        context.close()


def _seconds(page: Page, address: str, path: str, lines: int) -> float:
    if path == "/bare":
        found = httpx.get(f"{address}/compare?run=1").text
        body = BARE.format(plotly=_plotly(found))
        page.route("**/bare", lambda route: route.fulfill(body=body, content_type="text/html"))
        page.route(
            "**/bare.js",
            lambda route: route.fulfill(body=BARE_SCRIPT, content_type="text/javascript"),
        )
    page.goto(address + path, wait_until="commit")
    page.wait_for_function(DRAWN, timeout=WAIT_MS)
    if lines:
        drawn = page.evaluate(RUNS_DRAWN)
        if drawn != lines:
            raise AssertionError(f"expected {lines} lines to be drawn, found {drawn}")
    return float(page.evaluate(DRAWN)) / 1000


def _frames(browser: Browser, address: str, path: str) -> Iterator[str]:
    """Say how long frames take while the cursor hovers over the first figure, and while it pans."""
    context = browser.new_context(viewport=VIEW)
    page = context.new_page()
    page.goto(address + path)
    page.wait_for_function(
        """() => performance.getEntriesByName("curves-drawn").length >= 2""", timeout=WAIT_MS
    )
    page.wait_for_timeout(2_000)
    box = page.locator(".curve-box").first
    box.scroll_into_view_if_needed()
    bounds: Any = box.bounding_box()
    left, middle = bounds["x"] + 120, bounds["y"] + bounds["height"] / 2

    def moved() -> list[float]:
        page.evaluate(RECORD)
        for number in range(MOVES):
            page.mouse.move(left + number * 4, middle + number % 7)
        frames: list[float] = page.evaluate(RECORDED)
        return frames

    page.mouse.move(left, middle)
    yield f"200 × 2,000 × 4, hovering: {_frame_words(moved())}"
    page.evaluate("() => Plotly.relayout(document.querySelector('.curve-plot'), {dragmode: 'pan'})")
    page.mouse.move(left, middle)
    page.mouse.down()
    frames = moved()
    page.mouse.up()
    yield f"200 × 2,000 × 4, panning: {_frame_words(frames)}"
    context.close()


def _frame_words(frames: list[float]) -> str:
    ordered = sorted(frames)
    high = ordered[int(0.95 * (len(ordered) - 1))]
    return f"{statistics.median(ordered):.0f} ms a frame (95 %: {high:.0f}; at most 100)"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
