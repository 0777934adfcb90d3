from __future__ import annotations

import math
from typing import Any

import pytest
from sqlalchemy import func, select

from store import evaluations, events, ingest, lifecycle, runs, series
from store.database import Store
from store.tables import METRIC_SUMMARIES, RUN_EVENTS, SERIES_CHUNKS
from tests.store.helpers import (
    NAN,
    checkpoint,
    claimed,
    epoch,
    evaluated,
    expire,
    finished,
    log,
    progress,
    queued,
    ready_dataset,
    resources,
    running,
    started,
    steps,
)


def record(store: Store, *said: Any, offset: int | None = None) -> lifecycle.Recorded:
    return lifecycle.record(store, 1, 1, lease_s=60, events=said, offset=offset)


def told(store: Store) -> list[tuple[int, str]]:
    return [(row.seq, row.kind) for row in events.events_after(store, 1, 0)]


def points(store: Store, name: str) -> list[float]:
    found = series.series(store, [1], [name])
    return list(found[1, name].values) if (1, name) in found else []


def everything(store: Store) -> list[Any]:
    """Return all that the database says of run 1, but for its lease."""
    found: list[Any] = []
    with store.read() as conn:
        for table in (SERIES_CHUNKS, METRIC_SUMMARIES, RUN_EVENTS):
            rows = conn.execute(select(table).order_by(*table.primary_key.columns))
            found.append([tuple(row) for row in rows])
    run = vars(runs.get_run(store, 1)).copy()
    del run["lease_expires_at"]
    return [*found, run, evaluations.evaluations(store, [1])]


def test_a_heartbeat_renews_the_lease_and_writes_nothing_else(store: Store) -> None:
    running(store)
    expire(store, 1)
    before = everything(store)
    assert record(store) == lifecycle.Recorded(
        cancel_requested=False, pause_requested=False, events_offset=0
    )
    assert everything(store) == before
    with store.read() as conn:
        lease = runs.get_run(store, 1).lease_expires_at
        assert lease == pytest.approx(store.now(conn) + 60, abs=5)


def test_events_become_columns_of_the_run(store: Store) -> None:
    running(store)
    record(store, started(), progress(5), epoch(1), checkpoint(10), progress(12), offset=500)
    run = runs.get_run(store, 1)
    assert run.started["parameters_trained"] == 10
    assert run.started["resolved"] == {"precision": "fp32"}
    assert run.progress["step"] == 12
    assert (run.epoch, run.checkpoint_attempt, run.checkpoint_step) == (1, 1, 10)
    assert (run.events_offset, run.finished) == (500, {})
    record(store, finished(), offset=600)
    assert runs.get_run(store, 1).finished["standalone_s"] == 3.5


def test_only_the_newest_progress_of_a_batch_is_told(store: Store) -> None:
    running(store)
    record(store, progress(1), resources(1), log("a"), progress(2), resources(2), log("b"))
    assert told(store) == [
        (1, "state"),
        (2, "state"),
        (3, "resources"),
        (4, "log"),
        (5, "progress"),
        (6, "resources"),
        (7, "log"),
    ]
    row = events.events_after(store, 1, 4, limit=1)[0]
    assert (row.kind, row.step, row.payload["step"]) == ("progress", 2, 2)


def test_epochs_become_series_and_summaries(store: Store) -> None:
    running(store)
    record(store, started(), epoch(1), epoch(2, val_accuracy=0.9, val_loss=0.7))
    record(store, epoch(3, val_accuracy=0.8))
    assert points(store, "val_accuracy") == [0.1, 0.9, 0.8]
    accuracy = series.summaries(store, [1])[1, "val_accuracy"]
    assert (accuracy.last, accuracy.best, accuracy.best_epoch) == (0.8, 0.9, 2)
    assert (accuracy.minimum, accuracy.maximum, accuracy.points) == (0.1, 0.9, 3)
    loss = series.summaries(store, [1])[1, "val_loss"]
    assert (loss.best, loss.best_epoch) == (pytest.approx(1 / 3), 3)
    assert series.series_names(store, [1]) == [
        "learning_rate",
        "train_accuracy",
        "train_loss",
        "val_accuracy",
        "val_loss",
    ]


def test_the_first_of_equal_bests_counts(store: Store) -> None:
    running(store)
    record(store, *(epoch(n, val_accuracy=0.9) for n in (1, 2, 3)))
    assert series.summaries(store, [1])[1, "val_accuracy"].best_epoch == 1


def test_steps_become_series_with_fractions_of_epochs(store: Store) -> None:
    running(store)
    record(store, started(steps_per_epoch=8))
    record(store, steps(1, 12))
    found = series.series(store, [1], ["batch_loss", "batch_learning_rate"])
    losses = found[1, "batch_loss"]
    assert list(losses.steps) == list(range(1, 13))
    assert list(losses.epochs)[:2] == [0.125, 0.25]
    assert list(losses.epochs)[-1] == 1.5
    assert list(losses.elapsed)[-1] == pytest.approx(1.2)
    assert list(found[1, "batch_learning_rate"].values) == [0.1] * 12


def test_nan_is_kept_in_series_and_says_nothing_in_summaries(store: Store) -> None:
    running(store)
    record(store, epoch(1, val_loss=0.5), epoch(2, val_loss=NAN), epoch(3, val_loss=float("inf")))
    values = points(store, "val_loss")
    assert values[0] == 0.5
    assert math.isnan(values[1])
    assert values[2] == float("inf")
    summary = series.summaries(store, [1])[1, "val_loss"]
    assert (summary.last, summary.best, summary.best_epoch, summary.points) == (0.5, 0.5, 1, 3)
    assert summary.maximum == 0.5
    told = [row for row in events.events_after(store, 1, 0) if row.kind == "epoch_finished"]
    assert [row.payload["val_loss"] for row in told] == [0.5, None, None]


def test_a_series_of_nothing_but_nan_has_no_best(store: Store) -> None:
    running(store)
    record(store, epoch(1, val_loss=NAN))
    summary = series.summaries(store, [1])[1, "val_loss"]
    assert (summary.points, summary.last, summary.best, summary.best_epoch) == (1, None, None, None)


@pytest.mark.parametrize("batch", [13, 511, 512, 513, 2000])
def test_chunks_are_full_but_for_the_last(sqlite_store: Store, batch: int) -> None:
    running(sqlite_store)
    for first in range(1, 1301, batch):
        record(sqlite_store, steps(first, min(first + batch - 1, 1300)))
    with sqlite_store.read() as conn:
        chunks = conn.execute(
            select(SERIES_CHUNKS.c.chunk, SERIES_CHUNKS.c.points, SERIES_CHUNKS.c.first_step)
            .where(SERIES_CHUNKS.c.name == "batch_loss")
            .order_by(SERIES_CHUNKS.c.chunk)
        ).all()
    assert [tuple(row) for row in chunks] == [(0, 512, 1), (1, 512, 513), (2, 276, 1025)]
    found = series.series(sqlite_store, [1], ["batch_loss"])[1, "batch_loss"]
    assert list(found.steps) == list(range(1, 1301))


def test_points_may_come_one_by_one(sqlite_store: Store) -> None:
    running(sqlite_store)
    record(sqlite_store, steps(1, 500))
    for step in range(501, 531):
        record(sqlite_store, steps(step, step))
    found = series.series(sqlite_store, [1], ["batch_loss"])[1, "batch_loss"]
    assert list(found.steps) == list(range(1, 531))


def test_evaluations_are_kept_and_told_without_their_matrix(store: Store) -> None:
    running(store)
    record(store, evaluated(), evaluated(split="test", loss=NAN))
    test, val = sorted(evaluations.evaluations(store, [1]), key=lambda row: row.split)
    assert (val.split, val.accuracy, val.confusion) == ("val", 0.75, [[2, 0], [1, 1]])
    assert val.classes[1]["recall"] == 0.5
    assert val.predictions_file == "attempt-001/predictions/val.npz"
    assert test.loss is None
    row = events.events_after(store, 1, 2)[0]
    assert row.payload["accuracy"] == 0.75
    assert "confusion" not in row.payload
    record(store, evaluated(accuracy=0.8))
    accuracies = {row.split: row.accuracy for row in evaluations.evaluations(store, [1])}
    assert accuracies == {"val": 0.8, "test": 0.75}


def test_a_batch_sent_twice_is_stored_once(store: Store) -> None:
    running(store)
    batch = [started(), steps(1, 10), epoch(1), checkpoint(10), log("hello")]
    record(store, *batch, offset=100)
    before = everything(store)
    again = record(store, *batch, offset=100)
    assert again.events_offset == 100
    assert everything(store) == before
    assert record(store, log("old"), offset=40).events_offset == 100
    assert everything(store) == before


def test_a_batch_is_stored_whole_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(store)
    before = everything(store)

    def break_off(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(ingest, "upsert", break_off)
    with pytest.raises(RuntimeError):
        record(store, started(), epoch(1), evaluated(), offset=100)
    assert everything(store) == before


def test_text_that_no_database_takes_is_stored_all_the_same(store: Store) -> None:
    running(store)
    record(store, log("a\x00b \ud800 ü"))
    assert events.log_lines(store, 1)[0].payload["message"] == "a\ufffdb \ufffd ü"
    lifecycle.crashed(store, 1, 1, "tail \x00", 1)
    assert runs.attempts(store, 1)[0].detail == "tail \ufffd"


def test_rewind_restores_what_the_checkpoint_knew(store: Store) -> None:
    running(store)
    record(store, started(), steps(1, 10), progress(10), epoch(1), checkpoint(10), offset=100)
    points_then, run_then = everything(store)[:2], runs.get_run(store, 1)
    record(store, steps(11, 20), epoch(2), log("later"), evaluated(), progress(21), offset=300)
    record(store, finished(), offset=400)
    lifecycle.rewind(store, 1, 1, offset=100, step=10, epochs=1)
    assert everything(store)[:2] == points_then
    run = runs.get_run(store, 1)
    for column in ("epoch", "progress", "started", "finished", "events_offset"):
        assert getattr(run, column) == getattr(run_then, column), column
    assert (run.checkpoint_attempt, run.checkpoint_step) == (1, 10)
    assert evaluations.evaluations(store, [1]) == []
    rows = events.events_after(store, 1, 0)
    assert [row.kind for row in rows] == [
        "state",
        "state",
        "run_started",
        "steps_recorded",
        "progress",
        "epoch_finished",
        "checkpointed",
        "rewound",
    ]
    assert rows[-1].payload == {"step": 10}
    assert rows[-1].seq > 8, "numbers never come again"


def test_a_rewound_run_goes_on_to_the_same_points(store: Store) -> None:
    running(store)
    record(store, started(), steps(1, 600), offset=100)
    record(store, steps(601, 1100), offset=200)
    lifecycle.rewind(store, 1, 1, offset=100, step=550, epochs=0)
    assert len(points(store, "batch_loss")) == 550
    assert series.summaries(store, [1])[1, "batch_loss"].points == 550
    record(store, steps(551, 1100), offset=250)
    found = series.series(store, [1], ["batch_loss"])[1, "batch_loss"]
    assert list(found.steps) == list(range(1, 1101))
    with store.read() as conn:
        chunks = select(SERIES_CHUNKS.c.points).where(SERIES_CHUNKS.c.name == "batch_loss")
        assert list(conn.scalars(chunks.order_by(SERIES_CHUNKS.c.chunk))) == [512, 512, 76]


def test_an_epoch_that_ended_at_the_checkpoints_step_but_after_it_is_taken_back(
    store: Store,
) -> None:
    running(store)
    record(store, started(), steps(1, 10), checkpoint(10), offset=100)  # before the validation
    record(store, epoch(1), offset=200)
    lifecycle.rewind(store, 1, 1, offset=100, step=10, epochs=0)
    assert len(points(store, "batch_loss")) == 10
    assert runs.get_run(store, 1).epoch == 0
    record(store, epoch(1), offset=200)
    assert len(points(store, "val_accuracy")) == 1
    assert [kind for _, kind in told(store)].count("epoch_finished") == 1


def test_rewind_summarizes_anew(store: Store) -> None:
    running(store)
    record(store, epoch(1, val_accuracy=0.4), epoch(2, val_accuracy=0.9), offset=10)
    lifecycle.rewind(store, 1, 1, offset=5, step=10, epochs=1)
    summary = series.summaries(store, [1])[1, "val_accuracy"]
    assert (summary.best, summary.last, summary.best_epoch) == (0.4, 0.4, 1)
    assert runs.get_run(store, 1).epoch == 1


def test_a_fresh_start_forgets_all_that_was_said(store: Store) -> None:
    running(store)
    record(store, started(), log("a"), steps(1, 10), epoch(1), progress(3), offset=100)
    lifecycle.crashed(store, 1, 1, "", 3)
    claimed(store)
    lifecycle.rewind(store, 1, 2, offset=0, step=0, epochs=0)
    run = runs.get_run(store, 1)
    assert (run.events_offset, run.epoch, run.progress, run.started) == (0, 0, {}, {})
    assert (run.checkpoint_attempt, run.checkpoint_step) == (None, None)
    assert series.series(store, [1]) == {}
    assert series.summaries(store, [1]) == {}
    kinds = [kind for _, kind in told(store)]
    assert kinds == ["state", "state", "state", "state", "rewound"]


def test_rewinding_nothing_is_not_told(store: Store) -> None:
    running(store)
    lifecycle.rewind(store, 1, 1, offset=0, step=0, epochs=0)
    record(store, steps(1, 10), offset=100)
    before = everything(store)
    lifecycle.rewind(store, 1, 1, offset=100, step=10, epochs=1)
    assert everything(store) == before


def test_rewind_leaves_other_runs_alone(store: Store) -> None:
    ready_dataset(store)
    for number in (1, 2):
        queued(store)
        claimed(store)
        lifecycle.record(store, number, 1, lease_s=60, events=[steps(1, 10), epoch(1)])
    lifecycle.rewind(store, 1, 1, offset=0, step=0, epochs=0)
    assert len(series.series(store, [1, 2])) == 7
    with store.read() as conn:
        count = select(func.count()).where(RUN_EVENTS.c.run_id == 2)
        assert conn.scalar(count) == 4
