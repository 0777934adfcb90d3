"""predict, export and vote, against a live server and on the results of `tuneboard train`."""

from __future__ import annotations

import csv
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from store.jobs import get_job
from store.rows import JobRow
from store.runs import create_run
from tests.pictures import write_pictures
from tests.seeding import Teller, claim, run_spec
from tests.trainer.runs import make_dataset, spec_with, train
from tests.tuneboard.conftest import Served
from tests.tuneboard.test_cli import tuneboard
from tuneboard.client import Client
from tuneboard.latefile import LateFile
from worker.jobs import JobRunner

# Says what it was sent, and writes the file that it was asked for.
PROGRAM = """
import json, sys
payload, folder, inputs = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
open(f"{folder}/{payload['file']}", "w").write("a,b\\n")
if payload["file"].endswith(".csv") and "runs" not in payload:
    names = [name for name, _ in json.load(open(f"{inputs}/listing.json"))]
    said = {"classes": ["ant", "bee"], "total": len(names), "skipped_total": 1,
        "skipped": [{"file": "odd.png", "reason": "the file is empty"}],
        "predictions": [
            {"file": name, "predicted": "bee", "probabilities": [0.25, 0.75]} for name in names]}
elif "runs" in payload:
    said = {"method": payload["method"], "preferred": str(payload["prefer"]), "accuracy": 0.95,
        "samples": 20, "confusion": [[9, 1], [0, 10]], "classes": ["ant", "bee"],
        "members": [{"run": str(run), "accuracy": 0.9} for run in payload["runs"]]}
else:
    said = {"size_bytes": 2_000_000, "checked_images": 64, "largest_difference": 0.0}
print(json.dumps({"ready": said}))
"""


@pytest.fixture
def at_work(served: Served, tmp_path: Path) -> Iterator[Served]:
    """A server, and an interactive worker whose programs are stand-ins."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def command(_store: Any, settings: Any, job: JobRow) -> list[str]:
        folder, inputs = (
            settings.job_dir(job.id),
            settings.job_inputs_dir(job.payload.get("inputs", "none")),
        )
        return [sys.executable, str(program), json.dumps(job.payload), str(folder), str(inputs)]

    draining = threading.Event()
    runner = JobRunner(served.store, served.settings, draining, command)

    def work() -> None:
        while not draining.is_set():
            runner.work()
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    yield served
    draining.set()
    thread.join(20)


def succeeded(served: Served, **evaluation: Any) -> int:
    run, _ = create_run(served.store, run_spec("small", training={"epochs": 1}), owner="local")
    attempt = claim(served.store, run.id)
    Teller(served.store, run.id, attempt, epochs=1, top=0.9).whole(**evaluation)
    return run.id


def test_a_folder_is_sent_and_its_classes_come_back(at_work: Served, tmp_path: Path) -> None:
    run_id = succeeded(at_work)
    folder = write_pictures(tmp_path / "new", per_class=2)
    (folder / "notes.txt").write_text("no image")
    result = tuneboard("predict", str(run_id), folder, "--out", tmp_path / "out.csv")
    assert result.exit_code == 0, result.stderr
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header == ["file", "predicted", "probability"]
    assert [row[0] for row in rows] == sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*.png")
    )
    assert rows[0][1:] == ["bee", "75.0 %"]
    assert "Left out odd.png: the file is empty." in result.stderr
    assert (tmp_path / "out.csv").read_text() == "a,b\n"
    listed = tuneboard("predict", str(run_id), folder, "--json")
    assert json.loads(listed.stdout)["total"] == len(rows)


def test_an_export_is_downloaded(at_work: Served, tmp_path: Path) -> None:
    run_id = succeeded(at_work)
    out = tmp_path / "model.pt"
    result = tuneboard("export", str(run_id), "--format", "torchscript", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert out.read_text() == "a,b\n"
    assert result.stdout.strip() == str(out)
    assert "64 validation images" in result.stderr
    assert get_job(at_work.store, 1).payload["format"] == "torchscript"
    assert tuneboard("export", str(run_id), "--format", "pickle", "--out", out).exit_code == 2


def test_a_vote_prints_its_accuracy_and_confusion(at_work: Served, tmp_path: Path) -> None:
    ids = [succeeded(at_work) for _ in range(2)]
    words = ("vote", *map(str, ids), "--method", "mean", "--prefer", str(ids[1]))
    result = tuneboard(*words, "--out", tmp_path / "votes.csv")
    assert result.exit_code == 0, result.stderr
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[:4] == [
        ["run", "accuracy"],
        [str(ids[0]), "90.0 %"],
        [str(ids[1]), "90.0 %"],
        ["vote (mean)", "95.0 %"],
    ]
    assert ["ant", "9", "1"] in lines
    assert (tmp_path / "votes.csv").exists()
    asked = get_job(at_work.store, 1).payload
    assert (asked["method"], asked["prefer"]) == ("mean", ids[1])


def test_runs_on_other_images_are_refused_by_number(served: Served) -> None:
    ids = [succeeded(served), succeeded(served, fingerprint="b" * 64)]
    result = tuneboard("vote", *map(str, ids))
    assert result.exit_code == 2
    assert f"Run {ids[1]} was evaluated on other val images than run {ids[0]}" in result.stderr


def test_a_failed_job_exits_1_with_the_reason(
    served: Served, tmp_path: Path, meanwhile: Callable[[Callable[[], Any]], Any]
) -> None:
    from store.jobs import claim_job, job_failed

    def fail() -> None:
        deadline = time.monotonic() + 20
        while (job := claim_job(served.store, 60)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        job_failed(served.store, job, {"title": "T", "detail": "Gone.", "remedy": "Mend it."})

    run_id = succeeded(served)
    meanwhile(fail)
    result = tuneboard("export", str(run_id), "--out", tmp_path / "m.safetensors")
    assert result.exit_code == 1
    assert "Gone.\nMend it." in result.stderr


def test_bad_arguments_exit_2(served: Served, tmp_path: Path) -> None:
    for words, said in (
        (("predict", "nine", tmp_path), "tuneboard train"),
        (("predict", "1", tmp_path / "none.png"), "exists"),
        (("predict", "1", tmp_path / "empty"), "images in it"),
        (("predict", "1", tmp_path / "one.png"), "There is no run 1"),
        (("export", "1", "--out", tmp_path / "x"), "There is no run 1"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
        result = tuneboard(*words)
        assert result.exit_code == 2, words
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_the_results_of_a_local_run_are_used_here(tmp_path: Path) -> None:
    out = tmp_path / "results"
    manifest = make_dataset(out / "dataset")
    assert train(manifest, out, spec_with(training__epochs=1)) == 0
    picture = next((out / "dataset" / "images").rglob("*.png"))
    result = tuneboard("predict", str(out), picture, "--out", tmp_path / "p.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1].split("\t")[0] == picture.name
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert len(rows) == 2
    file = tmp_path / "model.safetensors"
    result = tuneboard("export", str(out), "--out", file)
    assert result.exit_code == 0, result.stderr
    assert file.stat().st_size > 1000
    (out / "checkpoints" / "best.safetensors").unlink()
    result = tuneboard("predict", str(out), picture)
    assert result.exit_code == 1
    assert "best.safetensors" in result.stderr


def test_a_late_file_reads_as_its_file_and_holds_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 10)
    late = LateFile(path)
    assert late.seek(0, 2) == 2560
    late.seek(5)
    assert late.read(3) == bytes([5, 6, 7])
    assert late.tell() == 8
    late.seek(0)
    assert late.read() == path.read_bytes()
    assert late._file is None
    late.close()


def test_a_script_may_ask_for_a_folder_on_the_server(served: Served) -> None:
    from trainer.errors import InvalidInput

    run_id = succeeded(served)
    with Client(served.url) as client, pytest.raises(InvalidInput, match="TUNEBOARD_DATA_ROOTS"):
        client.predict_folder(run_id, "/somewhere")
