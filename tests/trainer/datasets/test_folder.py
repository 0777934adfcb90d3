import os
import shutil
from pathlib import Path

import pytest

from tests.trainer.datasets.pictures import photo, picture, two_classes, write_files
from trainer.datasets import images
from trainer.datasets.folder import check_folder_allowed, scan_folder
from trainer.datasets.manifest import Skipped
from trainer.errors import InvalidInput

NOT_AN_IMAGE_NAME = "its name ends in none of .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp"


def refusal(root, **options):
    with pytest.raises(InvalidInput) as caught:
        scan_folder(root, "pets", **options)
    return caught.value


def test_classes_lie_directly_in_the_folder(tmp_path):
    manifest = scan_folder(write_files(tmp_path, two_classes()), "pets")
    assert manifest.classes == ("cats", "dogs")
    assert manifest.root == str(tmp_path)
    assert [(item.path, item.label) for item in manifest.splits["train"]] == [
        *((f"cats/{i}.png", 0) for i in range(3)),
        *((f"dogs/{i}.png", 1) for i in range(3)),
    ]
    assert list(manifest.splits) == ["train"]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize("train", ["train", "training", "TRAIN"])
def test_splits_are_known_by_their_usual_names(tmp_path, train, val):
    files = two_classes(f"{train}/", f"{val}/", "test/")
    manifest = scan_folder(write_files(tmp_path, files), "pets")
    assert {split: len(items) for split, items in manifest.splits.items()} == {
        "train": 6,
        "val": 6,
        "test": 6,
    }
    assert manifest.splits["val"][0].path == f"{val}/cats/0.png"


def test_train_and_test_without_val_are_fine(tmp_path):
    manifest = scan_folder(write_files(tmp_path, two_classes("train/", "test/")), "pets")
    assert list(manifest.splits) == ["train", "test"]


def test_a_class_may_be_called_train(tmp_path):
    files = {f"{label}/{i}.png": picture(i) for label in ("car", "train") for i in range(2)}
    manifest = scan_folder(write_files(tmp_path, files), "vehicles")
    assert manifest.classes == ("car", "train")


def test_the_same_images_are_taken_as_image_folder_takes_them(tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")
    files = two_classes() | {
        "cats/deeper/down/x.JPG": photo(),
        "cats/notes.txt": b"hello",
        "dogs/moving.gif": picture(1, kind="GIF"),
        "Zebra/1.jpeg": photo(),
        "10/1.webp": picture(3, kind="WEBP"),
        "9/1.tiff": picture(4, kind="TIFF"),
        "9/2.bmp": picture(5, kind="BMP"),
        "9/3.ppm": picture(6, kind="PPM"),
    }
    manifest = scan_folder(write_files(tmp_path, files), "pets")
    theirs = datasets.ImageFolder(str(tmp_path))
    assert list(manifest.classes) == theirs.classes
    ours = [(os.path.join(manifest.root, i.path), i.label) for i in manifest.splits["train"]]
    assert sorted(ours) == sorted(theirs.samples)


def test_what_cannot_be_used_is_skipped_and_named(tmp_path):
    whole = photo()
    files = two_classes() | {
        "cats/cut.jpg": whole[: len(whole) // 2],
        "cats/empty.jpg": b"",
        "cats/moving.gif": picture(1, kind="GIF"),
        "cats/text.png": b"this is no image",
        "cats/.hidden/x.png": picture(2),
        "loose.png": picture(3),
        "README.md": b"hello",
        "cats/Thumbs.db": b"x",
        "cats/._0.png": b"x",
    }
    write_files(tmp_path, files)
    os.mkfifo(tmp_path / "cats/pipe.jpg")
    skipped = {s.file: s.reason for s in scan_folder(tmp_path, "pets").skipped}
    assert "truncated" in skipped.pop("cats/cut.jpg")
    assert skipped.pop("cats/text.png").startswith("not an image")
    assert skipped == {
        "cats/empty.jpg": "the file is empty",
        "cats/moving.gif": NOT_AN_IMAGE_NAME,
        "cats/.hidden": "a hidden folder",
        "cats/pipe.jpg": "not a regular file",
        "loose.png": "lies in no class's folder",
    }


def test_folders_beside_the_splits_are_named(tmp_path):
    files = two_classes("train/", "val/") | {"extra/cats/1.png": picture()}
    manifest = scan_folder(write_files(tmp_path, files), "pets")
    assert manifest.skipped == (Skipped("extra", "a folder beside `train` that is no split"),)


def test_an_image_with_too_many_pixels_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "PIXEL_LIMIT", 100)
    files = two_classes() | {"cats/huge.png": picture(size=(11, 10))}
    (skipped,) = scan_folder(write_files(tmp_path, files), "pets").skipped
    assert skipped.file == "cats/huge.png"
    assert "11 × 10 pixels; the limit is 100" in skipped.reason


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_skipped_unopened(tmp_path, size):
    header = picture(kind="BMP")
    bomb = bytearray(header)
    bomb[18:26] = size[0].to_bytes(4, "little") + size[1].to_bytes(4, "little")
    files = two_classes() | {"cats/bomb.bmp": bytes(bomb)}
    (skipped,) = scan_folder(write_files(tmp_path, files), "pets").skipped
    assert skipped.file == "cats/bomb.bmp"
    assert "the limit is 89,478,485" in skipped.reason


def test_a_file_larger_than_the_limit_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "FILE_LIMIT_BYTES", 2_000)
    files = two_classes() | {"dogs/big.jpg": photo((200, 200))}
    (skipped,) = scan_folder(write_files(tmp_path, files), "pets").skipped
    assert skipped.file == "dogs/big.jpg"
    assert "the limit is 2,000" in skipped.reason


def test_files_without_permission_are_skipped(tmp_path, monkeypatch):
    write_files(tmp_path, two_classes())

    def refuse_one(path, *arguments):  # chmod alone does not stop root
        if Path(path).parts[-2:] == ("cats", "0.png"):
            raise PermissionError(13, "Permission denied")
        return open(path, *arguments)

    monkeypatch.setattr(images, "open", refuse_one, raising=False)
    (skipped,) = scan_folder(tmp_path, "pets").skipped
    assert skipped == Skipped("cats/0.png", "cannot be read: Permission denied")


def test_odd_names_are_kept(tmp_path):
    names = ["cats/a b.png", "cats/ä ß 猫.png", "cats/new\nline.png", "cats/#?%&.png"]
    files = two_classes() | {name: picture(50 + i) for i, name in enumerate(names)}
    manifest = scan_folder(write_files(tmp_path, files), "pets")
    assert set(names) <= set(manifest.items)
    assert manifest.skipped == ()


def test_names_that_are_not_utf8_are_skipped(tmp_path):
    write_files(tmp_path, two_classes())
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/cats/\xff.png")).write_bytes(picture(9))
    except OSError:
        pytest.skip("this file system takes valid UTF-8 alone")
    assert scan_folder(tmp_path, "pets").skipped == (
        Skipped("cats/\\xff.png", "its path is not valid UTF-8"),
    )


def test_a_class_whose_name_is_not_utf8_is_refused(tmp_path):
    write_files(tmp_path, two_classes())
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/b\xffrds")
    except OSError:
        pytest.skip("this file system takes valid UTF-8 alone")
    assert "`source` to be a class whose name is valid UTF-8" in str(refusal(tmp_path))


def test_links_may_not_lead_out(tmp_path):
    inside = write_files(tmp_path / "data", two_classes())
    outside = write_files(tmp_path / "private", {"x.png": picture(77), "more/y.png": picture(78)})
    (inside / "cats/link.png").symlink_to(outside / "x.png")
    (inside / "cats/folder").symlink_to(outside / "more")
    (inside / "cats/same.png").symlink_to(inside / "dogs/0.png")
    reason = "a link that leads outside the folders that may be read"
    manifest = scan_folder(inside, "pets")
    assert manifest.skipped == (Skipped("cats/folder", reason), Skipped("cats/link.png", reason))
    assert "cats/same.png" in manifest.items
    assert scan_folder(inside, "pets", extra_roots=[outside]).skipped == ()


def test_a_class_that_is_a_link_out_is_refused(tmp_path):
    inside = write_files(tmp_path / "data", two_classes())
    (tmp_path / "private").mkdir()
    (inside / "birds").symlink_to(tmp_path / "private")
    assert "outside the folders that may be read" in str(refusal(inside))


def test_links_in_circles_end(tmp_path):
    write_files(tmp_path, two_classes())
    (tmp_path / "cats/again").symlink_to(tmp_path / "cats")
    (tmp_path / "cats/self.png").symlink_to("self.png")
    (tmp_path / "cats/gone.png").symlink_to("nowhere.png")
    skipped = {s.file: s.reason for s in scan_folder(tmp_path, "pets").skipped}
    assert skipped["cats/again"] == "a link to a folder that was already read"
    assert skipped["cats/self.png"].startswith("cannot be read")
    assert skipped["cats/gone.png"] == "cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "one folder of images for each class; there are none in it"),
        ({"loose.png": b"x"}, "one folder of images for each class; there are none in it"),
        ({"cats/1.png": picture()}, "at least two classes; it has only `cats`"),
        ({"train/cats/1.png": picture()}, "at least two classes; it has only `cats`"),
        (two_classes("test/", "val/"), "a `train` folder beside `test` and `val`"),
        (two_classes("train/", "val/", "valid/"), "one val split; it has `val` and `valid`"),
    ],
)
def test_a_folder_that_is_no_dataset_is_refused(tmp_path, files, says):
    write_files(tmp_path, files)
    error = refusal(tmp_path, source="/data/pets")
    assert says in str(error)
    assert error.errors[0].field == "source"
    assert error.errors[0].value == "/data/pets"


def test_a_missing_folder_is_refused(tmp_path):
    (problem,) = refusal(tmp_path / "pets", field="--data").errors
    assert (problem.field, problem.value) == ("--data", str(tmp_path / "pets"))
    assert problem.expected == "an existing folder"


def test_a_class_with_no_images_is_refused(tmp_path):
    write_files(tmp_path, two_classes())
    (tmp_path / "birds").mkdir()
    (problem,) = refusal(tmp_path).errors
    assert problem.value == "birds"
    assert "at least one readable image; it has none" in problem.expected


def test_a_class_with_nothing_readable_is_refused_with_the_reason(tmp_path):
    files = two_classes() | {"birds/1.png": b"", "birds/2.gif": picture(kind="GIF")}
    (problem,) = refusal(write_files(tmp_path, files)).errors
    assert problem.value == "birds"
    assert "its 2 files were skipped (first: the file is empty)" in problem.expected


def test_a_split_missing_a_class_is_refused(tmp_path):
    write_files(tmp_path, two_classes("train/", "val/"))
    shutil.rmtree(tmp_path / "val/dogs")
    (problem,) = refusal(tmp_path, field="file").errors
    assert (problem.field, problem.value) == ("file", "val/dogs")
    assert "`val` has no folder for the class `dogs`" in problem.expected


def test_a_split_with_an_unknown_class_is_refused(tmp_path):
    files = two_classes("train/", "val/") | {"val/birds/1.png": picture()}
    (problem,) = refusal(write_files(tmp_path, files)).errors
    assert problem.value == "val/birds"
    assert "a class that `train` has too" in problem.expected


def test_a_split_whose_class_is_empty_is_refused(tmp_path):
    write_files(tmp_path, two_classes("train/", "val/"))
    shutil.rmtree(tmp_path / "val/dogs")
    (tmp_path / "val/dogs").mkdir()
    (problem,) = refusal(tmp_path).errors
    assert problem.value == "val/dogs"


def test_the_fingerprint_depends_on_the_images_alone(tmp_path):
    first = scan_folder(write_files(tmp_path / "a", two_classes()), "pets")
    again = scan_folder(write_files(tmp_path / "b", two_classes() | {"cats/x.txt": b""}), "other")
    changed = scan_folder(
        write_files(tmp_path / "c", two_classes() | {"cats/0.png": picture(999)}), "pets"
    )
    renamed = two_classes()
    renamed["cats/9.png"] = renamed.pop("cats/0.png")
    moved = scan_folder(write_files(tmp_path / "d", renamed), "pets")
    assert first.fingerprint == again.fingerprint
    assert len({first.fingerprint, changed.fingerprint, moved.fingerprint}) == 3


def test_sizes_are_measured(tmp_path):
    files = {
        f"{label}/{i}.png": picture(i, size=(10 * (i + 1), 7))
        for label in ("cats", "dogs")
        for i in range(3)
    }
    sizes = scan_folder(write_files(tmp_path, files), "pets").summary()["sizes"]
    assert sizes == {
        "width": {"min": 10, "median": 20, "max": 30},
        "height": {"min": 7, "median": 7, "max": 7},
    }


def test_progress_ends_with_the_total(tmp_path):
    said = []
    scan_folder(write_files(tmp_path, two_classes()), "pets", report=said.append)
    assert said[-1] == {"phase": "scan", "done": 6, "total": 6}
    assert all(message["done"] <= message["total"] for message in said)


class TestCheckFolderAllowed:
    def refusal(self, path, roots):
        with pytest.raises(InvalidInput) as caught:
            check_folder_allowed(path, roots)
        (problem,) = caught.value.errors
        assert problem.field == "source"
        return str(caught.value)

    def test_a_folder_under_a_root_is_returned_resolved(self, tmp_path):
        (tmp_path / "roots/pets").mkdir(parents=True)
        (tmp_path / "alias").symlink_to(tmp_path / "roots")
        for root in (tmp_path / "roots", tmp_path / "alias"):
            found = check_folder_allowed(f"{tmp_path}/alias/pets", [root])
            assert found == tmp_path / "roots/pets"
        assert check_folder_allowed(tmp_path / "roots", [tmp_path / "roots"])

    def test_without_roots_nothing_is_allowed(self, tmp_path):
        says = self.refusal(tmp_path, [])
        assert "TUNEBOARD_DATA_ROOTS" in says
        assert "lists none" in says

    def test_outside_and_through_links_and_dots_is_refused(self, tmp_path):
        (tmp_path / "roots").mkdir()
        (tmp_path / "roots2").mkdir()
        (tmp_path / "roots/out").symlink_to("/etc")
        for path in (
            "/etc",
            f"{tmp_path}/roots/../..",
            f"{tmp_path}/roots/out",
            tmp_path / "roots2",
        ):
            says = self.refusal(path, [tmp_path / "roots"])
            assert f"a folder under {tmp_path}/roots" in says
            assert "TUNEBOARD_DATA_ROOTS" in says

    def test_what_exists_outside_is_not_told(self, tmp_path):
        (tmp_path / "roots").mkdir()
        there = self.refusal("/etc", [tmp_path / "roots"])
        absent = self.refusal("/etx", [tmp_path / "roots"])
        assert there.replace("/etc", "/etx") == absent

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("pets", "an absolute path"),
            ("", "an absolute path"),
            ("~/pets", "an absolute path"),
            ("/a\0b", "the path of a folder"),
        ],
    )
    def test_what_is_no_path_is_refused(self, tmp_path, path, says):
        assert says in self.refusal(path, [tmp_path])

    def test_a_missing_folder_or_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("")
        for name in ("file", "missing"):
            assert "an existing folder" in self.refusal(tmp_path / name, [tmp_path])
