"""Duplicates: what is one, what is none, and which of them a cut tears apart."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageEnhance

from trainer.data_sections import DatasetSpec
from trainer.datasets import duplicates
from trainer.datasets.duplicates import Look, find_groups, look_at
from trainer.datasets.folder import scan_folder
from trainer.datasets.leaks import find_leaks
from trainer.datasets.manifest import load_manifest, save_manifest
from trainer.datasets.splits import resolve_splits
from trainer.duplicates import look_through


def scene(seed: int, side_px: int = 96) -> Image.Image:
    """Return a picture of some shapes that no other seed's is like."""
    draw = random.Random(seed)  # noqa: S311 - pictures, not secrets
    picture = Image.new("RGB", (side_px, side_px), _colour(draw))
    pen = ImageDraw.Draw(picture)
    for _ in range(9):
        x, y = draw.randrange(side_px), draw.randrange(side_px)
        wide, high = draw.randrange(10, side_px // 2), draw.randrange(10, side_px // 2)
        shape = pen.ellipse if draw.random() < 0.5 else pen.rectangle
        shape((x - wide, y - high, x + wide, y + high), fill=_colour(draw))
    return picture


def _colour(draw: random.Random) -> tuple[int, int, int]:
    return draw.randrange(256), draw.randrange(256), draw.randrange(256)


def again(picture: Image.Image, quality: int = 50) -> Image.Image:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=quality)
    return Image.open(io.BytesIO(written.getvalue())).convert("RGB")


def groups_of(pictures: dict[str, Image.Image]) -> list[tuple[bool, tuple[str, ...]]]:
    looks = {name: look_at(picture) for name, picture in pictures.items()}
    return [(group.exact, group.paths) for group in find_groups(looks)]


def test_the_same_pixels_are_found_whatever_the_files_are() -> None:
    tiny = Image.new("RGB", (8, 8), "red")
    assert groups_of({"c": tiny, "a": tiny.copy(), "b": Image.new("RGB", (8, 8), "blue")}) == [
        (True, ("a", "c"))
    ]


def test_a_copy_saved_smaller_worse_or_brighter_is_nearly_the_same() -> None:
    first = scene(1)
    copies = {
        "a": first,
        "b": again(first),
        "c": again(first.resize((48, 48))),
        "d": ImageEnhance.Brightness(first).enhance(1.05),
    }
    assert groups_of(copies | {"z": scene(2)}) == [(False, ("a", "b", "c", "d"))]


def test_different_pictures_are_not_called_the_same() -> None:
    assert groups_of({str(seed): scene(seed) for seed in range(300)}) == []


def test_a_second_look_tells_apart_what_hashes_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that lets everything through, only the second look decides."""
    monkeypatch.setattr(duplicates, "DISTANCE", 64)
    monkeypatch.setattr(duplicates, "HASH_PARTS", 64)
    pictures = {str(seed): scene(seed) for seed in range(40)} | {"copy": again(scene(7))}
    assert groups_of(pictures) == [(False, ("7", "copy"))]


def test_tiny_and_flat_images_are_compared_exactly_only() -> None:
    shades = {str(shade): Image.new("RGB", (64, 64), (shade,) * 3) for shade in (100, 101, 102)}
    assert groups_of(shades) == []
    assert look_at(scene(1, 31)).small is None


def test_the_one_copy_among_twenty_thousand_images_is_found() -> None:
    draw = random.Random(0)  # noqa: S311 - pictures, not secrets
    looks = {f"{n:05d}": Look(str(n), draw.randbytes(768)) for n in range(20_000)}
    looks["copy"] = Look("copy", looks["00007"].small)
    assert [group.paths for group in find_groups(looks)] == [("00007", "copy")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of six pictures; one is in both, one twice in a class."""
    for label, first in (("ant", 0), ("bee", 100)):
        (tmp_path / label).mkdir()
        for number in range(6):
            scene(first + number).save(tmp_path / label / f"{number}.png")
    again(scene(0), 80).save(tmp_path / "bee" / "copy.png")
    scene(100).save(tmp_path / "bee" / "same.png")
    return tmp_path


def test_a_prepared_dataset_knows_its_duplicates(folder: Path, tmp_path: Path) -> None:
    manifest = scan_folder(folder, "insects")
    assert [(group.exact, group.paths) for group in manifest.duplicates or ()] == [
        (False, ("ant/0.png", "bee/copy.png")),
        (True, ("bee/0.png", "bee/same.png")),
    ]
    assert manifest.summary()["duplicates"] == {
        "groups": 2,
        "exact_groups": 1,
        "images": 4,
        "across_splits": 0,
        "across_classes": 1,
    }
    save_manifest(manifest, tmp_path / "manifest.json")
    assert load_manifest(tmp_path / "manifest.json") == manifest


def test_a_dataset_of_an_older_version_is_looked_through(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    manifest = scan_folder(folder, "insects")
    save_manifest(manifest, file)
    older = json.loads(file.read_text())
    del older["duplicates"], older["misnamed"]
    file.write_text(json.dumps(older))
    assert load_manifest(file).duplicates is None
    assert load_manifest(file).summary()["duplicates"] is None
    told: list[dict[str, object]] = []
    result = look_through(file, told.append)
    assert result == {"duplicates": manifest.summary()["duplicates"]}
    assert load_manifest(file).duplicates == manifest.duplicates
    assert {"what": "looking at images", "done": 14, "total": 14} in told
    assert told[-1]["what"] == "comparing images"


def test_what_leaks_depends_on_the_runs_own_cut(folder: Path) -> None:
    manifest = scan_folder(folder, "insects")
    seen = set()
    for seed in range(12):
        spec = DatasetSpec(name="insects", split_seed=seed, validation_fraction=0.3)
        splits = resolve_splits(manifest, spec)
        trained = {item.path for item in splits["train"]}
        expected = {
            place
            for place, item in enumerate(splits["val"])
            for group in manifest.duplicates or ()
            if item.path in group.paths and trained & set(group.paths)
        }
        found = find_leaks(manifest, spec)
        assert (found["val"].places if found else set()) == expected
        if found:
            assert found["val"].images == len(splits["val"])
        seen.add(len(expected))
    assert len(seen) > 1


def test_an_image_whose_name_says_another_format_is_used_and_named(folder: Path) -> None:
    written = io.BytesIO()
    scene(55).save(written, "PNG")
    (folder / "ant" / "really.jpg").write_bytes(written.getvalue())
    manifest = scan_folder(folder, "insects")
    assert "ant/really.jpg" in manifest.items
    [one] = manifest.misnamed
    assert one.file == "ant/really.jpg"
    assert one.reason.startswith("its name says JPEG, its content is PNG")
