"""What the parts of the Compare page below the curves show, as the address holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from app.figures.compare import RUNS_LIMIT
from app.figures.style import distinct_labels, run_style
from app.splits import SPLIT_NAMES, BySplit, Split, by_split, common_split
from store.database import Store
from store.evaluations import evaluations
from store.rows import EvaluationRow, RunRow
from store.runs import runs_by_ids
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput

PATH = "/compare"
RunNumber = Annotated[int, Query(ge=1, le=ID_LIMIT)]


@dataclass(frozen=True)
class PartsView:
    """The runs, which of them are held against each other, and the rest of the address."""

    run_ids: tuple[int, ...]
    baseline: int | None
    other: int | None
    split: Split | None
    query: tuple[tuple[str, str], ...]
    """Every parameter of the address, in order."""

    def address(self, anchor: str = "", **changes: str | int | None) -> str:
        """Return the page's address with changes; None takes a parameter away."""
        kept = [(key, value) for key, value in self.query if key not in changes]
        added = [(key, str(value)) for key, value in changes.items() if value is not None]
        return f"{PATH}?{urlencode(kept + added)}{f'#{anchor}' if anchor else ''}"

    def query_string(self) -> str:
        """Return the address's query."""
        return urlencode(list(self.query))


async def _parts_view(
    request: Request,
    run: Annotated[list[RunNumber], Query(min_length=1, max_length=RUNS_LIMIT)],
    baseline: RunNumber | None = None,
    other: RunNumber | None = None,
    split: Split | None = None,
) -> PartsView:
    return PartsView(
        tuple(dict.fromkeys(run)),
        baseline,
        other,
        split,
        tuple(request.query_params.multi_items()),
    )


PartsViewDep = Annotated[PartsView, Depends(_parts_view)]


@dataclass(frozen=True)
class Chosen:
    """The runs of a view that are there, and the two held against each other."""

    view: PartsView
    runs: tuple[RunRow, ...]
    labels: Mapping[int, str]
    baseline: RunRow
    other: RunRow | None
    """None where there is one run only."""
    evaluated: BySplit
    split: Split
    split_reason: str

    @property
    def split_name(self) -> str:
        """What the split is called in a sentence."""
        return SPLIT_NAMES[self.split]

    @property
    def rows(self) -> Mapping[int, EvaluationRow]:
        """The evaluations on the split, by run."""
        return self.evaluated[self.split]

    @property
    def others(self) -> tuple[RunRow, ...]:
        """All runs but the baseline."""
        return tuple(run for run in self.runs if run.id != self.baseline.id)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that some run was evaluated on."""
        return tuple(split for split, rows in self.evaluated.items() if rows)

    def colour(self, run_id: int) -> str:
        """Return a run's colour."""
        return run_style(run_id).colour


def chosen(store: Store, view: PartsView) -> Chosen | None:
    """Return the runs of a view that exist; None where none does.

    Raises:
        InvalidInput: If the baseline or the other run is not among them.
    """
    runs = runs_by_ids(store, view.run_ids)
    if not runs:
        return None
    evaluated = by_split(evaluations(store, [run.id for run in runs]))
    baseline = _named(runs, "baseline", view.baseline) or runs[0]
    other = _named(runs, "other", view.other)
    if other is None or other.id == baseline.id:
        other = next((run for run in runs if run.id != baseline.id), None)
    split, reason = common_split([run.id for run in runs], evaluated)
    if view.split is not None:
        split, reason = view.split, ""
    return Chosen(
        view,
        tuple(runs),
        distinct_labels([(run.id, run.name) for run in runs]),
        baseline,
        other,
        evaluated,
        split,
        reason,
    )


def _named(runs: Sequence[RunRow], field: str, run_id: int | None) -> RunRow | None:
    if run_id is None:
        return None
    for run in runs:
        if run.id == run_id:
            return run
    raise InvalidInput.of(FieldError(field, run_id, "one of the runs that are compared"))
