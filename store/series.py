"""Metric series: packed columns in chunks, and the small table of last and best values.

All chunks of a series but its last hold `CHUNK_POINTS` points, so the number of points, which the
summary keeps, says where the next one goes.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, select, tuple_

from store.database import Store, upsert
from store.rows import SeriesPoints, SummaryRow
from store.tables import METRIC_SUMMARIES, RUNS, SERIES_CHUNKS, SPEC_FIELDS

CHUNK_POINTS = 512
FETCHED_CHUNKS = 64  # held in memory at a time while a long series is read
Column = Literal["steps", "epochs", "elapsed", "values"]
_COLUMNS: tuple[Column, ...] = ("steps", "epochs", "elapsed", "values")
_TYPES: dict[Column, str] = {"steps": "i", "epochs": "f", "elapsed": "f", "values": "d"}
_PLACE = tuple_(SERIES_CHUNKS.c.name, SERIES_CHUNKS.c.chunk)


@dataclass(frozen=True)
class Point:
    """One value of a series."""

    step: int
    epoch: float
    """A step's place within its epoch is the fraction."""
    elapsed_s: float
    value: float
    """May be NaN or infinite."""


def series(
    store: Store, run_ids: Sequence[int], names: Sequence[str] | None = None
) -> dict[tuple[int, str], SeriesPoints]:
    """Return the series of those runs (and names) that exist, by run and name."""
    return {
        (run_id, name): SeriesPoints(*columns)
        for run_id, name, columns in each_series(store, run_ids, names)
    }


def each_series(
    store: Store,
    run_ids: Sequence[int],
    names: Sequence[str] | None = None,
    columns: Sequence[Column] = _COLUMNS,
) -> Iterator[tuple[int, str, list[array[Any]]]]:
    """Yield (run, name, columns) of the series that exist, by run and name, one at a time.

    Only the columns asked for are read, and no more than one series is held in memory.
    """
    query = select(
        SERIES_CHUNKS.c.run_id, SERIES_CHUNKS.c.name, *(SERIES_CHUNKS.c[name] for name in columns)
    ).where(SERIES_CHUNKS.c.run_id.in_(run_ids))
    if names is not None:
        query = query.where(SERIES_CHUNKS.c.name.in_(names))
    query = query.order_by(SERIES_CHUNKS.c.run_id, SERIES_CHUNKS.c.name, SERIES_CHUNKS.c.chunk)
    with store.read() as conn:
        rows = conn.execute(query.execution_options(yield_per=FETCHED_CHUNKS))
        key: tuple[int, str] | None = None
        found: list[array[Any]] = []
        for run_id, name, *packed in rows:
            if key != (run_id, name):
                if key is not None:
                    yield *key, found
                key = (run_id, name)
                found = [array(_TYPES[column]) for column in columns]
            for column, part in zip(found, packed, strict=True):
                _unpack(column, part)
        if key is not None:
            yield *key, found


def best_epochs(store: Store, run_ids: Sequence[int]) -> dict[int, int]:
    """Return the epoch whose weights each run keeps, so far; absent before the first one ends."""
    kept_by = SPEC_FIELDS.alias()
    query = (
        select(RUNS.c.id, RUNS.c.finished["best_epoch"].as_integer(), METRIC_SUMMARIES.c.best_epoch)
        .join(kept_by, and_(kept_by.c.run_id == RUNS.c.id, kept_by.c.path == "training.best_by"))
        .join(
            METRIC_SUMMARIES,
            and_(METRIC_SUMMARIES.c.run_id == RUNS.c.id, METRIC_SUMMARIES.c.name == kept_by.c.text),
        )
        .where(RUNS.c.id.in_(run_ids))
    )
    with store.read() as conn:
        found = {run_id: told or seen for run_id, told, seen in conn.execute(query)}
    return {run_id: epoch for run_id, epoch in found.items() if epoch}


def series_names(store: Store, run_ids: Sequence[int]) -> list[str]:
    """Return the names of the series that any of the runs has, sorted."""
    query = select(METRIC_SUMMARIES.c.name).where(METRIC_SUMMARIES.c.run_id.in_(run_ids)).distinct()
    with store.read() as conn:
        return sorted(conn.scalars(query))


def summaries(store: Store, run_ids: Sequence[int]) -> dict[tuple[int, str], SummaryRow]:
    """Return last and best values by run and series."""
    query = select(METRIC_SUMMARIES).where(METRIC_SUMMARIES.c.run_id.in_(run_ids))
    with store.read() as conn:
        rows = [SummaryRow(**row._mapping) for row in conn.execute(query)]
    return {(row.run_id, row.name): row for row in rows}


def columns_of(points: Iterable[Point]) -> SeriesPoints:
    """Return points as `append` takes them."""
    rows = [(point.step, point.epoch, point.elapsed_s, point.value) for point in points]
    steps, epochs, elapsed, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return SeriesPoints(
        array("i", steps), array("f", epochs), array("f", elapsed), array("d", values)
    )


def append(conn: Connection, run_id: int, new: Mapping[str, SeriesPoints]) -> None:
    """Append points to series of a run whose row is locked; called by `store.ingest`."""
    new = {name: points for name, points in new.items() if len(points)}
    if not new:
        return
    found = conn.execute(
        select(METRIC_SUMMARIES).where(
            METRIC_SUMMARIES.c.run_id == run_id, METRIC_SUMMARIES.c.name.in_(new)
        )
    )
    known = {row.name: SummaryRow(**row._mapping) for row in found}
    tails = _tails(conn, run_id, known.values())
    chunks: list[dict[str, Any]] = []
    after: list[SummaryRow] = []
    for name, points in new.items():
        summary = known.get(name) or empty_summary(run_id, name)
        columns = points
        if name in tails:
            columns = tails[name]
            for column in _COLUMNS:
                getattr(columns, column).extend(getattr(points, column))
        chunks += _chunks(run_id, name, columns, summary.points // CHUNK_POINTS)
        after.append(summarize(summary, points))
    upsert(conn, SERIES_CHUNKS, chunks, ("run_id", "name", "chunk"))
    upsert(conn, METRIC_SUMMARIES, [vars(row) for row in after], ("run_id", "name"))


def truncate(
    conn: Connection, run_id: int, step: int, epochs: int, by_epoch: Sequence[str]
) -> bool:
    """Drop a run's points past `step` and summarize anew; return whether there were any.

    Args:
        epochs: The last whole epoch to keep of the series in `by_epoch`, one point an epoch.
    """
    names = list(
        conn.scalars(
            select(SERIES_CHUNKS.c.name)
            .where(SERIES_CHUNKS.c.run_id == run_id, SERIES_CHUNKS.c.last_step >= step)
            .distinct()
        )
    )
    dropped = False
    for name in names:
        whole = SeriesPoints()
        rows = conn.execute(
            select(*(SERIES_CHUNKS.c[column] for column in _COLUMNS))
            .where(SERIES_CHUNKS.c.run_id == run_id, SERIES_CHUNKS.c.name == name)
            .order_by(SERIES_CHUNKS.c.chunk)
        )
        for columns in rows:
            _extend(whole, columns)
        kept = [
            Point(*values)
            for values in zip(whole.steps, whole.epochs, whole.elapsed, whole.values, strict=True)
            if values[0] <= step and not (name in by_epoch and values[1] > epochs)
        ]
        if len(kept) == len(whole):
            continue
        dropped = True
        for table in (SERIES_CHUNKS, METRIC_SUMMARIES):
            conn.execute(delete(table).where(table.c.run_id == run_id, table.c.name == name))
        append(conn, run_id, {name: columns_of(kept)})
    return dropped


def empty_summary(run_id: int, name: str) -> SummaryRow:
    """Return the summary of a series without points."""
    return SummaryRow(run_id, name, 0, None, None, None, None, None)


def summarize(summary: SummaryRow, points: SeriesPoints) -> SummaryRow:
    """Return the summary with more points; those that are not finite count, but say nothing."""
    values: Sequence[float] = points.values
    epochs: Sequence[float] = points.epochs
    if not all(map(math.isfinite, values)):
        known = [pair for pair in zip(values, epochs, strict=True) if math.isfinite(pair[0])]
        values, epochs = [value for value, _ in known], [epoch for _, epoch in known]
    summary = replace(summary, points=summary.points + len(points))
    if not values:
        return summary
    low, high = min(values), max(values)
    more_is_better = summary.name.endswith("accuracy")
    best, best_epoch = summary.best, summary.best_epoch
    found = high if more_is_better else low
    if best is None or (found > best if more_is_better else found < best):
        best, best_epoch = found, math.ceil(epochs[values.index(found)])
    return replace(
        summary,
        last=values[-1],
        best=best,
        best_epoch=best_epoch,
        minimum=low if summary.minimum is None else min(low, summary.minimum),
        maximum=high if summary.maximum is None else max(high, summary.maximum),
    )


def _tails(
    conn: Connection, run_id: int, summaries: Iterable[SummaryRow]
) -> dict[str, SeriesPoints]:
    """Return the points of each series' last chunk, where that is not full."""
    places = [
        (row.name, row.points // CHUNK_POINTS) for row in summaries if row.points % CHUNK_POINTS
    ]
    if not places:
        return {}
    found: dict[str, SeriesPoints] = {}
    for name, *columns in conn.execute(
        select(SERIES_CHUNKS.c.name, *(SERIES_CHUNKS.c[column] for column in _COLUMNS)).where(
            SERIES_CHUNKS.c.run_id == run_id, _PLACE.in_(places)
        )
    ):
        _extend(found.setdefault(name, SeriesPoints()), columns)
    return found


def _chunks(run_id: int, name: str, points: SeriesPoints, first: int) -> list[dict[str, Any]]:
    """Return the rows of chunks number `first` and up that hold `points`."""
    rows = []
    for start in range(0, len(points), CHUNK_POINTS):
        part = slice(start, start + CHUNK_POINTS)
        steps = points.steps[part]
        packed: dict[str, bytes] = {
            column: _pack(getattr(points, column)[part]) for column in _COLUMNS
        }
        rows.append(
            {
                "run_id": run_id,
                "name": name,
                "chunk": first + start // CHUNK_POINTS,
                "points": len(steps),
                "first_step": min(steps),
                "last_step": max(steps),
                **packed,
            }
        )
    return rows


def _extend(points: SeriesPoints, columns: Sequence[bytes]) -> None:
    for name, packed in zip(_COLUMNS, columns, strict=True):
        _unpack(getattr(points, name), packed)


def _unpack(column: array[Any], packed: bytes) -> None:
    if sys.byteorder == "little":
        column.frombytes(packed)
    else:
        part = array(column.typecode, packed)
        part.byteswap()
        column.extend(part)


def _pack(column: array[Any]) -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
