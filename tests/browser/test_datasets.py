"""Datasets in a real browser: files sent in pieces, cut and resumed, cancelled, refused; views."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from app.uploads import uploads_dir
from store.datasets import get_dataset
from tests.browser.conftest import Server
from tests.pictures import write_pictures

PIECE_BYTES = 4 * 1024**2


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip of two classes that takes three pieces."""
    noise = random.Random(0)  # noqa: S311 — pictures, not secrets
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name in ("ants", "bees"):
            opened.writestr(f"{name}/1.png", noise.randbytes(PIECE_BYTES + 1000))
    path = tmp_path / "insects.zip"
    path.write_bytes(held.getvalue())
    return path


def arrived(server: Server, name: str) -> bytes:
    return (uploads_dir(server.settings) / get_dataset(server.store, name).source).read_bytes()


def let_through(page: Page, pieces: int) -> None:
    """Let that many pieces arrive; the connection of all after them is lost."""
    passed = 0

    def answer(route: Route) -> None:
        nonlocal passed
        if route.request.method == "PATCH":
            passed += 1
            if passed > pieces:
                return  # never answered: the page is left or stopped meanwhile
        route.continue_()

    page.route("**/api/v1/uploads/*", answer)


def test_an_upload_survives_a_reload_and_arrives_whole(
    page: Page, server: Server, archive: Path
) -> None:
    page.goto("/datasets")
    let_through(page, 1)
    page.locator("#upload-file").set_input_files(archive)
    expect(page.locator("#upload-name")).to_have_value("insects")
    expect(page.locator('[data-upload="chosen"]')).to_contain_text("insects.zip")
    page.get_by_role("button", name="Upload", exact=True).click()
    state = page.locator('[data-upload="state"]')
    expect(state).to_contain_text("49 %")
    expect(page.get_by_role("progressbar", name="Progress of the upload")).to_be_visible()

    page.unroute("**/api/v1/uploads/*")
    page.goto("/datasets")  # as a reload does: whatever was under way is gone
    unfinished = page.locator(".upload")
    expect(unfinished).to_contain_text("insects.zip")
    expect(unfinished).to_contain_text("Choose the same file again")
    page.locator("#upload-file").set_input_files(archive)
    expect(state).to_contain_text("is here already")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.headers.get("upload-offset", "")))
    page.get_by_role("button", name="Upload", exact=True).click()
    page.wait_for_url("**/datasets/insects")
    offsets = [int(offset) for offset in asked if offset]
    assert min(offsets) >= PIECE_BYTES  # what had arrived was not sent again
    assert arrived(server, "insects") == archive.read_bytes()


def test_an_upload_is_paused_continued_and_cancelled(
    page: Page, server: Server, archive: Path
) -> None:
    page.goto("/datasets")
    let_through(page, 1)
    page.locator("#upload-file").set_input_files(archive)
    page.locator("#upload-name").fill("given-up")
    page.get_by_role("button", name="Upload", exact=True).click()
    state = page.locator('[data-upload="state"]')
    expect(state).to_contain_text("49 %")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_contain_text("Paused")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator('[data-upload="progress"]')).to_be_hidden()
    expect(page.locator("#upload-name")).to_have_value("")
    page.wait_for_function(
        "async () => (await (await fetch('/api/v1/uploads')).json()).uploads.length === 0"
    )


def test_a_wrong_file_says_what_is_expected_and_a_taken_name_what_to_do(
    page: Page, tmp_path: Path, archive: Path
) -> None:
    page.goto("/datasets")
    wrong = tmp_path / "notes.pdf"
    wrong.write_bytes(b"%PDF-1.7")
    page.locator("#upload-file").set_input_files(wrong)
    problem = page.locator('[data-upload="problem"]')
    expect(problem).to_contain_text("“notes.pdf” is no zip archive. Expected a .zip archive")
    page.locator("#upload-name").fill("notes")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(problem).to_contain_text("Nothing is chosen yet")
    page.locator("#upload-file").set_input_files(archive)
    page.locator("#upload-name").fill("digits")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(problem).to_contain_text("There is a dataset `digits` already")
    expect(page.locator("#upload-name")).to_have_value("digits")
    expect(page.locator("#upload-name")).to_be_focused()


def test_a_folder_is_packed_on_the_way(page: Page, server: Server, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "colours", per_class=2)
    (folder / "notes.txt").write_text("no image")
    page.goto("/datasets")
    page.locator("#upload-folder").set_input_files(folder)
    chosen = page.locator('[data-upload="chosen"]')
    expect(chosen).to_contain_text("6 images")
    expect(chosen).to_contain_text("1 other file is left out")
    page.get_by_role("button", name="Upload", exact=True).click()
    page.wait_for_url("**/datasets/colours")
    with zipfile.ZipFile(io.BytesIO(arrived(server, "colours"))) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == sorted(
            f"colours/{os.fspath(file.relative_to(folder))}" for file in folder.rglob("*.png")
        )


def test_dropped_images_become_a_collection(page: Page, server: Server) -> None:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(held, "PNG")
    page.goto("/datasets")
    page.evaluate(
        """bytes => {
            const files = new DataTransfer();
            for (const name of ["a.png", "b.png"]) {
                files.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
            }
            const zone = document.querySelector('[data-upload="drop"]');
            for (const kind of ["dragenter", "dragover", "drop"]) {
                zone.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }),
                );
            }
        }""",
        list(held.getvalue()),
    )
    expect(page.locator('[data-upload="chosen"]')).to_contain_text("2 images")
    expect(page.locator("#upload-labelled")).to_have_value("no")
    page.locator("#upload-name").fill("holiday")
    page.get_by_role("button", name="Upload", exact=True).click()
    page.wait_for_url("**/datasets/holiday")
    assert get_dataset(server.store, "holiday").labelled is False
    with zipfile.ZipFile(io.BytesIO(arrived(server, "holiday"))) as opened:
        assert opened.namelist() == ["a.png", "b.png"]


def test_views_filters_and_cuts_are_in_the_address(page: Page) -> None:
    page.goto("/datasets/digits")
    page.get_by_role("link", name="Images").click()
    page.get_by_label("Class").select_option("3")
    page.wait_for_url("**/datasets/digits?view=images*label=3*")
    expect(page.get_by_role("heading", name="9 images")).to_be_visible()
    page.get_by_role("link", name="Try a cut").click()
    page.get_by_label("Validation share").fill("0.5")
    page.get_by_label("Split seed").fill("3")
    page.get_by_label("Split seed").press("Enter")
    page.wait_for_url("**split_seed=3*")
    expect(page.get_by_role("row", name="All classes")).to_contain_text("50")
    page.get_by_role("link", name="Launch a run with it").click()
    expect(page.locator('[name="dataset.split_seed"]')).to_have_value("3")
