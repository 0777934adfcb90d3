"""The Studies page, a study's page and notices in a browser."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from store import studies
from store.rows import StudyRow
from store.study_ends import note_ends
from tests.browser.conftest import Server, scroll_to_part, traces
from tests.seeding import Teller, claim, run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def launched(server: Server, count: int = 3, owner: str = "local") -> StudyRow:
    specs = [
        run_spec(f"rate {number}", training={"epochs": 2}, optimizer={"lr": 0.1 * number})
        for number in range(1, count + 1)
    ]
    newest = len(studies.list_studies(server.store))
    return studies.create_study(server.store, "Rates", owner, specs, priority=900 + newest)


def train(server: Server, run_id: int, top: float) -> None:
    Teller(server.store, run_id, claim(server.store, run_id), epochs=2, top=top).whole()
    note_ends(server.store)


def test_a_study_grows_before_the_eyes_and_says_what_it_found(page: Page, server: Server) -> None:
    study = launched(server)
    page.goto("/studies")
    row = page.locator(f'tr[data-study="{study.id}"]')
    expect(row).to_contain_text("0 of 3 runs ended")
    train(server, study.run_ids[0], 0.5)
    expect(row).to_contain_text("1 of 3 runs ended")
    row.get_by_role("link", name="Rates").click()
    train(server, study.run_ids[1], 0.9)
    head = page.locator("#study-head")
    expect(head).to_contain_text("2 of 3")
    expect(head.locator("dd", has_text="rate 2")).to_be_visible()
    first = page.locator("#study-members tbody tr").first
    expect(first).to_contain_text("rate 2")
    scroll_to_part(page, "analysis")
    best = traces(page, "study-best")[1]
    assert len(best["y"]) == 2
    assert best["y"] == sorted(best["y"])
    train(server, study.run_ids[2], 0.7)
    expect(head).to_contain_text("Ended")
    expect(page.locator("#analysis")).to_contain_text("optimizer.lr")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_note_is_written_kept_over_a_reload_and_shown_as_markdown(
    page: Page, server: Server
) -> None:
    study = launched(server, 1)
    page.goto(f"/studies/{study.id}")
    page.get_by_text("Edit name and note").click()
    page.get_by_role("textbox", name="Note").fill("**Found**: the rate decides.")
    page.reload()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("**Found**: the rate decides.")
    page.locator("#note").get_by_role("button", name="Save").click()
    expect(page.locator(".prose strong")).to_have_text("Found")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop all").click()
    expect(page.locator("#study-head")).to_contain_text("Stopped")


def test_an_end_is_told_once_over_tabs_and_reloads_and_only_to_its_owner(
    context: BrowserContext, server: Server
) -> None:
    one, two = context.new_page(), context.new_page()
    for tab in (one, two):
        tab.goto("/datasets")
        expect(tab.locator("#notices-menu")).to_be_visible()
    # Both hear before anything ends, so that what follows is news to both.
    one.wait_for_timeout(100)
    theirs = launched(server, 1, owner="ann")
    train(server, theirs.run_ids[0], 0.5)
    mine = launched(server, 2)
    train(server, mine.run_ids[0], 0.5)
    train(server, mine.run_ids[1], 0.6)
    text = f"Study {mine.id}, Rates, has ended."
    two.wait_for_function(
        "text => localStorage.getItem('tuneboard-notices').includes(text)",
        arg=f"study {mine.id} ",
    )
    shown = [tab.locator(".toast", has_text=text) for tab in (one, two)]
    one.wait_for_function(
        "() => JSON.parse(localStorage.getItem('tuneboard-notices')).seen.length >= 4"
    )
    deadline = time.monotonic() + 5
    while not any(toast.count() for toast in shown) and time.monotonic() < deadline:
        one.wait_for_timeout(50)  # it is kept as told a moment before it is shown
    assert shown[0].count() + shown[1].count() == 1
    teller = one if shown[0].count() else two
    assert teller.locator(".toast").count() == 1  # neither ann's nor each run of the study
    link = teller.locator(".toast a")
    assert link.get_attribute("href") == f"/studies/{mine.id}"
    teller.get_by_role("button", name=f"Dismiss: {text}").click()
    expect(teller.locator(".toast")).to_have_count(0)
    teller.reload()
    expect(teller.locator("#notices-menu")).to_be_visible()
    other = launched(server, 1)
    train(server, other.run_ids[0], 0.5)
    again = f"Study {other.id}, Rates, has ended."
    expect(one.locator(".toast", has_text=again).or_(one.locator("body"))).to_have_count(1)
    one.wait_for_function(
        "text => localStorage.getItem('tuneboard-notices').includes(text)",
        arg=f"study {other.id} ",
    )
    assert [tab.locator(".toast", has_text=text).count() for tab in (one, two)] == [0, 0]


def test_the_choice_of_notices_is_kept(page: Page, server: Server) -> None:
    page.goto("/workers")
    page.get_by_text("Notices", exact=True).click()
    page.get_by_label("Everybody's").check()
    page.reload()
    page.get_by_text("Notices", exact=True).click()
    expect(page.get_by_label("Everybody's")).to_be_checked()
    theirs = launched(server, 1, owner="ann")
    train(server, theirs.run_ids[0], 0.5)
    expect(page.locator(".toast")).to_contain_text(f"Study {theirs.id}, Rates, has ended.")
    page.get_by_text("Notices", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator(".notices-panel")).to_be_hidden()


def test_the_browser_tells_of_an_end_once_it_was_asked(page: Page, server: Server) -> None:
    page.add_init_script(
        """window.Notification = class extends EventTarget {
            static permission = "default";
            static async requestPermission() { return (this.permission = "granted"); }
            constructor(title, { body }) { super(); (window.told ??= []).push(body); }
        };"""
    )
    page.goto("/workers")
    page.get_by_text("Notices", exact=True).click()
    page.get_by_role("button", name="Notify me outside this page too").click()
    expect(page.get_by_role("button", name="Only within the page again")).to_be_visible()
    mine = launched(server, 1)
    train(server, mine.run_ids[0], 0.5)
    page.wait_for_function("() => window.told")
    assert page.evaluate("window.told") == [f"Study {mine.id}, Rates, has ended."]
