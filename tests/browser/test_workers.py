"""The Workers page in a browser: the queue is moved by key and by pointer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from store.queue import queued_ids
from store.runs import create_run
from tests.browser.conftest import Server
from tests.seeding import add_workers, run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def order(page: Page) -> list[int]:
    rows = page.locator("[data-queued]")
    return [int(row.get_attribute("data-queued") or 0) for row in rows.all()]


def wait_for_order(page: Page, wanted: list[int]) -> None:
    page.wait_for_function(
        """wanted => [...document.querySelectorAll("[data-queued]")]
            .map(row => Number(row.dataset.queued)).join() === wanted.join()""",
        arg=wanted,
    )


def test_the_queue_is_moved_by_key_and_by_pointer(page: Page, server: Server) -> None:
    add_workers(server.store)
    for number in range(2):
        create_run(server.store, run_spec(f"waiting {number}"), owner="local")
    page.goto("/workers")
    ids = queued_ids(server.store)
    assert order(page) == ids
    up = page.locator(f"#up-{ids[2]}")
    up.focus()
    page.keyboard.press("Enter")
    wanted = [ids[0], ids[2], ids[1], *ids[3:]]
    wait_for_order(page, wanted)
    expect(page.locator("#queue-said")).to_contain_text("was moved.")
    expect(up).to_be_focused()  # so that it can be pressed again
    assert queued_ids(server.store) == wanted
    last = page.locator(f"#queue-{wanted[-1]}")
    last.drag_to(
        page.locator(f"#queue-{wanted[0]}"),
        source_position={"x": 300, "y": 10},
        target_position={"x": 300, "y": 2},
    )
    wanted = [wanted[-1], *wanted[:-1]]
    wait_for_order(page, wanted)
    assert queued_ids(server.store) == wanted


def test_a_worker_is_drained_and_resumed(page: Page, server: Server) -> None:
    add_workers(server.store)
    page.goto("/workers")
    page.get_by_role("button", name="Drain lab, process 4711").click()
    row = page.locator("tr", has_text="process 4711")
    expect(row).to_contain_text("Draining")
    page.get_by_role("button", name="Resume lab, process 4711").click()
    expect(row).not_to_contain_text("Draining")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
