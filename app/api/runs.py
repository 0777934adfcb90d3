"""Runs: submitted, listed, looked at, cancelled, noted, and reported by scripts outside."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from app.answers import (
    EvaluationsOut,
    EventsOut,
    LogOut,
    ReportedOut,
    ResourcesOut,
    RunOut,
    RunsOut,
    SeriesOut,
)
from app.api.leaderboard import BulkOut, bulk_out
from app.api.run_wishes import PRIORITY_LIMIT
from app.bodies import SpecBody, described_as
from app.bulk import Done
from app.dependencies import (
    BellDep,
    IdempotencyKey,
    JsonBody,
    Owner,
    RunDep,
    RunId,
    SettingsDep,
    StoreDep,
    accepts,
)
from app.errors import field_error
from app.leaderboard import chosen_columns, table
from app.leaks import ACKNOWLEDGE_LEAKS
from app.outputs import evaluations_out, event_out, log_out, run_out, run_outs, series_columns
from app.submit import cancel_run, submit
from app.texts import NOTE_LIMIT
from store.deletion import delete_runs
from store.events import events_after, log_length, log_lines
from store.labels import pin, set_tags
from store.query_language import LENGTH_LIMIT
from store.resources import Sample, samples
from store.rows import SeriesPoints
from store.run_fields import run_fields
from store.run_list import Archived, order_of, wanted_runs
from store.runs import get_run, list_runs, report_external, update_note
from store.series import series, series_names
from store.values import ID_LIMIT
from trainer.errors import Conflict, FieldError, InvalidInput
from trainer.events import Event, parse_event, parse_events

LINES_TYPES = ("application/x-ndjson", "application/jsonl")
EVENTS_LIMIT = 10_000  # in one report
EXAMPLE_SPEC = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "timm/tf_efficientnet_lite0", "weights": "package"},
    "freeze": {"layers": "backbone"},
    "training": {"epochs": 5},
}

router = APIRouter(prefix="/runs", tags=["runs"])


AcknowledgeLeaks = Annotated[bool, Query(description=ACKNOWLEDGE_LEAKS)]


class RunChange(BaseModel):
    """What to change of a run; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    note: str | None = Field(
        None, max_length=NOTE_LIMIT, examples=["The one with the broken loader."]
    )
    tags: list[str] | None = Field(None, description="All of its tags.", examples=[["paper"]])
    pinned: bool | None = Field(
        None, description="Whether it is its dataset's baseline, in place of another."
    )


@router.post(
    "",
    status_code=201,
    response_model=RunOut,
    responses={200: {"model": RunOut, "description": "This key has made this run before."}},
    openapi_extra=described_as({"$ref": "#/components/schemas/ExperimentSpec"}, EXAMPLE_SPEC),
)
def create(
    response: Response,
    spec: SpecBody,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    priority: Annotated[
        int, Query(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Higher goes first.")
    ] = 0,
    study: Annotated[int | None, Query(ge=1, le=ID_LIMIT, description="Study to join.")] = None,
    external: Annotated[
        bool, Query(description="A script reports the run's events; no worker trains it.")
    ] = False,
    note: Annotated[str, Query(max_length=NOTE_LIMIT)] = "",
    acknowledge_leaks: AcknowledgeLeaks = False,
    idempotency_key: IdempotencyKey = None,
) -> RunOut:
    """Queue a run. A dataset of the catalogue is prepared on first use."""
    run, created = submit(
        store,
        settings,
        bell,
        spec,
        owner=owner,
        priority=priority,
        study_id=study,
        idempotency_key=idempotency_key,
        external=external,
        note=note,
        acknowledge_leaks=acknowledge_leaks,
    )
    response.status_code = 201 if created else 200
    response.headers["location"] = f"/api/v1/runs/{run.id}"
    return run_out(store, run)


@router.get("")
def index(
    store: StoreDep,
    status: Annotated[list[str] | None, Query(description="One or several.")] = None,
    dataset: Annotated[str | None, Query(max_length=100)] = None,
    study: Annotated[int | None, Query(ge=1, le=ID_LIMIT)] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Part of the name, note or a tag; or id.")
    ] = None,
    filter: Annotated[  # noqa: A002 - the parameter's name everywhere
        str | None,
        Query(
            max_length=LENGTH_LIMIT,
            description="Such as `optimizer.lr < 0.01 and best_val_accuracy > 90%`; see "
            "docs/leaderboard.md. `GET /api/v1/runs/fields` lists the names.",
        ),
    ] = None,
    sort: Annotated[
        str,
        Query(max_length=100, description="A field or metric; with - before it, greatest first."),
    ] = "-id",
    columns: Annotated[
        list[str] | None,
        Query(description="Fields whose values `table` holds; with commas, or several times."),
    ] = None,
    archived: Annotated[
        Archived | None, Query(description="Archived runs: without them, them alone, or all.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> RunsOut:
    """List runs, newest first or sorted by any field or metric."""
    fields = run_fields(store)
    wanted = wanted_runs(
        fields,
        status=status,
        study_id=study,
        dataset=dataset,
        text=q,
        filter=filter,
        archived=archived,
    )
    page = list_runs(store, wanted, order_of(sort, fields), limit=limit, cursor=cursor)
    runs = run_outs(store, page.rows)
    shown = table(store, runs, chosen_columns(columns, fields)) if columns else []
    return RunsOut(runs=runs, table=shown, next_cursor=page.next_cursor)


@router.get("/{run_id}")
def show(store: StoreDep, run: RunDep) -> RunOut:
    """Return a run."""
    return run_out(store, run)


@router.patch("/{run_id}", dependencies=[JsonBody])
def change(store: StoreDep, run_id: RunId, change: RunChange) -> RunOut:
    """Write a run's note or tags, or pin it; this works on ended runs as well."""
    if change.tags is not None:
        set_tags(store, run_id, change.tags)
    if change.pinned is not None:
        pin(store, run_id, pinned=change.pinned)
    if change.note is not None:
        update_note(store, run_id, change.note)
    return run_out(store, get_run(store, run_id))


@router.delete("/{run_id}")
def delete(store: StoreDep, settings: SettingsDep, run: RunDep) -> BulkOut:
    """Remove an ended run for good, and its files; 409 while it is needed."""
    found = delete_runs(store, settings, [run.id])
    if found.refused:
        raise Conflict(f"Run {run.id} is not deleted. {found.refused[run.id]}")
    return bulk_out(Done("delete", found.run_ids, {}, found))


@router.post("/{run_id}/cancel")
def cancel(store: StoreDep, bell: BellDep, run_id: RunId) -> RunOut:
    """Cancel a run: a queued one at once, a running one within seconds; 409 when it has ended."""
    return run_out(store, cancel_run(store, bell, run_id))


@router.get("/{run_id}/events")
def events(
    store: StoreDep,
    run: RunDep,
    after: Annotated[int, Query(ge=0, le=ID_LIMIT, description="Sequence number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> EventsOut:
    """Return what happened to a run, oldest first."""
    rows = events_after(store, run.id, after, limit + 1)
    shown = rows[:limit]
    return EventsOut(
        events=[event_out(row) for row in shown],
        last_seq=shown[-1].seq if shown else after,
        more=len(rows) > limit,
    )


async def _read_events(
    request: Request, media_type: Annotated[str, Depends(accepts("application/json", *LINES_TYPES))]
) -> list[Event]:
    return await run_in_threadpool(_parsed_events, await request.body(), media_type)


@router.post(
    "/{run_id}/events",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
                **{name: {"schema": {"type": "string"}} for name in LINES_TYPES},
            },
        }
    },
)
def report(
    store: StoreDep, run: RunDep, said: Annotated[list[Event], Depends(_read_events)]
) -> ReportedOut:
    """Store what a script says of its external run, as the trainer's own events.

    Send a JSON list, or JSON Lines. `run_finished` and `run_failed` end the run. All or nothing:
    where one event is wrong, none is stored.
    """
    return ReportedOut(accepted=len(said), run=run_out(store, report_external(store, run.id, said)))


@router.get("/{run_id}/series")
def show_series(
    store: StoreDep,
    run: RunDep,
    name: Annotated[
        list[str] | None, Query(description="Which series; all where left out.")
    ] = None,
    max_points: Annotated[
        int | None,
        Query(ge=4, le=1_000_000, description="Down-sample series that are longer than this."),
    ] = None,
) -> SeriesOut:
    """Return metric series in columns."""
    known = series_names(store, [run.id])
    wanted = known if name is None else name
    found = series(store, [run.id], wanted)
    return SeriesOut(
        run=run.id,
        series={
            key: series_columns(found.get((run.id, key), SeriesPoints()), max_points)
            for key in wanted
        },
        names=known,
    )


@router.get("/{run_id}/log")
def show_log(
    store: StoreDep,
    run: RunDep,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    q: Annotated[str, Query(max_length=200, description="Only lines that hold this.")] = "",
) -> LogOut:
    """Return the newest lines of a run's log, oldest first."""
    return log_out(log_lines(store, run.id, limit, q.strip()), log_length(store, run.id, q.strip()))


@router.get("/{run_id}/resources")
def show_resources(
    store: StoreDep, run: RunDep, max_samples: Annotated[int, Query(ge=1, le=10_000)] = 1000
) -> ResourcesOut:
    """Return what a run's trainer used over time, in columns of equal length."""
    found = samples(store, run.id, max_samples)
    return ResourcesOut(
        run=run.id,
        **{name: [getattr(one, name) for one in found] for name in Sample.__dataclass_fields__},
    )


@router.get("/{run_id}/evaluations")
def show_evaluations(store: StoreDep, settings: SettingsDep, run: RunDep) -> EvaluationsOut:
    """Return confusion matrices and figures by class, once a split has been evaluated."""
    return evaluations_out(store, settings, run)


def _parsed_events(body: bytes, media_type: str) -> list[Event]:
    """Return the events in a report.

    Raises:
        InvalidInput: With the first event that is none.
    """
    items: list[bytes | str] = []
    if media_type == "application/json":
        with suppress(ValidationError):  # what is wrong is found out below, event by event
            found = parse_events(body)
            if len(found) <= EVENTS_LIMIT:
                return found
        try:
            listed = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InvalidInput.of(FieldError("", None, f"JSON ({error})")) from error
        if not isinstance(listed, list):
            raise InvalidInput.of(FieldError("events", type(listed).__name__, "a list of events"))
        items += (json.dumps(item) for item in listed)
    else:
        items += (line for line in body.split(b"\n") if line.strip())
    if len(items) > EVENTS_LIMIT:
        raise InvalidInput.of(
            FieldError("events", len(items), f"at most {EVENTS_LIMIT:,} events at once")
        )
    return [_parsed_event(number, item) for number, item in enumerate(items)]


def _parsed_event(number: int, item: bytes | str) -> Event:
    try:
        return parse_event(item)
    except ValidationError as error:
        found = []
        for problem in error.errors(include_url=False):
            # The first part of the place is the kind, by which the event's model was chosen.
            path = [str(part) for part in problem["loc"][1:]]
            found.append(field_error(problem, [f"events.{number}", *path]))
        raise InvalidInput.of(*found) from error
