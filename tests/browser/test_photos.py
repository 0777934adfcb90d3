"""The whole way of somebody with a zip of photos, with nothing faked: `tuneboard up`, a browser.

Uploaded, checked, launched through the guide, watched to its end, its best image classified, its
Grad-CAM seen. The photos are the ants and bees where TUNEBOARD_DATASET_MIRROR has their archive,
made smaller; drawn ones elsewhere.
"""

from __future__ import annotations

import io
import os
import random
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from tests.tuneboard.upped import Upped
from tuneboard.client import Client

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("whole"),
]

ARCHIVE = "hymenoptera_data.zip"
PER_CLASS = 20
SIDE_PX = 96
LONG_MS = 240_000
"""Torch is imported, weights are loaded and a run is trained, on a machine that others use too."""


def photos() -> dict[str, list[Image.Image]]:
    """Return small photos by class."""
    packed = Path(os.environ.get("TUNEBOARD_DATASET_MIRROR", "/nowhere")) / ARCHIVE
    if not packed.is_file():
        return {name: [drawn(name, number) for number in range(PER_CLASS)] for name in COLOURS}
    found: dict[str, list[Image.Image]] = {"ants": [], "bees": []}
    with zipfile.ZipFile(packed) as archive:
        for entry in sorted(archive.namelist()):
            name = Path(entry).parent.name
            if "/train/" in entry and entry.endswith(".jpg") and len(found[name]) < PER_CLASS:
                with archive.open(entry) as file, Image.open(io.BytesIO(file.read())) as image:
                    image.thumbnail((2 * SIDE_PX, 2 * SIDE_PX))
                    found[name].append(image.convert("RGB"))
    return found


COLOURS = {"ants": (60, 25, 15), "bees": (235, 190, 30)}


def drawn(name: str, number: int) -> Image.Image:
    """Return a body of three parts on a meadow, no two of which are alike."""
    chance = random.Random(f"{name}-{number}")  # noqa: S311 - pixels, not secrets
    patches = bytes(chance.randrange(30, 200) for _ in range(8 * 8 * 3))
    image = Image.frombytes("RGB", (8, 8), patches).resize((SIDE_PX, SIDE_PX))
    draw, (x, y) = ImageDraw.Draw(image), (chance.randrange(20, 60), chance.randrange(30, 60))
    for part, radius in enumerate((7, 9, 12)):
        left = x + 14 * part
        box = (left - radius, y - radius, left + radius, y + radius)
        draw.ellipse(box, fill=COLOURS[name])
    return image


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def packed_photos() -> bytes:
    """Return a zip of the photos, with one that is broken and a note."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, images in photos().items():
            for number, image in enumerate(images):
                archive.writestr(f"insects/{name}/{number:02d}.jpg", jpeg(image))
        archive.writestr("insects/ants/broken.jpg", b"\xff\xd8\xff\xe0 and no more")
    return file.getvalue()


def test_a_zip_of_photos_becomes_a_classifier_that_is_tried(
    visit: Page, upped: Upped, tmp_path: Path
) -> None:
    upload(visit)
    run_id = launch_by_the_guide(visit)
    expect(visit.locator("#run-head .chip").first).to_have_text("Succeeded", timeout=LONG_MS)
    best = surest_hit(upped, run_id)
    visit.goto(f"/runs/{run_id}")
    visit.locator("#try").scroll_into_view_if_needed()
    visit.get_by_label(re.compile("Validation image number")).fill(str(best))
    visit.keyboard.press("Enter")
    wait_for(visit, f"[data-image='val-{best}'][data-show=classify]")
    expect(visit.locator("#try-answer .chip")).to_have_text("Right")
    expect(visit.locator(".tryit-shares tbody tr")).to_have_count(2)
    visit.get_by_label("Grad-CAM").check()
    wait_for(visit, f"[data-image='val-{best}'][data-show=gradcam]")
    visit.wait_for_function("() => document.querySelector('[data-heat]').naturalWidth > 0")
    expect(visit.locator(".tryit-words")).to_contain_text("Bright is what spoke for")
    expect(visit.locator("#try .notice-bad")).to_have_count(0)
    visit.locator("#try").screenshot(path=tmp_path / "grad-cam.png")


def upload(page: Page) -> None:
    """Upload the photos and see them checked: what is broken is named."""
    page.goto("/datasets")
    form = page.locator("#upload-form")
    form.get_by_label("Name").fill("insects")
    archive = {"name": "insects.zip", "mimeType": "application/zip", "buffer": packed_photos()}
    page.set_input_files("#upload-file", archive)
    form.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/datasets/insects"))
    expect(page.locator(".chip-ready").first).to_be_visible(timeout=LONG_MS)
    page.goto("/datasets/insects?view=files")
    expect(page.locator("main")).to_contain_text("broken.jpg")


def launch_by_the_guide(page: Page) -> int:
    """Answer the guide's questions, launch what it fills in, and return the run's number."""
    page.goto("/launch?dataset=insects")
    page.locator("#guide summary").click()
    for answer in ("size-small", "similarity-similar", "weights-package"):
        page.locator(f"#guide-{answer}").check()
    page.locator("#guide-form").get_by_role("button", name="Fill the form").click()
    expect(page.locator("#guide-advice")).to_be_visible()
    page.locator("#f-dataset-name").select_option("insects")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    return int(page.url.rpartition("/")[2])


def surest_hit(upped: Upped, run_id: int) -> int:
    """Return the place of the validation image whose right class was the surest."""
    from numpy import load

    with Client(upped.url) as client:
        assert client.run(run_id)["status"] == "succeeded"
    (file,) = upped.data_dir.glob(f"runs/{run_id}/attempt-*/predictions/val.npz")
    with load(file) as found:
        chances = found["probabilities"]
        of_label = chances[range(len(chances)), found["labels"]]
    assert of_label.max() > 0.5
    return int(of_label.argmax())


def wait_for(page: Page, holds: str) -> None:
    page.wait_for_selector(f"#try-answer[data-state=succeeded]{holds}", timeout=LONG_MS)
    page.wait_for_selector("[data-tryit]:not([aria-busy])", timeout=LONG_MS)
