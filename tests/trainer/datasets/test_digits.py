import subprocess
import sys

import pytest
from PIL import Image

from trainer.datasets import digits
from trainer.datasets.digits import write_digits
from trainer.errors import TuneboardError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "images"
    write_digits(folder)
    return folder


def test_the_images_are_those_of_scikit_learn(folder):
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    assert len(list(folder.glob("*/*.png"))) == len(theirs.target) == 1797
    for index, (pixels, digit) in enumerate(zip(theirs.images, theirs.target, strict=True)):
        with Image.open(folder / str(digit) / f"{index:04d}.png") as image:
            assert (image.mode, image.size) == ("L", (8, 8))
            got = list(image.tobytes())
        assert got == [int(value * 255 / 16 + 0.5) for value in pixels.ravel()]


def test_the_images_are_the_same_every_time(folder, tmp_path):
    write_digits(tmp_path / "again")
    for path in folder.glob("*/*.png"):
        assert (tmp_path / "again" / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_scikit_learn_is_not_imported(tmp_path):
    code = (
        "import sys, pathlib; from trainer.datasets.digits import write_digits;"
        f"write_digits(pathlib.Path({str(tmp_path)!r}, 'images'));"
        "sys.exit(any(name in sys.modules for name in ('sklearn', 'scipy', 'numpy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_package_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TuneboardError, match=r"digits\.csv\.gz was not found"):
        write_digits(tmp_path / "images")
    assert list(tmp_path.iterdir()) == []
