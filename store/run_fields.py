"""What a run can be filtered, sorted and shown by: its own facts, its spec, its metrics.

The names are those of the filter language, of `sort` and of `columns`. Where a field's value lies
is told by `source` and `key`; only `store.filters` reads them as SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection, func, select, true

from store.database import Store
from store.states import Status
from store.tables import DATASETS, METRIC_SUMMARIES, RUN_TAGS, RUNS, SPEC_FIELDS
from trainer.spec import ExperimentSpec

Kind = Literal["number", "text", "choice", "flag", "time", "tags", "mixed"]
Source = Literal["run", "spec", "metric", "evaluation", "curve"]
VALUES_LIMIT = 200  # offered of one field


@dataclass(frozen=True)
class RunField:
    """One thing known of a run."""

    name: str
    kind: Kind
    source: Source
    key: tuple[str, ...]
    title: str
    choices: tuple[str, ...] = ()
    """Every value of a choice; values that exist of some texts."""
    unit: str = ""
    """s, %, or nothing."""

    @property
    def sorts(self) -> bool:
        """Whether runs can be put in order by it."""
        return self.source != "curve" and self.kind != "tags"

    @property
    def filters(self) -> bool:
        """Whether runs can be filtered by it."""
        return self.source != "curve"


@dataclass(frozen=True)
class RunFields:
    """All fields there are, by name."""

    by_name: Mapping[str, RunField]
    short: Mapping[str, str] = field(default_factory=dict)
    """Last parts of spec paths that only one has: `lr` of `optimizer.lr`."""

    @property
    def names(self) -> Sequence[str]:
        """The full names."""
        return list(self.by_name)

    def find(self, name: str) -> RunField | None:
        """Return the field of that name, short or whole; None where there is none."""
        return self.by_name.get(name) or self.by_name.get(self.short.get(name, ""))


def run_fields(store: Store) -> RunFields:
    """Return every field, with the metrics and the values that exist."""
    fixed, short = _fixed()
    with store.read() as conn:
        metrics = _distinct(conn, METRIC_SUMMARIES.c.name)
        measured = [one for name in metrics for one in _metric_fields(name)]
        found = fixed | {one.name: one for one in measured if one.name not in fixed}
        values = {
            "dataset": list(conn.scalars(select(DATASETS.c.name).order_by(DATASETS.c.name))),
            "tag": _distinct(conn, RUN_TAGS.c.tag),
            "owner": _distinct(conn, RUNS.c.owner),
            "architecture": _distinct(
                conn, SPEC_FIELDS.c.text, SPEC_FIELDS.c.path == "model.architecture"
            ),
        }
    for name, known in values.items():
        found[name] = replace(found[name], choices=tuple(known[:VALUES_LIMIT]))
    return RunFields(found, short)


def metric_title(name: str) -> str:
    """Return a metric's name in words: `val. accuracy` of `val_accuracy`."""
    words = name.replace("_", " ")
    for long, short in (("val ", "val. "), ("train ", "train. ")):
        words = words.replace(long, short, 1) if words.startswith(long) else words
    return words


@cache
def _fixed() -> tuple[dict[str, RunField], dict[str, str]]:
    """Return the fields that do not depend on the database, and the short names of the spec's."""
    usual = [one for name in _USUAL_METRICS for one in _metric_fields(name)]
    found = {one.name: one for one in (*_RUN_FIELDS, *usual, *_evaluation_fields())}
    spec = [one for one in _spec_fields() if one.name not in found]
    found |= {one.name: one for one in spec}
    endings = [one.name.rpartition(".")[2] for one in spec]
    short = {
        ending: one.name
        for ending, one in zip(endings, spec, strict=True)
        if endings.count(ending) == 1 and ending not in found
    }
    return found, short


_USUAL_METRICS = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")

_RUN_FIELDS = (
    RunField("status", "choice", "run", ("status",), "Status", tuple(map(str, Status))),
    RunField("tag", "tags", "run", ("tag",), "Tags"),
    RunField("dataset", "text", "run", ("dataset_name",), "Dataset"),
    RunField("architecture", "text", "spec", ("model.architecture",), "Architecture"),
    RunField("name", "text", "run", ("name",), "Name"),
    RunField("note", "text", "run", ("note",), "Note"),
    RunField("owner", "text", "run", ("owner",), "Owner"),
    RunField("id", "number", "run", ("id",), "Number"),
    RunField("study", "mixed", "run", ("study_id",), "Study"),
    RunField("created", "time", "run", ("created_at",), "Created"),
    RunField("started", "time", "run", ("started_at",), "Started"),
    RunField("finished", "time", "run", ("finished_at",), "Ended"),
    RunField("elapsed", "number", "run", ("elapsed_s",), "Trained for", unit="s"),
    RunField("epoch", "number", "run", ("epoch",), "Epochs done"),
    RunField("epochs", "number", "run", ("epochs",), "Epochs asked for"),
    RunField("priority", "number", "run", ("priority",), "Priority"),
    RunField("attempts", "number", "run", ("attempt",), "Attempts"),
    RunField("parameters", "number", "run", ("parameters_total",), "Parameters"),
    RunField("trained_parameters", "number", "run", ("parameters_trained",), "Trained parameters"),
    RunField("device", "text", "run", ("device",), "Device"),
    RunField("error", "text", "run", ("error",), "Error"),
    RunField("pinned", "flag", "run", ("pinned",), "Baseline"),
    RunField("archived", "flag", "run", ("archived",), "Archived"),
    RunField("external", "flag", "run", ("external",), "Reported by a script"),
)

_STATISTICS = (
    ("best", "best", "Best"),
    ("last", "last", "Last"),
    ("min", "minimum", "Least"),
    ("max", "maximum", "Greatest"),
    ("best_epoch", "best_epoch", "Epoch of the best"),
)

_EVALUATED = (
    ("accuracy", "accuracy", "%"),
    ("top5_accuracy", "top-5 accuracy", "%"),
    ("loss", "loss", ""),
    ("macro_f1", "macro F1", ""),
    ("macro_precision", "macro precision", ""),
    ("macro_recall", "macro recall", ""),
    ("calibration_error", "calibration error", "%"),
)


def _metric_fields(name: str) -> list[RunField]:
    words = metric_title(name)
    percent = "%" if name.endswith("accuracy") else ""
    fields = [
        RunField(
            f"{short}_{name}",
            "number",
            "metric",
            (name, column),
            f"{title} {words}",
            unit="" if short == "best_epoch" else percent,
        )
        for short, column, title in _STATISTICS
    ]
    plain = RunField(name, "number", "metric", (name, "best"), f"Best {words}", unit=percent)
    curve = RunField(f"curve_{name}", "number", "curve", (name,), f"Curve of {words}", unit=percent)
    return [*fields, plain, curve]


def _evaluation_fields() -> list[RunField]:
    return [
        RunField(
            f"{split}.{column}",
            "number",
            "evaluation",
            (split, column),
            f"{words.capitalize()} on the {split_words} images",
            unit=unit,
        )
        for split, split_words in (("test", "test"), ("val", "validation"))
        for column, words, unit in _EVALUATED
    ]


def _spec_fields() -> list[RunField]:
    schema = ExperimentSpec.model_json_schema()
    definitions = schema["$defs"]
    found: list[RunField] = []

    def read(section: Mapping[str, Any], prefix: str) -> None:
        for key, part in section["properties"].items():
            reference = part.get("$ref", "").rpartition("/")[2]
            if reference:
                read(definitions[reference], f"{prefix}{key}.")
            else:
                found.append(_spec_field(f"{prefix}{key}", part))

    read(schema, "")
    return found


def _spec_field(path: str, part: Mapping[str, Any]) -> RunField:
    variants = [one for one in part.get("anyOf", (part,)) if one.get("type") != "null"]
    kinds = {one.get("type", "string") for one in variants}
    choices = tuple(str(value) for one in variants for value in one.get("enum", ()))
    kind: Kind = "mixed"
    if kinds <= {"number", "integer"}:
        kind = "number"
    elif kinds == {"boolean"}:
        kind = "flag"
    elif choices and kinds == {"string"}:
        kind = "choice"
    elif kinds <= {"string", "array", "object"}:
        kind = "text"
    return RunField(path, kind, "spec", (path,), part.get("title", path), choices)


def _distinct(conn: Connection, column: Any, where: Any = None) -> list[str]:
    """Return a column's values in order, by one look into its index for each of them."""
    given = true() if where is None else where
    first = select(func.min(column).label("value")).where(given).cte("found", recursive=True)
    after = select(func.min(column)).where(given, column > first.c.value).scalar_subquery()
    found = first.union_all(select(after).where(first.c.value.is_not(None)))
    query = select(found.c.value).where(found.c.value.is_not(None)).limit(VALUES_LIMIT)
    return list(conn.scalars(query))
