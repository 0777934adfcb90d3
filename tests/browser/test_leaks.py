"""Duplicates and the leak gate as a person meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from store.datasets import dataset_ready, register_dataset
from store.runs import list_runs
from store.studies import list_studies
from tests.browser.conftest import Server
from tests.trainer.datasets.test_duplicates import again, scene
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import save_manifest


@pytest.fixture(scope="module", autouse=True)
def insects(server: Server) -> None:
    """A dataset whose first validation image is among its training images, saved worse."""
    row = register_dataset(server.store, "insects", "folder", "/data/insects", "local", "Insects")
    folder: Path = server.settings.dataset_dir(row.id)
    for split, first in (("train", 0), ("val", 50)):
        for label, base in (("ant", 1000), ("bee", 2000)):
            place = folder / "images" / split / label
            place.mkdir(parents=True)
            for number in range(3):
                scene(base + first + number).save(place / f"{number}.png")
    again(scene(1000)).save(folder / "images" / "val" / "ant" / "0.png")
    manifest = scan_folder(folder / "images", "insects")
    save_manifest(manifest, folder / "manifest.json")
    assert dataset_ready(server.store, row.id, manifest.fingerprint, manifest.summary())


def test_a_planted_duplicate_is_seen_and_stops_the_launch_until_it_is_acknowledged(
    server: Server, page: Page
) -> None:
    page.set_default_navigation_timeout(60_000)
    before = len(list_runs(server.store, limit=500).rows)
    page.goto(f"{server.address}/datasets/insects#duplicates", wait_until="domcontentloaded")
    group = page.locator(".twins-group")
    expect(group).to_have_count(1)
    expect(group).to_contain_text("across splits")
    expect(group.locator("img")).to_have_count(2)
    page.goto(f"{server.address}/launch?dataset=insects", wait_until="domcontentloaded")
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=False).first.fill("none")
    page.get_by_role("button", name="Launch", exact=True).first.click()
    expect(page.locator("#before-launch")).to_contain_text("1 of 6 validation images")
    assert len(list_runs(server.store, limit=500).rows) == before
    page.locator("#f-acknowledge-leaks").check()
    page.get_by_role("button", name="Launch", exact=True).first.click()
    page.wait_for_url("**/runs/*")
    [run] = list_runs(server.store, limit=1).rows
    assert run.dataset_name == "insects"
    assert run.leaks_acknowledged


def test_many_at_once_stop_with_all_that_was_typed_until_it_is_acknowledged(
    server: Server, page: Page
) -> None:
    page.set_default_navigation_timeout(60_000)
    before = len(list_studies(server.store))
    page.goto(f"{server.address}/launch?dataset=insects", wait_until="domcontentloaded")
    page.get_by_label("Architecture").fill("tuneboard/small_cnn")
    page.get_by_label("Weights", exact=False).first.fill("none")
    page.locator("#many > summary").click()
    page.locator("#many_space").fill("optimizer.lr: [0.1, 0.01]")
    page.locator("#many_name").fill("Which rate?")
    page.locator("[data-many-launch]").click()
    expect(page.locator("#f-acknowledge-leaks-error")).to_contain_text("1 of 6 validation images")
    expect(page.locator("#many_space")).to_have_value("optimizer.lr: [0.1, 0.01]")
    expect(page.locator("#many_name")).to_have_value("Which rate?")
    assert len(list_studies(server.store)) == before
    page.locator("#f-acknowledge-leaks").check()
    page.locator("[data-many-launch]").click()
    page.wait_for_url("**/studies/*")
    study = list_studies(server.store)[0]
    assert (study.name, study.leaks_acknowledged, len(study.run_ids)) == ("Which rate?", True, 2)
