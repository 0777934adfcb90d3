"""A filter's tree as a condition of SQL, and a field as something to sort by.

A comparison is true or false, never unknown: a run without the field is not less, not greater,
not equal, and so `not` leaves exactly the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    String,
    and_,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from store.database import Store
from store.query_language import (
    Ago,
    Both,
    Comparison,
    Either,
    Filter,
    Not,
    TextSearch,
    Value,
    comparisons,
)
from store.run_fields import RunField
from store.study_tables import STUDIES
from store.tables import BASELINES, EVALUATIONS, METRIC_SUMMARIES, RUN_TAGS, RUNS, SPEC_FIELDS
from store.values import is_id

INDEXED_LIMIT = 3  # 5,000 runs on SQLite: a look-up takes 3 to 8 ms, the first join 5 to 10
JOINED_LIMIT = 50  # SQLite joins 64 tables at most

Condition = ColumnElement[bool]
Joined = tuple[FromClause, ColumnElement[Any]]
"""A table that is joined, and the column of it that holds a field."""
UNSET_TEXTS = ("null", "[]", "")
"""How spec fields without a value are kept."""


def narrowed(query: Select[Any], store: Store, wanted: Filter) -> Select[Any]:
    """Return the query, which is of `RUNS`, with only the runs that a filter means.

    A few comparisons are looked up in the indexes of the other tables, each on its own. Of many,
    each field is read once: its row is joined to the run.
    """
    elsewhere = [one.field for one in comparisons(wanted) if one.field.source != "run"]
    joined: dict[str, Joined] = {}
    if len(elsewhere) > INDEXED_LIMIT:
        fields = {field.name: field for field in elsewhere}
        for name, field in list(fields.items())[:JOINED_LIMIT]:
            query, joined[name] = _joined(query, field, f"filtered_{len(joined)}")
    return query.where(_condition(store, wanted, joined))


def text_condition(text: str) -> Condition:
    """Return whether a text is part of the name, the note or a tag, or is the number."""
    found = [
        RUNS.c.name.icontains(text, autoescape=True),
        RUNS.c.note.icontains(text, autoescape=True),
        RUNS.c.id.in_(
            select(RUN_TAGS.c.run_id).where(RUN_TAGS.c.tag.icontains(text, autoescape=True))
        ),
    ]
    digits = text.removeprefix("#")
    if digits.isascii() and digits.isdecimal() and is_id(int(digits[:11])):
        found.append(RUNS.c.id == int(digits))
    return or_(*found)


def sort_key(query: Select[Any], field: RunField) -> tuple[Select[Any], ColumnElement[Any]]:
    """Return the query joined with what a field needs, and the expression to sort by.

    The expression is NULL for a run without the field.
    """
    if field.source == "run":
        value = _run_value(field)
    else:
        query, (_, value) = _joined(query, field, "sorted")
    return query, func.lower(value) if field.kind in {"text", "choice"} else value


def _condition(store: Store, wanted: Filter, joined: Mapping[str, Joined]) -> Condition:
    match wanted:
        case Both(parts):
            return and_(*(_condition(store, part, joined) for part in parts))
        case Either(parts):
            return or_(*(_condition(store, part, joined) for part in parts))
        case Not(part):
            return not_(_condition(store, part, joined))
        case TextSearch(text):
            return text_condition(text)
        case Comparison():
            return _comparison(store, wanted, joined)


def _comparison(store: Store, wanted: Comparison, joined: Mapping[str, Joined]) -> Condition:
    field = wanted.field
    if field.name == "tag":
        return _having(RUN_TAGS, true(), RUN_TAGS.c.tag, wanted, store)
    if field.name == "study":
        return _study(wanted, store)
    if field.source == "run":
        value = _run_value(field)
        return _holds(wanted, value, value, store)
    wanted = replace(wanted, values=tuple(map(_as_kept, wanted.values)))
    if field.name in joined:
        table, value = joined[field.name]
        return func.coalesce(_holds(wanted, value, _number(table, value), store), false())
    table, keys, value = _elsewhere(field)
    return _having(table, keys, value, wanted, store)


def _having(
    table: FromClause,
    keys: Condition,
    value: ColumnElement[Any],
    wanted: Comparison,
    store: Store,
) -> Condition:
    """Return whether a row about the run, in another table, compares as wanted."""
    ids = select(table.c.run_id).where(keys)
    values = [one for one in wanted.values if one is not None]
    found: list[Condition] = []
    if values:
        test = _test(wanted.op, value, _number(table, value), values, store)
        found.append(RUNS.c.id.in_(ids.where(test)))
    if len(values) < len(wanted.values):
        found.append(RUNS.c.id.not_in(ids.where(value.is_not(None))))
    return or_(*found)


def _holds(
    wanted: Comparison, value: ColumnElement[Any], number: ColumnElement[Any], store: Store
) -> Condition:
    """Return whether an expression over the run's own row compares as wanted."""
    values = [one for one in wanted.values if one is not None]
    found: list[Condition] = []
    if values:
        found.append(and_(value.is_not(None), _test(wanted.op, value, number, values, store)))
    if len(values) < len(wanted.values):
        found.append(value.is_(None))
    return or_(*found)


def _test(
    op: str,
    text: ColumnElement[Any],
    number: ColumnElement[Any],
    values: Sequence[Value],
    store: Store,
) -> Condition:
    if op in {"=", "in"}:
        return or_(*(_equal(text, number, value) for value in values))
    value = values[0]
    if op == "~":
        return cast(text, String).icontains(str(value), autoescape=True)
    bound = store.clock() - value.seconds if isinstance(value, Ago) else literal(value)
    compare: dict[str, Callable[[Any, Any], Condition]] = {
        "<": lambda left, right: left < right,
        "<=": lambda left, right: left <= right,
        ">": lambda left, right: left > right,
        ">=": lambda left, right: left >= right,
    }
    return compare[op](number, bound)


def _equal(text: ColumnElement[Any], number: ColumnElement[Any], value: Value) -> Condition:
    if isinstance(value, bool):
        return text if value else not_(text)
    return number == literal(value) if isinstance(value, float) else text == value


def _number(table: FromClause, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what numbers are compared with, where `value` is one of the table's columns."""
    return table.c.get("number", value)


def _as_kept(value: Value) -> Value:
    """Return a value as the spec's fields keep it, as JSON."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _run_value(field: RunField) -> ColumnElement[Any]:
    """Return a run's own field, as an expression over its row."""
    key = field.key[0]
    known: dict[str, Callable[[], ColumnElement[Any]]] = {
        "elapsed_s": lambda: func.coalesce(
            RUNS.c.finished["elapsed_s"].as_float(), RUNS.c.progress["elapsed_s"].as_float()
        ),
        "parameters_total": lambda: RUNS.c.started["parameters_total"].as_float(),
        "parameters_trained": lambda: RUNS.c.started["parameters_trained"].as_float(),
        "device": lambda: RUNS.c.started["device"].as_string(),
        "error": lambda: RUNS.c.error["title"].as_string(),
        "archived": lambda: RUNS.c.archived_at.is_not(None),
        "pinned": lambda: RUNS.c.id.in_(select(BASELINES.c.run_id)),
    }
    return known[key]() if key in known else RUNS.c[key]


def _elsewhere(
    field: RunField, alias: str | None = None
) -> tuple[FromClause, Condition, ColumnElement[Any]]:
    """Return the table that holds a field, which of a run's rows there, and the value."""
    table = {"metric": METRIC_SUMMARIES, "evaluation": EVALUATIONS}.get(field.source, SPEC_FIELDS)
    found: FromClause = table if alias is None else table.alias(alias)
    if field.source == "metric":
        series, column = field.key
        return found, found.c.name == series, found.c[column]
    if field.source == "evaluation":
        split, column = field.key
        return found, found.c.split == split, found.c[column]
    keys = found.c.path == field.key[0]
    if field.kind == "number":
        return found, keys, found.c.number
    return found, and_(keys, found.c.text.not_in(UNSET_TEXTS)), found.c.text


def _joined(query: Select[Any], field: RunField, alias: str) -> tuple[Select[Any], Joined]:
    """Return the query with each run's row of the table that holds a field, or NULLs."""
    table, keys, value = _elsewhere(field, alias)
    return query.outerjoin(table, and_(table.c.run_id == RUNS.c.id, keys)), (table, value)


def _study(wanted: Comparison, store: Store) -> Condition:
    """Return whether the run's study has that number, or that name."""
    found: list[Condition] = []
    for value in wanted.values:
        if value is None:
            found.append(RUNS.c.study_id.is_(None))
        elif isinstance(value, str):
            named = (
                STUDIES.c.name.icontains(value, autoescape=True)
                if wanted.op == "~"
                else STUDIES.c.name == value
            )
            ids = select(STUDIES.c.id).where(named)
            found.append(and_(RUNS.c.study_id.is_not(None), RUNS.c.study_id.in_(ids)))
        else:
            test = _test(wanted.op, RUNS.c.study_id, RUNS.c.study_id, [value], store)
            found.append(and_(RUNS.c.study_id.is_not(None), test))
    return or_(false(), *found)
