from __future__ import annotations

import errno
import io
import os
import zipfile

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.main import create_app
from app.uploads import remove_stale, uploads_dir
from store.datasets import dataset_failed, dataset_ready, get_dataset
from tests.app.conftest import SPEC, assert_problem
from tests.pictures import write_pictures


def zipped(folder, *, extra: dict[str, bytes] | None = None) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, f"pictures/{file.relative_to(folder)}")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return written.getvalue()


@pytest.fixture
def archive(tmp_path) -> bytes:
    return zipped(write_pictures(tmp_path / "source", per_class=2))


def left_over(settings) -> list[str]:
    folder = uploads_dir(settings)
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_catalogue_dataset_is_registered_once(client, bell):
    body = {"name": "digits", "kind": "catalogue"}
    answer = client.post("/api/v1/datasets", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/api/v1/datasets/digits"
    dataset = answer.json()
    assert (dataset["status"], dataset["source"]) == ("preparing", "digits")
    assert dataset["title"] == "Handwritten digits"
    assert client.post("/api/v1/datasets", json=body).json()["created_at"] == dataset["created_at"]
    assert bell.rings == ["interactive", "interactive"]
    listed = client.get("/api/v1/datasets").json()
    assert [row["name"] for row in listed["datasets"]] == ["digits"]
    registered = {row["name"]: row["registered"] for row in listed["catalogue"]}
    assert {"hymenoptera", "cifar10", "flowers102"} <= set(registered)
    assert [name for name, known in registered.items() if known] == ["digits"]


def test_a_folder_must_lie_in_an_opened_one(client, bell, tmp_path):
    folder = write_pictures(tmp_path / "open" / "mine", per_class=2)
    body = {"name": "mine", "kind": "folder", "source": str(folder), "title": "My own"}
    assert client.post("/api/v1/datasets", json=body).json()["title"] == "My own"
    assert bell.rings == ["interactive"]
    for source in ("/etc", str(tmp_path), "mine", ""):
        answer = client.post("/api/v1/datasets", json={**body, "name": "x", "source": source})
        [error] = assert_problem(answer, 422)["errors"]
        assert error["field"] == "source", source


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "A B", "kind": "catalogue", "source": "digits"}, "name"),
        ({"name": "x", "kind": "upload", "source": "digits"}, "kind"),
        ({"name": "x", "kind": "catalogue", "source": "digist"}, "source"),
        ({"kind": "catalogue"}, "name"),
        ({"name": "x", "kind": "catalogue", "source": "digits", "color": 1}, "color"),
    ],
)
def test_a_wrong_dataset_is_refused(client, body, field):
    problem = assert_problem(client.post("/api/v1/datasets", json=body), 422)
    assert problem["errors"][0]["field"] == field


def test_a_name_that_belongs_to_other_data_is_refused(client, pictures):
    body = {"name": "pictures", "kind": "catalogue", "source": "digits"}
    assert_problem(client.post("/api/v1/datasets", json=body), 409)


def test_json_is_asked_for_by_its_type(client):
    answer = client.post(
        "/api/v1/datasets",
        content=b'{"name": "digits", "kind": "catalogue"}',
        headers={"content-type": "text/plain"},
    )
    assert_problem(answer, 415)


def test_an_archive_is_uploaded_by_a_form(client, bell, settings, archive):
    files = {"file": ("../my flowers.zip", archive, "application/zip")}
    answer = client.post("/api/v1/datasets/upload", data={"name": "flowers"}, files=files)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["kind"], dataset["status"]) == ("upload", "preparing")
    assert dataset["source"].endswith("-my-flowers.zip")
    assert (uploads_dir(settings) / dataset["source"]).read_bytes() == archive
    assert bell.rings == ["interactive"]


def test_an_archive_is_uploaded_as_a_body(client, settings, archive):
    headers = {"content-type": "application/zip"}
    answer = client.put("/api/v1/datasets/flowers/archive", content=archive, headers=headers)
    assert answer.status_code == 201, answer.text
    assert (uploads_dir(settings) / answer.json()["source"]).read_bytes() == archive
    again = client.put("/api/v1/datasets/flowers/archive", content=archive, headers=headers)
    assert_problem(again, 409)
    assert len(left_over(settings)) == 1
    text = client.put(
        "/api/v1/datasets/flowers/archive", content=archive, headers={"content-type": "text/plain"}
    )
    assert_problem(text, 415)


def test_an_upload_that_failed_is_replaced_by_the_next(client, store, archive):
    headers = {"content-type": "application/zip"}
    client.put("/api/v1/datasets/flowers/archive", content=archive, headers=headers)
    row = get_dataset(store, "flowers")
    dataset_failed(store, row.id, {"title": "No", "detail": "Broken.", "remedy": ""})
    answer = client.put("/api/v1/datasets/flowers/archive", content=archive, headers=headers)
    assert answer.status_code == 201, answer.text
    assert get_dataset(store, "flowers").status == "preparing"


def test_a_bad_archive_is_refused_and_nothing_is_left(client, settings, bell, tmp_path, archive):
    folder = tmp_path / "source"
    outside = zipped(folder, extra={"../outside.png": b"x"})
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w"):
        pass
    for content in (outside, empty.getvalue(), b"no zip at all", b"", archive[:-200]):
        files = {"file": ("x.zip", content)}
        answer = client.post("/api/v1/datasets/upload", data={"name": "bad"}, files=files)
        assert_problem(answer, 422)
        answer = client.put(
            "/api/v1/datasets/bad/archive",
            content=content,
            headers={"content-type": "application/zip"},
        )
        assert_problem(answer, 422)
    bad_name = client.post(
        "/api/v1/datasets/upload", data={"name": "../x"}, files={"file": ("x.zip", archive)}
    )
    assert assert_problem(bad_name, 422)["errors"][0]["field"] == "name"
    assert left_over(settings) == []
    assert bell.rings == []
    assert client.get("/api/v1/datasets").json()["datasets"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nbad\r\n--x--\r\n', 422),
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nPK', 400),
        (b"nothing of the kind", 400),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 5000, 400),
    ],
)
def test_a_broken_form_is_refused(client, settings, body, status):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/api/v1/datasets/upload", content=body, headers=headers)
    assert_problem(answer, status)
    assert left_over(settings) == []


def test_a_form_needs_its_boundary(client):
    headers = {"content-type": "multipart/form-data"}
    assert_problem(client.post("/api/v1/datasets/upload", content=b"x", headers=headers), 400)
    assert_problem(client.post("/api/v1/datasets/upload", json={}), 415)


def test_stale_parts_of_uploads_are_removed(settings):
    folder = uploads_dir(settings)
    folder.mkdir(parents=True)
    for name in ("old.part", "new.part", "old.zip"):
        (folder / name).write_bytes(b"x")
    for name in ("old.part", "old.zip"):
        os.utime(folder / name, (1, 1))
    remove_stale(settings)
    assert sorted(left_over(settings)) == ["new.part", "old.zip"]


def test_a_dataset_shows_what_is_in_it(client, pictures):
    dataset = client.get("/api/v1/datasets/pictures").json()
    assert (dataset["status"], dataset["samples"]) == ("ready", 12)
    assert dataset["classes"] == ["amber", "blue", "green"]
    assert dataset["counts"] == {"train": [4, 4, 4]}
    assert dataset["url"] == "/datasets/pictures"


def test_samples_are_listed_by_split_class_and_page(client, pictures):
    url = "/api/v1/datasets/pictures/samples"
    everything = client.get(url).json()
    assert everything["total"] == len(everything["samples"]) == 12
    blue = client.get(url, params={"label": 1, "limit": 2, "offset": 1}).json()
    assert blue["total"] == 4
    assert [(s["class"], s["label"], s["split"]) for s in blue["samples"]] == [
        ("blue", 1, "train")
    ] * 2
    few = client.get(url, params={"per_class": 1}).json()
    assert [sample["class"] for sample in few["samples"]] == ["amber", "blue", "green"]
    assert client.get(url, params={"split": "val"}).json()["total"] == 0
    for wrong in ({"label": 3}, {"split": "x"}, {"limit": 0}):
        assert_problem(client.get(url, params=wrong), 422)


def test_a_small_image_is_cached_for_ever_by_its_fingerprint(client, pictures):
    sample = client.get("/api/v1/datasets/pictures/samples").json()["samples"][0]
    answer = client.get(sample["image"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).size == (24, 24)
    again = client.get(sample["image"], headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get("/api/v1/datasets/pictures/image", params={"path": sample["path"]})
    assert plain.headers["cache-control"] == "no-cache"
    small = client.get(
        "/api/v1/datasets/pictures/image", params={"path": sample["path"], "size": 8}
    )
    assert Image.open(io.BytesIO(small.content)).size == (8, 8)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "amber/999.png", "", "\0"])
def test_no_other_file_is_reached_as_an_image(client, pictures, path):
    answer = client.get("/api/v1/datasets/pictures/image", params={"path": path})
    assert_problem(answer, 404)


def test_images_of_a_dataset_in_preparation_are_refused(client):
    client.post("/api/v1/datasets", json={"name": "digits", "kind": "catalogue"})
    assert_problem(client.get("/api/v1/datasets/digits/samples"), 409)
    assert_problem(client.get("/api/v1/datasets/digits/image", params={"path": "x"}), 409)


def test_removing_a_dataset_removes_its_files_but_not_its_source(client, settings, pictures):
    assert settings.dataset_dir(pictures.id).exists()
    assert client.delete("/api/v1/datasets/pictures").status_code == 204
    assert not settings.dataset_dir(pictures.id).exists()
    assert (settings.data_roots[0] / "pictures" / "amber").is_dir()
    assert_problem(client.get("/api/v1/datasets/pictures"), 404)
    assert_problem(client.delete("/api/v1/datasets/pictures"), 404)


def test_removing_an_upload_that_waits_removes_its_archive(client, settings, archive):
    headers = {"content-type": "application/zip"}
    client.put("/api/v1/datasets/flowers/archive", content=archive, headers=headers)
    assert client.delete("/api/v1/datasets/flowers").status_code == 204
    assert left_over(settings) == []


def test_a_dataset_in_use_is_not_removed(client, settings, pictures):
    client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "pictures"}})
    assert_problem(client.delete("/api/v1/datasets/pictures"), 409)
    assert settings.dataset_dir(pictures.id).exists()


def test_a_failed_dataset_is_prepared_again_when_asked(client, store):
    body = {"name": "digits", "kind": "catalogue"}
    client.post("/api/v1/datasets", json=body)
    row = get_dataset(store, "digits")
    error = {"title": "No", "detail": "No disk.", "remedy": "Buy one.", "errors": []}
    dataset_failed(store, row.id, error)
    shown = client.get("/api/v1/datasets/digits").json()
    assert shown["error"] == {"title": "No", "detail": "No disk.", "remedy": "Buy one."}
    assert client.post("/api/v1/datasets", json=body).json()["status"] == "preparing"
    assert dataset_ready(store, row.id, "f", {"classes": ["a"]})


def test_wrong_methods_are_refused(client, pictures):
    assert_problem(client.put("/api/v1/datasets/pictures"), 405)
    assert_problem(client.post("/api/v1/datasets/pictures/samples"), 405)


def test_an_archive_beyond_the_limit_is_refused_and_not_kept(settings, store, bell, archive):
    small = settings.model_copy(update={"upload_limit_bytes": 1000})
    with TestClient(create_app(small, store=store, bell=bell)) as client:
        large = archive + b"x" * 100_000

        def chunks():
            for start in range(0, len(large), 1000):
                yield large[start : start + 1000]

        for content in (large, chunks()):
            answer = client.put(
                "/api/v1/datasets/flowers/archive",
                content=content,
                headers={"content-type": "application/zip"},
            )
            assert "TUNEBOARD_UPLOAD_LIMIT_BYTES" in assert_problem(answer, 413)["remedy"]
        files = {"file": ("x.zip", large)}
        answer = client.post("/api/v1/datasets/upload", data={"name": "x"}, files=files)
        assert_problem(answer, 413)
    assert left_over(settings) == []


def test_a_full_disk_is_said_and_nothing_is_left(client, settings, archive, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.uploads._finish", full)
    headers = {"content-type": "application/zip"}
    answer = client.put("/api/v1/datasets/flowers/archive", content=archive, headers=headers)
    assert_problem(answer, 507)
    assert left_over(settings) == []
