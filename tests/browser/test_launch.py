from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from store.runs import get_run
from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_fields_without_a_meaning_are_hidden_and_not_sent(page: Page, server: Server) -> None:
    page.goto("/launch")
    page.get_by_text("Momentum, weight decay, rates by module").click()
    page.get_by_text("Schedule: warm-up, factor, periods").click()
    momentum = page.get_by_label("Momentum", exact=True)
    expect(momentum).to_be_visible()
    momentum.fill("0.8")
    page.get_by_label("Optimizer", exact=True).select_option("adam")
    expect(momentum).to_be_hidden()
    expect(page.get_by_label("Epochs to zero")).to_be_hidden()
    page.get_by_label("Schedule", exact=True).select_option("cosine")
    expect(page.get_by_label("Epochs to zero")).to_be_visible()
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=True).fill("none")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    spec = get_run(server.store, int(page.url.rpartition("/")[2])).spec
    assert (spec["optimizer"]["name"], spec["optimizer"]["momentum"]) == ("adam", None)
    assert spec["scheduler"]["name"] == "cosine"


def test_architectures_are_suggested_while_typing(page: Page) -> None:
    page.goto("/launch")
    page.get_by_label("Architecture").fill("efficientnet_lite")
    option = page.locator('#architectures option[value="timm/tf_efficientnet_lite0"]')
    expect(option).to_have_count(1)


def test_a_mistake_is_shown_beside_its_field_and_can_be_mended(page: Page) -> None:
    page.goto("/launch")
    page.get_by_label("Run name").fill("mended at once")
    page.get_by_label("Architecture").fill("resnet19")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("#errors")).to_be_focused()
    field = page.locator('[data-path="model.architecture"]')
    expect(field.locator(".error")).to_contain_text("Did you mean")
    expect(page.get_by_label("Run name")).to_have_value("mended at once")
    page.locator("#errors a").click()
    expect(page.get_by_label("Architecture")).to_be_focused()
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=True).fill("none")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("h1")).to_contain_text("mended at once")


def test_bounds_of_the_spec_stop_a_number_in_the_browser(page: Page) -> None:
    page.goto("/launch")
    rate = page.get_by_label("Learning rate", exact=True)
    rate.fill("30")
    assert rate.evaluate("control => control.validity.rangeOverflow")


def test_the_form_works_without_scripts(browser: Browser, server: Server) -> None:
    context = browser.new_context(base_url=server.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/launch")
    page.get_by_label("Run name").fill("without scripts")
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=True).fill("none")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("h1")).to_contain_text("without scripts")
    page.goto("/runs")
    page.get_by_label(re.compile("Select run 1,")).check()
    page.get_by_label(re.compile("Select run 2,")).check()
    page.get_by_role("button", name="Compare selected").click()
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    assert page.url.endswith("/compare?run=2&run=1")
    context.close()


def test_a_long_run_is_asked_about_tried_and_launched(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = server.started_run(epochs=2)
    for number in (1, 2):
        measured.epoch(number)
    measured.finish()
    monkeypatch.setattr("app.spec_summary.LONG_S", 0.001)
    page.goto(f"/launch?from={measured.run_id}")
    page.locator("#f-name").fill("tried first")
    page.locator("#f-note").fill("why")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("#untried")).to_be_focused()
    expect(page.locator("#untried")).to_contain_text("Nothing is launched yet")
    expect(page.locator("#f-name")).to_have_value("tried first")
    page.get_by_role("button", name="Try two batches first").click()
    page.wait_for_url(re.compile(r"/preflights/\d+$"))
    page.get_by_role("button", name="Change it").click()
    expect(page.locator("#f-name")).to_have_value("tried first")
    expect(page.locator("#f-note")).to_have_value("why")
    page.go_back()
    page.get_by_role("button", name="Launch it").click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    run = get_run(server.store, int(page.url.rpartition("/")[2]))
    assert (run.name, run.note) == ("tried first", "why")
    page.wait_for_function("() => localStorage.getItem('tuneboard-launch-draft') === null")
