"""Data sets that torchvision's own classes download and unpack, laid out as folders of classes.

torchvision's classes know the addresses, the sums and the layout of each; nothing of that is
repeated here. What lies in the mirror or among earlier downloads is put where torchvision would
download it to, so that it finds it there; archives that it did download are kept. Imported only
where a data set is prepared: torchvision brings torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision import datasets as tv

from trainer.datasets.atomic import new_folder, remove_folder
from trainer.datasets.download import READ_TIMEOUT_S, DownloadFailed, WrongArchive
from trainer.datasets.folder import REPORT_EVERY_S
from trainer.errors import TuneboardError

Report = Callable[[dict[str, Any]], None]
Labelled = Iterator[tuple[str, str, Image.Image | Path]]
"""Class name, file name and either the image or the file that holds it."""


@dataclass(frozen=True)
class File:
    """A file that torchvision downloads."""

    name: str
    md5: str
    folder: str = ""
    """Below torchvision's root, where it is downloaded to."""


@dataclass(frozen=True)
class _Published:
    files: Callable[[], list[File]]
    open: Callable[[str], Any]
    """Lets torchvision download below a root, and returns one object."""
    splits: Callable[[str], dict[str, Labelled]]


def write_published(
    name: str,
    into: Path,
    work: Path,
    downloads: Path,
    *,
    mirror: Path | None = None,
    report: Report | None = None,
    total_bytes: int = 0,
) -> None:
    """Write `<split>/<class>/<file>` into the new folder `into`.

    Args:
        name: In the catalogue.
        into: Made here.
        work: Folder that torchvision may fill; removed in the end. On the same disk as `into`.
        downloads: Folder of earlier downloads; made when needed.
        mirror: Folder searched first.
        report: Told `{"phase": "download" | "unpack", "done": …, "total": …}`.
        total_bytes: About how much there is to download.

    Raises:
        DownloadFailed: If a file is not there and torchvision cannot download it.
        WrongArchive: If a file in the mirror or among the downloads is another.
    """
    published = _PUBLISHED[name]
    remove_folder(work)
    work.mkdir(parents=True)
    try:
        files = published.files()
        for file in files:
            _put_in_place(file, work, [folder for folder in (mirror, downloads) if folder])
        with _watched(work, files, report, total_bytes):
            _let_torchvision_unpack(published, work, files, downloads)
        with new_folder(into) as folder:
            for split, images in published.splits(str(work)).items():
                _write(folder / split, images, report)
    finally:
        remove_folder(work)


def _put_in_place(file: File, work: Path, folders: Sequence[Path]) -> None:
    """Link the file, if one of the folders has it, to where torchvision looks for it."""
    for folder in folders:
        found = folder / file.name
        if not found.is_file():
            continue
        with found.open("rb") as opened:
            md5 = hashlib.file_digest(opened, "md5").hexdigest()
        if md5 != file.md5:  # torchvision would write over it
            raise WrongArchive(
                f"{found} has the MD5 sum {md5}; the published {file.name} has {file.md5}.",
                "Replace it by the published file, or remove it to have it downloaded.",
            )
        place = work / file.folder / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(found.resolve())
        return


def _let_torchvision_unpack(
    published: _Published, work: Path, files: Sequence[File], downloads: Path
) -> None:
    kept = _Keeper(files, work, downloads)
    try:
        # Its notes and progress bars must not get among the lines that the worker reads.
        with contextlib.redirect_stdout(sys.stderr), _impatience(), kept:
            published.open(str(work))
    except (OSError, RuntimeError) as error:  # torchvision's and urllib's errors are of these
        missing = [file.name for file in files if not kept.has(file)]
        if not missing:
            raise TuneboardError(
                f"{', '.join(file.name for file in files)} could not be unpacked: {error}",
                "Make room on the data directory's disk and try again.",
            ) from error
        raise DownloadFailed(
            f"{missing[0]} could not be downloaded: {str(error) or type(error).__name__}",
            f"Put {' and '.join(missing)} into {downloads}, or set TUNEBOARD_DATASET_MIRROR to a "
            f"folder that holds {'it' if len(missing) == 1 else 'them'}.",
        ) from error


@contextlib.contextmanager
def _impatience() -> Iterator[None]:
    """Let a server that has fallen silent count as gone, which torchvision would wait for."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(READ_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


class _Keeper:
    """Keeps what torchvision downloaded, even where a later step fails."""

    def __init__(self, files: Sequence[File], work: Path, downloads: Path) -> None:
        self._files = files
        self._work = work
        self._downloads = downloads

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            place = self._work / file.folder / file.name
            if not place.is_file() or place.is_symlink():
                continue
            with place.open("rb") as opened:
                if hashlib.file_digest(opened, "md5").hexdigest() != file.md5:
                    continue
            self._downloads.mkdir(parents=True, exist_ok=True)
            kept = self._downloads / file.name
            os.replace(place, kept)
            place.symlink_to(kept.resolve())  # torchvision may look for it again

    def has(self, file: File) -> bool:
        """Tell whether a file is there and whole."""
        return (self._work / file.folder / file.name).is_symlink()


@contextlib.contextmanager
def _watched(
    work: Path, files: Sequence[File], report: Report | None, total_bytes: int
) -> Iterator[None]:
    """Report how much of the files is there while torchvision downloads them."""
    if report is None:
        yield
        return
    done = threading.Event()

    def look() -> None:
        while not done.wait(REPORT_EVERY_S):
            places = [work / file.folder / file.name for file in files]
            sizes = []
            for place in places:
                with contextlib.suppress(OSError):
                    sizes.append(place.stat().st_size)
            report({"phase": "download", "done": sum(sizes), "total": total_bytes})

    thread = threading.Thread(target=look, name="download progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _write(folder: Path, images: Labelled, report: Report | None) -> None:
    """Write arrays as PNG, and move files; both under their class."""
    said = time.monotonic()
    for number, (label, name, image) in enumerate(images, start=1):
        place = folder / label.replace("/", "-").replace("\0", "") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(image, Path):
            shutil.move(image, place)
        else:
            image.save(place)
        if report and (now := time.monotonic()) - said >= REPORT_EVERY_S:
            said = now
            report({"phase": "unpack", "done": number, "total": 0})


def _arrays(dataset: Any) -> Labelled:
    for index in range(len(dataset)):
        image, label = dataset[index]
        yield dataset.classes[label], f"{index:05d}.png", image


def _files(dataset: Any, images: str) -> Labelled:
    """Yield what a class lists under its (private) names `images` and `_labels`."""
    for path, label in zip(getattr(dataset, images), dataset._labels, strict=True):
        yield dataset.classes[label], Path(path).name, Path(path)


def _cifar(kind: type[tv.CIFAR10]) -> _Published:
    return _Published(
        files=lambda: [File(kind.filename, kind.tgz_md5)],
        open=lambda root: kind(root, download=True),
        splits=lambda root: {
            "train": _arrays(kind(root, train=True)),
            "test": _arrays(kind(root, train=False)),
        },
    )


def _fashion_mnist() -> _Published:
    kind = tv.FashionMNIST
    return _Published(
        files=lambda: [File(name, md5, "FashionMNIST/raw") for name, md5 in kind.resources],
        open=lambda root: kind(root, download=True),
        splits=lambda root: {
            "train": _arrays(kind(root, train=True)),
            "test": _arrays(kind(root, train=False)),
        },
    )


def _caltech101() -> _Published:
    def images(root: str) -> Labelled:
        dataset = tv.Caltech101(root)
        for label in dataset.categories:
            for path in sorted(Path(dataset.root, "101_ObjectCategories", label).iterdir()):
                yield label, path.name, path

    return _Published(
        files=lambda: [File("caltech-101.zip", CALTECH101_MD5, "caltech101")],
        open=lambda root: tv.Caltech101(root, download=True),
        splits=lambda root: {"train": images(root)},
    )


def _oxford_pets() -> _Published:
    kind = tv.OxfordIIITPet
    return _Published(
        files=lambda: [
            File(url.rpartition("/")[2], md5, "oxford-iiit-pet") for url, md5 in kind._RESOURCES
        ],
        open=lambda root: kind(root, download=True),
        splits=lambda root: {
            "train": _files(kind(root, split="trainval"), "_images"),
            "test": _files(kind(root, split="test"), "_images"),
        },
    )


def _flowers102() -> _Published:
    kind = tv.Flowers102
    return _Published(
        files=lambda: [File(name, md5, "flowers-102") for name, md5 in kind._file_dict.values()],
        open=lambda root: kind(root, download=True),
        splits=lambda root: {
            split: _files(kind(root, split=split), "_image_files")
            for split in ("train", "val", "test")
        },
    )


def _food101() -> _Published:
    kind = tv.Food101
    return _Published(
        files=lambda: [File(kind._URL.rpartition("/")[2], kind._MD5)],
        open=lambda root: kind(root, download=True),
        splits=lambda root: {
            split: _files(kind(root, split=split), "_image_files") for split in ("train", "test")
        },
    )


# torchvision keeps this one inside a method: torchvision/datasets/caltech.py.
CALTECH101_MD5 = "3138e1922a9193bfa496528edbbc45d0"
_PUBLISHED: dict[str, _Published] = {
    "cifar10": _cifar(tv.CIFAR10),
    "cifar100": _cifar(tv.CIFAR100),
    "fashion_mnist": _fashion_mnist(),
    "caltech101": _caltech101(),
    "oxford_pets": _oxford_pets(),
    "flowers102": _flowers102(),
    "food101": _food101(),
}
