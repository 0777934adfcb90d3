"""Uploads in pieces: begun, added to, looked at, resumed after a cut, finished.

An upload is two files beside the archives that wait for their preparation: `ID.part` holds what
has arrived, so its length is the offset, and `ID.json` says what it is to become. No table
repeats that, so nothing can disagree after a crash. What has been received is on the disk, not
merely in its cache, before its sender is told so.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.errors import HttpProblem
from app.incoming import batches
from app.uploads import (
    STALE_S,
    Upload,
    check_opening,
    disk_problem,
    final_name,
    uploads_dir,
)
from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

ID = re.compile(r"[0-9a-f]{32}")
TAIL_BYTES = 256 * 1024
"""How much of an upload's end is hashed, so that its sender can tell whether it has that file."""
OPEN_LIMIT = 100
"""Unfinished uploads of one owner."""
HASH_BYTES = 1024 * 1024


@dataclass(frozen=True)
class OpenUpload:
    """An archive of which a part may have arrived, and what it is to become."""

    id: str
    owner: str
    name: str
    """Of the dataset."""
    title: str
    labelled: bool
    filename: str
    size_bytes: int
    sha256: str
    """Of the whole archive, in hex; empty where its sender did not say."""
    key: str
    """How its sender recognises the file again; means nothing to us."""
    created_at: float


def begin(settings: Settings, upload: OpenUpload) -> OpenUpload:
    """Note an upload of which nothing has arrived yet, and return it.

    Raises:
        InvalidInput: If the archive is larger than the settings allow.
        Conflict: If its owner has too many unfinished uploads.
        HttpProblem: With 507 if the disk has no room for it.
    """
    limit = settings.upload_limit_bytes
    if upload.size_bytes > limit:
        raise InvalidInput.of(
            FieldError(
                "size_bytes",
                upload.size_bytes,
                f"at most {limit:,} bytes",
                "Raise TUNEBOARD_UPLOAD_LIMIT_BYTES, or use a folder on the server.",
            )
        )
    if len(list_open(settings, upload.owner)) >= OPEN_LIMIT:
        raise Conflict(
            f"{OPEN_LIMIT} uploads of yours are unfinished.", "Finish or remove some of them."
        )
    folder = uploads_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if upload.size_bytes > free:
        raise HttpProblem(
            507,
            f"The archive has {upload.size_bytes:,} bytes; the data directory's disk has "
            f"{free:,} left.",
            "Make room and send it again.",
        )
    try:
        _part(settings, upload.id).touch()
        partial = folder / f"{upload.id}.json.new"
        partial.write_text(json.dumps(asdict(upload)), encoding="utf-8")
        partial.rename(_note(settings, upload.id))
    except OSError as error:
        remove(settings, upload.id)
        raise disk_problem(error) from error
    return upload


def new_id() -> str:
    """Return a name that nobody can guess."""
    return secrets.token_hex(16)


def find(settings: Settings, upload_id: str, owner: str) -> OpenUpload:
    """Return an unfinished upload of that owner.

    Raises:
        NotFound: If there is none.
    """
    found = _read(settings, upload_id) if ID.fullmatch(upload_id) else None
    if found is None or found.owner != owner:
        raise NotFound(
            f"There is no unfinished upload `{upload_id}`.",
            "It was finished, removed, or left alone for a day; begin again.",
        )
    return found


def list_open(settings: Settings, owner: str) -> list[OpenUpload]:
    """Return the unfinished uploads of an owner, oldest first."""
    notes = sorted(uploads_dir(settings).glob("*.json"))
    found = [_read(settings, path.stem) for path in notes if ID.fullmatch(path.stem)]
    own = [upload for upload in found if upload is not None and upload.owner == owner]
    return sorted(own, key=lambda upload: (upload.created_at, upload.id))


def offset_of(settings: Settings, upload: OpenUpload) -> int:
    """Return how many bytes have arrived."""
    try:
        return _part(settings, upload.id).stat().st_size
    except FileNotFoundError:
        return 0


def tail_sha256(settings: Settings, upload: OpenUpload) -> str:
    """Return the SHA-256, in hex, of the last `TAIL_BYTES` that have arrived."""
    with _part(settings, upload.id).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - TAIL_BYTES))
        return hashlib.sha256(file.read(TAIL_BYTES)).hexdigest()


async def append(request: Request, settings: Settings, upload: OpenUpload, offset: int) -> int:
    """Add the request's body at `offset`, and return the offset after it.

    What arrived of a body that is cut off is kept.

    Raises:
        Conflict: If that is not where the next byte belongs, or another request is adding.
        InvalidInput: If there is more than the upload's size, or no zip archive begins so.
        HttpProblem: With 507 if the disk is full.
    """
    with _locked(_part(settings, upload.id)) as file:
        held = os.fstat(file.fileno()).st_size
        if offset != held:
            raise Conflict(
                f"The next byte of upload {upload.id} belongs at {held}, not at {offset}.",
                "Ask for its offset, and go on from there.",
            )
        try:
            async for batch in batches(request):
                if held + len(batch) > upload.size_bytes:
                    raise InvalidInput.of(
                        FieldError(
                            "body",
                            f"at least {held + len(batch):,} bytes",
                            f"no more than the {upload.size_bytes:,} that were announced",
                            "The file has changed: begin a new upload of it.",
                        )
                    )
                if held == 0 and batch:
                    check_opening(batch, upload.filename)
                await run_in_threadpool(file.write, batch)
                held += len(batch)
        except ClientDisconnect:
            pass  # nobody is left to be answered; what came is kept
        except OSError as error:
            raise disk_problem(error) from error
        finally:
            await run_in_threadpool(_sync, file)
    return held


def finished(settings: Settings, upload: OpenUpload) -> Upload:
    """Return the whole archive under its final name; its caller owns the file.

    Raises:
        Conflict: If a part is missing, or is still being added.
        InvalidInput: If it is not the file that was announced, or no zip archive; then nothing of
            it is kept.
    """
    path = _part(settings, upload.id)
    with _locked(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != upload.size_bytes:
            raise Conflict(
                f"{size:,} of the {upload.size_bytes:,} bytes of upload {upload.id} are here.",
                "Send the rest first.",
            )
        try:
            _check_sum(file, upload)
            file.seek(0)
            check_opening(file.read(4), upload.filename)
        except InvalidInput:
            remove(settings, upload.id)
            raise
        archive = path.rename(path.with_name(final_name(upload.id, upload.filename)))
    _note(settings, upload.id).unlink(missing_ok=True)
    return Upload(archive, upload.filename, {})


def remove(settings: Settings, upload_id: str) -> None:
    """Remove what there is of an upload."""
    _part(settings, upload_id).unlink(missing_ok=True)
    _note(settings, upload_id).unlink(missing_ok=True)


def remove_left_alone(settings: Settings) -> None:
    """Remove uploads to which nothing has been added for a day."""
    for note in uploads_dir(settings).glob("*.json"):
        part = note.with_suffix(".part")
        newest = max((path.stat().st_mtime for path in (part, note) if path.exists()), default=0.0)
        if newest < time.time() - STALE_S:
            remove(settings, note.stem)


def _part(settings: Settings, upload_id: str) -> Path:
    return uploads_dir(settings) / f"{upload_id}.part"


def _note(settings: Settings, upload_id: str) -> Path:
    return uploads_dir(settings) / f"{upload_id}.json"


def _read(settings: Settings, upload_id: str) -> OpenUpload | None:
    try:
        data: dict[str, Any] = json.loads(_note(settings, upload_id).read_text(encoding="utf-8"))
        return OpenUpload(**data)
    except (FileNotFoundError, ValueError, TypeError):  # finished, or of another version
        return None


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Yield the file, at its end, nobody else's until the end of the block.

    Raises:
        NotFound: If it is gone.
        Conflict: If another request has it.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError as error:
        raise NotFound("That upload is gone.", "Begin it again.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                "Another request is adding to this upload.", "Wait a moment and ask for its offset."
            ) from error
        file.seek(0, os.SEEK_END)
        yield file


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check_sum(file: BinaryIO, upload: OpenUpload) -> None:
    if not upload.sha256:
        return
    file.seek(0)
    digest = hashlib.sha256()
    for block in _blocks(file):
        digest.update(block)
    if digest.hexdigest() != upload.sha256.lower():
        raise InvalidInput.of(
            FieldError(
                "sha256",
                digest.hexdigest(),
                f"what was announced, {upload.sha256.lower()}",
                "The file changed on the way or while it was sent: upload it again.",
            )
        )


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(HASH_BYTES):
        yield block
