"""The run list: filtered, in any order, page by page.

First the numbers of a page's runs are found, by the narrow columns that indexes hold; then their
rows, which are wide, are read.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select

from store.database import Store
from store.filters import narrowed, sort_key, text_condition
from store.query_language import Filter, comparisons, parse_filter
from store.rows import RunRow
from store.run_fields import RunField, RunFields
from store.states import Status
from store.tables import RUNS
from store.values import ID_LIMIT, is_id
from trainer.errors import FieldError, InvalidInput, nearest

PAGE_LIMIT = 500
Archived = Literal["no", "yes", "all"]


@dataclass(frozen=True)
class Wanted:
    """Which runs: those that match everything given."""

    status: tuple[Status, ...] = ()
    study_id: int | None = None
    dataset: str | None = None
    owner: str | None = None
    text: str = ""
    """Part of the name, the note or a tag, in any case; or the number."""
    filter: Filter | None = None
    archived: Archived = "no"


@dataclass(frozen=True)
class Order:
    """What runs are sorted by; those without it come last, ties are put newest first."""

    field: RunField | None = None
    """None: by number."""
    descending: bool = True

    @property
    def name(self) -> str:
        """As `sort` has it: `-created`."""
        return ("-" if self.descending else "") + (self.field.name if self.field else "id")


NEWEST = Order()


@dataclass(frozen=True)
class Page:
    """Some of the runs asked for, in order."""

    rows: list[RunRow]
    next_cursor: str | None
    """Asks for the runs after these; None where there are none."""
    total: int | None = None
    """How many runs match, on all pages; None where that was not asked for."""


def wanted_runs(
    fields: RunFields | None = None,
    *,
    status: str | Sequence[str] | None = None,
    study_id: int | None = None,
    dataset: str | None = None,
    owner: str | None = None,
    text: str | None = None,
    filter: str | None = None,  # noqa: A002 - the parameter's name everywhere
    archived: Archived | None = None,
) -> Wanted:
    """Return which runs are asked for, checked.

    Args:
        fields: Needed where there is a filter.
        archived: By default no, and all where the filter itself speaks of archived runs.

    Raises:
        InvalidInput: If a status is unknown.
        FilterError: If the filter cannot be read.
    """
    found = parse_filter(filter, fields) if filter and fields else None
    if archived is None:
        named = {one.field.name for one in comparisons(found)} if found is not None else set()
        archived = "all" if "archived" in named else "no"
    return Wanted(
        status=tuple(_statuses(status)) if status else (),
        study_id=study_id,
        dataset=dataset or None,
        owner=owner or None,
        text=(text or "").strip(),
        filter=found,
        archived=archived,
    )


def order_of(text: str, fields: RunFields) -> Order:
    """Return the order that `name` or, from the greatest, `-name` asks for.

    Raises:
        InvalidInput: If runs cannot be sorted by it.
    """
    name = text.removeprefix("-")
    field = fields.find(name)
    if field is None or not field.sorts:
        known = [one.name for one in fields.by_name.values() if one.sorts]
        raise InvalidInput.of(
            FieldError(
                "sort",
                text,
                "a field or metric to sort by, with - before it for the greatest first",
                nearest(name, known) or "Such as -best_val_accuracy, created or optimizer.lr.",
            )
        )
    return Order(None if field.name == "id" else field, text.startswith("-"))


def list_runs(
    store: Store,
    wanted: Wanted | None = None,
    order: Order = NEWEST,
    *,
    status: str | Sequence[str] | None = None,
    study_id: int | None = None,
    dataset: str | None = None,
    text: str | None = None,
    owner: str | None = None,
    archived: Archived = "no",
    limit: int = 50,
    cursor: str | None = None,
    count: bool = False,
) -> Page:
    """Return a page of the runs that match, newest first or in another order.

    Args:
        wanted: What `wanted_runs` made; else the arguments below say it.
        cursor: The page before this one's `next_cursor`.
        count: Whether all that match are to be counted.

    Raises:
        InvalidInput: If the status is unknown, the limit out of range or the cursor not ours.
    """
    if not 1 <= limit <= PAGE_LIMIT:
        raise InvalidInput.of(FieldError("limit", limit, f"between 1 and {PAGE_LIMIT}"))
    if wanted is None:
        wanted = wanted_runs(
            status=status,
            study_id=study_id,
            dataset=dataset,
            owner=owner,
            text=text,
            archived=archived,
        )
    query, key = _ordered(order)
    once = count and wanted.filter is not None
    query = (_matching_counted if once else _matching)(query, store, wanted)
    if cursor is not None:
        query = query.where(_after(order, key, cursor))
    with store.read() as conn:
        found = conn.execute(query.limit(limit + 1)).all()
        ids = [row.id for row in found[:limit]]
        rows = {
            row.id: RunRow(**row._mapping)
            for row in conn.execute(select(RUNS).where(RUNS.c.id.in_(ids)))
        }
    total = None
    if once and found:
        total = found[0].total
    elif count:
        total = count_runs(store, wanted) if found or cursor else 0
    more = len(found) > limit
    return Page(
        [rows[run_id] for run_id in ids if run_id in rows],
        _cursor(order, found[limit - 1]) if more else None,
        total,
    )


def matching_ids(store: Store, wanted: Wanted, limit: int) -> list[int]:
    """Return the numbers of the runs that match, newest first, at most so many."""
    query = _matching(select(RUNS.c.id), store, wanted).order_by(RUNS.c.id.desc())
    with store.read() as conn:
        return list(conn.scalars(query.limit(limit)))


def count_runs(store: Store, wanted: Wanted) -> int:
    """Return how many runs match."""
    query = _matching(select(func.count()).select_from(RUNS), store, wanted)
    with store.read() as conn:
        return int(conn.scalar(query) or 0)


def counts_by_status(store: Store, *, archived: Archived = "all") -> dict[str, int]:
    """Return how many runs there are in every status, zeros included."""
    query = select(RUNS.c.status, func.count()).group_by(RUNS.c.status)
    with store.read() as conn:
        found = {row[0]: row[1] for row in conn.execute(query.where(*_shelf(archived)))}
    return {str(status): found.get(status, 0) for status in Status}


def existing_ids(store: Store, run_ids: Sequence[int]) -> frozenset[int]:
    """Return which of those runs there are."""
    with store.read() as conn:
        return frozenset(conn.scalars(select(RUNS.c.id).where(RUNS.c.id.in_(run_ids))))


def newest_id(store: Store) -> int:
    """Return the greatest number of a run; 0 where there is none."""
    with store.read() as conn:
        return int(conn.scalar(select(func.max(RUNS.c.id))) or 0)


def _matching(query: Select[Any], store: Store, wanted: Wanted) -> Select[Any]:
    """Return the query, which is of `RUNS`, with only the runs that are asked for."""
    found = _shelf(wanted.archived)
    if wanted.status:
        found.append(RUNS.c.status.in_(wanted.status))
    if wanted.study_id is not None:
        found.append(RUNS.c.study_id == min(max(wanted.study_id, 0), ID_LIMIT))
    if wanted.dataset is not None:
        found.append(RUNS.c.dataset_name == wanted.dataset)
    if wanted.owner is not None:
        found.append(RUNS.c.owner == wanted.owner)
    if wanted.text:
        found.append(text_condition(wanted.text))
    query = query.where(*found)
    return query if wanted.filter is None else narrowed(query, store, wanted.filter)


def _matching_counted(query: Select[Any], store: Store, wanted: Wanted) -> Select[Any]:
    """Return the same with their number as `total`; what matches is found once for both."""
    ids = _matching(select(RUNS.c.id), store, wanted)
    matched = ids.cte("matched").prefix_with("MATERIALIZED")
    total = select(func.count()).select_from(matched).scalar_subquery()
    return query.join(matched, matched.c.id == RUNS.c.id).add_columns(total.label("total"))


def _shelf(archived: Archived) -> list[ColumnElement[bool]]:
    if archived == "all":
        return []
    return [RUNS.c.archived_at.is_not(None) if archived == "yes" else RUNS.c.archived_at.is_(None)]


def _ordered(order: Order) -> tuple[Select[Any], ColumnElement[Any]]:
    """Return the query for numbers and keys in order, and the key as an expression."""
    if order.field is None:
        number: ColumnElement[Any] = RUNS.c.id
        by = number.desc() if order.descending else number
        return select(RUNS.c.id, number.label("key")).order_by(by), number
    query, key = sort_key(select(RUNS.c.id).select_from(RUNS), order.field)
    by = key.desc() if order.descending else key
    return query.add_columns(key.label("key")).order_by(key.is_(None), by, RUNS.c.id.desc()), key


def _after(order: Order, key: ColumnElement[Any], cursor: str) -> ColumnElement[bool]:
    """Return the condition for the runs that come after a page's last one."""
    value, run_id = _read_cursor(order, cursor)
    if order.field is None:
        return RUNS.c.id < run_id if order.descending else RUNS.c.id > run_id
    if value is None:
        return and_(key.is_(None), RUNS.c.id < run_id)
    last = literal(value)
    further = key < last if order.descending else key > last
    return or_(further, and_(key == last, RUNS.c.id < run_id), key.is_(None))


def _cursor(order: Order, row: Any) -> str:
    if order.field is None:
        return str(row.id)
    text = json.dumps([order.name, row.key, row.id], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(order: Order, cursor: str) -> tuple[str | float | None, int]:
    """Return the key and the number of the run after which a page begins.

    Raises:
        InvalidInput: If the cursor was not made for this order.
    """
    if order.field is None:
        if cursor.isascii() and cursor.isdecimal() and len(cursor) < 11:
            return None, min(int(cursor), ID_LIMIT)
    else:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            name, value, run_id = json.loads(base64.urlsafe_b64decode(padded.encode()))
        except (binascii.Error, ValueError, TypeError, RecursionError):
            pass
        else:
            if name == order.name and _is_key(order, value) and _is_number(run_id):
                return value, run_id
    raise InvalidInput.of(
        FieldError("cursor", cursor[:80], "a cursor that a page before gave, in the same order")
    )


def _is_key(order: Order, value: object) -> bool:
    """Return whether a cursor's key is of the type that the order's field has."""
    if value is None:
        return True
    if order.field is not None and order.field.kind in {"text", "choice"}:
        return isinstance(value, str)
    if order.field is not None and order.field.kind == "flag" and order.field.source == "spec":
        return isinstance(value, str)
    if order.field is not None and order.field.kind == "mixed" and order.field.source == "spec":
        return isinstance(value, str)
    return isinstance(value, int | float) and math.isfinite(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and is_id(value)


def _statuses(status: str | Sequence[str]) -> list[Status]:
    names = [status] if isinstance(status, str) else list(status)
    known = [str(name) for name in Status]
    for name in names:
        if name not in known:
            raise InvalidInput.of(FieldError("status", name, "one of " + ", ".join(known)))
    return [Status(name) for name in names]
