"""Datasets from the client and the command line: uploads cut and resumed, changes, cuts, ends."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import httpx
import pytest

from app.uploads import uploads_dir
from store.datasets import dataset_ready, get_dataset, register_dataset
from tests.pictures import write_pictures
from tests.tuneboard.conftest import Served
from tests.tuneboard.test_cli import tuneboard
from trainer.datasets.prepare import prepare
from trainer.errors import Conflict, InvalidInput
from tuneboard import dataset_calls
from tuneboard.client import Client
from tuneboard.problems import Unanswered


class Cut(httpx.BaseTransport):
    """A connection that is lost in the middle of certain pieces."""

    def __init__(self, lost: set[int], sent: int = 10) -> None:
        self._inner = httpx.HTTPTransport()
        self._lost = lost
        self._sent = sent
        self.pieces = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            self.pieces += 1
            if self.pieces in self._lost:
                part = request.read()[: self._sent]
                headers = {**request.headers, "content-length": str(len(part))}
                again = httpx.Request("PATCH", request.url, headers=headers, content=part)
                self._inner.handle_request(again).read()
                raise httpx.WriteError("the connection was lost", request=request)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_calls, "PIECE_BYTES", 400)
    monkeypatch.setattr(dataset_calls, "_WAIT_S", 0.0)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    pictures = write_pictures(tmp_path / "colours", per_class=1, side_px=12)
    path = tmp_path / "colours.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for file in sorted(pictures.rglob("*.png")):
            opened.write(file, file.relative_to(pictures))
    return path


def arrived(served: Served, name: str) -> bytes:
    return (uploads_dir(served.settings) / get_dataset(served.store, name).source).read_bytes()


def test_lost_connections_are_tried_again_and_the_archive_arrives_whole(
    served: Served, archive: Path
) -> None:
    told: list[tuple[int, int]] = []
    with Client(served.url, transport=Cut({1, 3})) as client:
        found = client.upload_dataset(
            "colours", archive, on_progress=lambda done, total: told.append((done, total))
        )
    size = archive.stat().st_size
    assert (found["name"], found["status"]) == ("colours", "preparing")
    assert arrived(served, "colours") == archive.read_bytes()
    assert told[0] == (0, size)
    assert (10, size) in told  # what arrived of the lost piece was not sent again
    assert told[-1] == (size, size)


def test_an_upload_that_was_given_up_is_resumed_by_another_process(
    served: Served, archive: Path
) -> None:
    lost = set(range(3, 100))
    with (
        Client(served.url, transport=Cut(lost, sent=0)) as client,
        pytest.raises(Unanswered),
    ):
        client.upload_dataset("colours", archive)
    told: list[int] = []
    with Client(served.url) as client:
        [upload] = client.uploads()
        assert upload["offset"] == 800
        client.upload_dataset("colours", archive, on_progress=lambda done, _: told.append(done))
        assert client.uploads() == []
    assert told[0] == 800
    assert arrived(served, "colours") == archive.read_bytes()


def test_another_file_of_the_same_name_begins_anew(served: Served, archive: Path) -> None:
    with Client(served.url, transport=Cut(set(range(2, 100)), sent=0)) as client:
        with pytest.raises(Unanswered):
            client.upload_dataset("colours", archive)
        status = archive.stat()
        content = archive.read_bytes()
        archive.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
        os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    with Client(served.url) as client:
        client.upload_dataset("colours", archive)
    assert arrived(served, "colours") == archive.read_bytes()


def test_what_cannot_be_mended_is_said_at_once(served: Served, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.zip"
    wrong.write_bytes(b"no archive")
    with Client(served.url) as client:
        with pytest.raises(InvalidInput, match="a zip archive"):
            client.upload_dataset("wrong", wrong)
        with pytest.raises(Conflict, match="already"):
            client.upload_dataset("digits", wrong)


def test_a_zip_is_added_as_a_collection_by_the_command(served: Served, archive: Path) -> None:
    done = tuneboard("datasets", "add", "holiday", "--upload", archive, "--unlabelled")
    assert done.stdout == "holiday\n", done.stderr
    assert get_dataset(served.store, "holiday").labelled is False
    both = tuneboard("datasets", "add", "x", "--upload", archive, "--folder", "/x")
    assert both.exit_code == 2


def test_a_dataset_is_cut_changed_and_deleted(served: Served, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", per_class=4)
    row = register_dataset(served.store, "pictures", "folder", str(folder), "local")
    into = served.settings.dataset_dir(row.id)
    manifest = prepare("folder", str(folder), "pictures", into, roots=[tmp_path])
    assert dataset_ready(served.store, row.id, manifest.fingerprint, manifest.summary())

    cut = tuneboard("datasets", "cut", "pictures", "--validation", "0.25", "--seed", "3")
    assert cut.stdout.splitlines()[:2] == ["class\ttrain\tval", "all classes\t9\t3"]
    as_json = tuneboard("datasets", "cut", "pictures", "--validation", "0.25", "--json")
    assert json.loads(as_json.stdout)["totals"] == {"train": 9, "val": 3}
    assert tuneboard("datasets", "cut", "pictures", "--validation", "2").exit_code == 2

    assert tuneboard("datasets", "change", "pictures").exit_code == 2
    changed = tuneboard("datasets", "change", "pictures", "--rename", "paint", "--title", "Paint")
    assert changed.stdout == "paint\n"
    assert get_dataset(served.store, "pictures").name == "paint"

    deleted = tuneboard("datasets", "delete", "paint", "--yes")
    assert deleted.exit_code == 0, deleted.stderr
    assert "frees" in deleted.stderr
    assert not into.exists()
    assert folder.exists()
