"""One image file looked at once: can it be decoded, how large is it, what are its bytes."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import (  # noqa: F401 - a format's module registers it
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from trainer.datasets.duplicates import Look, look_at

# What torchvision's ImageFolder reads; the GIF is left out there too.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# What may be behind such a name: many collections hold a GIF or a PNG called .jpg, and Pillow
# goes by content. Formats that start other programs or read other files are not among these.
# Their modules are imported above: `Image.open(formats=…)` knows only what has been.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_BY_EXTENSION = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".ppm": "PPM", ".pgm": "PPM", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
PIXEL_LIMIT = 89_478_485  # Pillow's own default: 256 MiB decoded as RGB
FILE_LIMIT_BYTES = 256 * 1024**2  # a file is held in memory while it is looked at


@dataclass(frozen=True)
class Probe:
    """What a readable image is."""

    sha256: str
    """Of the file's bytes, in hex."""
    width: int
    height: int
    size_bytes: int = 0
    """Of the file."""
    format: str = ""
    """What the content is, whatever the file is called."""
    look: Look | None = None
    """What it is compared with others by, if asked for."""


def is_image_name(name: str) -> bool:
    """Tell whether ImageFolder would take a file of that name for an image."""
    return name.lower().endswith(EXTENSIONS)


def misnamed(name: str, found: Probe) -> str | None:
    """Return what a usable image is instead of what its name says; None where the two agree."""
    expected = _BY_EXTENSION.get(os.path.splitext(name)[1].lower())
    if expected in (None, found.format) or not found.format:
        return None
    return f"its name says {expected}, its content is {found.format}; it is used all the same"


def examine(path: str | os.PathLike[str]) -> Probe | str:
    """Return what `probe` does, with what the image is compared with others by."""
    return probe(path, with_look=True)


def probe(path: str | os.PathLike[str], *, with_look: bool = False) -> Probe | str:
    """Return what the image is after decoding all of it, or why it cannot be used."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_size > FILE_LIMIT_BYTES:
            return f"the file has {status.st_size:,} bytes; the limit is {FILE_LIMIT_BYTES:,}"
        with open(path, "rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not content:
        return "the file is empty"
    return _decode(content, with_look)


def _decode(content: bytes, with_look: bool) -> Probe | str:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                return _too_large(f"{width} × {height} pixels")
            image.load()
            kind = str(image.format)
            decoded = image.convert("RGB")
            look = look_at(decoded) if with_look else None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _too_large("too many pixels")
    except UnidentifiedImageError:
        return "not an image: its content is none of " + ", ".join(FORMATS)
    except MemoryError:
        return "cannot be decoded: not enough memory"
    except Exception as error:  # decoders raise nearly anything on broken input
        return f"cannot be decoded: {str(error) or type(error).__name__}"
    return Probe(hashlib.sha256(content).hexdigest(), width, height, len(content), kind, look)


def _too_large(found: str) -> str:
    return f"{found}; the limit is {PIXEL_LIMIT:,}, so that no file can fill the memory"


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Let decoders not warn of odd metadata, and fail where they warn of a decompression bomb."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
