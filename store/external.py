"""Runs trained outside Tuneboard: their scripts report the events themselves."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from store.database import Store
from store.ingest import store_events
from store.rows import RunRow
from store.states import Status, move
from store.tables import RUNS
from store.values import ID_LIMIT, is_id
from trainer import events as said
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound
from trainer.events import Event


def report_external(store: Store, run_id: int, events: Sequence[Event]) -> RunRow:
    """Store what a script outside says of its run; `run_finished` and `run_failed` end it.

    Raises:
        NotFound: If there is no such run.
        Conflict: If a worker trains it, or if it has ended.
        InvalidInput: If an event cannot be stored; none is then.
    """
    _check(events)
    with store.write() as conn:
        row = None
        if is_id(run_id):
            row = conn.execute(
                select(RUNS).where(RUNS.c.id == run_id).with_for_update()
            ).one_or_none()
        if row is None:
            raise NotFound(f"There is no run {run_id}.")
        run = RunRow(**row._mapping)
        if not run.external:
            raise Conflict(
                f"Run {run_id} is trained by Tuneboard; only external runs take events.",
                "Create the run with `external: true`.",
            )
        if run.is_terminal:
            raise Conflict(f"Run {run_id} has {run.status}; ended runs never change.")
        changes = store_events(conn, run_id, [_local(event) for event in events], run.event_seq, 0)
        row = conn.execute(
            update(RUNS).where(RUNS.c.id == run_id).values(**changes).returning(*RUNS.c)
        ).one()
        run = RunRow(**row._mapping)
        for event in events:
            ended = None
            if isinstance(event, said.RunFinished):
                ended = move(conn, store, RUNS.c.id == run_id, Status.RUNNING, Status.SUCCEEDED)
            elif isinstance(event, said.RunFailed):
                error = {"title": event.title, "detail": event.detail, "remedy": event.remedy}
                ended = move(
                    conn,
                    store,
                    RUNS.c.id == run_id,
                    Status.RUNNING,
                    Status.FAILED,
                    detail=event.title,
                    error=error,
                )
            run = ended or run
        return run


def _check(events: Sequence[Event]) -> None:
    ended = False
    for number, event in enumerate(events):
        where = f"events.{number}"
        if ended:
            raise InvalidInput.of(
                FieldError(f"{where}.kind", event.kind, "absent: the event before it ends the run")
            )
        ended = isinstance(event, said.RunFinished | said.RunFailed)
        if isinstance(event, said.Checkpointed):
            raise InvalidInput.of(
                FieldError(
                    f"{where}.kind",
                    event.kind,
                    "another kind: external runs keep their own checkpoints",
                )
            )
        if isinstance(event, said.StepsRecorded):
            lengths = {
                len(column)
                for column in (event.steps, event.elapsed_s, event.loss, event.learning_rate)
            }
            if len(lengths) > 1:
                raise InvalidInput.of(
                    FieldError(f"{where}.steps", event.steps[:5], "a column as long as the others")
                )
        steps = event.steps if isinstance(event, said.StepsRecorded) else []
        for value in (*steps, getattr(event, "step", 0), getattr(event, "epoch", 0)):
            if not 0 <= value <= ID_LIMIT:
                raise InvalidInput.of(
                    FieldError(f"{where}.step", value, f"between 0 and {ID_LIMIT}")
                )


def _local(event: Event) -> Event:
    """Return the event without a path: nothing of an external run lies in our folders."""
    if isinstance(event, said.Evaluated):
        return event.model_copy(update={"predictions_file": ""})
    return event
