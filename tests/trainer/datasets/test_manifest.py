import json
import os

import pytest

from tests.trainer.datasets.pictures import two_classes, write_files
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import (
    SKIPPED_LIMIT,
    Item,
    Manifest,
    Skipped,
    content_fingerprint,
    load_manifest,
    samples_fingerprint,
    save_manifest,
)
from trainer.errors import NotFound, TuneboardError


@pytest.fixture
def manifest(tmp_path):
    write_files(tmp_path / "7/images", two_classes("train/", "val/"))
    return scan_folder(tmp_path / "7/images", "pets", note="Pets.")


def test_a_manifest_reads_back_as_it_was_written(manifest, tmp_path):
    save_manifest(manifest, tmp_path / "7/manifest.json")
    assert load_manifest(tmp_path / "7/manifest.json") == manifest
    assert [path.name for path in (tmp_path / "7").glob("*.part")] == []


def test_a_dataset_folder_can_move_with_its_images(manifest, tmp_path):
    save_manifest(manifest, tmp_path / "7/manifest.json")
    os.rename(tmp_path / "7", tmp_path / "8")
    moved = load_manifest(tmp_path / "8/manifest.json")
    assert moved.root == str(tmp_path / "8/images")
    assert moved.file("train/cats/0.png").is_file()


def test_images_elsewhere_keep_their_absolute_root(manifest, tmp_path):
    (tmp_path / "other").mkdir()
    save_manifest(manifest, tmp_path / "other/manifest.json")
    assert load_manifest(tmp_path / "other/manifest.json").root == manifest.root


def test_a_changed_file_is_read_again(manifest, tmp_path):
    path = tmp_path / "manifest.json"
    save_manifest(manifest, path)
    assert load_manifest(path) is load_manifest(path)
    save_manifest(Manifest("other", "/x", ("a", "b"), {"train": (Item("a/1.png", 0),)}), path)
    assert load_manifest(path).name == "other"


def test_a_manifest_that_cannot_be_written_leaves_nothing(manifest, tmp_path):
    broken = Manifest("x", "/x", ("a",), {"train": ()}, note=b"not text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        save_manifest(broken, tmp_path / "new.json")
    assert list(tmp_path.glob("new.json*")) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '"x"', '{"format": 99}', '{"format": 1, "splits": 3}', "\x00"],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(TuneboardError, match="Prepare the dataset again"):
        load_manifest(path)


def test_a_missing_manifest_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        load_manifest(tmp_path / "manifest.json")


def test_the_summary_counts_images_per_split_and_class(manifest):
    assert manifest.summary() == {
        "classes": ["cats", "dogs"],
        "splits": {"train": 6, "val": 6},
        "counts": {"train": [3, 3], "val": [3, 3]},
        "samples": 12,
        "skipped": [],
        "skipped_total": 0,
        "sizes": {
            "width": {"min": 6, "median": 6, "max": 6},
            "height": {"min": 4, "median": 4, "max": 4},
        },
        "measures": {
            "image_bytes": sum(manifest.file(path).stat().st_size for path in manifest.items),
            "common": [[6, 4, 12]],
            "distinct": 1,
            "short_sides": [[1, 32, 12]],
        },
        "note": "Pets.",
        "misnamed": [],
        "misnamed_total": 0,
        "duplicates": {
            "groups": 0,
            "exact_groups": 0,
            "images": 0,
            "across_splits": 0,
            "across_classes": 0,
        },
    }
    json.dumps(manifest.summary(), allow_nan=False)


def test_the_summary_counts_every_skipped_file_and_names_the_first():
    skipped = tuple(Skipped(f"a/{i}.gif", "a GIF") for i in range(SKIPPED_LIMIT + 5))
    summary = Manifest("x", "/x", ("a", "b"), {"train": ()}, skipped=skipped).summary()
    assert summary["skipped_total"] == SKIPPED_LIMIT + 5
    assert len(summary["skipped"]) == SKIPPED_LIMIT


@pytest.mark.parametrize(
    "path", ["../manifest.json", "/etc/passwd", "train/cats", "", "train/cats/../cats/0.png"]
)
def test_only_items_can_be_reached_through_a_manifest(manifest, path):
    with pytest.raises(NotFound):
        manifest.file(path)


def test_the_samples_fingerprint_knows_order_paths_and_labels():
    items = [Item("a/1.png", 0), Item("b/1.png", 1)]
    assert samples_fingerprint(items) == samples_fingerprint(list(items))
    assert samples_fingerprint(items) != samples_fingerprint(items[::-1])
    assert samples_fingerprint(items) != samples_fingerprint([Item("a/1.png", 1), items[1]])
    assert samples_fingerprint(items) != samples_fingerprint(items[:1])


def test_the_content_fingerprint_ignores_order_and_nothing_else():
    rows = [("train", "a/1", "a", "00"), ("val", "a/2", "a", "11")]
    same = content_fingerprint(rows)
    assert content_fingerprint(rows[::-1]) == same
    for index in range(4):
        changed = list(rows[0])
        changed[index] += "x"
        assert content_fingerprint([tuple(changed), rows[1]]) != same
