"""Small generated images, folders and archives for the tests of this package."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image


def picture(shade: int = 0, size: tuple[int, int] = (6, 4), kind: str = "PNG") -> bytes:
    """Return the bytes of a plain image; another shade gives other bytes."""
    written = io.BytesIO()
    colour = (shade % 256, shade // 256 % 256, 90)
    Image.new("RGB", size, colour).save(written, kind)
    return written.getvalue()


def photo(size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a JPEG with some content, so that cutting it short hurts."""
    written = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(written, "JPEG")
    return written.getvalue()


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their relative paths and return the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def two_classes(*prefixes: str, each: int = 3) -> dict[str, bytes]:
    """Return the files of `cats` and `dogs` below every prefix."""
    return {
        f"{prefix}{label}/{index}.png": picture(shade_of(prefix, label, index))
        for prefix in prefixes or ("",)
        for label in ("cats", "dogs")
        for index in range(each)
    }


def shade_of(prefix: str, label: str, index: int) -> int:
    """Return a shade that is the same in every process."""
    return sum(f"{prefix}{label}".encode()) * 7 + index


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write an ordinary zip archive; names that end in a slash become folders."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
