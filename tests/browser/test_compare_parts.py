"""The Compare page's verdict, results table, flips, matrices and classes, in a real browser."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from store import runs
from tests.browser.conftest import Server, scroll_to_part, watched
from tests.compared import CLASSES, answers, digits, evaluated, finished_run
from tests.seeding import SCRIPT_NAME, Teller, claim

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PARTS = ("verdict", "flips", "confusion", "classes")
NOTE = "**bold** 🐜 <b>x</b>"


@dataclass(frozen=True)
class Ended:
    """Runs on 90 digits."""

    first: int
    """Wrong on the first 30."""
    second: int
    """Named like a script; wrong on 25 to 34, in another way."""
    third: int
    """Wrong on one."""


@pytest.fixture(scope="module")
def ended(server: Server) -> Ended:
    items = digits(server.settings, server.store)
    places = {"first": (range(30), 1), SCRIPT_NAME: (range(25, 35), 2), "third": ([3], 1)}
    numbers = [
        finished_run(
            server.store, server.settings, name, answers(items, wrong, shift), note=NOTE,
            optimizer={"lr": 0.001 * (place + 1)},
        ).id
        for place, (name, (wrong, shift)) in enumerate(places.items())
    ]  # fmt: skip
    return Ended(*numbers)


def address(*run_ids: int, more: str = "") -> str:
    return "/compare?" + "&".join(f"run={run_id}" for run_id in run_ids) + more


def test_the_verdict_speaks_and_its_baseline_is_in_the_address(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second))
    sentence = page.locator(".verdict-sentence")
    expect(sentence).to_contain_text("25 fixed, 5 broken, p < 0.001: of these two trained models")
    expect(sentence).to_contain_text(f"“{SCRIPT_NAME}” is better")
    page.locator("#verdict-baseline").focus()
    page.locator("#verdict-baseline").select_option(str(ended.second))
    expect(sentence).to_contain_text("5 fixed, 25 broken")
    expect(page).to_have_url(re.compile(f"baseline={ended.second}"))
    expect(page.locator("#verdict-baseline")).to_be_focused()
    page.reload()
    expect(sentence).to_contain_text("5 fixed, 25 broken")
    page.go_back()
    expect(sentence).to_contain_text("25 fixed, 5 broken")


def test_several_runs_are_held_against_the_baseline(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second, ended.third))
    rows = page.locator("#verdict tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("Better")
    expect(rows.nth(1).locator(".whisker-line")).to_have_count(1)


def test_the_missing_seeds_are_launched_by_a_button(
    page: Page, server: Server, ended: Ended
) -> None:
    page.goto(address(ended.first, ended.third, more="&x=step"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Launch the 6 missing seeds").click()
    expect(page).to_have_url(re.compile(r"x=step.*#verdict"))
    expect(page.locator("#verdict")).to_contain_text("Seeds on their way:")
    links = page.locator('#verdict a[href^="/runs/"]')
    expect(links).to_have_count(6)
    for row in runs.list_runs(server.store, status="queued", limit=6).rows:
        assert row.spec["training"]["seed"] in {1, 2, 3}


def test_the_table_is_sorted_and_its_columns_chosen(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second, ended.third))
    table = page.locator("#compare-results")
    names = table.locator("tbody th a")
    page.locator("#sort-best_val_accuracy").click()
    expect(names.first).to_have_text("third")
    expect(page.locator("#sort-best_val_accuracy")).to_be_focused()
    page.keyboard.press("Enter")
    expect(names.first).to_have_text("first")
    expect(page).to_have_url(re.compile("sort=best_val_accuracy"))
    wrap = table.locator(".table-wrap")
    assert wrap.evaluate("wrap => wrap.scrollWidth <= wrap.clientWidth")
    page.locator("#results-columns summary").click()
    page.locator("#column-device").check()
    expect(table.locator("thead")).to_contain_text("Device")
    expect(page.locator("#column-device")).to_be_focused()
    page.locator("#results-target").fill("60")
    page.keyboard.press("Enter")
    expect(table.locator("thead")).to_contain_text("Device")
    expect(page).to_have_url(re.compile("target=60"))
    page.reload()
    expect(table.locator("thead")).to_contain_text("Device")
    expect(names.first).to_have_text("first")


def test_the_table_is_copied_and_downloaded(
    context: BrowserContext, page: Page, ended: Ended, tmp_path: Path
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address(ended.first, ended.second, more="&columns=status&columns=test_accuracy"))
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines()[0] == "| Run | Status | Test accuracy |"
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV", exact=True).click()
    waiting.value.save_as(tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["first", SCRIPT_NAME]


def test_a_count_of_the_verdict_leads_to_its_images(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second))
    page.locator(".counts a").nth(1).click()
    scroll_to_part(page, "flips")
    expect(page).to_have_url(re.compile("flip=broken"))
    expect(page.locator("#flips-title")).to_be_focused()
    shots = page.locator("#flips .shot")
    expect(shots).to_have_count(5)
    expect(shots.first).to_contain_text("5 70 %")
    shots.first.locator("img").scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#flips img')].every(one => one.naturalWidth === 8)"
    )


def test_images_are_stepped_through_by_keyboard(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second))
    scroll_to_part(page, "flips")
    shots = page.locator("#flips [data-shot]")
    shots.first.focus()
    page.keyboard.press("ArrowRight")
    expect(shots.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(shots.nth(1)).not_to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(shots.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    viewer = page.locator("dialog.viewer")
    expect(viewer).to_be_visible()
    expect(viewer).to_contain_text("2 of 24 on this page")
    expect(viewer).to_contain_text("wrong, 3.3 % for the true class")
    expect(viewer.locator("table")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("3 of 24 on this page")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(shots.nth(2)).to_be_focused()


def test_images_are_filtered_and_paged_and_the_address_restores_them(
    page: Page, ended: Ended
) -> None:
    page.goto(address(ended.first, ended.second))
    scroll_to_part(page, "flips")
    page.locator("#flips [data-after]").click()
    expect(page.locator("#flips .shot")).to_have_count(1)
    page.locator("#flips-class").select_option(label="1 (9)")
    expect(page.locator("#flips .shot")).to_have_count(9)
    expect(page).to_have_url(re.compile(r"class=1"))
    assert "page=" not in page.url
    page.reload()
    scroll_to_part(page, "flips")
    expect(page.locator("#flips .shot")).to_have_count(9)
    page.locator("#flip-both_wrong").click()
    expect(page.locator("#flips .shot")).to_have_count(5)
    page.go_back()
    expect(page.locator("#flips .shot")).to_have_count(9)


def test_an_image_that_cannot_be_had_says_so(page: Page, ended: Ended) -> None:
    page.route("**/images/0?*", lambda route: route.fulfill(status=404, body=""))
    page.goto(address(ended.first, ended.second))
    scroll_to_part(page, "flips")
    expect(page.locator("#flips .shot").first).to_contain_text("No longer here")


def test_a_click_on_a_cell_opens_its_images(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second))
    scroll_to_part(page, "confusion")
    plot = page.locator(f"#compare-confusion-{ended.first}")
    expect(plot.locator(".heatmaplayer image")).to_have_count(1)
    plot.scroll_into_view_if_needed()
    # The middle of the cell of class 0 taken for class 1, in the page's pixels.
    place = plot.evaluate(
        """plot => {
            const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
            return [
                box.left + xaxis._offset + xaxis.d2p(1), box.top + yaxis._offset + yaxis.d2p(0)];
        }"""
    )
    page.mouse.move(*place)
    expect(plot.locator(".hoverlayer .hovertext")).to_contain_text("9 images")
    page.mouse.click(*place)
    expect(page.locator("#cell-title")).to_have_text("0 taken for 1 by first: 9")
    expect(page.locator("#cell-title")).to_be_focused()
    expect(page.locator("#cell .shot")).to_have_count(9)
    expect(page).to_have_url(re.compile(f"cell={ended.first}-0-1"))
    page.locator("#cell-close").click()
    expect(page.locator("#cell")).to_have_count(0)


def test_the_table_of_confused_classes_opens_images_by_keyboard(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second))
    scroll_to_part(page, "confusion")
    page.locator("#cell-both-0-1").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#cell-title")).to_have_text("0 taken for 1 by just one of the two: 9")
    difference = page.locator("#compare-difference")
    expect(difference.locator(".heatmap-label text").first).to_have_text("+9")
    page.locator("#cm-rows").click()
    expect(
        page.locator(f"#compare-confusion-{ended.second} .heatmap-label text").first
    ).to_have_text("100%")
    expect(page.locator("#cm-rows")).to_be_focused()


def test_figures_by_class_are_switched(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second, ended.third))
    scroll_to_part(page, "classes")
    expect(page.locator("#compare-classes .heatmaplayer image")).to_have_count(1)
    page.locator("#figure-recall").click()
    expect(page.locator("#compare-class-bars .gtitle")).to_contain_text("Recall where")
    page.locator("#classes-table summary").click()
    expect(page.locator("#classes-table tbody tr").first).to_contain_text("100.0 points")


def test_a_part_that_cannot_be_loaded_says_so_and_is_tried_again(page: Page, ended: Ended) -> None:
    page.goto(address(ended.first, ended.second, more="&cell=nonsense"))
    page.evaluate("document.getElementById('confusion').scrollIntoView()")
    alert = page.locator("#confusion [role=alert]")
    expect(alert).to_contain_text("RUN-TRUE-PREDICTED")
    page.evaluate("history.replaceState(null, '', location.href.replace('&cell=nonsense', ''))")
    alert.get_by_role("button", name="Try again").click()
    scroll_to_part(page, "confusion")
    expect(alert).to_have_count(0)


def test_the_verdict_follows_a_run_that_ends(page: Page, server: Server, ended: Ended) -> None:
    spec = runs.get_run(server.store, ended.first).spec
    changed = {**spec, "name": "still going", "optimizer": {**spec["optimizer"], "lr": 0.3}}
    from trainer.parsing import parse_spec

    run, _ = runs.create_run(server.store, parse_spec(changed), owner="local", priority=950)
    teller = Teller(
        server.store, run.id, claim(server.store, run.id), epochs=3, top=0.9, classes=CLASSES
    )
    teller.start()
    page.goto(address(ended.first, run.id))
    expect(page.locator(".verdict-sentence")).to_contain_text("it is running")
    items = digits(server.settings, server.store)
    for epoch in (1, 2, 3):
        teller.epoch(epoch)
    teller.tell(evaluated(server.settings, run.id, items, answers(items, [1])))
    teller.finish()
    expect(page.locator(".verdict-sentence")).to_contain_text("29 fixed, 0 broken", timeout=20_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_a_screen_reader_are_served(
    browser: Browser, server: Server, ended: Ended, scheme: str
) -> None:
    context = browser.new_context(
        base_url=server.address, viewport={"width": 390, "height": 844}, color_scheme=scheme,
        bypass_csp=True,  # axe is evaluated in the page
    )  # fmt: skip
    context.set_default_timeout(20_000)
    faults = watched(context, server.address)
    page = context.new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(address(ended.first, ended.second, ended.third, more=f"&cell={ended.first}-0-1"))
    for name in PARTS:
        scroll_to_part(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page, "main").response["violations"]
    bad = [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
    assert bad == []
    context.close()
    assert faults == []
