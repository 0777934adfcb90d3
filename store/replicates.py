"""Runs of the same settings: specs that differ in nothing but the seed and the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from store.database import Store
from store.rows import RunRow
from store.runs import runs_by_ids
from store.tables import RUNS, SPEC_FIELDS


@dataclass(frozen=True)
class Family:
    """All runs of one setting, oldest first, whatever became of them."""

    number: int
    """Tells families of one answer apart."""
    runs: tuple[RunRow, ...]


def families(store: Store, runs: Sequence[RunRow]) -> dict[int, Family]:
    """Return the family of each run, by the run's number.

    Runs reported from outside are a family of their own: nobody knows how they were trained.
    """
    settings = [_settings(run.spec) for run in runs]
    known: list[tuple[bool, Mapping[str, Any]]] = []
    by_sight: dict[Any, list[int]] = {}
    numbers = {}
    for run, wanted in zip(runs, settings, strict=True):
        places = by_sight.setdefault(_sight(run.external, wanted), [])
        number = next((one for one in places if known[one][1] == wanted), None)
        if number is None:
            number = len(known)
            known.append((run.external, wanted))
            places.append(number)
        numbers[run.id] = number
    members: list[list[int]] = [[] for _ in known]
    with store.read() as conn:
        for row in conn.execute(_candidates(runs)):
            found = _settings(row.spec)
            for number in by_sight.get(_sight(row.external, found), ()):
                if known[number][1] == found:
                    members[number].append(row.id)
    rows = {row.id: row for row in runs_by_ids(store, [one for of in members for one in of])}
    found_families = [
        Family(number, tuple(rows[one] for one in sorted(of) if one in rows))
        for number, of in enumerate(members)
    ]
    return {run_id: found_families[number] for run_id, number in numbers.items()}


def _candidates(runs: Sequence[RunRow]) -> Any:
    """Return the query for runs that could belong; whole specs decide."""
    same_architecture = select(SPEC_FIELDS.c.run_id).where(
        SPEC_FIELDS.c.path == "model.architecture",
        SPEC_FIELDS.c.text.in_({run.spec["model"]["architecture"] for run in runs}),
    )
    return select(RUNS.c.id, RUNS.c.spec, RUNS.c.external).where(
        RUNS.c.dataset_name.in_({run.dataset_name for run in runs}),
        RUNS.c.epochs.in_({run.epochs for run in runs}),
        RUNS.c.id.in_(same_architecture),
    )


def _settings(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the spec without what may differ."""
    training = {key: value for key, value in spec["training"].items() if key != "seed"}
    scheduler = {"restarts_after": [], **spec["scheduler"]}  # runs of before it do not have it
    kept = {key: value for key, value in spec.items() if key != "name"}
    return {**kept, "scheduler": scheduler, "training": training}


def _sight(external: bool, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a few values that are cheap to compare; equal for equal settings."""
    optimizer = settings["optimizer"]
    return (
        external,
        settings["dataset"]["name"],
        settings["model"]["architecture"],
        optimizer["name"],
        optimizer["lr"],
    )
