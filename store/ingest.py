"""How an attempt's events become rows: appended with `record`, taken back with `rewind`.

Each call is one transaction that begins with the fence (run, attempt, running), so an attempt
that lost its run changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from store import series
from store.database import Store, upsert
from store.rows import SeriesPoints
from store.states import PASSING_KINDS, LostRun, Status, owned
from store.tables import EVALUATIONS, RUN_EVENTS, RUNS
from store.values import plain_json
from trainer import events as said
from trainer.events import Event

OWN_KINDS = ("state", "rewound")
"""Events that the store itself adds."""
EPOCH_SERIES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")
"""Fields of `epoch_finished` that are series."""


@dataclass(frozen=True)
class Recorded:
    """What the supervisor learns when it writes."""

    cancel_requested: bool
    pause_requested: bool
    events_offset: int
    """Bytes of events.jsonl now in the database; go on reading from there."""


def record(
    store: Store,
    run_id: int,
    attempt: int,
    *,
    lease_s: float,
    events: Sequence[Event] = (),
    offset: int | None = None,
) -> Recorded:
    """Renew the lease, store events, and say whether the run is to be cancelled or paused.

    Args:
        lease_s: Seconds from now after which the run may be taken away.
        events: What the trainer said, in order; empty for a mere heartbeat.
        offset: Length of events.jsonl up to the last of them. A batch whose offset is not past
            the stored one is in the database already and is not stored again. None: a batch
            from elsewhere, always stored.

    Raises:
        LostRun: If the attempt does not own the run; nothing is changed.
        Unavailable: If the database does not answer; the batch may or may not be stored, so
            send the same batch again, or read on from the `events_offset` that is answered then.
    """
    with store.write() as conn:
        fence = conn.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id, RUNS.c.attempt == attempt, RUNS.c.status == Status.RUNNING)
            .values(lease_expires_at=store.clock() + lease_s)
            .returning(
                RUNS.c.cancel_requested,
                RUNS.c.pause_requested,
                RUNS.c.events_offset,
                RUNS.c.event_seq,
            )
        ).one_or_none()
        if fence is None:
            raise LostRun.of(run_id, attempt)
        if offset is not None and offset <= fence.events_offset:
            return Recorded(fence.cancel_requested, fence.pause_requested, fence.events_offset)
        stored = fence.events_offset if offset is None else offset
        if events or stored != fence.events_offset:
            changes = store_events(conn, run_id, events, fence.event_seq, attempt)
            conn.execute(
                update(RUNS).where(RUNS.c.id == run_id).values(**changes, events_offset=stored)
            )
        return Recorded(fence.cancel_requested, fence.pause_requested, stored)


def rewind(store: Store, run_id: int, attempt: int, *, offset: int, step: int, epochs: int) -> None:
    """Take back what was recorded after the checkpoint that the attempt goes on from.

    A `rewound` event tells pages to read anew; it is left out where nothing was taken back.

    Args:
        offset: Bytes of events.jsonl that the checkpoint keeps; 0 for a fresh start.
        step: The checkpoint's step; 0 for a fresh start.
        epochs: Epochs that had ended by then. One more may have ended at the same step, after
            the checkpoint: a worker that is told to stop saves before a validation, too.

    Raises:
        LostRun: If the attempt does not own the run; nothing is changed.
    """
    with store.write() as conn:
        run = owned(conn, run_id, attempt)
        past = or_(
            RUN_EVENTS.c.step > step,
            and_(
                RUN_EVENTS.c.kind == "epoch_finished",
                RUN_EVENTS.c.payload["epoch"].as_integer() > epochs,
            ),
        )
        if offset == 0:  # the file is empty again: everything it said is said anew
            past = or_(past, RUN_EVENTS.c.kind.not_in(OWN_KINDS))
        dropped = conn.execute(
            delete(RUN_EVENTS).where(RUN_EVENTS.c.run_id == run_id, past)
        ).rowcount
        evaluated = conn.execute(delete(EVALUATIONS).where(EVALUATIONS.c.run_id == run_id)).rowcount
        shortened = series.truncate(conn, run_id, step, epochs, EPOCH_SERIES)
        changes: dict[str, Any] = {"events_offset": offset, "finished": {}}
        if step == 0:
            changes |= {"checkpoint_attempt": None, "checkpoint_step": None}
        if dropped or evaluated or shortened:
            changes |= {"epoch": epochs, "progress": _newest_progress(conn, run_id)}
            changes |= {"started": {}} if offset == 0 else {}
            changes["event_seq"] = run.event_seq + 1
            conn.execute(
                insert(RUN_EVENTS).values(
                    run_id=run_id,
                    seq=run.event_seq + 1,
                    kind="rewound",
                    time=store.clock(),
                    payload={"step": step},
                )
            )
        conn.execute(update(RUNS).where(RUNS.c.id == run_id).values(**changes))


def _newest_progress(conn: Connection, run_id: int) -> dict[str, Any]:
    payload: dict[str, Any] | None = conn.scalar(
        select(RUN_EVENTS.c.payload)
        .where(RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.kind == "progress")
        .order_by(RUN_EVENTS.c.seq.desc())
        .limit(1)
    )
    return payload or {}


@dataclass
class _Batch:
    """What a batch of events adds up to."""

    step: int
    changes: dict[str, Any] = field(default_factory=dict)
    points: dict[str, SeriesPoints] = field(default_factory=dict)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


def store_events(
    conn: Connection, run_id: int, events: Sequence[Event], seq: int, attempt: int
) -> dict[str, Any]:
    """Write the rows of events of a run whose row is locked; return the run's changed columns.

    Args:
        seq: Number of the run's newest event.
        attempt: Whose checkpoints these are; 0 for an external run.
    """
    run = conn.execute(select(RUNS.c.progress, RUNS.c.started).where(RUNS.c.id == run_id)).one()
    batch = _Batch(step=run.progress.get("step") or 0)
    steps_per_epoch = run.started.get("steps_per_epoch")
    newest = {event.kind: number for number, event in enumerate(events)}
    for number, event in enumerate(events):
        if isinstance(event, said.RunStarted):
            steps_per_epoch = event.steps_per_epoch
        _add(batch, event, attempt, steps_per_epoch)
        if event.kind in PASSING_KINDS and newest[event.kind] != number:
            continue
        seq += 1
        batch.rows.append(
            {
                "run_id": run_id,
                "seq": seq,
                "kind": event.kind,
                "time": event.time,
                "step": batch.step,
                "payload": _payload(event),
            }
        )
    if batch.rows:
        conn.execute(insert(RUN_EVENTS), batch.rows)
    series.append(conn, run_id, batch.points)
    upsert(
        conn,
        EVALUATIONS,
        [{"run_id": run_id, **row} for row in batch.evaluations.values()],
        ("run_id", "split"),
    )
    return {**batch.changes, "event_seq": seq}


def _add(batch: _Batch, event: Event, attempt: int, steps_per_epoch: int | None) -> None:
    """Add what one event says to the batch."""
    match event:
        case said.RunStarted():
            batch.changes["started"] = event.model_dump(exclude={"kind"})
            batch.step = event.resumed_from_step or 0
        case said.Progress():
            batch.changes["progress"] = event.model_dump(exclude={"kind"})
            batch.step = event.step
        case said.StepsRecorded():
            batch.step = max(event.steps, default=batch.step)
            _add_steps(batch.points, event, steps_per_epoch)
        case said.EpochFinished():
            batch.step = event.step
            batch.changes["epoch"] = event.epoch
            for name in EPOCH_SERIES:
                _extend(
                    batch.points,
                    name,
                    [event.step],
                    [event.epoch],
                    [event.elapsed_s],
                    [getattr(event, name)],
                )
        case said.Checkpointed():
            batch.changes |= {
                "checkpoint_attempt": attempt,
                "checkpoint_step": event.step,
                "crashes": 0,
            }
        case said.Evaluated():
            batch.evaluations[event.split] = plain_json(event.model_dump(exclude={"kind", "time"}))
        case said.RunFinished():
            batch.changes["finished"] = event.model_dump(exclude={"kind"})
        case said.Resources() | said.Warned() | said.Logged() | said.RunFailed():
            pass


def _add_steps(
    points: dict[str, SeriesPoints], event: said.StepsRecorded, steps_per_epoch: int | None
) -> None:
    epochs: list[float] = (
        [step / steps_per_epoch for step in event.steps]
        if steps_per_epoch
        else [float(event.epoch)] * len(event.steps)
    )
    for name, values in (("batch_loss", event.loss), ("batch_learning_rate", event.learning_rate)):
        _extend(points, name, event.steps, epochs, event.elapsed_s, values)


def _extend(
    points: dict[str, SeriesPoints],
    name: str,
    steps: Sequence[int],
    epochs: Sequence[float],
    elapsed_s: Sequence[float],
    values: Sequence[float],
) -> None:
    columns = points.setdefault(name, SeriesPoints())
    columns.steps.extend(steps)
    columns.epochs.extend(epochs)
    columns.elapsed.extend(elapsed_s)
    columns.values.extend(values)


def _payload(event: Event) -> Mapping[str, Any]:
    """Return what pages are told; an evaluation's matrix has a table of its own."""
    left_out = {"kind"}
    if isinstance(event, said.Evaluated):
        left_out |= {"confusion", "classes"}
    return event.model_dump(exclude=left_out)
