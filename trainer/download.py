"""Fetches a weight file once, into the folder where torch keeps its downloads.

One try with short time-outs: without a network a run fails in seconds, with advice.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch

from trainer.files import write_atomically

_LOG = logging.getLogger(__name__)

SILENCE_LIMIT_S = 15  # without a byte; a working server answers in far less
CHUNK_BYTES = 1 << 20


class DownloadFailed(Exception):
    """The file could not be fetched; the message says why."""

    def __init__(self, reason: str, http_status: int | None = None) -> None:
        super().__init__(reason)
        self.http_status = http_status


def downloads_folder() -> Path:
    """Return where torch keeps downloaded weights; files may be put there by hand."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(url: str, target: Path, sha256_start: str = "") -> None:
    """Download `url` to `target`, whole or not at all.

    Args:
        url: An http(s) address.
        target: The file; its folder is made where it is missing.
        sha256_start: What the hexadecimal SHA-256 of the content begins with, where known.

    Raises:
        DownloadFailed: With the reason in a few words.
    """
    _LOG.info("downloading %s", url)
    try:
        with _open(url) as response:
            write_atomically(target, lambda file: _copy(response, file, sha256_start))
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadFailed(
            f"the server answered {error.code} {error.reason}", error.code
        ) from error
    except urllib.error.URLError as error:
        raise DownloadFailed(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadFailed(str(error) or type(error).__name__) from error


@contextmanager
def _open(url: str) -> Iterator[http.client.HTTPResponse]:
    if not url.startswith(("https://", "http://")):
        raise DownloadFailed("it is no http address")
    request = urllib.request.Request(url, headers={"User-Agent": "tuneboard"})  # noqa: S310 (checked)
    with urllib.request.urlopen(request, timeout=SILENCE_LIMIT_S) as response:  # noqa: S310
        yield response


def _copy(response: http.client.HTTPResponse, file: IO[bytes], sha256_start: str) -> None:
    digest = hashlib.sha256()
    received = 0
    while chunk := response.read(CHUNK_BYTES):
        digest.update(chunk)
        file.write(chunk)
        received += len(chunk)
    promised = response.headers.get("Content-Length")
    if promised is not None and received != int(promised):
        raise DownloadFailed(f"it broke off after {received} of {promised} bytes")
    if not digest.hexdigest().startswith(sha256_start):
        raise DownloadFailed("its checksum is not the one its name promises")
