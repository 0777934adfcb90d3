"""Sweeps from the command line and the client: counted, launched, followed to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from store import searches
from tests.tuneboard.conftest import Served
from tests.tuneboard.processes import until
from tests.tuneboard.test_cli import tuneboard as invoke
from trainer.errors import InvalidInput
from tuneboard.client import Client
from tuneboard.sweep import sweep_document, with_options

SPEC = """
dataset: {name: digits}
model: {architecture: tuneboard/small_cnn, weights: none}
training: {epochs: 2}
"""


def tuneboard(*arguments: str | Path) -> tuple[int, str, str]:
    done = invoke(*arguments)
    return done.exit_code, done.stdout, done.stderr


Begin = Callable[[Callable[[], Any]], Future[Any]]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def test_a_spec_is_swept_by_options(served: Served, spec: Path) -> None:
    given = [str(spec), "--set", "optimizer.lr=0.1,0.01,1e-3", "--set", "training.batch_size=8,16"]
    code, out, err = tuneboard("sweep", *given, "--seeds", "2", "--dry-run")
    assert code == 0, err
    assert len(out.splitlines()) == 12
    assert "12 runs: 3 × 2 × 2 seeds." in err
    with Client(served.url) as client:
        assert client.runs() == []
        code, out, err = tuneboard("sweep", *given, "--seeds", "2", "--name", "Which rate?")
        assert code == 0, err
        assert len(out.splitlines()) == 12
        [study] = {run["study_id"] for run in client.runs()}
        assert client.study(study)["name"] == "Which rate?"


def test_a_study_gets_its_note_and_webhook(served: Served, spec: Path, tmp_path: Path) -> None:
    swept = [str(spec), "--set", "optimizer.lr=0.1,0.01"]
    hook = ["--webhook", "https://lab.example/x", "--webhook-runs"]
    code, _, err = tuneboard("sweep", *swept, "--note", "Which **rate**?", *hook)
    assert code == 0, err
    file = tmp_path / "sweep.yaml"
    file.write_text(f"base: {{{SPEC.strip().splitlines()[0]}}}\nseeds: 2\nwebhook: {hook[1]}\n")
    code, _, err = tuneboard("sweep", str(file))
    assert code == 0, err
    with Client(served.url) as client:
        assert client.study(1)["note"] == "Which **rate**?"
        assert client.webhook(1)["url"] == hook[1]
        assert client.webhook(1)["each_run"] is True
        assert client.webhook(2)["url"] == hook[1]
        for refused in ([], ["--dry-run"]):
            code, _, err = tuneboard("sweep", *swept, "--webhook", "lab.example", *refused)
            assert code == 2
            assert "webhook" in err
        assert len(client.studies()) == 2


def test_what_is_wrong_is_said_and_nothing_is_launched(served: Served, spec: Path) -> None:
    code, out, err = tuneboard("sweep", str(spec), "--set", "optimizer.lr=0.1,30")
    assert (code, out) == (2, "")
    assert "sweep.space.optimizer.lr.1" in err
    code, _, err = tuneboard("sweep", str(spec), "--set", "optimizer.lr")
    assert code == 2
    assert "--set" in err
    with Client(served.url) as client:
        assert client.runs() == []


def test_a_search_is_watched_to_its_end(served: Served, spec: Path, meanwhile: Begin) -> None:
    def answer() -> None:
        """Do what the workers would: two trials."""
        until(lambda: searches.searches_due(served.store), 20, "a search was launched")
        for rate, top in ((0.01, 0.5), (0.02, 0.9)):
            question = searches.look(served.store, 1)
            assert question is not None
            searches.take(served.store, question, [[rate]], [])
            teller = served.take_next()
            teller.top = top
            teller.whole()
        searches.look(served.store, 1)

    meanwhile(answer)
    given = ["--set", "optimizer.lr={low: 0.001, high: 0.1, log: true}", "--trials", "2"]
    code, out, err = tuneboard("sweep", str(spec), *given, "--watch")
    assert code == 0, err
    assert "2 of 2 trials have ended" in out
    assert "Best: " in out
    assert "run 2" in out


def test_the_client_takes_a_sweep_or_its_file(served: Served, tmp_path: Path) -> None:
    sweep = {"base": {"dataset": {"name": "digits"}}, "space": {"training.seed": [1, 2]}}
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps({"name": "from a file", **sweep}))
    with Client(served.url) as client:
        told = client.sweep(sweep, dry_run=True)
        assert (told["runs_total"], told["kind"]) == (2, "grid")
        study = client.sweep(path, priority=4)
        assert study["name"] == "from a file"
        assert [run["priority"] for run in study["runs"]] == [4, 4]
        with pytest.raises(InvalidInput) as refused:
            client.sweep({**sweep, "kind": "search", "search": {"trials": 0}})
    assert [error.field for error in refused.value.errors] == ["sweep.search.trials"]


def test_options_go_over_the_file() -> None:
    document = sweep_document({"name": "n", "base": {}, "space": {"optimizer.lr": [1]}})
    made = with_options(document, ["optimizer.lr=[0.1]", "model.weights=none, default"], {})
    assert made == {
        "name": "n",
        "sweep": {
            "base": {},
            "space": {"optimizer.lr": [0.1], "model.weights": ["none", "default"]},
            "kind": "grid",
        },
    }
    options = {"search.trials": 5, "seeds": None}
    assert with_options(document, [], options)["sweep"]["kind"] == "search"
    assert with_options(document, [], {"runs": 3})["sweep"]["kind"] == "random"
