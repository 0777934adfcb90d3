"""Studies, workers and the queue, looked after by the client and the commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from store.rows import WorkerRow
from store.workers import beat
from tests.tuneboard.conftest import Served
from trainer.errors import InvalidInput, NotFound
from tuneboard.cli import app
from tuneboard.client import Client

SPEC = {
    "name": "one",
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2},
}


def said(*command: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*command])
    assert done.exit_code == code, done.output
    return done.output


def launched(**more: Any) -> dict[str, Any]:
    with Client() as client:
        return client.launch_study("Rates", [SPEC, {**SPEC, "name": "two"}], **more)


def test_a_study_is_looked_after_by_the_client(served: Served) -> None:
    study = launched(webhook="https://lab.example/x", webhook_runs=True)
    number = study["id"]
    with Client() as client:
        assert [one["id"] for one in client.studies(text="rates", state="active")] == [number]
        assert client.studies(owner="nobody") == []
        changed = client.change_study(number, note="why", name="Named")
        assert (changed["note"], changed["name"]) == ("why", "Named")
        assert client.webhook(number)["each_run"] is True
        assert client.test_webhook(number)["deliveries"][0]["event"] == "test"
        assert client.add_seeds(number, 2)["added"] == 2
        free = client.submit(SPEC)["id"]
        assert client.add_members(number, [free])["runs"][-1]["id"] == free
        assert client.stop_study(number, waiting_only=True)["is_over"]
        with pytest.raises(InvalidInput, match="another machine"):
            client.change_study(number, webhook="http://localhost/")
        with pytest.raises(NotFound):
            client.stop_study(99)


def test_the_commands_list_show_note_stop_and_repeat(served: Served) -> None:
    number = str(launched()["id"])
    assert "Rates" in said("studies")
    assert json.loads(said("studies", "--json"))[0]["counts"] == {"queued": 2}
    assert "No such" not in said("studies", "note", number, "**why**", "--name", "Better")
    assert said("studies", "note", number).strip() == "**why**"
    shown = said("studies", "show", number)
    assert f"Study {number}: Better, going on, 2 queued" in shown
    assert "2 runs joined" in said("studies", "seeds", number, "2")
    assert f"Study {number} tells nobody." in said("studies", "webhook", number)
    assert "Its secret" in said("studies", "webhook", number, "https://lab.example/x", "--test")
    assert "4 cancelled" in said("studies", "stop", number)
    assert "has ended" in said("studies", "stop", number, code=2)
    assert "stopped" in said("studies", "--state", "stopped")


def test_the_queue_is_moved_and_workers_are_drained(served: Served) -> None:
    first, second = (run["id"] for run in launched()["runs"])
    assert f"Run {second} is number 1" in said("queue", "move", str(second), "--top")
    assert "is first already" in said("queue", "move", str(second), "--top")
    assert f"Run {second} is number 2" in said("queue", "move", str(second), "--after", str(first))
    assert f"Run {first} is number 2" in said("queue", "move", str(first))
    assert "give one of" in said("queue", "move", "1", "--before", "2", "--top", code=2)
    lines = said("queue").splitlines()
    assert [line.split("\t")[1] for line in lines[1:]] == [str(second), str(first)]
    beat(served.store, WorkerRow("lab:7:abc", "train", "lab", 7, "cpu", 1, 1.0))
    assert "lab:7:abc\ttrain" in said("workers")
    assert "takes nothing new" in said("workers", "drain", "lab:7")
    assert "draining" in said("workers")
    assert "takes runs again" in said("workers", "resume", "lab:7:abc")
    assert "There is no worker none" in said("workers", "drain", "none", code=2)
