import io

import pytest
from PIL import Image

from tests.trainer.datasets.pictures import photo, picture, two_classes, write_files
from trainer.datasets.folder import scan_folder
from trainer.datasets.thumbnails import MEDIA_TYPE, sample_items, thumbnail
from trainer.errors import InvalidInput, NotFound, TuneboardError


@pytest.fixture
def manifest(tmp_path):
    files = two_classes("train/", "val/") | {
        "train/cats/photo.jpg": photo((640, 320)),
        "train/cats/palette.gif": b"x",
        "val/dogs/tiny.png": picture(4, size=(8, 8)),
    }
    return scan_folder(write_files(tmp_path, files), "pets")


def opened(content):
    return Image.open(io.BytesIO(content))


def test_a_thumbnail_fits_the_square_and_keeps_its_shape(manifest):
    image = opened(thumbnail(manifest, "train/cats/photo.jpg", 128))
    assert (image.format, image.size) == ("WEBP", (128, 64))
    assert MEDIA_TYPE == "image/webp"


def test_a_tiny_image_is_neither_enlarged_nor_changed(manifest, tmp_path):
    image = opened(thumbnail(manifest, "val/dogs/tiny.png", 128))
    with Image.open(tmp_path / "val/dogs/tiny.png") as original:
        assert image.convert("RGB").tobytes() == original.convert("RGB").tobytes()


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "/etc/passwd", "train/cats/../cats/0.png", "train/cats/palette.gif", ""],
)
def test_what_is_no_image_of_the_dataset_is_not_found(manifest, path):
    with pytest.raises(NotFound):
        thumbnail(manifest, path, 64)


@pytest.mark.parametrize("size_px", [0, 7, -1, 1025, 10**9])
def test_a_size_out_of_bounds_is_refused(manifest, size_px):
    with pytest.raises(InvalidInput, match=r"\[8, 1024\]"):
        thumbnail(manifest, "train/cats/0.png", size_px)


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_a_file_that_changed_since_is_an_error_with_a_remedy(manifest, tmp_path, content):
    path = tmp_path / "train/cats/0.png"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(TuneboardError, match="prepare the dataset again"):
        thumbnail(manifest, "train/cats/0.png", 64)


def test_samples_show_every_class_and_depend_on_the_seed(manifest):
    samples = sample_items(manifest, 2, seed=1)
    assert [item.label for _, item in samples] == [0, 0, 1, 1]
    assert samples == sample_items(manifest, 2, seed=1)
    assert any(samples != sample_items(manifest, 2, seed=seed) for seed in range(2, 9))
    assert all(item in manifest.splits[split] for split, item in samples)


def test_samples_are_all_there_are_where_there_are_few(manifest):
    assert len(sample_items(manifest, 100)) == 14
