from __future__ import annotations

import io
import json
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from store import datasets
from store.rows import DatasetRow
from store.settings import Settings
from tests.worker.house import ROOT, House, processes_of, wait_until
from worker.bell import Bell
from worker.broker import broker_client
from worker.prepare import Preparer, prepare_command


@pytest.fixture
def bell(house: House) -> Iterator[Bell]:
    house.start_broker()
    rung = Bell(house.settings)
    yield rung
    rung.close()


@pytest.fixture(autouse=True)
def _our_own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _register(house: House, name: str, kind: str, source: object) -> DatasetRow:
    return datasets.register_dataset(house.store, name, kind, str(source), "tester")


def _folder_of_images(folder: Path) -> Path:
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(folder / label / f"{number}.png")
    return folder


def _program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "program.py"
    path.write_text(text)
    return path


def _preparer(house: House, bell: Bell, program: Path) -> Preparer:
    return Preparer(
        house.store, house.settings, bell, lambda _settings, _row: [sys.executable, str(program)]
    )


def _rings(house: House) -> int:
    with broker_client(house.settings) as client:
        return int(client.llen(house.settings.train_queue))


def test_a_folder_becomes_a_dataset_and_the_training_workers_are_told(
    house: House, bell: Bell, tmp_path: Path
) -> None:
    images = _folder_of_images(tmp_path / "pets")
    house.settings = house.settings.model_copy(update={"data_roots": (tmp_path,)})
    row = _register(house, "pets", "folder", images)
    Preparer(house.store, house.settings, bell).wake()
    ready = datasets.get_dataset(house.store, "pets")
    assert ready.status == "ready", ready.error
    assert ready.summary["classes"] == ["cat", "dog"]
    assert ready.fingerprint
    assert (house.settings.dataset_dir(row.id) / "manifest.json").is_file()
    wait_until(lambda: _rings(house) == 1)


def test_an_uploaded_archive_is_found_by_its_name(house: House, bell: Bell, tmp_path: Path) -> None:
    images = _folder_of_images(tmp_path / "pets")
    house.settings.uploads_dir.mkdir(parents=True)
    with zipfile.ZipFile(house.settings.uploads_dir / "abc.zip", "w") as archive:
        for file in images.rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path))
    _register(house, "pets", "upload", "abc.zip")
    Preparer(house.store, house.settings, bell).wake()
    ready = datasets.get_dataset(house.store, "pets")
    assert ready.status == "ready", ready.error


def test_a_refused_dataset_fails_the_runs_that_wait_for_it(
    house: House, bell: Bell, tmp_path: Path
) -> None:
    images = _folder_of_images(tmp_path / "pets")
    _register(house, "pets", "folder", images)  # under no allowed root
    run_id = house.submit(dataset="pets")
    other_id = house.submit()
    Preparer(house.store, house.settings, bell).wake()
    failed = datasets.get_dataset(house.store, "pets")
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["title"]
    run = house.run(run_id)
    assert run.status == "failed"
    assert run.error == failed.error
    assert house.run(other_id).status == "queued"


def test_progress_is_shown_while_it_goes_on(house: House, bell: Bell, tmp_path: Path) -> None:
    release = tmp_path / "release"
    ready = json.dumps({"ready": {"fingerprint": "f", "summary": {"classes": []}}})
    program = _program(
        tmp_path,
        "import pathlib, time\n"
        f'print(\'{{"phase": "scan", "done": 3, "total": 9}}\', flush=True)\n'
        "print('not for us', flush=True)\n"
        f"while not pathlib.Path({str(release)!r}).exists(): time.sleep(0.02)\n"
        f"print({ready!r}, flush=True)\n",
    )
    _register(house, "pets", "folder", "pets")
    thread = threading.Thread(target=_preparer(house, bell, program).wake)
    thread.start()
    wait_until(lambda: datasets.get_dataset(house.store, "pets").progress.get("done") == 3)
    leases = set()

    def kept() -> bool:
        leases.add(datasets.get_dataset(house.store, "pets").lease_expires_at)
        return len(leases) > 2

    wait_until(kept)
    release.touch()
    thread.join(60)
    assert datasets.get_dataset(house.store, "pets").status == "ready"


def test_a_program_that_dies_is_a_failure_with_a_reason(
    house: House, bell: Bell, tmp_path: Path
) -> None:
    program = _program(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    _register(house, "pets", "folder", "pets")
    _preparer(house, bell, program).wake()
    failed = datasets.get_dataset(house.store, "pets")
    assert failed.error is not None
    assert "memory ran out" in failed.error["detail"]


def test_a_dataset_deleted_meanwhile_stops_its_program(
    house: House, bell: Bell, tmp_path: Path
) -> None:
    program = _program(tmp_path, "import time\ntime.sleep(600)\n")
    _register(house, "pets", "folder", "pets")
    thread = threading.Thread(target=_preparer(house, bell, program).wake)
    thread.start()
    wait_until(lambda: len(processes_of(str(program))) == 1)
    datasets.delete_dataset(house.store, "pets")
    thread.join(60)
    assert not thread.is_alive()
    assert processes_of(str(program)) == []


def test_draining_stops_the_program_and_frees_the_dataset_at_once(
    house: House, bell: Bell, tmp_path: Path
) -> None:
    house.settings = house.settings.model_copy(update={"lease_s": 600.0})
    program = _program(tmp_path, "import time\ntime.sleep(600)\n")
    _register(house, "pets", "folder", "pets")
    preparer = _preparer(house, bell, program)
    thread = threading.Thread(target=preparer.wake)
    thread.start()
    wait_until(lambda: len(processes_of(str(program))) == 1)
    assert not preparer.has_free_slot
    assert not preparer.has_work()
    preparer.drain()
    thread.join(60)
    assert not thread.is_alive()
    assert processes_of(str(program)) == []
    time.sleep(0.01)
    assert datasets.claim_preparation(house.store, 10) is not None


def test_a_preparation_whose_worker_is_gone_is_work_again(house: House, bell: Bell) -> None:
    _register(house, "pets", "folder", "pets")
    preparer = Preparer(house.store, house.settings, bell)
    assert preparer.has_work()
    datasets.claim_preparation(house.store, 0.2)
    assert not preparer.has_work()
    wait_until(preparer.has_work)


def test_every_limit_reaches_the_program(tmp_path: Path, house: House) -> None:
    settings = Settings(
        data_dir=tmp_path,
        dataset_mirror=tmp_path / "mirror",
        data_roots=(tmp_path / "a", tmp_path / "b"),
        upload_limit_bytes=1,
        upload_files_limit=2,
        unpacked_limit_bytes=3,
    )
    row = _register(house, "pets", "catalogue", "digits")
    command = prepare_command(settings, row)
    assert f"--mirror={tmp_path / 'mirror'}" in command
    assert f"--roots={tmp_path / 'a'}:{tmp_path / 'b'}" in command
    assert f"--into={settings.dataset_dir(row.id)}" in command
    assert {"--upload-limit-bytes=1", "--upload-files-limit=2", "--unpacked-limit-bytes=3"} <= set(
        command
    )


def test_damaged_huge_and_mislabelled_images_are_named_and_stop_nothing(
    house: House, bell: Bell, tmp_path: Path
) -> None:
    images = _folder_of_images(tmp_path / "pets")
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(whole, "JPEG")
    bomb = io.BytesIO()
    Image.new("RGB", (8, 8)).save(bomb, "BMP")
    claims = (60_000).to_bytes(4, "little") * 2
    other = io.BytesIO()
    Image.effect_noise((40, 40), 60).save(other, "PNG")
    for name, content in {
        "cut.jpg": whole.getvalue()[:900],
        "corrupt.png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "bomb.bmp": bomb.getvalue()[:18] + claims + bomb.getvalue()[26:],
        "text.jpg": b"this is no image",
        "really_a_png.jpg": other.getvalue(),
    }.items():
        (images / "cat" / name).write_bytes(content)
    house.settings = house.settings.model_copy(update={"data_roots": (tmp_path,)})
    _register(house, "pets", "folder", images)
    Preparer(house.store, house.settings, bell).wake()
    ready = datasets.get_dataset(house.store, "pets")
    assert ready.status == "ready", ready.error
    skipped = {one["file"]: one["reason"] for one in ready.summary["skipped"]}
    assert set(skipped) == {
        f"cat/{name}" for name in ("cut.jpg", "corrupt.png", "bomb.bmp", "text.jpg")
    }
    assert "truncated" in skipped["cat/cut.jpg"]
    assert "the limit is" in skipped["cat/bomb.bmp"]
    assert "not an image" in skipped["cat/text.jpg"]
    [odd] = ready.summary["misnamed"]
    assert odd["file"] == "cat/really_a_png.jpg"
    assert "its content is PNG" in odd["reason"]
    # Of the pictures of one colour each, four are there twice: once a cat, once a dog.
    assert ready.summary["duplicates"]["across_classes"] == 4
