"""scikit-learn's handwritten digits, written as PNG files.

The package's data file is read without importing scikit-learn, which would pull in scipy and
take seconds; a test compares the images with `sklearn.datasets.load_digits`.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

from PIL import Image

from trainer.datasets.atomic import new_folder
from trainer.errors import TuneboardError

SIDE_PX = 8
BRIGHTEST = 16  # the data's values count ink in 4 × 4 blocks of the scan


def write_digits(into: Path) -> None:
    """Write `<digit>/<index>.png` into the new folder `into`, 8-bit grey, bright ink on black.

    Raises:
        TuneboardError: If scikit-learn's data file is not where it should be.
    """
    with new_folder(into) as folder:
        for digit in range(10):
            (folder / str(digit)).mkdir()
        for index, line in enumerate(_lines()):
            *values, digit = (int(float(value)) for value in line.split(","))
            grey = bytes((value * 255 + BRIGHTEST // 2) // BRIGHTEST for value in values)
            image = Image.frombytes("L", (SIDE_PX, SIDE_PX), grey)
            image.save(folder / str(digit) / f"{index:04d}.png")


def _lines() -> list[str]:
    spec = importlib.util.find_spec("sklearn")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            with gzip.open(path, "rt", encoding="ascii") as file:
                return file.read().splitlines()
    raise TuneboardError(
        "scikit-learn's digits.csv.gz was not found.",
        "Install scikit-learn in the version that Tuneboard pins (make setup).",
    )
