"""axe-core finds nothing serious on any page, light or dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from store.comparisons import save_comparison
from store.labels import pin, set_tags
from store.studies import create_study
from tests.browser.conftest import Server
from tests.compared import answers, digits, finished_run
from tests.pictures import write_pictures
from tests.seeding import SCRIPT_NAME, add_collection, run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAGES = {
    "runs": "/runs",
    "no run matches": "/runs?q=nothing",
    "a filter with a mistake": "/runs?filter=statos+%3D+failed",
    "chosen runs": "/runs/selected?action=delete&run=1&run=7",
    "runs to tag": "/runs/selected?action=tag&run=1&run=7",
    "launch": "/launch",
    "finished run": "/runs/3",
    "failed run": "/runs/4",
    "running run": "/runs/7",
    "comparison": "/compare?run=1&run=2&run=3&run=7",
    "comparison of odd runs": "/compare?run=4&run=6&run=8",
    "comparison with a vote": "/compare?run={first}&run={second}&vote={first},{second}",
    "no comparison": "/compare",
    "studies": "/studies",
    "study": "/studies/1",
    "datasets": "/datasets",
    "dataset": "/datasets/digits",
    "dataset's images": "/datasets/digits?view=images",
    "dataset's cut": "/datasets/digits?view=cut",
    "dataset's name": "/datasets/digits?view=settings",
    "dataset's duplicates": "/datasets/digits/duplicates",
    "failed dataset": "/datasets/flowers",
    "a preflight that waits": "/preflights/{preflight}",
    "an image to try": "/runs/{first}/try",
    "workers": "/workers",
    "login": "/login",
    "problem": "/nothing",
}
DRAWN = "[...document.querySelectorAll('.plot')].every(plot => plot.data)"
BAD = ("serious", "critical")


@pytest.fixture(scope="module")
def things(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Make what the pages show that the seeded database lacks; return the runs' numbers."""
    items = digits(server.settings, server.store)
    wrong = {"first": range(8), "second": range(6, 10)}
    numbers = {
        name: finished_run(
            server.store, server.settings, name, answers(items, places), seed=len(name)
        ).id
        for name, places in wrong.items()
    }
    set_tags(server.store, server.seeded.tuned, ["paper", SCRIPT_NAME])
    pin(server.store, server.seeded.tuned)
    photos = write_pictures(tmp_path_factory.mktemp("collected") / "photos", per_class=1)
    add_collection(server.store, server.settings, photos)
    spec = run_spec("to be tried first").model_dump(mode="json")
    asked = httpx.post(f"{server.address}/api/v1/preflights", json=spec)
    numbers["preflight"] = asked.raise_for_status().json()["id"]
    create_study(server.store, SCRIPT_NAME, "ann", [run_spec("one"), run_spec("two")], "a note")
    save_comparison(server.store, SCRIPT_NAME, "run=1&run=2", "ann", "a note")
    return numbers


@pytest.fixture(scope="module", params=["light", "dark"])
def shown(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context(
        base_url=server.address,
        viewport={"width": 1280, "height": 800},
        color_scheme=request.param,
        bypass_csp=True,  # axe is evaluated in the page
    )
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def test_axe_finds_nothing_serious_in_an_exported_file(
    browser: Browser, server: Server, things: dict[str, int], tmp_path: Path
) -> None:
    file = tmp_path / "comparison.html"
    address = server.address + "/compare/export.html?run={first}&run={second}".format(**things)
    file.write_bytes(httpx.get(address).content)
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, offline=True)
        page = context.new_page()
        page.goto(file.as_uri())
        page.wait_for_function(DRAWN)
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert problems(page) == [], scheme
        context.close()


def problems(page: Page) -> list[str]:
    """Return what axe calls serious or critical: rule, element and why."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']} {node['target']}: {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
        if (node["impact"] or one["impact"]) in BAD
    ]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(shown: Page, things: dict[str, int], name: str) -> None:
    shown.goto(PAGES[name].format(**things))
    shown.wait_for_load_state("load")
    for name in shown.evaluate("[...document.querySelectorAll('[data-part]')].map(one => one.id)"):
        shown.evaluate("name => document.getElementById(name).scrollIntoView()", name)
        expect(shown.locator(f"#{name}")).not_to_have_attribute("aria-busy", "true", timeout=20_000)
    shown.wait_for_function(DRAWN)
    shown.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert problems(shown) == []
