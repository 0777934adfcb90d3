"""What one does with a comparison, in a real browser: pick runs, vote, save, share."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from store.comparisons import delete_comparison, list_comparisons
from store.studies import create_study
from tests.browser.conftest import Server
from tests.compared import answers, digits, finished_run
from tests.seeding import EMOJI_NOTE, SCRIPT_NAME, run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def three(server: Server) -> tuple[int, ...]:
    """Three runs that are wrong on 8, 10 and 12 images, never two of them on the same one."""
    settings = server.settings
    items = digits(settings, server.store)
    made = [
        finished_run(
            server.store,
            settings,
            name,
            answers(items, places),
            optimizer={"lr": 0.001 * (seed + 1)},
        )
        for seed, (name, places) in enumerate(
            zip(
                ("first", SCRIPT_NAME, "third"),
                (range(8), range(20, 30), range(40, 52)),
                strict=True,
            )
        )
    ]
    return tuple(run.id for run in made)


@pytest.fixture
def unsaved(server: Server) -> Iterator[None]:
    yield
    for row in list_comparisons(server.store):
        delete_comparison(server.store, row.id)


def query_of(page: Page) -> str:
    found: str = page.evaluate("location.search")
    return found


def test_runs_and_studies_are_found_as_one_types_and_added(page: Page, server: Server) -> None:
    study = create_study(server.store, "picked together", "ann", [run_spec("x"), run_spec("y")])
    page.goto("/compare?run=1&x=step")
    page.locator("#picker > summary").click()
    page.get_by_label("fine-tuned").check()
    page.locator("#picker-find").fill("picked tog")
    expect(page.locator("#picker-list")).to_contain_text("picked together")
    expect(page.get_by_label("fine-tuned")).to_be_checked()  # what is ticked stays
    page.get_by_label("picked together 2 runs").check()
    expect(page.locator("[data-ticked]")).to_have_text("2 ticked")
    page.get_by_role("button", name="Add the ticked").click()
    page.wait_for_url(re.compile("run=1&run=3"))
    first, second = study.run_ids
    assert query_of(page) == f"?run=1&run=3&run={first}&run={second}&x=step"
    page.get_by_label("Remove x from the comparison").click()
    page.wait_for_url(re.compile(f"run=1&run=3&run={second}"))


def test_the_picker_works_without_scripts(browser: Browser, server: Server) -> None:
    context = browser.new_context(base_url=server.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/compare")
    page.locator("#picker-find").fill("efficientnet")
    page.get_by_role("button", name="Search").click()
    expect(page.locator('#picker-list [name="run"]')).to_have_count(2)
    for box in page.locator('#picker-list [name="run"]').all():
        box.check()
    page.get_by_role("button", name="Add the ticked").click()
    page.wait_for_url(re.compile(r"/compare\?run=3&run=2$"))
    context.close()


def test_the_members_of_a_vote_are_chosen_and_kept_in_the_address(
    page: Page, three: tuple[int, ...]
) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto("/compare?" + "&".join(f"run={run_id}" for run_id in three))
    page.evaluate("document.getElementById('vote').scrollIntoView()")
    part = page.locator("#vote")
    part.get_by_role("button", name="Count the votes").click()
    expect(part.get_by_role("status")).to_contain_text("100.00 %")
    expect(part.get_by_role("status")).to_contain_text("8 fixed, 0 broken")
    part.get_by_label("third").uncheck()
    part.get_by_label("A tie goes to").select_option(label=SCRIPT_NAME)
    part.get_by_role("button", name="Count the votes").click()
    expect(part.get_by_role("status")).to_contain_text("88.89 %")
    assert f"vote={three[0]}%2C{three[1]}" in query_of(page)
    page.reload()
    page.evaluate("document.getElementById('vote').scrollIntoView()")
    expect(part.get_by_role("status")).to_contain_text("88.89 %")
    expect(part.get_by_label("third")).not_to_be_checked()
    part.get_by_label("first", exact=True).uncheck()
    part.get_by_role("button", name="Count the votes").click()
    assert page.evaluate("!document.querySelector('[data-vote]').checkValidity()")


def test_members_ticked_or_being_ticked_outlive_the_news_of_a_run(
    page: Page, server: Server, three: tuple[int, ...]
) -> None:
    live = server.started_run()
    live.epoch(1)
    page.goto("/compare?" + "&".join(f"run={run_id}" for run_id in [*three, live.run_id]))
    expect(page.locator("[data-live-note]")).to_have_text("Live")
    page.evaluate("document.getElementById('vote').scrollIntoView()")
    part = page.locator("#vote")
    part.get_by_label("third").uncheck()
    part.get_by_label("first", exact=True).focus()
    page.keyboard.down("Space")
    with page.expect_response("**/parts/compare/vote**"):
        live.finish()
    page.wait_for_timeout(300)
    page.keyboard.up("Space")
    expect(page.locator("#compare-results .chip").nth(3)).to_have_text("Succeeded")
    page.wait_for_timeout(500)
    expect(part.get_by_label("third")).not_to_be_checked()
    expect(part.get_by_label("first", exact=True)).not_to_be_checked()


@pytest.mark.usefixtures("unsaved")
def test_a_view_is_saved_found_again_and_renamed(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/compare?run=1&run=2")
    page.locator("#curves-x").select_option("step")  # the address changes under the form
    expect(page).to_have_url(re.compile("x=step"))
    page.locator("#save-details > summary").click()
    page.get_by_label("Name", exact=True).fill(SCRIPT_NAME)
    page.get_by_label("Note", exact=True).fill(EMOJI_NOTE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#share-title")).to_have_text(SCRIPT_NAME)
    page.goto("/compare")
    expect(page.locator("#saved")).to_contain_text(EMOJI_NOTE)
    page.get_by_role("link", name=SCRIPT_NAME).click()
    expect(page.locator("#curves-x")).to_have_value("step")
    page.goto("/compare")
    page.locator("#saved summary").click()
    page.locator("#saved").get_by_label("Name", exact=True).fill("heads")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="heads")).to_be_visible()
    page.locator("#saved summary").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#saved")).to_contain_text("None yet")


def test_a_whole_spec_is_shown_when_it_is_asked_for(page: Page) -> None:
    page.goto("/compare?run=2&run=3")
    page.locator("#whole-specs > summary").click()
    page.locator("#whole-3 > summary").click()
    expect(page.locator("#whole-3 pre")).to_contain_text("lr: 0.01")
    expect(page.locator("#whole-3 button")).to_have_text("Copy")


def test_many_runs_differ_in_a_table_that_scrolls_by_itself(page: Page, server: Server) -> None:
    specs = [run_spec(f"lr {place}", optimizer={"lr": 0.001 * place}) for place in range(1, 31)]
    study = create_study(server.store, "a sweep of thirty", "ann", specs)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/compare?" + "&".join(f"run={run_id}" for run_id in study.run_ids))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    table = page.locator(".spec-scroll")
    table.evaluate("box => box.scrollLeft = 2000")
    box, field = table.bounding_box(), page.locator("tbody .spec-field").first.bounding_box()
    assert box is not None
    assert field is not None
    assert field["x"] == pytest.approx(box["x"], abs=2)  # the names of the fields stay


@pytest.mark.parametrize("runs", [2, 3])
def test_a_comparison_does_not_jump_while_its_parts_are_fetched(
    page: Page, three: tuple[int, ...], runs: int
) -> None:
    page.add_init_script(
        """window.shift = 0; new PerformanceObserver(list => {
            for (const entry of list.getEntries()) window.shift += entry.value;
        }).observe({type: 'layout-shift', buffered: true});"""
    )
    page.goto("/compare?" + "&".join(f"run={run_id}" for run_id in three[:runs]))
    expect(page.locator("#verdict[data-loaded]")).to_be_visible()
    while page.evaluate("scrollY + innerHeight < document.documentElement.scrollHeight - 1"):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(250)
    expect(page.locator("#vote[data-loaded]")).to_be_visible()
    assert page.evaluate("window.shift") < 0.02
