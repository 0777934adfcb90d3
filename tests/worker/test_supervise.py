from __future__ import annotations

import os
import shutil
import threading
import time
from typing import Any

import psutil
import pytest

from store import lifecycle, runs
from store.database import Unavailable
from store.evaluations import evaluations
from store.events import events_after, log_lines
from store.lifecycle import Status, request_cancel, request_pause, resume
from tests.worker.house import House, fake_launch, wait_until
from trainer.files import TEMPORARY_SUFFIX
from worker import recorder as recorder_module
from worker import supervise as supervise_module
from worker.processes import Job, Launch, TrainerProcess
from worker.supervise import Supervisor, log_tail


class Attempt:
    """A supervisor at work in a thread."""

    def __init__(self, house: House, launch: Launch) -> None:
        self.house = house
        self.draining = threading.Event()
        self.trainers: list[TrainerProcess] = []
        self.result: Status | None = None

        def noted(job: Job) -> TrainerProcess:
            self.trainers.append(launch(job))
            return self.trainers[-1]

        claim = house.claim()
        self.run_id: int = claim.run.id
        self.supervisor = Supervisor(house.store, house.settings, claim, noted, self.draining)
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        self.result = self.supervisor.run()

    def join(self) -> Status | None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        for trainer in self.trainers:
            wait_until(lambda trainer=trainer: not _group(trainer.pid))  # type: ignore[misc]
        return self.result


def _group(leader: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and os.getsid(process.pid) == leader:
                found.append(process.pid)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


def test_a_run_is_followed_to_its_end(any_house: House) -> None:
    house = any_house
    run_id = house.submit(epochs=3)
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    run = house.run(run_id)
    assert run.status == "succeeded"
    assert run.epoch == 3
    assert run.finished["best_epoch"] == 3
    figures = house.figures(run_id)
    assert figures["val_accuracy"] == [(5, 0.25), (10, 0.5), (15, 0.625)]
    assert [step for step, _ in figures["batch_loss"]] == list(range(1, 16))
    (evaluation,) = evaluations(house.store, [run_id])
    assert evaluation.predictions_file == "attempt-001/predictions/val.npz"
    assert house.outcomes(run_id) == ["succeeded"]


def test_the_trainer_gets_the_spec_and_the_manifest(house: House) -> None:
    seen: list[Job] = []

    def launch(job: Job) -> TrainerProcess:
        seen.append(job)
        return fake_launch("train", 0)(job)

    run_id = house.submit()
    stale = house.settings.attempt_dir(run_id, 1)
    stale.mkdir(parents=True)
    (stale / "events.jsonl").write_text("of another life\n")
    assert Attempt(house, launch).join() is Status.SUCCEEDED
    (job,) = seen
    assert job.out == stale
    assert job.manifest.is_file()
    assert job.resume_from is None
    assert "another life" not in (stale / "events.jsonl").read_text()


def test_a_failure_that_the_user_can_mend_is_told_in_the_trainers_words(house: House) -> None:
    run_id = house.submit()
    assert Attempt(house, fake_launch("fail")).join() is Status.FAILED
    assert house.run(run_id).error == {"title": "No", "detail": "Why", "remedy": "Mend it"}
    assert house.outcomes(run_id) == ["failed"]


def test_crashes_are_tried_again_a_bounded_number_of_times(house: House) -> None:
    run_id = house.submit()
    for _ in range(house.settings.max_crashes - 1):
        assert Attempt(house, fake_launch("crash")).join() is Status.QUEUED
    assert Attempt(house, fake_launch("crash")).join() is Status.FAILED
    error = house.run(run_id).error
    assert error is not None
    assert "SIGSEGV (a crash inside a native library)" in error["detail"]
    assert "the last words" in error["detail"]
    assert house.outcomes(run_id) == ["crashed"] * 3


def test_a_crash_after_a_checkpoint_goes_on_from_it_and_repeats_no_point(house: House) -> None:
    run_id = house.submit(epochs=4)
    assert Attempt(house, fake_launch("crash-after-a-checkpoint", 0)).join() is Status.QUEUED
    assert house.run(run_id).checkpoint_attempt == 1
    assert Attempt(house, fake_launch("crash-after-a-checkpoint", 0)).join() is Status.QUEUED
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    undisturbed = house.submit(epochs=4)
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    assert house.figures(run_id) == house.figures(undisturbed)
    folders = sorted(path.name for path in house.settings.run_dir(run_id).iterdir())
    assert folders == ["attempt-003"]


def test_a_run_whose_checkpoint_folder_is_gone_starts_afresh(house: House) -> None:
    run_id = house.submit(epochs=2)
    assert Attempt(house, fake_launch("crash-after-a-checkpoint", 0)).join() is Status.QUEUED
    shutil.rmtree(house.settings.attempt_dir(run_id, 1))
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    assert [step for step, _ in house.figures(run_id)["val_loss"]] == [5, 10]


def test_an_end_without_having_finished_is_a_crash(house: House) -> None:
    run_id = house.submit()
    assert Attempt(house, fake_launch("stop-early")).join() is Status.QUEUED
    (attempt,) = runs.attempts(house.store, run_id)
    assert "without having finished" in attempt.detail


def test_a_trainer_that_cannot_be_started_is_a_crash(house: House) -> None:
    run_id = house.submit()

    def launch(job: Job) -> TrainerProcess:
        raise OSError("no more processes")

    assert Attempt(house, launch).join() is Status.QUEUED
    assert "no more processes" in runs.attempts(house.store, run_id)[0].detail


def test_a_drained_attempt_is_handed_back_and_goes_on_elsewhere(house: House) -> None:
    run_id = house.submit(epochs=4)
    attempt = Attempt(house, fake_launch("train", 0.3))
    house.wait_for_epoch(run_id, 2)
    attempt.draining.set()
    assert attempt.join() is Status.QUEUED
    assert house.outcomes(run_id) == ["handed_back"]
    assert house.run(run_id).crashes == 0
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    undisturbed = house.submit(epochs=4)
    Attempt(house, fake_launch("train", 0)).join()
    assert house.figures(run_id) == house.figures(undisturbed)


def test_a_drained_attempt_that_will_not_stop_is_killed_and_handed_back(house: House) -> None:
    run_id = house.submit(epochs=1000)
    attempt = Attempt(house, fake_launch("ignore-term"))
    house.wait_for_epoch(run_id, 1)
    attempt.draining.set()
    assert attempt.join() is Status.QUEUED
    assert house.outcomes(run_id) == ["handed_back"]


@pytest.mark.parametrize("act", ["train", "ignore-term", "say-nothing"])
def test_a_cancelled_run_stops_within_five_seconds_with_its_whole_group(
    house: House, act: str
) -> None:
    house.settings = house.settings.model_copy(
        update={"heartbeat_s": 5.0, "lease_s": 60.0, "cancel_grace_s": 3.0}
    )
    run_id = house.submit(epochs=1000)
    attempt = Attempt(house, fake_launch(act, 0.2))
    wait_until(lambda: bool(attempt.trainers))
    if act == "ignore-term":
        wait_until(lambda: len(_group(attempt.trainers[0].pid)) == 2)
    else:
        wait_until((house.settings.attempt_dir(run_id, 1) / "events.jsonl").exists)
    began = time.monotonic()
    request_cancel(house.store, run_id)
    house.wait(run_id)
    took_s = time.monotonic() - began
    assert attempt.join() is Status.CANCELLED
    assert house.run(run_id).status == "cancelled"
    assert took_s < 5


def test_helpers_that_outlive_their_trainer_are_killed(house: House) -> None:
    house.submit(epochs=1)
    attempt = Attempt(house, fake_launch("leave-a-helper", 0))
    assert attempt.join() is Status.SUCCEEDED  # join waits for the group


def test_a_lost_run_is_let_go_and_its_trainer_killed(house: House) -> None:
    run_id = house.submit(epochs=1000)
    attempt = Attempt(house, fake_launch("train", 0.2))
    house.wait_for_epoch(run_id, 1)
    lifecycle.hand_back(house.store, run_id, 1, "taken by the test")
    assert attempt.join() is None
    assert house.run(run_id).status == "queued"


def test_nothing_half_written_is_left(house: House) -> None:
    run_id = house.submit(epochs=3)
    assert Attempt(house, fake_launch("crash-after-a-checkpoint", 0)).join() is Status.QUEUED
    folder = house.settings.attempt_dir(run_id, 1) / "checkpoints"
    (folder / f"last.pt{TEMPORARY_SUFFIX}").write_text("half")
    attempt = Attempt(house, fake_launch("train", 0.5))
    house.wait_for_epoch(run_id, 2)
    request_cancel(house.store, run_id)
    assert attempt.join() is Status.CANCELLED
    assert not list(house.settings.run_dir(run_id).rglob(f"*{TEMPORARY_SUFFIX}"))


def test_an_outage_of_the_database_costs_neither_the_run_nor_a_point(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = threading.Event()
    real = {name: getattr(lifecycle, name) for name in ("record", "rewind", "finish")}
    refused: set[str] = set()

    def unreliable(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if away.is_set():
                refused.add(name)
                raise Unavailable("away")
            return real[name](*args, **kwargs)

        return call

    for name in real:
        monkeypatch.setattr(lifecycle, name, unreliable(name))
    run_id = house.submit(epochs=3)
    away.set()
    attempt = Attempt(house, fake_launch("train", 0.05))
    wait_until(lambda: refused >= {"rewind", "record"})
    trainer = attempt.trainers[0]
    wait_until(lambda: trainer.poll() == 0)  # it has gone on to its end meanwhile
    assert house.run(run_id).epoch == 0
    away.clear()
    assert attempt.join() is Status.SUCCEEDED
    assert [step for step, _ in house.figures(run_id)["val_loss"]] == [5, 10, 15]


def test_checkpoints_that_nobody_recorded_cost_no_point(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt resumes from the first one's file, past what the database knows."""
    real = lifecycle.record
    epochs = [0]

    def forget_after_two(*args: Any, **kwargs: Any) -> Any:
        epochs[0] += sum(event.kind == "epoch_finished" for event in kwargs.get("events", ()))
        if epochs[0] > 2:
            raise Unavailable("away")
        return real(*args, **kwargs)

    run_id = house.submit(epochs=6)
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "record", forget_after_two)
        attempt = Attempt(house, fake_launch("train", 0.2))
        wait_until(lambda: epochs[0] > 4)
        lifecycle.hand_back(house.store, run_id, 1, "taken by the test")
        attempt.supervisor.kill()
        patch.setattr(lifecycle, "record", real)
        assert attempt.join() is None
    assert house.run(run_id).epoch <= 2
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    undisturbed = house.submit(epochs=6)
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    assert house.figures(run_id) == house.figures(undisturbed)
    kinds = [row.kind for row in events_after(house.store, run_id, 0, 1000)]
    assert kinds.count("epoch_finished") == 6


def test_heartbeats_go_on_while_the_trainer_is_silent(house: House) -> None:
    run_id = house.submit()
    attempt = Attempt(house, fake_launch("say-nothing"))
    leases = set()

    def seen_three() -> bool:
        leases.add(house.run(run_id).lease_expires_at)
        return len(leases) >= 3

    wait_until(seen_three)
    attempt.draining.set()
    attempt.join()


def test_more_events_than_the_buffer_holds_all_arrive(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "BUFFER_LIMIT", 100)
    run_id = house.submit(epochs=1)
    assert Attempt(house, fake_launch("chatter", 0)).join() is Status.SUCCEEDED
    messages = [
        row.payload["message"]
        for row in log_lines(house.store, run_id, 10_000)
        if row.kind == "log"
    ]
    assert messages == [f"line {number}" for number in range(3000)]


def test_events_that_the_store_refuses_fail_the_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lifecycle.record

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("events"):
            raise ValueError("not in this shape")
        return real(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "record", refuse)
    run_id = house.submit(epochs=1000)
    assert Attempt(house, fake_launch("train", 0.2)).join() is Status.QUEUED
    assert "not in this shape" in runs.attempts(house.store, run_id)[0].detail


def test_a_worker_that_must_end_leaves_a_run_to_its_lease_when_the_database_stays_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise_module, "LEAVING_TIMEOUT_S", 0.3)
    run_id = house.submit(epochs=1000)
    attempt = Attempt(house, fake_launch("train", 0.2))
    house.wait_for_epoch(run_id, 1)

    def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("away")

    for name in ("record", "hand_back"):
        monkeypatch.setattr(lifecycle, name, away)
    attempt.draining.set()
    assert attempt.join() is None
    assert house.run(run_id).status == "running"


def test_the_end_of_a_log_is_short_and_survives_strange_bytes(tmp_path: Any) -> None:
    log = tmp_path / "trainer.log"
    assert log_tail(log) == ""
    log.write_bytes(b"x" * 100_000 + b"\n\xff\n" + b"\n".join(b"%d" % n for n in range(100)))
    lines = log_tail(log).splitlines()
    assert lines[-1] == "99"
    assert len(lines) == supervise_module.LOG_TAIL_LINES


def test_a_paused_run_is_resumed_where_it_was_and_ends_as_an_undisturbed_one(
    any_house: House,
) -> None:
    house = any_house
    run_id = house.submit(epochs=20)
    attempt = Attempt(house, fake_launch("train", 0.05))
    house.wait_for_epoch(run_id, 1)
    assert request_pause(house.store, run_id).status == "running"
    assert attempt.join() is Status.PAUSED
    paused = house.run(run_id)
    assert (paused.status, paused.pause_requested) == ("paused", False)
    assert paused.checkpoint_step
    assert resume(house.store, run_id).status == "queued"
    attempt = Attempt(house, fake_launch("train", 0.05))
    house.wait_for_epoch(run_id, paused.epoch + 2)  # it is under way again
    attempt.supervisor.kill()  # and once more against its will
    assert attempt.join() is Status.QUEUED
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    undisturbed = house.submit(epochs=20)
    assert Attempt(house, fake_launch("train", 0)).join() is Status.SUCCEEDED
    assert house.figures(run_id) == house.figures(undisturbed)
    assert house.outcomes(run_id) == ["paused", "crashed", "succeeded"]


def test_a_trainer_that_will_not_pause_is_killed_and_its_run_paused(house: House) -> None:
    run_id = house.submit(epochs=2)
    attempt = Attempt(house, fake_launch("ignore-term", 0))
    house.wait_for_epoch(run_id, 2)
    request_pause(house.store, run_id)
    assert attempt.join() is Status.PAUSED
    assert house.run(run_id).status == "paused"
