"""Archives and images that arrive: written to disk, checked; archives become datasets.

An archive of gigabytes never lies in memory, nor in the system's folder for temporary files,
which is memory on many machines. What the guard lets through is bounded in size already.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from starlette.concurrency import run_in_threadpool

from app.dependencies import Rings
from app.errors import HttpProblem
from app.incoming import OnFields, batches, read_form
from store.database import Store
from store.datasets import check_name, delete_dataset, get_dataset, register_dataset
from store.rows import DatasetRow
from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

FILENAME_LIMIT = 500  # characters of an image's name
PICTURES_LIMIT = 10_000  # in one form
STALE_S = 24 * 3600  # after which a half-received file is surely nobody's


@dataclass
class Upload:
    """An archive that has arrived, and the form fields that came with it."""

    path: Path
    filename: str
    """As its sender called it, without folders."""
    fields: dict[str, str] = field(default_factory=dict)


def uploads_dir(settings: Settings) -> Path:
    """Return the folder in which archives wait for their preparation."""
    return settings.datasets_dir / "uploads"


async def receive_archive(
    request: Request, settings: Settings, on_fields: OnFields | None = None
) -> Upload:
    """Return the archive in a multipart form; its caller owns the file.

    Args:
        on_fields: Called with the fields that came before the file, to refuse early.

    Raises:
        InvalidInput: If there is no file, or it is no zip archive.
        HttpProblem: With 400 if the form is broken, 413 if it is too large.
    """
    names: list[str] = []
    async with _new_file(settings) as (path, file):

        def the_only_one(name: str) -> BinaryIO:
            if names:
                raise MultipartParseError("it has more than one file")
            names.append(name)
            return file

        fields = await read_form(request, the_only_one, on_fields)
        if not names:
            raise InvalidInput.of(FieldError("file", None, "a zip archive"))
        upload = Upload(path, Path(names[0].replace("\\", "/")).name, fields)
        await run_in_threadpool(_finish, upload, file)
    return upload


async def receive_body(request: Request, settings: Settings, filename: str) -> Upload:
    """Return the archive that is the whole body; its caller owns the file.

    Raises:
        InvalidInput: If it is no zip archive.
        HttpProblem: With 413 if it is too large.
    """
    async with _new_file(settings) as (path, file):
        async for batch in batches(request):
            await run_in_threadpool(file.write, batch)
        upload = Upload(path, filename)
        await run_in_threadpool(_finish, upload, file)
    return upload


def register_upload(
    store: Store,
    settings: Settings,
    bell: Rings,
    upload: Upload,
    *,
    name: str,
    owner: str,
    title: str = "",
    labelled: bool = True,
) -> DatasetRow:
    """Register the archive as a dataset to be prepared; nothing of it is left where refused.

    An upload whose preparation failed is replaced by the new one.

    Args:
        labelled: False where the archive's images have no classes.

    Raises:
        InvalidInput: If the archive or the name is refused.
        Conflict: If the name is taken.
    """
    from trainer.datasets.archive import Limits, check_zip  # Pillow comes with it

    limits = Limits(
        archive_bytes=settings.upload_limit_bytes,
        files=settings.upload_files_limit,
        unpacked_bytes=settings.unpacked_limit_bytes,
    )
    try:
        check_zip(upload.path, limits, source=upload.filename)
        _drop_failed(store, name)
        row = register_dataset(
            store, name, "upload", upload.path.name, owner, title, labelled=labelled
        )
    except BaseException:
        upload.path.unlink(missing_ok=True)
        raise
    bell.ring_interactive()
    return row


@dataclass(frozen=True)
class Pictures:
    """Images that have arrived, and the form fields that came with them."""

    inputs: str
    """Name of their folder, `Settings.job_inputs_dir`, with listing.json in it."""
    names: tuple[str, ...]
    """As their sender called them."""
    fields: dict[str, str]


async def receive_pictures(request: Request, settings: Settings) -> Pictures:
    """Return a form's images in a new folder; its caller owns that.

    Raises:
        InvalidInput: If there is no file.
        HttpProblem: With 400 if the form is broken, 413 if it is too large.
    """
    fields, received = await receive_form(request, settings)
    if received is None:
        raise InvalidInput.of(FieldError("file", fields.get("file"), "one image or several"))
    return received


async def receive_form(
    request: Request, settings: Settings, on_fields: OnFields | None = None
) -> tuple[dict[str, str], Pictures | None]:
    """Return a form's fields, and its images in a new folder where it has any.

    Args:
        on_fields: Called with the fields that came before a file, to refuse early.

    Raises:
        HttpProblem: With 400 if the form is broken, 413 if it is too large.
    """
    name = secrets.token_hex(8)
    folder = settings.job_inputs_dir(name)
    folder.mkdir(parents=True)
    listing: list[tuple[str, str]] = []
    with ExitStack() as opened:

        def one_more(filename: str) -> BinaryIO:
            if len(listing) >= PICTURES_LIMIT:
                raise MultipartParseError(f"it has more than {PICTURES_LIMIT:,} files")
            opened.close()  # the one before is whole
            path = folder / f"{len(listing):05d}"
            listing.append((filename[:FILENAME_LIMIT], str(path)))
            return opened.enter_context(path.open("xb"))

        try:
            fields = await read_form(request, one_more, on_fields)
            opened.close()
            kept = await run_in_threadpool(_list_pictures, folder, listing)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise disk_problem(error) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return fields, Pictures(name, kept, fields) if kept else None


def _list_pictures(folder: Path, listing: list[tuple[str, str]]) -> tuple[str, ...]:
    """Write down which images came, and return their names; without any nothing stays.

    A browser sends a nameless, empty file where none was chosen.
    """
    kept = [(name, path) for name, path in listing if name or Path(path).stat().st_size]
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
        return ()
    named = [(name or Path(path).name, path) for name, path in kept]
    (folder / "listing.json").write_text(json.dumps(named), encoding="utf-8")
    return tuple(name for name, _ in named)


def remove_stale(settings: Settings) -> None:
    """Remove what uploads that were cut off, and jobs that never ended, left behind."""
    waiting = uploads_dir(settings)
    for path in (*waiting.glob("*.part"), *waiting.glob("*.json.new")):
        if path.stat().st_mtime < time.time() - STALE_S:
            path.unlink(missing_ok=True)
    for folder in settings.job_inputs_dir().glob("*"):
        if folder.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _new_file(settings: Settings) -> AsyncIterator[tuple[Path, BinaryIO]]:
    """Yield a new file; it is removed unless the block succeeds."""
    folder = uploads_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.part"
    try:
        with path.open("xb") as file:
            yield path, file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise disk_problem(error) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def disk_problem(error: OSError) -> Exception:
    """Return what to tell of a file that could not be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return HttpProblem(
            507, "The data directory's disk is full.", "Make room and send it again."
        )
    return error


def check_opening(opening: bytes, filename: str) -> None:
    """Check that a file's first bytes are those of a zip archive.

    Raises:
        InvalidInput: If they are not.
    """
    if opening[:4] not in {b"PK\x03\x04", b"PK\x05\x06"}:
        raise InvalidInput.of(
            FieldError(
                "file",
                filename,
                "a zip archive",
                "Pack the folder that holds one folder per class as .zip.",
            )
        )


def final_name(upload_id: str, filename: str) -> str:
    """Return the name of an archive that has arrived, from its upload's and its sender's."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(filename).stem).strip(".-")[:60]
    return f"{upload_id}-{stem or 'archive'}.zip"


def _finish(upload: Upload, file: BinaryIO) -> None:
    """Check that the file looks like a zip archive, and give it its final name.

    Raises:
        InvalidInput: If it does not.
    """
    file.flush()
    with upload.path.open("rb") as written:
        check_opening(written.read(4), upload.filename)
    final = upload.path.with_name(final_name(upload.path.stem, upload.filename))
    upload.path = upload.path.rename(final)


def check_free(store: Store, name: str) -> None:
    """Check that an upload can become a dataset of that name.

    Raises:
        InvalidInput: If it cannot be a name.
        Conflict: If it is taken, other than by an upload whose preparation failed.
    """
    check_name(name)
    found = _named(store, name)
    if found is not None and not _failed_upload(found):
        raise Conflict(
            f"There is a dataset `{name}` already, made from {found.kind} `{found.source}`.",
            "Choose another name, or delete that one.",
        )


def _drop_failed(store: Store, name: str) -> None:
    found = _named(store, name)
    if found is not None and _failed_upload(found):
        delete_dataset(store, name)


def _named(store: Store, name: str) -> DatasetRow | None:
    """Return the dataset that is called so now."""
    try:
        found = get_dataset(store, name)
    except NotFound:
        return None
    return found if found.name == name else None


def _failed_upload(dataset: DatasetRow) -> bool:
    return dataset.kind == "upload" and dataset.status == "failed"
