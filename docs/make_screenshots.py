"""Takes the pictures in docs/screenshots of a running Tuneboard: `python` this file.

    python docs/make_screenshots.py [ADDRESS [RUN…]]

Compares the runs named, by default the three newest that succeeded. Those in the repository are of
the first study's fine-tuned rows ([studies](studies.md)). Needs Chromium at /usr/bin/chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tuneboard import Client

FOLDER = Path(__file__).with_name("screenshots")
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDE, PHONE = {"width": 1280, "height": 1000}, {"width": 390, "height": 844}
SETTLE_MS = 1500  # charts are drawn within half a second


def main(address: str | None, chosen: list[int]) -> None:
    """Take every picture."""
    client = Client(address)
    if not chosen:
        ended = [run["id"] for run in client.runs() if run["status"] == "succeeded"]
        chosen = sorted(ended[:3])
    compare = "/compare?" + "&".join(f"run={run}" for run in chosen)
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        for name, path, scheme, size, part in (
            ("compare-light", compare, "light", WIDE, ""),
            ("compare-dark", compare, "dark", WIDE, ""),
            ("compare-phone", compare, "light", PHONE, ""),
            ("compare-curves", compare, "light", WIDE, "#curves"),
            ("compare-images", compare, "light", WIDE, "#flips"),
            ("run-light", f"/runs/{chosen[0]}", "light", WIDE, ""),
            ("launch-light", "/launch", "light", WIDE, ""),
        ):
            _take(browser, client.url + path, FOLDER / f"{name}.png", scheme, size, part)
        browser.close()


def _take(
    browser: Browser, address: str, file: Path, scheme: str, size: dict[str, int], part: str
) -> None:
    """Take what is seen at an address, or what is seen with a part of the page at the top."""
    context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    if part:
        for _ in range(3):  # parts above it that are fetched when they are seen push it down
            page.locator(part).evaluate("part => part.scrollIntoView()")
            page.wait_for_timeout(SETTLE_MS)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=file)
    context.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, [int(run) for run in sys.argv[2:]])
