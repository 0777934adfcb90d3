"""Try it in a real browser, answered by a real worker with a really trained, tiny model."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from store import lifecycle
from store.database import open_store
from tests.browser.conftest import Server, served, settings_and_listener
from tests.seeding import add_collection
from tests.trainer.runs import train
from tests.worker.house import House
from worker.bell import Bell
from worker.interactive import Interactive
from worker.tail import EventTail

LONG_MS = 90_000
"""The first answer waits for torch to be imported, on a machine that others use too."""


class Waking:
    """A bell that the worker in this process hears."""

    def __init__(self) -> None:
        self.hand: Interactive | None = None

    def ring_train(self) -> None: ...

    def ring_interactive(self) -> None:
        if self.hand is not None:
            self.hand.wake()

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one finished run, number 1, and a worker beside it."""
    settings, listening = settings_and_listener(
        tmp_path_factory.mktemp("tried"), heartbeat_s=0.5, lease_s=20.0, model_warm_s=0.0
    )
    store = open_store(settings)
    store.migrate()
    house = House(settings, store)
    house.add_dataset()
    holiday = tmp_path_factory.mktemp("photos") / "holiday"
    holiday.mkdir()
    for colour in ("black", "white"):
        (holiday / f"{colour}.png").write_bytes(png(colour))
    add_collection(store, settings, holiday)
    run_id = house.submit(epochs=2)
    claim = house.claim()
    out = settings.attempt_dir(run_id, claim.attempt)
    assert train(settings.dataset_dir(1) / "manifest.json", out, claim.run.spec) == 0
    tail = EventTail(out / "events.jsonl")
    said = [event for event, _ in tail.read()]
    tail.close()
    lifecycle.record(store, run_id, claim.attempt, lease_s=60, events=said)
    lifecycle.finish(store, run_id, claim.attempt, "succeeded")
    bell = Waking()
    with served(settings, store, listening, None, bell) as running:
        rings = Bell(settings)
        bell.hand = Interactive(store, settings, rings)
        yield running
        bell.hand.drain()
        assert bell.hand.wait_until_idle(30)
        rings.close(0.1)
    store.dispose()


def png(colour: str = "white", side_px: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side_px, side_px), colour).save(file, "PNG")
    return file.getvalue()


def upload(name: str, content: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def wait_for_answer(page: Page, **holds: str) -> None:
    """Wait for an answer that is ready and of what is given."""
    state = {"state": "succeeded", **holds}
    selector = "#try-answer" + "".join(f'[data-{key}="{value}"]' for key, value in state.items())
    page.wait_for_selector(f"{selector}:not([aria-busy])", timeout=LONG_MS)
    page.wait_for_selector("[data-tryit]:not([aria-busy])", timeout=LONG_MS)


def send_files(page: Page, event: str, files: list[tuple[str, bytes]]) -> None:
    """Drop or paste files on the box, as the browser itself would say it."""
    page.evaluate(
        """([event, files]) => {
            const transfer = new DataTransfer();
            for (const [name, text] of files) {
                const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/png" }));
            }
            const options = { bubbles: true, cancelable: true };
            const box = document.querySelector("[data-drop]");
            box.dispatchEvent(event === "paste"
                ? new ClipboardEvent(event, { ...options, clipboardData: transfer })
                : new DragEvent(event, { ...options, dataTransfer: transfer }));
        }""",
        [event, [(name, base64.b64encode(content).decode()) for name, content in files]],
    )


def test_an_image_is_dropped_pasted_or_chosen_and_classified(page: Page) -> None:
    page.goto("/runs/1")
    page.locator("#try").scroll_into_view_if_needed()
    expect(page.locator("#try-modules option")).not_to_have_count(0, timeout=LONG_MS)
    page.set_input_files("#try-file", upload("chosen.png", png("white")))
    wait_for_answer(page, show="classify")
    expect(page.locator(".tryit-verdict")).to_contain_text("light")
    expect(page.locator(".tryit-shares tbody tr")).to_have_count(2)
    expect(page.locator(".tryit-picture figcaption")).to_contain_text("chosen.png")
    page.wait_for_function("() => document.querySelector('.tryit-stack img').naturalWidth === 16")
    for event, name in (("drop", "dropped.png"), ("paste", "pasted.png")):
        send_files(page, event, [(name, png("black"))])
        expect(page.locator(".tryit-picture figcaption")).to_contain_text(name, timeout=LONG_MS)
        expect(page.locator(".tryit-verdict")).to_contain_text("dark")
    with page.expect_download() as coming:
        page.get_by_role("link", name="CSV").click()
    assert "dark %" in Path(coming.value.path()).read_text()


def test_a_broken_image_is_named_and_the_next_one_is_answered(page: Page) -> None:
    page.goto("/runs/1/try")
    page.set_input_files("#try-file", upload("broken.png", b"\x89PNG and no more"))
    page.wait_for_selector("#try-answer[data-state=failed]", timeout=LONG_MS)
    expect(page.get_by_role("alert")).to_contain_text("broken.png")
    expect(page.get_by_role("alert")).to_contain_text("JPEG, PNG")
    page.set_input_files("#try-file", upload("whole.png", png()))
    wait_for_answer(page, show="classify")


def test_grad_cam_of_a_chosen_class_is_laid_over_the_image(page: Page) -> None:
    page.goto("/runs/1/try")
    page.set_input_files("#try-file", upload("photo.png", png()))
    wait_for_answer(page, show="classify")
    page.get_by_label("Grad-CAM").check()
    wait_for_answer(page, show="gradcam")
    expect(page.locator(".tryit-words")).to_contain_text("spoke for light")
    page.get_by_label("What spoke for the class").select_option("dark")
    wait_for_answer(page, show="gradcam", **{"class": "dark"})
    expect(page.locator(".tryit-legend")).to_contain_text("most")
    heat = page.locator("[data-heat]")
    page.get_by_label("Opacity of the heat").fill("20")
    expect(heat).to_have_css("opacity", "0.2")
    page.get_by_role("button", name="Next").click()
    wait_for_answer(page, image="val-0")
    expect(heat).to_have_css("opacity", "0.2")  # what was set stays


def test_feature_maps_of_a_module_from_the_tree_are_paged(page: Page) -> None:
    page.goto("/runs/1/try?image=val-1&show=features&module=features.8")
    wait_for_answer(page, image="val-1", module="features.8", maps="1")
    expect(page.locator(".tryit-words")).to_contain_text("128 maps of 4 × 4")
    page.get_by_role("link", name="Next").click()
    wait_for_answer(page, maps="2")
    assert "maps=2" in page.url
    expect(page.locator("[data-tree]")).to_be_visible(timeout=LONG_MS)
    page.locator("[data-tree] summary").click()
    page.get_by_label("Module of the network").fill("relu")
    tree = page.locator("[data-tree] li")
    expect(tree).to_have_count(5)  # those that match, and the module they are in
    page.get_by_role("button", name="2: ReLU").click()
    wait_for_answer(page, module="features.2", maps="1")
    page.get_by_label("Module of the network").fill("feature.1")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("features.1", timeout=LONG_MS)


def test_the_address_shows_the_same_again(page: Page) -> None:
    page.goto("/runs/1/try")
    page.get_by_label("number").fill("2")
    page.keyboard.press("Enter")
    wait_for_answer(page, image="val-2")
    page.get_by_label("Grad-CAM").check()
    wait_for_answer(page, show="gradcam")
    said = page.locator(".tryit-verdict").inner_text()
    page.reload()
    wait_for_answer(page, image="val-2", show="gradcam")
    assert page.locator(".tryit-verdict").inner_text() == said
    expect(page.get_by_label("number")).to_have_value("2")


def test_several_images_become_a_table_with_a_csv_file(page: Page) -> None:
    page.goto("/runs/1/try")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("more/inside.png", png("black"))
        archive.writestr("more/notes.txt", "no image")
    zipped = {"name": "more.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    page.set_input_files("#try-file", [upload("a.png", png()), upload("b.png", b"broken"), zipped])
    page.wait_for_selector("[data-predictions]", timeout=LONG_MS)
    rows = page.locator("[data-predictions] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("a.png")
    expect(rows.last).to_contain_text("inside.png")
    expect(rows.last).to_contain_text("dark")
    page.get_by_text("Left out: 2").click()
    expect(page.locator("#try-answer details")).to_contain_text("b.png")
    expect(page.locator("#try-answer details")).to_contain_text("notes.txt")
    with page.expect_download() as coming:
        page.get_by_role("link", name="CSV with a percentage").click()
    assert Path(coming.value.path()).read_text().count("\n") == 3


def test_a_collection_on_the_server_becomes_a_table_with_a_csv_file(page: Page) -> None:
    page.goto("/runs/1/try?image=val-1")
    wait_for_answer(page, image="val-1")
    page.get_by_label("Or a collection").select_option("holiday (2 images)")
    rows = page.locator("[data-predictions] tbody tr")
    expect(rows).to_have_count(2, timeout=LONG_MS)
    expect(rows.first).to_contain_text("black.png")
    expect(rows.first).to_contain_text("dark")
    with page.expect_download() as coming:
        page.get_by_role("link", name="CSV with a percentage").click()
    assert Path(coming.value.path()).read_text().count("\n") == 3
    page.get_by_label("Grad-CAM").check()  # of one image: the table stays
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Next").click()
    wait_for_answer(page, image="val-0", show="gradcam")
    expect(page.get_by_label("Or a collection")).to_have_value("")


def test_it_works_without_scripts(browser: Browser, server: Server, tmp_path: Path) -> None:
    context = browser.new_context(base_url=server.address, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(LONG_MS)
    page.goto("/runs/1/try")
    page.get_by_label("Feature maps").check()
    page.get_by_label("Module of the network").fill("features.0")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("a file, or the number")
    expect(page.get_by_label("Module of the network")).to_have_value("features.0")
    page.set_input_files("#try-file", upload("plain.png", png()))
    page.get_by_role("button", name="Show").click()
    while page.get_by_role("link", name="Look again").count():
        page.get_by_role("link", name="Look again").click()
    expect(page.locator(".tryit-words")).to_contain_text("32 maps of 16 × 16")
    page.get_by_label("Percentages").check()  # of the same image, which is not sent again
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tryit-verdict")).to_contain_text("light")
    expect(page.locator(".tryit-picture figcaption")).to_contain_text("plain.png")
    page.get_by_label("Or a collection").select_option("holiday (2 images)")
    page.get_by_role("button", name="Show").click()
    while page.get_by_role("link", name="Look again").count():
        page.get_by_role("link", name="Look again").click()
    expect(page.locator("[data-predictions] tbody tr")).to_have_count(2)
    context.close()
