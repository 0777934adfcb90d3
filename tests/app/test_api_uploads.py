"""Archives uploaded in pieces: whole in the end, whatever happened on the way."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import os
import time
import zipfile

import pytest

from app.main import create_app
from app.resumable import TAIL_BYTES, remove_left_alone
from app.uploads import uploads_dir
from store.datasets import dataset_failed, get_dataset, register_dataset
from store.settings import Settings
from tests.app.conftest import assert_problem
from tests.pictures import write_pictures

PIECE = {"content-type": "application/offset+octet-stream"}


@pytest.fixture
def archive(tmp_path) -> bytes:
    folder = write_pictures(tmp_path / "source", per_class=2)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as opened:
        for file in sorted(folder.rglob("*.png")):
            opened.write(file, file.relative_to(folder))
    return written.getvalue()


def begin(client, content: bytes, **changes) -> str:
    body = {"name": "flowers", "filename": "my flowers.zip", "size_bytes": len(content)}
    answer = client.post("/api/v1/uploads", json={**body, **changes})
    assert answer.status_code == 201, answer.text
    assert answer.json()["offset"] == 0
    assert answer.headers["location"] == answer.json()["url"]
    return answer.json()["url"]


def add(client, url: str, piece: bytes, offset: int):
    return client.patch(url, content=piece, headers={**PIECE, "upload-offset": str(offset)})


def left_over(settings) -> list[str]:
    folder = uploads_dir(settings)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_upload_cut_at_half_and_resumed_arrives_whole(client, store, settings, bell, archive):
    url = begin(client, archive, sha256=hashlib.sha256(archive).hexdigest(), title="Blossoms")
    half = len(archive) // 2
    answer = add(client, url, archive[:half], 0)
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(half))
    with create_app_again(settings) as other:  # the server was restarted meanwhile
        looked = other.head(url)
        assert (looked.status_code, looked.headers["upload-offset"]) == (200, str(half))
        assert looked.headers["upload-length"] == str(len(archive))
        assert other.get(url).json()["tail_sha256"] == tail(archive[:half])
        assert add(other, url, archive[half:], half).headers["upload-offset"] == str(len(archive))
        answer = other.post(f"{url}/finish", json={})
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["kind"], dataset["status"]) == ("upload", "preparing")
    assert (dataset["title"], dataset["labelled"]) == ("Blossoms", True)
    assert dataset["source"].endswith("-my-flowers.zip")
    assert (uploads_dir(settings) / dataset["source"]).read_bytes() == archive
    assert left_over(settings) == [dataset["source"]]
    assert client.post(f"{url}/finish", json={}).json() == dataset  # the answer may have been lost
    assert_problem(client.get(url), 404)


def create_app_again(settings):
    from fastapi.testclient import TestClient

    from tests.app.conftest import FakeBell

    return TestClient(create_app(settings, bell=FakeBell()), follow_redirects=False)


def tail(content: bytes) -> str:
    return hashlib.sha256(content[-TAIL_BYTES:]).hexdigest()


def test_what_arrived_of_a_piece_that_was_cut_off_is_kept(app, client, archive):
    url = begin(client, archive)
    cut_off(app, url, archive[:1000])
    assert client.get(url).json()["offset"] == 1000
    assert add(client, url, archive[1000:], 1000).status_code == 204
    assert client.post(f"{url}/finish", json={}).status_code == 201


def cut_off(app, url: str, piece: bytes) -> None:
    """Send a piece as a browser does whose connection ends in the middle of it."""
    messages = iter(
        [
            {"type": "http.request", "body": piece, "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive():
        return next(messages)

    async def send(message):
        pass

    headers = {**PIECE, "host": "testserver", "upload-offset": "0"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PATCH",
        "scheme": "http",
        "path": url,
        "raw_path": url.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(app(scope, receive, send))


def test_a_piece_elsewhere_is_refused_with_the_place_that_is_right(client, archive):
    url = begin(client, archive)
    add(client, url, archive[:100], 0)
    for offset in (0, 99, 101):
        problem = assert_problem(add(client, url, archive[100:200], offset), 409)
        assert "belongs at 100" in problem["detail"]
    assert client.get(url).json()["offset"] == 100


def test_two_requests_do_not_add_at_once(client, settings, archive):
    url = begin(client, archive)
    part = uploads_dir(settings) / f"{url.rpartition('/')[2]}.part"
    with part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        problem = assert_problem(add(client, url, archive, 0), 409)
        assert "Another request" in problem["detail"]
        assert_problem(client.post(f"{url}/finish", json={}), 409)
    assert add(client, url, archive, 0).status_code == 204


def test_more_than_was_announced_is_refused(client, archive):
    url = begin(client, archive, size_bytes=len(archive) - 1)
    [error] = assert_problem(add(client, url, archive, 0), 422)["errors"]
    assert error["field"] == "body"
    assert "changed" in error["remedy"]


def test_an_upload_is_finished_when_all_is_here(client, archive):
    url = begin(client, archive)
    add(client, url, archive[:-1], 0)
    problem = assert_problem(client.post(f"{url}/finish", json={}), 409)
    assert f"{len(archive) - 1:,} of the {len(archive):,}" in problem["detail"]
    add(client, url, archive[-1:], len(archive) - 1)
    assert client.post(f"{url}/finish", json={}).status_code == 201


def test_another_file_than_was_announced_is_refused_and_nothing_is_kept(client, settings, archive):
    url = begin(client, archive, sha256="0" * 64)
    add(client, url, archive, 0)
    [error] = assert_problem(client.post(f"{url}/finish", json={}), 422)["errors"]
    assert error["field"] == "sha256"
    assert left_over(settings) == []


def test_a_file_of_another_type_is_refused_at_its_first_piece(client):
    content = b"\xff\xd8\xff\xe0 a picture"
    url = begin(client, content, filename="ant.jpg")
    [error] = assert_problem(add(client, url, content, 0), 422)["errors"]
    assert (error["field"], error["value"], error["expected"]) == (
        "file",
        "ant.jpg",
        "a zip archive",
    )
    assert client.get(url).json()["offset"] == 0


def test_an_archive_that_the_checks_refuse_is_refused_at_the_end(client, settings, store):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as opened:
        opened.writestr("../outside/a.png", b"x")
    url = begin(client, written.getvalue())
    add(client, url, written.getvalue(), 0)
    [error] = assert_problem(client.post(f"{url}/finish", json={}), 422)["errors"]
    assert (error["field"], error["value"]) == ("file", "../outside/a.png")
    assert left_over(settings) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"size_bytes": 0}, "size_bytes"),
        ({"size_bytes": 10**13}, "size_bytes"),
        ({"sha256": "abc"}, "sha256"),
        ({"colour": "red"}, "colour"),
        ({"filename": ""}, "filename"),
    ],
)
def test_a_wrong_beginning_is_refused(client, settings, changes, field):
    body = {"name": "flowers", "filename": "f.zip", "size_bytes": 10, **changes}
    problem = assert_problem(client.post("/api/v1/uploads", json=body), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert left_over(settings) == []


def test_a_name_that_is_taken_is_refused_at_the_beginning(client, store, pictures):
    body = {"name": "pictures", "filename": "f.zip", "size_bytes": 10}
    assert_problem(client.post("/api/v1/uploads", json=body), 409)
    failed = register_dataset(store, "flowers", "upload", "old.zip", "local")
    assert_problem(client.post("/api/v1/uploads", json={**body, "name": "flowers"}), 409)
    assert dataset_failed(store, failed.id, {"title": "x", "detail": "y", "remedy": ""})
    assert client.post("/api/v1/uploads", json={**body, "name": "flowers"}).status_code == 201


def test_a_name_that_was_taken_meanwhile_costs_nothing_but_another_name(client, store, archive):
    url = begin(client, archive)
    add(client, url, archive, 0)
    register_dataset(store, "flowers", "catalogue", "digits", "local")
    assert_problem(client.post(f"{url}/finish", json={}), 409)
    answer = client.post(f"{url}/finish", json={"name": "flowers-2"})
    assert answer.status_code == 201, answer.text
    assert get_dataset(store, "flowers-2").kind == "upload"


def test_unfinished_uploads_are_listed_and_removed(client, settings, archive):
    url = begin(client, archive, key="flowers.zip:1", labelled=False)
    add(client, url, archive[:10], 0)
    [found] = client.get("/api/v1/uploads").json()["uploads"]
    assert (found["filename"], found["offset"], found["key"]) == (
        "my flowers.zip",
        10,
        "flowers.zip:1",
    )
    assert found["labelled"] is False
    assert client.delete(url).status_code == 204
    assert_problem(client.delete(url), 404)
    assert client.get("/api/v1/uploads").json() == {"uploads": []}
    assert left_over(settings) == []


def test_unknown_uploads_wrong_types_and_methods(client, archive):
    for upload_id in ("0" * 32, "..", "x"):
        assert_problem(add(client, f"/api/v1/uploads/{upload_id}", b"PK", 0), 404)
    url = begin(client, archive)
    wrong = {"content-type": "text/plain", "upload-offset": "0"}
    assert_problem(client.patch(url, content=b"PK", headers=wrong), 415)
    [error] = assert_problem(client.patch(url, content=b"PK", headers=PIECE), 422)["errors"]
    assert error["field"].endswith("upload-offset")
    assert_problem(client.put(url, content=b"PK"), 405)


def test_uploads_are_their_owners(settings, store, bell, archive):
    from fastapi.testclient import TestClient

    guarded = Settings(
        **settings.model_dump() | {"access_tokens": ("ada:a-long-token", "bob:another-token")}
    )
    with TestClient(create_app(guarded, store=store, bell=bell)) as client:
        ada = {"authorization": "Bearer a-long-token"}
        bob = {"authorization": "Bearer another-token"}
        body = {"name": "flowers", "filename": "f.zip", "size_bytes": len(archive)}
        url = client.post("/api/v1/uploads", json=body, headers=ada).json()["url"]
        assert_problem(client.get(url, headers=bob), 404)
        assert client.get("/api/v1/uploads", headers=bob).json() == {"uploads": []}
        assert client.get(url, headers=ada).json()["name"] == "flowers"


def test_what_is_left_alone_for_a_day_is_removed(client, settings, archive):
    old, new = begin(client, archive), begin(client, archive, name="newer")
    yesterday = time.time() - 25 * 3600
    for path in uploads_dir(settings).glob(f"{old.rpartition('/')[2]}*"):
        os.utime(path, (yesterday, yesterday))
    remove_left_alone(settings)
    assert [one["url"] for one in client.get("/api/v1/uploads").json()["uploads"]] == [new]
    assert len(left_over(settings)) == 2


def test_a_full_disk_is_told_before_anything_is_sent(client, monkeypatch):
    monkeypatch.setattr(
        "app.resumable.shutil.disk_usage", lambda _: type("Usage", (), {"free": 5})()
    )
    body = {"name": "flowers", "filename": "f.zip", "size_bytes": 10}
    assert_problem(client.post("/api/v1/uploads", json=body), 507)
