"""Collections: images without classes, from folders and archives."""

from __future__ import annotations

import zipfile

import pytest
from PIL import Image

from trainer.datasets.archive import Limits
from trainer.datasets.collection import scan_collection
from trainer.datasets.manifest import NO_CLASS, UNSPLIT, load_manifest
from trainer.datasets.prepare import prepare
from trainer.datasets.thumbnails import sample_items, thumbnail
from trainer.errors import InvalidInput
from trainer.predict import dataset_pictures


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "june").mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(folder / "b.png")
    Image.new("RGB", (40, 30), "blue").save(folder / "june" / "a.png")
    Image.new("L", (300, 200)).save(folder / "june" / "large.jpg")
    (folder / "june" / "broken.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    return folder


def test_every_image_below_the_folder_belongs_and_the_rest_is_named(photos):
    manifest = scan_collection(photos, "photos")
    assert manifest.classes == ()
    assert [item.path for item in manifest.splits[UNSPLIT]] == [
        "b.png",
        "june/a.png",
        "june/large.jpg",
    ]
    assert {item.label for item in manifest.splits[UNSPLIT]} == {NO_CLASS}
    assert {skipped.file for skipped in manifest.skipped} == {"june/broken.jpg", "notes.txt"}
    summary = manifest.summary()
    assert (summary["samples"], summary["counts"]) == (3, {UNSPLIT: []})
    assert summary["measures"]["common"] == [[40, 30, 2], [300, 200, 1]]
    assert summary["measures"]["short_sides"][0] == [1, 32, 2]
    assert summary["measures"]["short_sides"][-1] == [192, 224, 1]
    assert manifest.fingerprint == scan_collection(photos, "another").fingerprint


def test_a_folder_without_readable_images_is_refused_with_the_first_reason(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"broken\.jpg: not an image"):
        scan_collection(tmp_path, "photos")
    with pytest.raises(InvalidInput, match="an existing folder"):
        scan_collection(tmp_path / "none", "photos")


def test_an_archive_becomes_a_collection(tmp_path, photos):
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for file in photos.rglob("*"):
            written.write(file, file.relative_to(photos.parent))
    into = tmp_path / "prepared"
    prepare("upload", str(archive), "photos", into, limits=Limits(), labelled=False)
    manifest = load_manifest(into / "manifest.json")
    assert manifest.summary()["samples"] == 3
    assert thumbnail(manifest, "photos/june/a.png", 32)
    assert len(sample_items(manifest, 2)) == 2
    found = dataset_pictures(into / "manifest.json")
    assert [picture.name for picture in found.pictures] == sorted(manifest.items)
