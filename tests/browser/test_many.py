"""Many at once in a browser: fields are put in, the runs counted and named, the study launched."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from store.studies import get_study
from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def begin(page: Page) -> None:
    page.goto("/launch")
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=True).fill("none")
    page.locator("#many > summary").click()


def test_12_runs_are_counted_named_and_launched_as_one_study(page: Page, server: Server) -> None:
    begin(page)
    page.locator("#many-values").fill("0.1, 0.01, 1e-3")
    page.locator("#many-values").press("Enter")
    page.locator("#many-path").select_option("training.batch_size")
    page.locator("#many-values").fill("8 .. 16 step 8")
    page.locator("[data-many-put]").click()
    page.locator("#many_seeds").fill("2")
    expect(page.locator("#many-preview")).to_contain_text("12 runs: 3 × 2 × 2 seeds.")
    expect(page.locator("#many-names li")).to_have_count(12)
    launch = page.get_by_role("button", name="Launch 12 runs as one study")
    found = Axe().run(page, context="#many")
    serious = [one for one in found.response["violations"] if one["impact"] != "minor"]
    assert serious == [], found.generate_report()
    launch.click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    study = get_study(server.store, int(page.url.rpartition("/")[2]))
    assert len(study.run_ids) == 12


def test_what_is_wrong_is_said_while_it_is_typed_and_kinds_show_their_own_fields(
    page: Page,
) -> None:
    begin(page)
    page.locator("[data-many-put]").click()
    expect(page.locator("[data-many-wrong]")).to_contain_text("0.001 .. 0.1 log")
    page.locator("#many_space").fill("optimizer.lr: [0.1, 30]")
    expect(page.locator("#many-preview")).to_contain_text("sweep.space.optimizer.lr.1")
    expect(page.locator("#many_trials")).to_be_hidden()
    page.locator("#many_space").fill("optimizer.lr: {low: 0.001, high: 0.1, log: true}")
    page.locator("#many_kind").select_option("search")
    expect(page.locator("#many_trials")).to_be_visible()
    expect(page.locator("#many_seeds")).to_be_hidden()
    expect(page.locator("#many-preview")).to_contain_text("At most 20 trials, 1 at a time.")


def test_a_studys_note_and_webhook_are_given_at_its_launch(page: Page, server: Server) -> None:
    begin(page)
    page.locator("#many_seeds").fill("2")
    page.locator("#many-words > summary").click()
    page.locator("#many_note").fill("Is it **luck**?")
    page.locator("#many_webhook").fill("lab.example/hook")
    expect(page.locator("#many-preview")).to_contain_text("https://example.org/hook")
    expect(page.locator("#many-preview")).to_contain_text("2 runs.")
    page.locator("[data-many-launch]").click()
    expect(page.locator("#many_webhook-error")).to_be_visible()
    expect(page.locator("#many_note")).to_have_value("Is it **luck**?")
    page.locator("#many_webhook").fill("https://lab.example/hook")
    expect(page.locator("#many-preview")).not_to_contain_text("https://example.org/hook")
    page.locator("[data-many-launch]").click()
    page.wait_for_url(re.compile(r"/studies/\d+$"))
    expect(page.locator("#note strong")).to_have_text("luck")
    expect(page.get_by_label("Address to tell when the study ends")).to_have_value(
        "https://lab.example/hook"
    )
    study = get_study(server.store, int(page.url.rpartition("/")[2]))
    assert (len(study.run_ids), study.webhook_url) == (2, "https://lab.example/hook")
