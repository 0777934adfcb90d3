"""Figures saved as pictures, and a comparison saved as one file that opens without a network."""

from __future__ import annotations

import html
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, traces
from tests.seeding import EMOJI_NOTE, SCRIPT_NAME

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def saved(page: Page, selector: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(selector).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_figure_is_saved_as_png_and_svg(page: Page, tmp_path: Path) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto("/compare?run=6&run=2")
    traces(page, "compare-accuracy")
    files = '[data-save-figure="compare-accuracy"][data-format="{}"]'
    picture = saved(page, files.format("png"), tmp_path)
    assert picture.name == "tuneboard-accuracy-runs-6-2.png"
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    box = page.locator("#compare-accuracy").bounding_box()
    assert box is not None
    assert int.from_bytes(content[16:20], "big") == pytest.approx(2 * box["width"], abs=2)
    drawing = saved(page, files.format("svg"), tmp_path).read_text()
    assert drawing.startswith("<svg")
    assert "<script" not in drawing
    shown = {html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing)}
    assert {SCRIPT_NAME, "tf_efficientnet_lite0 frozen", "Accuracy", "Epoch"} <= shown


def test_a_runs_figures_can_be_saved_too(page: Page, tmp_path: Path) -> None:
    page.goto("/runs/3")
    traces(page, "confusion-val")
    drawing = saved(page, '[data-save-figure="confusion-val"][data-format="svg"]', tmp_path)
    assert drawing.name.endswith("-run-3.svg")
    assert drawing.name.startswith("tuneboard-confusion")


def test_the_exported_file_opens_from_the_disk_with_no_network(
    page: Page, browser: Browser, server: Server, tmp_path: Path
) -> None:
    page.goto("/compare?run=1&run=6&run=3&metric=loss&metric=accuracy&x=step")
    file = saved(page, '[data-export$=".html"]', tmp_path)
    assert file.name == "tuneboard-runs-1-6-3.html"
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    faults: list[str] = []
    context.on(
        "console", lambda message: faults.append(message.text) if message.type == "error" else None
    )
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("dialog", lambda dialog: faults.append(f"a script ran: {dialog.message}"))
    opened = context.new_page()
    opened.goto(file.as_uri())
    opened.wait_for_function(
        "() => [...document.querySelectorAll('.plot')].every(plot => plot.data)"
    )
    assert opened.locator(".plot").count() >= 5
    drawn = opened.evaluate(
        "document.getElementById('curve-1')._fullData.map(trace => Array.from(trace.y))"
    )
    assert [len(values) for values in drawn] == [12, 12, 3, 3, 12, 12]
    assert all(0 < value < 3 for value in drawn[0])
    expect(opened.locator("#curve-1 .scatterlayer path.js-line").first).to_be_attached()
    assert opened.evaluate("document.getElementById('curve-1').layout.title.text").startswith(
        "Loss"
    )
    expect(opened.locator("h1")).to_have_text("Comparison of 3 runs")
    expect(opened.locator(".table-tight tbody th").nth(1)).to_have_text(SCRIPT_NAME)
    opened.locator("#runs-title ~ details").nth(1).locator("summary").click()
    expect(opened.locator("#runs-title ~ details").nth(1)).to_contain_text(EMOJI_NOTE)
    opened.locator("#settings .brush").first.scroll_into_view_if_needed()
    expect(opened.locator("#settings .brush")).to_have_count(3)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    background = "getComputedStyle(document.body).backgroundColor"
    before = opened.evaluate(background)
    opened.locator("[data-theme-toggle]").click()
    assert opened.evaluate(background) != before
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    context.close()
    assert (outside, faults) == ([], [])


def test_the_tables_are_one_click_away(page: Page, tmp_path: Path) -> None:
    page.goto("/compare?run=1&run=2")
    file = saved(page, '[data-export$=".zip"]', tmp_path)
    with zipfile.ZipFile(file) as packed:
        assert "curves.csv" in packed.namelist()
