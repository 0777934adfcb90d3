from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.tuneboard.conftest import Served
from tuneboard import Client
from tuneboard.cli import app

SPEC = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2, "batch_size": 100},
}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(SPEC))
    return path


def test_a_spec_is_estimated_without_being_launched(served: Served, spec: Path) -> None:
    done = CliRunner().invoke(app, ["estimate", str(spec), "--url", served.url])
    assert done.exit_code == 0, done.output
    lines = dict(line.split("\t", 1) for line in done.stdout.strip().splitlines())
    assert lines["name"] == "small_cnn from scratch"
    assert "10 classes" in lines["images"]
    assert "trained of" in lines["parameters"]
    assert lines["time"].startswith("not known. ")
    with Client(served.url) as client:
        assert client.runs() == []


def test_an_estimate_as_json_is_what_the_client_gives(served: Served, spec: Path) -> None:
    done = CliRunner().invoke(app, ["estimate", str(spec), "--json", "--url", served.url])
    with Client(served.url) as client:
        told = client.estimate(SPEC)
    assert json.loads(done.stdout) == told
    assert told["steps"]["images"] == 100


def test_a_wrong_spec_is_refused_by_field(served: Served, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("dataset: {name: digits}\noptimizer: {lr: 30}\n")
    done = CliRunner().invoke(app, ["estimate", str(wrong), "--url", served.url])
    assert done.exit_code == 2
    assert "optimizer.lr" in done.output
