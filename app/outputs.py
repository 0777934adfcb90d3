"""How rows become what the API answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.answers import (
    ContinuesOut,
    DatasetOut,
    ErrorOut,
    EvaluationOut,
    EvaluationsOut,
    EventOut,
    JobOut,
    JobProgress,
    LogLine,
    LogOut,
    MetricOut,
    ProgressOut,
    QueueOut,
    RunOut,
    SeriesColumns,
    WorkerOut,
)
from app.leaks import Clean, clean_accuracies
from app.sampling import kept_indices
from app.steps import step_outs, sweep_out
from app.study_answers import BestOut, StudyOut
from store.database import Store
from store.evaluations import evaluations
from store.labels import Labels, labels
from store.rows import (
    DatasetRow,
    EvaluationRow,
    EventRow,
    JobRow,
    QueuePlace,
    RunRow,
    SeriesPoints,
    StudyRow,
    SummaryRow,
)
from store.runs import queue_places
from store.series import summaries
from store.settings import Settings
from store.study_results import RESULT, Member
from store.workers import get_worker, list_workers
from trainer.published import Published

WORKERS_SHOWN_S = 600.0  # silent ones stay visible for a while, so that a crash is noticed


def run_out(store: Store, row: RunRow) -> RunOut:
    """Return one run as the API shows it."""
    return run_outs(store, [row])[0]


def run_outs(store: Store, rows: Sequence[RunRow]) -> list[RunOut]:
    """Return runs as the API shows them, in the same order."""
    metrics: dict[int, dict[str, MetricOut]] = {row.id: {} for row in rows}
    if rows:
        for (run_id, name), summary in summaries(store, list(metrics)).items():
            metrics[run_id][name] = _metric(summary)
    for row in rows:
        _name_kept_epoch(row, metrics[row.id])
    queued = [row.id for row in rows if row.status == "queued"]
    places = queue_places(store, queued) if queued else {}
    put_on = labels(store, list(metrics)) if rows else {}
    return [
        _run(row, metrics[row.id], places.get(row.id), put_on.get(row.id, Labels())) for row in rows
    ]


def event_out(row: EventRow) -> EventOut:
    """Return an event as the API and the stream show it."""
    return EventOut(
        run=row.run_id,
        seq=row.seq,
        kind=row.kind,
        time=row.time,
        step=row.step,
        payload=row.payload,
    )


def series_columns(points: SeriesPoints, max_points: int | None) -> SeriesColumns:
    """Return a series in columns, down-sampled where it is longer than `max_points`."""
    total = len(points)
    kept: Iterable[int] = range(total)
    if max_points is not None:
        kept = kept_indices(points.values, max_points)
    kept = list(kept)
    return SeriesColumns(
        step=[points.steps[index] for index in kept],
        epoch=[points.epochs[index] for index in kept],
        elapsed_s=[points.elapsed[index] for index in kept],
        value=[_finite(points.values[index]) for index in kept],
        points_total=total,
        sampled=len(kept) < total,
    )


def log_out(rows: Iterable[EventRow], total: int) -> LogOut:
    """Return log lines, warnings and a failure as lines of one log that has `total`."""
    return LogOut(lines=[_log_line(row) for row in rows], total=total)


def evaluations_out(store: Store, settings: Settings, run: RunRow) -> EvaluationsOut:
    """Return the evaluations of a run."""
    rows = evaluations(store, [run.id])
    without = clean_accuracies(store, settings, {run.id: run.spec}, rows)
    return EvaluationsOut(evaluations=[_evaluation(row, without) for row in rows])


def job_out(row: JobRow) -> JobOut:
    """Return a job as the API shows it."""
    url = f"/api/v1/jobs/{row.id}"
    return JobOut(
        id=row.id,
        kind=row.kind,
        run=row.run_id,
        dataset=row.payload.get("dataset"),
        state=row.state,
        progress=_job_progress(row),
        owner=row.owner,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        request={key: value for key, value in row.payload.items() if key != "inputs"},
        result=row.result,
        error=_error(row.error),
        file=f"{url}/file" if row.state == "succeeded" and "file" in row.payload else None,
        url=url,
    )


def _job_progress(row: JobRow) -> JobProgress | None:
    told = row.progress
    if row.is_over or not {"done", "total"} <= told.keys():
        return None
    return JobProgress(what=str(told.get("what", "")), done=told["done"], total=told["total"])


def study_out(row: StudyRow, runs: list[RunOut], best: Member | None = None) -> StudyOut:
    """Return a study as the API shows it.

    Args:
        best: Its best run; where left out, that of `runs`.
    """
    return StudyOut(
        id=row.id,
        name=row.name,
        owner=row.owner,
        note=row.note,
        created_at=row.created_at,
        counts=row.counts,
        is_over=row.is_over,
        stopped_at=row.stopped_at,
        ended_at=row.ended_at,
        best=_best(runs) if best is None else _best_out(best.run_id, best.name, best.accuracy),
        webhook=row.webhook_url,
        runs=runs,
        steps=step_outs(row),
        sweep=None if row.sweep is None else sweep_out(row.sweep),
        url=f"/studies/{row.id}",
    )


def dataset_out(row: DatasetRow) -> DatasetOut:
    """Return a dataset as the API shows it."""
    summary = row.summary
    skipped = summary.get("skipped", [])
    return DatasetOut(
        name=row.name,
        title=row.title or row.name,
        kind=row.kind,
        source=row.source,
        status=row.status,
        owner=row.owner,
        created_at=row.created_at,
        progress=row.progress,
        error=_error(row.error),
        fingerprint=row.fingerprint,
        classes=summary.get("classes", []),
        counts=summary.get("counts", {}),
        splits=summary.get("splits", {}),
        samples=summary.get("samples", 0),
        skipped=skipped,
        skipped_total=summary.get("skipped_total", len(skipped)),
        misnamed=summary.get("misnamed", []),
        misnamed_total=summary.get("misnamed_total", 0),
        duplicates=summary.get("duplicates"),
        note=summary.get("note", ""),
        labelled=row.labelled,
        description=row.description,
        former_names=row.former_names,
        measures=summary.get("measures", {}),
        url=f"/datasets/{row.name}",
    )


def workers_out(store: Store) -> list[WorkerOut]:
    """Return the workers heard of lately."""
    rows = list_workers(store, WORKERS_SHOWN_S)
    with store.read() as conn:
        now = store.now(conn)
    return [WorkerOut(**vars(row), age_s=max(0.0, now - row.heartbeat_at)) for row in rows]


def worker_out(store: Store, worker_id: str) -> WorkerOut:
    """Return a worker heard of, however long ago.

    Raises:
        NotFound: If there is none of that id.
    """
    row = get_worker(store, worker_id)
    with store.read() as conn:
        now = store.now(conn)
    return WorkerOut(**vars(row), age_s=max(0.0, now - row.heartbeat_at))


def _run(
    row: RunRow, metrics: dict[str, MetricOut], place: QueuePlace | None, put_on: Labels
) -> RunOut:
    return RunOut(
        id=row.id,
        name=row.name,
        owner=row.owner,
        status=row.status,
        study_id=row.study_id,
        dataset=row.dataset_name,
        spec=row.spec,
        note=row.note,
        tags=list(put_on.tags),
        pinned=put_on.pinned,
        archived_at=row.archived_at,
        external=row.external,
        priority=row.priority,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempt=row.attempt,
        epoch=row.epoch,
        epochs=row.epochs,
        progress=_progress(row.progress),
        parameters_total=row.started.get("parameters_total"),
        parameters_trained=row.started.get("parameters_trained"),
        device=row.started.get("device"),
        metrics=metrics,
        queue=None if place is None else QueueOut(**vars(place)),
        error=_error(row.error),
        cancel_requested=row.cancel_requested,
        pause_requested=row.pause_requested,
        elapsed_s=row.finished.get("elapsed_s", row.progress.get("elapsed_s")),
        leaks_acknowledged=row.leaks_acknowledged,
        published=None if row.published is None else Published.model_validate(row.published),
        continues=_continues(row),
        event_seq=row.event_seq,
        url=f"/runs/{row.id}",
    )


def _best(runs: Sequence[RunOut]) -> BestOut | None:
    known = [(run, run.metrics[RESULT].best) for run in runs if RESULT in run.metrics]
    found = [(accuracy, -run.id, run.name) for run, accuracy in known if accuracy is not None]
    if not found:
        return None
    accuracy, number, name = max(found)
    return _best_out(-number, name, accuracy)


def _best_out(run_id: int, name: str, accuracy: float | None) -> BestOut:
    return BestOut(run=run_id, name=name, best_val_accuracy=accuracy or 0.0)


def _continues(row: RunRow) -> ContinuesOut | None:
    if row.continues_run is None:
        return None
    return ContinuesOut(run=row.continues_run, epoch=row.continues_epoch or 0)


def _log_line(row: EventRow) -> LogLine:
    said = row.payload
    if row.kind == "log":
        return LogLine(seq=row.seq, time=row.time, level=said["level"], message=said["message"])
    level = "warning" if row.kind == "warning" else "error"
    message = f"{said['title']}: {said['detail']} {said['remedy']}".rstrip()
    return LogLine(seq=row.seq, time=row.time, level=level, message=message)


def _metric(row: SummaryRow) -> MetricOut:
    return MetricOut(
        last=row.last,
        best=row.best,
        best_epoch=row.best_epoch,
        minimum=row.minimum,
        maximum=row.maximum,
        points=row.points,
    )


def _name_kept_epoch(row: RunRow, metrics: Mapping[str, MetricOut]) -> None:
    """Among equally good epochs, name the one whose weights an ended run has kept."""
    kept = row.finished.get("best_epoch")
    chosen_by = metrics.get(row.spec.get("training", {}).get("best_by", "val_accuracy"))
    if kept is not None and chosen_by is not None:
        chosen_by.best_epoch = kept


def _progress(event: Mapping[str, Any]) -> ProgressOut | None:
    if not event:
        return None
    fraction = event["step"] / event["steps"] if event["steps"] else 0.0
    known = {name: event[name] for name in ProgressOut.model_fields if name in event}
    return ProgressOut(**known, fraction=min(1.0, max(0.0, fraction)))


def _error(error: Mapping[str, Any] | None) -> ErrorOut | None:
    return None if error is None else ErrorOut.model_validate(error)


def _evaluation(row: EvaluationRow, without: Mapping[tuple[int, str], Clean]) -> EvaluationOut:
    found = without.get((row.run_id, row.split))
    known = {name: getattr(row, name) for name in EvaluationOut.model_fields if hasattr(row, name)}
    return EvaluationOut(
        **known,
        leaked=found.leaked if found else 0,
        accuracy_without_leaked=found.accuracy if found else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
