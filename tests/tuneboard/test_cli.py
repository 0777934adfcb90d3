"""The commands against a live server: what they print where, and how they exit."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from store.datasets import claim_preparation, dataset_failed, dataset_ready
from store.rows import DatasetRow
from tests.compared import answers, digits, finished_run
from tests.pictures import write_pictures
from tests.seeding import Teller
from tests.tuneboard.conftest import Served
from tests.tuneboard.processes import free_port, until
from tuneboard import __version__
from tuneboard.cli import app

SPEC = """
dataset: {name: digits}
model: {architecture: tuneboard/small_cnn, weights: none}
training: {epochs: 2}
"""
Begin = Callable[[Callable[[], Any]], "Future[Any]"]


def tuneboard(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def submitted(spec: Path, *options: str) -> int:
    return int(tuneboard("submit", spec, *options).stdout.split()[0])


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tuneboard.cli import app; from typer.testing import CliRunner; "
        "assert 'submit' in CliRunner().invoke(app, ['--help']).output; "
        "heavy = {'torch', 'numpy', 'sqlalchemy', 'fastapi'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_every_command_explains_itself() -> None:
    for command in ("up", "demo", "submit", "runs", "show", "compare", "cancel", "train"):
        assert tuneboard(command, "--help").exit_code == 0
    for command in ("list", "add", "upload"):
        assert tuneboard("datasets", command, "--help").exit_code == 0


def test_version_prints_the_version() -> None:
    assert tuneboard("version").stdout == f"{__version__}\n"


def test_submit_prints_the_number_and_the_address(served: Served, spec: Path) -> None:
    result = tuneboard("submit", spec, "--name", "mine", "--priority", "2")
    assert result.exit_code == 0
    number, address = result.stdout.split()
    assert address == f"{served.url}/runs/{number}"
    (run,) = json.loads(tuneboard("runs", "--json").stdout)
    assert (run["id"], run["name"], run["priority"]) == (int(number), "mine", 2)


def test_submit_takes_several_specs_and_recipes(served: Served, spec: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "both.yaml"
    other = {"dataset": {"name": "digits"}, "training": {"seed": 1}}
    recipe.write_text(json.dumps({"runs": [other, {**other, "training": {"seed": 2}}]}))
    result = tuneboard("submit", spec, recipe)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["1", "2", "3"]
    runs = json.loads(tuneboard("runs", "--json").stdout)
    assert [run["study_id"] for run in runs] == [1, 1, None]


def test_submit_names_every_wrong_field_and_exits_2(served: Served, spec: Path) -> None:
    spec.write_text(SPEC + "optimizer: {lr: 30, nam: sgd}\n")
    result = tuneboard("submit", spec)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Expected `optimizer.lr` to be" in result.stderr
    assert "got 30" in result.stderr
    assert "Did you mean `name`" in result.stderr
    assert json.loads(tuneboard("runs", "--json").stdout) == []


def test_submit_launches_nothing_where_one_file_cannot_be_read(
    served: Served, spec: Path, tmp_path: Path
) -> None:
    result = tuneboard("submit", spec, tmp_path / "spce.yaml")
    assert result.exit_code == 2
    assert "spec.yaml" in result.stderr
    assert json.loads(tuneboard("runs", "--json").stdout) == []


def test_watching_a_run_to_its_end_exits_0(served: Served, spec: Path, meanwhile: Begin) -> None:
    meanwhile(lambda: served.take_next().whole())
    result = tuneboard("submit", spec, "--watch")
    assert result.exit_code == 0, result.stderr
    assert "epoch 2/2" in result.stderr
    assert "succeeded" in result.stderr
    assert result.stdout.split() == ["1", f"{served.url}/runs/1"]


def test_watching_a_run_that_fails_exits_1_and_says_why(
    served: Served, spec: Path, meanwhile: Begin
) -> None:
    from store import lifecycle

    error = {"title": "Weights cannot be had", "detail": "x.pth is missing.", "remedy": "Put it."}

    def fail(teller: Teller) -> None:
        teller.start()
        lifecycle.finish(served.store, teller.run_id, teller.attempt, "failed", error)

    meanwhile(lambda: fail(served.take_next()))
    result = tuneboard("submit", spec, "--watch")
    assert result.exit_code == 1
    assert "Weights cannot be had: x.pth is missing. Put it." in result.stderr


def test_runs_lists_newest_first_and_filters(served: Served, spec: Path) -> None:
    for name in ("first", "second"):
        submitted(spec, "--name", name)
    tuneboard("cancel", "1")
    lines = tuneboard("runs").stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["id", "name", "dataset"]
    assert [line.split("\t")[1] for line in lines[1:]] == ["second", "first"]
    cancelled = json.loads(tuneboard("runs", "--json", "--status", "cancelled").stdout)
    assert [run["id"] for run in cancelled] == [1]
    assert tuneboard("runs", "--status", "canceled").exit_code == 2


def test_show_tells_everything_of_a_run(served: Served, spec: Path) -> None:
    submitted(spec)
    served.take_next().whole()
    text = tuneboard("show", "1").stdout
    assert "status: succeeded" in text
    assert "val_accuracy: last" in text
    assert "training.epochs: 2" in text
    assert json.loads(tuneboard("show", "1", "--json").stdout)["id"] == 1


def test_compare_prints_the_results_and_the_page(served: Served, spec: Path) -> None:
    for _ in range(2):
        submitted(spec)
        served.take_next().whole()
    result = tuneboard("compare", "2", "1")
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header[3] == "best val accuracy"
    assert [row[0] for row in rows] == ["2", "1"]
    assert all(row[3].endswith(" %") for row in rows)
    assert f"{served.url}/compare?run=2&run=1" in result.stderr
    assert set(json.loads(tuneboard("compare", "1", "2", "--json").stdout)) >= {"runs", "figures"}


def test_a_comparison_is_written_to_a_file_and_saved(
    served: Served, spec: Path, tmp_path: Path
) -> None:
    tuneboard("submit", str(spec))
    tuneboard("submit", str(spec))
    pages = [tmp_path / f"compared{ending}" for ending in (".html", ".md", ".zip")]
    for path in pages:
        tuneboard("compare", "1", "2", "--out", str(path))
    assert pages[0].read_bytes().startswith(b"<!doctype html>")
    assert pages[1].read_text().startswith("# ")
    assert pages[2].read_bytes().startswith(b"PK")
    refused = tuneboard("compare", "1", "2", "--out", str(tmp_path / "compared.docx"))
    assert refused.exit_code == 2
    assert "compared.docx" in refused.stderr
    assert ".html, .md, .zip" in refused.stderr
    said = tuneboard("compare", "1", "2", "--save", "both", "--note", "why").stderr
    assert f"{served.url}/compare?run=1&run=2&saved=1" in said
    listed = tuneboard("comparisons")
    assert "both" in listed.stdout
    assert json.loads(tuneboard("comparisons", "--json").stdout)[0]["note"] == "why"


def test_compare_says_whether_a_difference_is_real(served: Served) -> None:
    items = digits(served.settings, served.store)
    for wrong, rate in (([*range(20)], 0.1), ([1, 2], 0.2)):
        finished_run(
            served.store, served.settings, f"at {rate}", answers(items, wrong),
            optimizer={"lr": rate},
        )  # fmt: skip
    said = tuneboard("compare", "1", "2").stderr
    assert "#2 against #1: 18 fixed, 0 broken, p < 0.001: of these two trained models" in said
    assert (
        "#1 against #2: 0 fixed, 18 broken"
        in tuneboard("compare", "1", "2", "--baseline", "2").stderr
    )
    found = json.loads(tuneboard("compare", "1", "2", "--json").stdout)["verdict"]
    assert found["comparisons"][0]["finding"] == "better"
    assert json.loads(tuneboard("compare", "1", "--json").stdout)["verdict"] is None


@pytest.mark.parametrize("command", [("show", "7"), ("cancel", "7"), ("compare", "7", "8")])
def test_an_unknown_run_exits_2(served: Served, command: tuple[str, ...]) -> None:
    result = tuneboard(*command)
    assert result.exit_code == 2
    assert "7" in result.stderr
    assert "Traceback" not in result.stderr


def test_cancel_says_what_becomes_of_the_run(served: Served, spec: Path) -> None:
    submitted(spec)
    assert "is cancelled" in tuneboard("cancel", "1").stderr
    again = tuneboard("cancel", "1")
    assert again.exit_code == 2
    submitted(spec)
    served.take_next()
    assert "will be stopped" in tuneboard("cancel", "2").stderr


def test_without_a_server_every_command_says_how_to_start_one(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOARD_URL", f"http://127.0.0.1:{free_port()}")
    commands: list[tuple[str | Path, ...]] = [
        ("submit", spec),
        ("runs",),
        ("show", "1"),
        ("compare", "1", "2"),
        ("cancel", "1"),
        ("datasets", "list"),
    ]
    for command in commands:
        result = tuneboard(*command)
        assert result.exit_code == 2, command
        assert "No Tuneboard answers at http://127.0.0.1" in result.stderr
        assert "make up" in result.stderr


def test_the_server_is_found_by_option_variable_file_and_default_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.settings import Settings
    from tuneboard.place import publish_address, server_url, withdraw_address

    monkeypatch.delenv("TUNEBOARD_URL", raising=False)
    monkeypatch.setenv("TUNEBOARD_DATA_DIR", str(tmp_path))
    assert server_url() == "http://127.0.0.1:8765"
    publish_address(Settings(data_dir=tmp_path, port=9123, host="::"))
    assert server_url() == "http://[::1]:9123"
    monkeypatch.setenv("TUNEBOARD_URL", "http://there:1/")
    assert server_url() == "http://there:1"
    assert server_url("http://given:2") == "http://given:2"
    monkeypatch.delenv("TUNEBOARD_URL")
    withdraw_address(Settings(data_dir=tmp_path))
    assert server_url() == "http://127.0.0.1:8765"


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_PORT", "eight")
    monkeypatch.delenv("TUNEBOARD_URL", raising=False)
    for command in ("up", "runs", "demo"):
        result = tuneboard(command)
        assert result.exit_code == 2
        assert "`TUNEBOARD_PORT`" in result.stderr
        assert "'eight'" in result.stderr


def test_datasets_are_listed_and_added(served: Served, meanwhile: Begin) -> None:
    row = tuneboard("datasets", "list").stdout.splitlines()[1].split("\t")
    assert row[:4] == ["digits", "catalogue", "ready", "10"]
    unknown = tuneboard("datasets", "add", "digit")
    assert unknown.exit_code == 2
    assert "digits" in unknown.stderr
    assert tuneboard("datasets", "add", "hymenoptera").stdout == "hymenoptera\n"

    def prepare() -> None:
        found = claim_preparation(served.store, 60)
        assert found is not None
        summary = {"classes": ["ants", "bees"], "samples": 397, "skipped": []}
        assert dataset_ready(served.store, found.id, "f" * 64, summary)

    meanwhile(prepare)
    waited = tuneboard("datasets", "add", "hymenoptera", "--wait")
    assert "hymenoptera is ready: 397 images, 2 classes." in waited.stderr


def test_a_dataset_that_cannot_be_prepared_exits_1_with_the_reason(
    served: Served, meanwhile: Begin
) -> None:
    found: list[DatasetRow] = []

    def claimed() -> bool:
        row = claim_preparation(served.store, 60)
        found.extend([row] if row else [])
        return bool(found)

    def refuse() -> None:
        until(claimed, 10, "the dataset was registered")
        error = {"title": "x", "detail": "No network.", "remedy": "Put the archive there."}
        assert dataset_failed(served.store, found[0].id, error)

    meanwhile(refuse)
    result = tuneboard("datasets", "add", "hymenoptera", "--wait")
    assert result.exit_code == 1
    assert "No network.\nPut the archive there." in result.stderr


def test_a_folder_outside_the_allowed_ones_is_refused(served: Served, tmp_path: Path) -> None:
    result = tuneboard("datasets", "add", "mine", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "TUNEBOARD_DATA_ROOTS" in result.stderr


def test_a_zip_is_uploaded(served: Served, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "colours", per_class=2)
    archive = tmp_path / "colours.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in pictures.rglob("*.png"):
            zipped.write(path, path.relative_to(pictures))
    assert tuneboard("datasets", "upload", "colours", archive).stdout == "colours\n"
    listed = json.loads(tuneboard("datasets", "list", "--json").stdout)
    (found,) = (item for item in listed if item["name"] == "colours")
    assert (found["kind"], found["status"]) == ("upload", "preparing")
    missing = tuneboard("datasets", "upload", "more", tmp_path / "none.zip")
    assert missing.exit_code == 2
