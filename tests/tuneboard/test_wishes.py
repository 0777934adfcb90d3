"""What the client and the commands ask of runs, against a live server."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from store import lifecycle
from tests.tuneboard.conftest import Served
from trainer.errors import Conflict
from tuneboard.cli import app
from tuneboard.client import Client

SPEC = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2},
}


def test_a_run_is_paused_resumed_and_moved_by_the_client(served: Served) -> None:
    with Client() as client:
        first, second = client.submit(SPEC)["id"], client.submit(SPEC)["id"]
        assert client.set_priority(second, 3)["queue"]["position"] == 1
        assert client.pause(second)["status"] == "paused"
        assert client.resume(second)["status"] == "queued"
        with pytest.raises(Conflict):
            client.resume(first)
        assert client.cancel(first)["status"] == "cancelled"


def test_the_commands_say_what_came_of_it(served: Served) -> None:
    with Client() as client:
        run_id = client.submit(SPEC)["id"]

    def said(*command: str) -> str:
        done = CliRunner().invoke(app, [*command])
        assert done.exit_code == 0, done.output
        return done.output

    assert "has priority 4, number 1 in the queue" in said("priority", str(run_id), "4")
    assert f"Run {run_id} is paused." in said("pause", str(run_id))
    assert f"Run {run_id} is queued" in said("resume", str(run_id))
    assert lifecycle.claim(served.store, "w", device="cpu", lease_s=60)
    assert "will be paused once" in said("pause", str(run_id))
    assert "will not be paused for long" in said("resume", str(run_id))
    assert "will be stopped within seconds" in said("cancel", str(run_id))
    refused = CliRunner().invoke(app, ["pause", "99"])
    assert refused.exit_code == 2
    assert "There is no run 99" in refused.output


def test_a_finished_run_is_continued_and_repeated(served: Served) -> None:
    with Client() as client:
        run_id = client.submit(SPEC)["id"]
        teller = served.take_next()
        teller.start()
        teller.epoch(1)
        teller.epoch(2)
        teller.finish()
        folder = served.settings.attempt_dir(run_id, 1) / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "last.pt").write_bytes(b"")
        made = client.continue_run(run_id, 3)
        assert made["continues"] == {"run": run_id, "epoch": 2}
        assert [run["spec"]["training"]["seed"] for run in client.repeat(run_id, seeds=[8])] == [8]
    done = CliRunner().invoke(app, ["continue", str(run_id), "--epochs", "1"])
    assert "goes on from epoch 2 to 3" in done.output, done.output
    done = CliRunner().invoke(app, ["seeds", str(run_id), "--count", "2"])
    assert done.output.count("/runs/") == 2, done.output
    refused = CliRunner().invoke(app, ["continue", str(run_id), "--epochs", "1", "--schedule", "x"])
    assert refused.exit_code == 2
