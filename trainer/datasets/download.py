"""Getting a published archive: from a mirror folder, from an earlier download, or from the web.

A download is kept under a name ending in `.part` until its sum is right, and goes on from there
after an interruption.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.datasets.catalogue import RemoteArchive
from trainer.datasets.folder import REPORT_EVERY_S
from trainer.errors import TuneboardError

if TYPE_CHECKING:
    import httpx

Report = Callable[[dict[str, Any]], None]

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
TRIES = 3  # each goes on where the last one broke off
PAUSE_S = 1.0  # before the second try; doubles
SIZE_SLACK = 2  # a server that sends more than twice what is expected sends something else


class DownloadFailed(TuneboardError):
    """A published archive could not be had."""

    title = "The download failed"
    status = 502


class WrongArchive(TuneboardError):
    """An archive is not the one that was published."""

    title = "Not the published archive"
    status = 422


def obtain_archive(
    archive: RemoteArchive,
    downloads: Path,
    *,
    mirror: Path | None = None,
    report: Report | None = None,
    pause_s: float = PAUSE_S,
) -> Path:
    """Return a local file of the archive.

    A download is checked against the published sum. A file that somebody put into the mirror or
    the downloads folder is returned as it is: it may be re-packed, so the caller checks its
    images where its sum differs.

    Args:
        archive: What is wanted.
        downloads: Folder of earlier downloads; made when needed.
        mirror: Folder searched first.
        report: Told `{"phase": "download", "done": bytes, "total": bytes}` twice a second.
        pause_s: Seconds before the second try; doubled before each further one.

    Raises:
        DownloadFailed: If no copy is there and the web does not give one.
        WrongArchive: If the download's sum is not the published one; it is not kept.
    """
    for folder in (mirror, downloads):
        if folder and (copy := folder / archive.file_name).is_file():
            return copy
    downloads.mkdir(parents=True, exist_ok=True)
    final = downloads / archive.file_name
    with _alone(downloads):
        if not final.is_file():  # another process may have finished it meanwhile
            _download(archive, final, report, pause_s)
    return final


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(archive: RemoteArchive, final: Path, report: Report | None, pause_s: float) -> None:
    partial = final.with_name(final.name + ".part")
    resumed = partial.is_file()
    _fill(archive, partial, report, pause_s)
    found = file_sha256(partial)
    if found != archive.sha256 and resumed:
        partial.unlink()  # its beginning may have been of something else
        _fill(archive, partial, report, pause_s)
        found = file_sha256(partial)
    if found != archive.sha256:
        partial.unlink()
        raise WrongArchive(
            f"{archive.url} gave a file with SHA-256 {found}; the published {archive.file_name} "
            f"has {archive.sha256}. It was not kept.",
            _by_hand(archive, final.parent),
        )
    os.replace(partial, final)


def _fill(archive: RemoteArchive, partial: Path, report: Report | None, pause_s: float) -> None:
    """Download into `partial` until the server says that it is whole."""
    import httpx

    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    problem = ""
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(pause_s * 2 ** (attempt - 1))
            try:
                _go_on(client, archive, partial, report)
                return
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                problem = f"the server answered {status} {error.response.reason_phrase}"
                if status < 500 and status not in (408, 429):
                    break
            except (httpx.HTTPError, httpx.InvalidURL, _Incomplete) as error:
                problem = str(error) or type(error).__name__
    raise DownloadFailed(
        f"{archive.file_name} could not be downloaded from {archive.url}: {problem}.",
        _by_hand(archive, partial.parent),
    )


class _Incomplete(Exception):
    """The transfer cannot be used as it is; another try may do better."""


def _go_on(
    client: httpx.Client, archive: RemoteArchive, partial: Path, report: Report | None
) -> None:
    """Ask for what is missing and append it; start over where the server cannot go on."""
    have = partial.stat().st_size if partial.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", archive.url, headers=headers) as response:
        if response.status_code == 416:  # nothing beyond `have`: it was whole, or another file
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            partial.unlink()
            raise _Incomplete("the server cannot go on from where the download broke off")
        response.raise_for_status()
        if response.status_code != 206 or not _continues(response, have):
            if response.status_code == 206:
                partial.unlink(missing_ok=True)
                raise _Incomplete("the server sent another part than the one asked for")
            have = 0
        stated = response.headers.get("Content-Length")
        total = have + int(stated) if stated else archive.archive_bytes
        with partial.open("ab" if have else "wb") as file:
            done, said = have, 0.0
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                if done > archive.archive_bytes * SIZE_SLACK:
                    break
                if report and (now := time.monotonic()) - said >= REPORT_EVERY_S:
                    said = now
                    report({"phase": "download", "done": done, "total": total})
    if done > archive.archive_bytes * SIZE_SLACK:
        partial.unlink()
        raise _Incomplete(f"it is far larger than the {archive.archive_bytes:,} bytes expected")
    if report:
        report({"phase": "download", "done": done, "total": total})


def _continues(response: httpx.Response, have: int) -> bool:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == have


def _by_hand(archive: RemoteArchive, downloads: Path) -> str:
    return (
        f"Put {archive.file_name} into {downloads}, or set TUNEBOARD_DATASET_MIRROR to a folder "
        "that holds it."
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from downloading into the folder meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
