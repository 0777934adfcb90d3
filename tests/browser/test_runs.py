"""The leaderboard in a real browser: completion, live rows under a filter, chosen runs."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from store.labels import change_tags
from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def shown(page: Page) -> list[int]:
    rows = page.locator("tbody:not(.pinned-rows) tr[data-run]")
    return [int(number) for number in rows.evaluate_all("rows => rows.map(r => r.dataset.run)")]


def test_a_filter_is_written_with_completion_and_keys_alone(page: Page, server: Server) -> None:
    change_tags(server.store, [server.seeded.tuned, server.seeded.scratch], add=["week 48"])
    page.goto("/runs?sort=name&q=")
    field = page.get_by_role("combobox", name="Filter", exact=True)
    options = page.locator("#filter-options")
    field.focus()
    expect(options).to_contain_text("status")
    field.press_sequentially("val_acc")
    expect(options.get_by_role("option").first).to_contain_text("val_accuracy")
    field.press("Escape")
    expect(options).to_be_hidden()
    field.fill("best_val_accuracy > 50% and ta")
    expect(options.get_by_role("option").first).to_have_text(re.compile("^tag"))
    field.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "filter-option-0")
    field.press("Enter")
    expect(field).to_have_value("best_val_accuracy > 50% and tag ")
    field.press("ArrowDown")
    field.press("Enter")
    expect(options).to_contain_text("week 48")
    field.press("ArrowDown")
    field.press("Tab")
    expect(field).to_have_value('best_val_accuracy > 50% and tag = "week 48" ')
    field.press("Escape")
    field.press("Enter")
    page.wait_for_url(re.compile("[?&]filter="))
    assert "q=" not in page.url  # empty fields are left out of the address
    assert "sort=name" in page.url
    assert shown(page) == [server.seeded.scratch, server.seeded.tuned]


def test_a_live_run_enters_and_climbs_a_filtered_and_sorted_list(
    page: Page, server: Server
) -> None:
    page.goto(
        "/runs?filter=best_val_accuracy+>+0&sort=best_val_accuracy&columns=status,best_val_accuracy,curve_val_accuracy"
    )
    before = page.locator("tr[data-run]").count()
    page.locator(f"#select-{server.seeded.tuned}").check()
    teller = server.started_run(epochs=4)
    run = page.locator(f"tr[data-run='{teller.run_id}']")
    expect(run).to_have_count(0)
    teller.epoch(1)
    expect(run).to_have_count(1)
    expect(page.locator("tr[data-run]")).to_have_count(before + 1)
    assert shown(page)[0] in {teller.run_id, server.seeded.script}
    curve = run.locator(".spark polyline")
    first = curve.get_attribute("points")
    teller.epoch(2)
    expect(run.locator("[data-metric]")).to_have_text(re.compile("^[4-7]"))
    expect(curve).not_to_have_attribute("points", first or "")
    expect(page.locator(f"#select-{server.seeded.tuned}")).to_be_checked()
    teller.epoch(3)
    teller.epoch(4)
    teller.finish()
    expect(run).to_have_attribute("data-status", "succeeded")


def test_chosen_runs_are_tagged_compared_and_deleted(page: Page, server: Server) -> None:
    page.goto("/runs?status=succeeded")
    for button in page.locator("[data-needs-one]").all():
        expect(button).to_be_disabled()
    for run_id in (server.seeded.frozen, server.seeded.scratch):
        page.locator(f"#select-{run_id}").check()
    page.get_by_role("button", name="Tag…").click()
    page.get_by_label("Tags, with commas between").fill("browser")
    page.get_by_role("button", name="Put on 2 runs").click()
    expect(page.get_by_role("status")).to_contain_text("2 runs tagged")
    assert "status=succeeded" in page.url
    page.locator(f"#run-{server.seeded.frozen} .run-tag", has_text="browser").click()
    assert set(shown(page)) == {server.seeded.frozen, server.seeded.scratch}

    page.locator(f"#pin-{server.seeded.frozen}").click()
    expect(page.locator(".pinned-rows tr")).to_have_id(f"run-{server.seeded.frozen}")
    page.locator(f"#select-{server.seeded.scratch}").check()
    page.get_by_role("button", name="Compare with the baseline").click()
    page.wait_for_url("**/compare?*")
    assert f"baseline={server.seeded.frozen}" in page.url

    page.goto("/runs")
    page.locator(f"#select-{server.seeded.failed}").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete 1 run, free 0 B").click()
    expect(page.get_by_role("status")).to_contain_text("1 run deleted")
    expect(page.locator(f"#run-{server.seeded.failed}")).to_have_count(0)


def test_a_run_deleted_elsewhere_leaves_an_open_page(page: Page, server: Server) -> None:
    page.goto("/runs")
    row = page.locator(f"#run-{server.seeded.cancelled}")
    expect(row).to_be_visible()
    expect(page.locator("[data-live-note]")).to_have_attribute("data-state", "open")
    answer = page.request.delete(f"/api/v1/runs/{server.seeded.cancelled}")
    assert answer.ok, answer.text()
    expect(row).to_have_count(0)


def test_columns_are_chosen_in_the_page_and_fit_a_phone(page: Page, server: Server) -> None:
    page.goto("/runs")
    page.locator("#columns-details > summary").click()
    page.get_by_label("Epochs done").uncheck()
    page.get_by_label("Others").fill("loss.label_smoothing, best_epoch_val_loss")
    page.get_by_role("button", name="Show these columns").click()
    page.wait_for_url("**/runs?columns=*")
    expect(page.get_by_role("columnheader", name="Label smoothing")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Epochs done")).to_have_count(0)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cell = page.locator(f"#run-{server.seeded.tuned} td[data-label='Label smoothing']")
    expect(cell).to_be_visible()
