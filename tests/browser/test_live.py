from __future__ import annotations

import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from store import lifecycle
from tests.browser.conftest import Server, traces, wait_for_points

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_curves_grow_and_the_end_arrives_without_a_reload(page: Page, server: Server) -> None:
    run = server.started_run(epochs=4)
    run.epoch(1)
    page.goto(f"/runs/{run.run_id}")
    wait_for_points(page, "accuracy", "val_accuracy", 1)
    page.evaluate("window.stayed = true")
    for number in (2, 3):
        run.epoch(number)
        wait_for_points(page, "accuracy", "val_accuracy", number)
    assert [trace["x"] for trace in traces(page, "loss")] == [[1, 2, 3]] * 2
    assert len(traces(page, "batch")[0]["x"]) == 45
    run.progress(3 * 45 + 9)
    expect(page.locator('[data-field="step"]')).to_have_text("step 144 of 180")
    expect(page.locator("#run-head .bar")).to_have_attribute("value", "0.8")
    expect(page.locator("#log")).to_contain_text("Epoch 3 of 4 done.")
    run.epoch(4)
    run.evaluate()
    run.finish()
    expect(page.locator("#run-head .chip")).to_have_text("Succeeded")
    expect(page.locator("#cancel-button")).to_have_count(0)
    page.wait_for_function("() => document.getElementById('confusion-val')?.data !== undefined")
    assert traces(page, "accuracy")[1]["x"] == [1, 2, 3, 4]
    assert page.evaluate("window.stayed") is True


def test_points_taken_back_by_a_resumed_attempt_leave_the_curves(
    page: Page, server: Server
) -> None:
    run = server.started_run()
    for number in (1, 2, 3):
        run.epoch(number)
    page.goto(f"/runs/{run.run_id}")
    wait_for_points(page, "accuracy", "val_accuracy", 3)
    lifecycle.rewind(server.store, run.run_id, run.attempt, offset=1, step=45, epochs=1)
    wait_for_points(page, "accuracy", "val_accuracy", 1)
    run.epoch(2)
    wait_for_points(page, "accuracy", "val_accuracy", 2)
    assert traces(page, "accuracy")[1]["x"] == [1, 2]


def test_the_log_follows_only_a_reader_at_its_end(page: Page, server: Server) -> None:
    run = server.started_run()
    for number in range(60):
        run.log(f"line {number}")
    page.goto(f"/runs/{run.run_id}")
    log = page.locator("#log")
    expect(log).to_contain_text("line 59")
    run.log("the newest")
    expect(log).to_contain_text("the newest")
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 2
    log.evaluate("log => { log.scrollTop = 0; }")
    run.log("while reading above")
    expect(log).to_contain_text("while reading above")
    assert log.evaluate("log => log.scrollTop") == 0


def test_a_run_page_rendered_before_the_run_began_catches_up(page: Page, server: Server) -> None:
    run = server.started_run()
    page.goto(f"/runs/{run.run_id}")
    expect(page.locator("[data-live-note]")).to_have_text("Live")
    run.epoch(1)
    wait_for_points(page, "loss", "val_loss", 1)
    assert not page.evaluate("document.getElementById('loss').layout.annotations?.length")


def test_the_list_of_runs_follows(page: Page, server: Server) -> None:
    page.goto("/runs")
    expect(page.locator("[data-live-note]")).to_have_text("Live")
    run = server.started_run(epochs=4)
    row = page.locator(f"#run-{run.run_id}")
    expect(row.locator(".chip")).to_have_text("Running")
    page.locator("#select-1").check()
    run.epoch(1)
    expect(row.locator('[data-field="epochs"]')).to_have_text("1 / 4")
    run.finish()
    expect(row.locator(".chip")).to_have_text("Succeeded")
    expect(page.locator("#select-1")).to_be_checked()


def test_a_key_or_button_held_while_the_list_changes_still_counts(
    page: Page, server: Server
) -> None:
    page.goto("/runs")
    expect(page.locator("[data-live-note]")).to_have_text("Live")
    page.locator("#select-1").focus()
    page.keyboard.down("Space")
    with page.expect_response("**/parts/runs**"):
        run = server.started_run()
    page.wait_for_timeout(300)
    page.keyboard.up("Space")
    expect(page.locator("#select-1")).to_be_checked()
    expect(page.locator(f"#run-{run.run_id}")).to_be_visible()
    box = page.locator("#select-2").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    with page.expect_response("**/parts/runs**"):
        run.finish()
    page.wait_for_timeout(300)
    page.mouse.up()
    expect(page.locator("#select-2")).to_be_checked()
    expect(page.locator(f"#run-{run.run_id} .chip")).to_have_text("Succeeded")


def test_the_comparison_follows_runs_that_go_on(page: Page, server: Server) -> None:
    run = server.started_run()
    run.epoch(1)
    page.goto(f"/compare?run=1&run={run.run_id}&x=step")
    wait_for_points(page, "compare-accuracy", "val_accuracy", 1, run.run_id)
    run.epoch(2)
    wait_for_points(page, "compare-accuracy", "val_accuracy", 2, run.run_id)
    assert traces(page, "compare-accuracy")[3]["x"] == [45, 90]
    wait_for_points(page, "compare-accuracy", "val_accuracy", 12, 1)
    run.finish()
    expect(page.locator("#compare-results .chip").nth(1)).to_have_text("Succeeded")


def test_eight_tabs_keep_updating_over_one_connection(
    context: BrowserContext, server: Server
) -> None:
    runs = [server.started_run() for _ in range(3)]
    for run in runs:
        run.epoch(1)
    tabs = [context.new_page() for _ in range(8)]
    for tab, run in zip(tabs[:6], runs * 2, strict=True):
        tab.goto(f"/runs/{run.run_id}")
    tabs[6].goto("/runs")
    tabs[7].goto("/compare?" + "&".join(f"run={run.run_id}" for run in runs))
    for tab in tabs:
        expect(tab.locator("[data-live-note]")).to_have_text("Live")
    deadline = time.monotonic() + 5
    while server.streams.open != 1 and time.monotonic() < deadline:
        tabs[0].wait_for_timeout(50)
    assert server.streams.open == 1
    for number in (2, 3):
        for run in runs:
            run.epoch(number)
        for tab in tabs[:6]:
            wait_for_points(tab, "accuracy", "val_accuracy", number)
            expect(tab.locator("#log")).to_contain_text(f"Epoch {number} of 6 done.")
        for run in runs:
            row = tabs[6].locator(f"#run-{run.run_id}")
            expect(row.locator('[data-field="epochs"]')).to_have_text(f"{number} / 6")
            wait_for_points(tabs[7], "compare-loss", "val_loss", number, run.run_id)
    tabs[0].close()
    runs[1].epoch(4)
    wait_for_points(tabs[1], "accuracy", "val_accuracy", 4)


def test_a_tab_opened_later_misses_nothing(context: BrowserContext, server: Server) -> None:
    run = server.started_run()
    run.epoch(1)
    first = context.new_page()
    first.goto(f"/runs/{run.run_id}")
    wait_for_points(first, "accuracy", "val_accuracy", 1)
    run.epoch(2)
    wait_for_points(first, "accuracy", "val_accuracy", 2)
    second = context.new_page()
    second.goto(f"/runs/{run.run_id}")
    wait_for_points(second, "accuracy", "val_accuracy", 2)
    run.epoch(3)
    for tab in (first, second):
        wait_for_points(tab, "accuracy", "val_accuracy", 3)


def test_without_shared_workers_a_page_listens_alone(page: Page, server: Server) -> None:
    run = server.started_run()
    run.epoch(1)
    page.add_init_script("delete window.SharedWorker")
    page.goto(f"/runs/{run.run_id}")
    assert page.evaluate("'SharedWorker' in window") is False
    wait_for_points(page, "accuracy", "val_accuracy", 1)
    run.epoch(2)
    wait_for_points(page, "accuracy", "val_accuracy", 2)
