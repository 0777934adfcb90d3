"""Form, YAML and summary in step; the guide; drafts: what only a browser shows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from store.runs import create_run, get_run
from tests.browser.conftest import Server
from tests.seeding import run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_form_and_yaml_follow_each_other_and_a_wrong_yaml_is_kept(
    page: Page, server: Server
) -> None:
    page.goto("/launch?dataset=digits")
    yaml = page.get_by_role("textbox", name="The spec as YAML")
    rate = page.get_by_label("Learning rate", exact=True)
    rate.fill("0.02")
    expect(yaml).to_have_value(re.compile(r"lr: 0\.02\n"))
    text = yaml.input_value().replace("lr: 0.02", "lr: 0.5\n  momentum: 0.7")
    yaml.fill(text)
    expect(rate).to_have_value("0.5")
    expect(page.locator("#f-optimizer-momentum")).to_have_value("0.7")
    assert yaml.input_value() == text  # as it was written

    yaml.fill(text.replace("lr: 0.5", "lr: 50"))
    expect(page.locator("#yaml-state")).to_contain_text("optimizer.lr")
    expect(page.locator("#yaml-state")).to_contain_text("got 50")
    expect(rate).to_have_value("0.5")
    page.get_by_label("Batch size", exact=True).fill("64")
    expect(yaml).to_have_value(re.compile("lr: 50"))  # not written over
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(yaml).to_be_focused()
    assert page.url.endswith("/launch?dataset=digits")
    page.get_by_role("button", name="Write it anew from the form").click()
    expect(yaml).to_have_value(re.compile(r"lr: 0\.5\n[\s\S]*batch_size: 64"))
    expect(page.locator("#yaml-state")).to_be_empty()

    # What was written last is launched, read or not.
    yaml.fill(
        "name: written\ndataset: {name: digits}\n"
        "model: {architecture: tuneboard/small_cnn, weights: none}\n"
    )
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    run = get_run(server.store, int(page.url.rpartition("/")[2]))
    assert (run.name, run.spec["optimizer"]["lr"]) == ("written", 1e-3)


def test_the_summary_and_mistakes_are_told_while_typing(page: Page) -> None:
    page.goto("/launch?dataset=digits")
    summary = page.locator("#launch-summary")
    expect(summary).to_contain_text("11.2 M trained of 11.2 M")
    page.get_by_label("Frozen layers", exact=True).select_option("backbone")
    expect(summary).to_contain_text("5.13 k trained of 11.2 M")
    expect(summary).to_contain_text("epochs train the head alone")
    page.get_by_label("Architecture").fill("resnet19")
    field = page.locator('[data-path="model.architecture"]')
    expect(field.locator(".error")).to_contain_text("Did you mean")
    expect(page.get_by_label("Architecture")).to_have_attribute("aria-invalid", "true")
    expect(summary).to_contain_text("1 thing needs mending")
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    expect(field.locator(".error")).to_have_count(0)
    weights = page.locator('[data-path="model.weights"] .error')
    expect(weights).to_contain_text("no published weights")


def test_the_guide_fills_the_form_where_it_is_and_keeps_what_it_does_not_speak_of(
    page: Page,
) -> None:
    page.goto("/launch?dataset=digits")
    page.get_by_label("Run name", exact=True).fill("guided")
    page.get_by_text("Two questions about your images").click()
    page.get_by_label("No: scans, X-rays").check()
    page.get_by_role("button", name="Fill the form").first.click()
    expect(page.locator("#guide-advice")).to_contain_text("linear SVM")
    expect(page.get_by_label("Architecture")).to_have_value("timm/tf_efficientnet_lite0")
    expect(page.get_by_label("Run name", exact=True)).to_have_value("guided")
    expect(page.locator("#f-loss-name")).to_have_value("hinge")
    expect(page).to_have_url(re.compile("similarity=different"))
    expect(page.locator("[data-was]")).to_have_count(0)
    page.get_by_label("Yes: photos of things").check()
    page.get_by_role("button", name="Fill the form").first.click()
    expect(page.locator("#f-loss-name")).to_have_value("cross_entropy")
    page.get_by_label("Learning rate", exact=True).fill("0.3")
    expect(page.locator('[data-path="optimizer.lr"] [data-was]')).to_contain_text("0.001")
    page.get_by_role("button", name="Undo: Learning rate").click()
    expect(page.locator("[data-was]")).to_have_count(0)
    expect(page.get_by_label("Learning rate", exact=True)).to_have_value("0.001")


def test_nothing_typed_is_lost_by_a_reload_or_a_wrong_turn(page: Page, server: Server) -> None:
    run, _ = create_run(server.store, run_spec("older", optimizer={"lr": 0.04}), owner="local")
    page.goto("/launch")
    page.get_by_label("Run name", exact=True).fill("half typed")
    page.get_by_label("Optimizer", exact=True).select_option("adam")
    page.reload()
    expect(page.get_by_label("Run name", exact=True)).to_have_value("half typed")
    expect(page.get_by_label("Optimizer", exact=True)).to_have_value("adam")
    expect(page.locator("#launch-draft")).to_contain_text("What you typed is back")
    expect(page.get_by_role("textbox", name="The spec as YAML")).to_have_value(
        re.compile("name: half typed")
    )

    page.goto(f"/launch?from={run.id}")
    draft = page.locator("#launch-draft")
    expect(draft).to_contain_text("was not launched")
    expect(page.get_by_label("Run name", exact=True)).to_have_value("older")
    page.get_by_role("button", name="Restore it").click()
    expect(page.get_by_label("Run name", exact=True)).to_have_value("half typed")
    expect(draft).to_be_hidden()
    expect(page.locator('[data-path="name"] [data-was]')).to_contain_text("older")

    page.get_by_label("Architecture", exact=True).fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=True).fill("none")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    page.goto("/launch")
    expect(draft).to_be_hidden()
    expect(page.get_by_label("Run name", exact=True)).to_have_value("")
