from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, traces, watched

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAGES = (
    "/runs",
    "/launch",
    "/runs/3",
    "/runs/4",
    "/runs/6",
    "/runs/7",
    "/compare?run=1&run=2&run=3&run=7",
    "/datasets",
    "/datasets/digits",
    "/workers",
    "/nothing",
)


def test_the_comparison_draws_every_run_in_its_colour(page: Page) -> None:
    page.goto("/compare?run=1&run=2")
    drawn = [one for one in traces(page, "compare-accuracy") if one["meta"]["run"]]
    assert [(one["meta"]["run"], one["meta"]["series"], one["dash"]) for one in drawn] == [
        (1, "train_accuracy", "dash"),
        (1, "val_accuracy", "solid"),
        (2, "train_accuracy", "dash"),
        (2, "val_accuracy", "solid"),
    ]
    assert all(len(one["y"]) == 12 for one in drawn)
    assert drawn[0]["colour"] == drawn[1]["colour"] != drawn[2]["colour"]
    page.goto("/compare?run=2")
    assert traces(page, "compare-accuracy")[0]["colour"] == drawn[2]["colour"]
    page.evaluate("document.getElementById('confusion').scrollIntoView()")
    expect(page.locator("#compare-confusion-2 .heatmaplayer image")).to_have_count(1)


@pytest.mark.parametrize("address", PAGES)
def test_no_page_is_wider_than_a_phone(browser: Browser, server: Server, address: str) -> None:
    context = browser.new_context(
        base_url=server.address, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    faults = watched(context, server.address)
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("load")
    page.wait_for_function("() => [...document.querySelectorAll('.plot')].every(plot => plot.data)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    context.close()
    assert faults == []


def test_the_theme_is_switched_kept_and_reaches_the_figures(page: Page) -> None:
    page.goto("/runs/3")
    traces(page, "accuracy")
    colour = "document.getElementById('accuracy').layout.font.color"
    light = page.evaluate(colour)
    traces(page, "confusion-val")
    cell = page.locator("#confusion-val .heatmap-label text").first
    expect(cell).to_be_visible()
    page.locator("[data-theme-toggle]").click()
    page.wait_for_function(f"() => {colour} !== {light!r}")
    expect(cell).to_have_css("fill", "rgb(231, 235, 241)")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.goto("/workers")
    assert page.evaluate(background) == dark == "rgb(15, 19, 24)"


def test_the_keyboard_reaches_the_content_and_the_rows(page: Page) -> None:
    page.goto("/runs")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.locator("#select-2").focus()
    page.keyboard.press("Space")
    page.locator("#select-3").focus()
    page.keyboard.press("Space")
    expect(page.locator("#compare-button")).to_have_text("Compare 2 runs")
    page.locator("#compare-button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare?run=3&run=2")


def test_a_name_with_markup_is_shown_as_it_is(page: Page) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto("/runs/6")
    traces(page, "accuracy")
    expect(page.locator("h1")).to_contain_text("<script>alert(1)</script>")
    page.goto("/compare?run=6&run=1")
    traces(page, "compare-accuracy")
    expect(page.locator("#curves-legend button").first).to_contain_text("<script>")


def test_figures_do_not_move_the_page_when_they_are_drawn(page: Page) -> None:
    page.add_init_script(
        """new PerformanceObserver(list => {
            for (const entry of list.getEntries()) window.shift = (window.shift ?? 0) + entry.value;
        }).observe({type: 'layout-shift', buffered: true});"""
    )
    page.goto("/runs/3")
    traces(page, "accuracy")
    traces(page, "confusion-val")
    page.wait_for_timeout(300)
    assert page.evaluate("window.shift ?? 0") < 0.02
