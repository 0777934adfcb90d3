"""The run page in a browser: searched, paused, looked through, and complete when its run ends."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from store.lifecycle import hand_back, request_cancel
from store.runs import get_run
from tests.browser.conftest import Server, scroll_to_part
from tests.compared import answers, digits, evaluated, finished_run
from tests.seeding import SCRIPT_NAME
from trainer import events as said

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_a_cell_is_clicked_and_images_are_looked_at(page: Page, server: Server) -> None:
    items = digits(server.settings, server.store)
    run = finished_run(server.store, server.settings, SCRIPT_NAME, answers(items, range(30)))
    page.goto(f"/runs/{run.id}")
    expect(page.locator("h1")).to_contain_text(SCRIPT_NAME)
    scroll_to_part(page, "confusion")
    page.locator(".confused tbody a").first.click()
    expect(page.locator("#cell-title")).to_have_text("0 taken for 1: 9")
    expect(page.locator("#cell .shot")).to_have_count(9)
    assert "cell=" in page.url
    page.wait_for_function("() => document.getElementById('confusion-val')?.data !== undefined")
    page.evaluate(
        "document.getElementById('confusion-val').emit('plotly_click',"
        " {points: [{data: document.getElementById('confusion-val').data[0], x: 5, y: 5}]})"
    )
    expect(page.locator("#cell-title")).to_have_text("5 rightly found: 9")
    scroll_to_part(page, "looks")
    expect(page.locator("#looks .shot")).to_have_count(24)
    page.locator("#look-random").click()
    expect(page.locator("#look-again")).to_be_visible()
    first = page.locator("#looks [data-shot]").first.get_attribute("id")
    page.locator("#look-again").click()
    page.wait_for_url(re.compile("seed=1"))
    expect(page.locator("#looks")).to_contain_text("draw 1")
    assert page.locator("#looks [data-shot]").first.get_attribute("id") != first
    page.go_back()
    expect(page.locator("#looks")).to_contain_text("draw 0")
    assert page.locator("#looks [data-shot]").first.get_attribute("id") == first
    scroll_to_part(page, "calibration")
    expect(page.locator("#calibration")).to_contain_text("is right in 66.7 %")


def test_a_run_that_ends_shows_all_of_it_without_a_reload(page: Page, server: Server) -> None:
    run = server.started_run(epochs=2)
    page.goto(f"/runs/{run.run_id}")
    expect(page.locator("#resources")).to_be_hidden()
    page.evaluate("window.stayed = true")
    now = time.time()
    for second in (0, 2):
        run.tell(said.Resources(time=now + second, memory_bytes=2**30, cpu_percent=150.0))
    expect(page.locator("#resources")).to_be_visible()
    page.wait_for_function(
        "() => document.getElementById('resource-memory_bytes')?.data?.[0].y.includes(1)"
    )
    page.locator("#wish-count").fill("7")
    run.epoch(1)
    phases = page.get_by_role("region", name="Where the seconds went")
    expect(phases).to_contain_text("ended so far")
    run.epoch(2)
    items = digits(server.settings, server.store)
    run.tell(evaluated(server.settings, run.run_id, items, answers(items, range(5))))
    folder = server.settings.attempt_dir(run.run_id, run.attempt) / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("last.pt", "best.safetensors"):
        (folder / name).write_bytes(b"0" * 100)
    run.finish()
    expect(page.locator("#run-head .chip")).to_have_text("Succeeded")
    expect(page.locator("#downloads")).to_contain_text("best.safetensors")
    expect(phases).to_contain_text("Standalone")
    expect(page.locator("#continue-form")).to_be_visible()
    expect(page.locator("#wish-count")).to_have_value("7")
    scroll_to_part(page, "looks")
    expect(page.locator("#looks .shot")).to_have_count(5)
    page.locator("#export-onnx summary").click()
    expect(page.locator("#snippet-onnx")).to_contain_text(f'InferenceSession("run-{run.run_id}')
    page.locator("#export-button-onnx").click()
    expect(page.locator("#downloads table").first).to_contain_text("Queued")


def test_a_run_is_paused_and_resumed_by_its_buttons(page: Page, server: Server) -> None:
    run = server.started_run()
    run.epoch(1)
    page.goto(f"/runs/{run.run_id}")
    page.locator("#pause-button").click()
    expect(page.locator("#run-head .chip")).to_have_text("Pausing")
    hand_back(server.store, run.run_id, run.attempt, "Its user asked for a pause.")
    expect(page.locator("#run-head .chip")).to_have_text("Paused")
    page.locator("#resume-button").click()
    expect(page.locator("#run-head .chip")).to_have_text("Queued")
    assert get_run(server.store, run.run_id).status == "queued"
    request_cancel(server.store, run.run_id)  # the tests after this one take the next in the queue


def test_the_log_is_searched_here_and_on_the_server(page: Page, server: Server) -> None:
    run = server.started_run()
    run.log("the needle of long ago")
    run.tell(*[said.Logged(time=1.0, message=f"line {number}") for number in range(400)])
    run.log("another Needle")
    page.goto(f"/runs/{run.run_id}")
    expect(page.locator("#log-count")).to_contain_text("The newest 300 of")
    page.locator("#log-search").fill("needle")
    expect(page.locator("#log li:visible")).to_have_count(2)
    expect(page.locator("#log li:visible").first).to_contain_text("of long ago")
    run.log("a line without it")
    run.log("a third needle")
    expect(page.locator("#log li:visible")).to_have_count(3)
    page.locator("#log-search").fill("")
    expect(page.locator("#log")).to_contain_text("a line without it")
    expect(page.locator("#log-count")).to_contain_text("The newest 300 of")
