from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from store import studies
from tests.browser.conftest import Server, scroll_to_part
from tests.seeding import Teller, claim, run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


@pytest.fixture(scope="module")
def study(server: Server) -> int:
    """A study of five ended runs that differ in two numbers; the greatest rate is the best."""
    swept = studies.create_study(
        server.store,
        "Rates and momenta",
        "local",
        specs=[
            run_spec(f"rate {rate}", optimizer={"lr": rate, "momentum": 0.5 + place / 10})
            for place, rate in enumerate(RATES)
        ],
        priority=980,
    )
    for place, run_id in enumerate(swept.run_ids):
        attempt = claim(server.store, run_id)
        Teller(server.store, run_id, attempt, epochs=2, top=0.6 + place / 20).whole()
    return swept.id


def open_study(page: Page, study: int) -> None:
    """Show a study's analysis; when its page has heard of all runs, it is still the one drawn."""
    page.goto(f"/studies/{study}")
    page.evaluate("document.getElementById('analysis').scrollIntoView()")
    expect(page.locator("#study-parallel .brush")).to_have_count(3)
    page.evaluate("document.getElementById('study-parallel').marked = true")
    page.wait_for_timeout(1500)  # the stream's first word, and a part fetched for it
    assert page.evaluate("document.getElementById('study-parallel').marked")


def expect_lines(page: Page, plot: str, drawn: list[bool]) -> None:
    """Wait until these runs' lines are drawn in full and no others, the worst run first."""
    page.wait_for_function(
        """([id, drawn]) => JSON.stringify(drawn) === JSON.stringify(
            [...document.querySelectorAll(`#${id} .scatterlayer .trace`)]
                .map(line => Number(getComputedStyle(line).opacity) > 0.5))""",
        arg=[plot, drawn],
    )


def drag(page: Page, zone: Locator, start: float, end: float) -> None:
    """Drag along an axis, from one height of it to another, 0 at its foot."""
    zone.scroll_into_view_if_needed()
    box = zone.bounding_box()
    assert box is not None
    x, height = box["x"] + box["width"] / 2, box["height"]
    page.mouse.move(x, box["y"] + height * (1 - start))
    page.mouse.down()
    page.mouse.move(x, box["y"] + height * (1 - (start + end) / 2))
    page.mouse.move(x, box["y"] + height * (1 - end))
    page.mouse.up()


def test_runs_are_kept_by_dragging_along_axes(page: Page, study: int) -> None:
    open_study(page, study)
    brushes = page.locator("#study-parallel .brush")
    expect_lines(page, "study-parallel", [True] * 5)
    drag(page, brushes.nth(0), 0.4, 1.05)
    expect_lines(page, "study-parallel", [False, False, True, True, True])
    drag(page, brushes.nth(1), 0.9, 0.1)
    expect_lines(page, "study-parallel", [False, False, True, True, False])
    passing = page.locator("[data-passing]")
    expect(passing).to_have_text("2 of 5 runs pass.")
    page.locator("#study-parallel-details summary").click()
    expect(page.locator("#study-parallel-details tbody tr:visible th")).to_have_text(
        ["rate 0.01", "rate 0.03"]
    )
    drag(page, brushes.nth(0), 0.5, 0.5)
    expect_lines(page, "study-parallel", [False, True, True, True, False])
    drag(page, brushes.nth(1), 0.5, 0.5)
    expect(passing).to_have_text("")
    expect(page.locator("#study-parallel-details tbody tr:visible")).to_have_count(5)


def test_pointing_at_a_value_names_its_run_and_shows_its_line(page: Page, study: int) -> None:
    open_study(page, study)
    zone = page.locator("#study-parallel .brush").nth(0)
    zone.scroll_into_view_if_needed()
    box = zone.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 2)
    expect(page.locator("#study-parallel .hoverlayer")).to_contain_text("rate 0.1")
    expect(page.locator("#study-parallel .trace.is-pointed-at")).to_have_count(1)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.37)
    expect(page.locator("#study-parallel .trace.is-pointed-at")).to_have_count(0)


def test_a_comparison_has_them_too_and_keeps_its_brushes(
    page: Page, server: Server, study: int
) -> None:
    ids = studies.get_study(server.store, study).run_ids
    page.goto("/compare?" + "&".join(f"run={one}" for one in ids))
    scroll_to_part(page, "sweep")
    brushes = page.locator("#compare-sweep .brush")
    expect(brushes).to_have_count(3)
    drag(page, brushes.nth(2), 0.8, 1.05)
    expect_lines(page, "compare-sweep", [False] * 4 + [True])
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator("[data-theme-toggle]").click()
    brushes.nth(2).scroll_into_view_if_needed()
    axis = page.locator("#compare-sweep .xtick").nth(2).bounding_box()
    zone = brushes.nth(2).bounding_box()
    assert axis
    assert zone
    assert abs(axis["x"] + axis["width"] / 2 - zone["x"] - zone["width"] / 2) < 2
    expect_lines(page, "compare-sweep", [False] * 4 + [True])
    drag(page, brushes.nth(2), 0.5, 0.5)
    expect_lines(page, "compare-sweep", [True] * 5)
