"""The Compare page's vote: who votes, how, what comes of it, and whether it is better."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, StreamingResponse

from app.dependencies import SettingsDep, StoreDep
from app.figures.confusion import Cells, confusion_figure, confusion_infos
from app.figures.style import Figure
from app.pages.compare_view import Chosen, PartsViewDep, RunNumber, chosen
from app.pages.templating import render
from app.splits import SPLIT_NAMES, Split, common_split
from app.voting import METHODS, Ballot, Method, against_best, ballot, hold, vote_table
from store.rows import RunRow
from store.settings import Settings
from store.values import ID_LIMIT
from trainer.cells import harmless
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

if TYPE_CHECKING:
    from app.verdict.view import Line

ROWS_AT_ONCE = 500

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class VoteAsked:
    """What the address says of the vote."""

    members: tuple[int, ...]
    method: Method
    preferred: int | None
    cells: Cells


@dataclass(frozen=True)
class VoteResult:
    """What came of a vote."""

    accuracy: float
    interval: tuple[float, float]
    samples: int
    line: Line
    """The vote against its best member."""
    best_id: int
    best_accuracy: float
    figures: tuple[Figure, ...]
    """The vote's matrix, and that of its best member."""


@dataclass(frozen=True)
class VotePart:
    """What `partials/compare_vote.html` shows."""

    chosen: Chosen | None
    asked: VoteAsked
    voters: tuple[RunRow, ...]
    """Runs that have predictions to vote with."""
    split: Split = "val"
    result: VoteResult | None = None
    """None where nobody has been asked to vote; or `problem` says why."""
    problem: str = ""
    methods: tuple[Method, ...] = METHODS

    @property
    def split_name(self) -> str:
        """What the split is called in a sentence."""
        return SPLIT_NAMES[self.split]


async def _asked(
    vote: Annotated[list[str], Query(max_length=200)] = [],  # noqa: B006 - FastAPI copies it
    vote_by: Method = "majority",
    vote_prefer: RunNumber | None = None,
    cm: Cells = "counts",
) -> VoteAsked:
    numbers: list[int] = []
    for text in ",".join(vote).split(","):
        if not text:
            continue
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:11]) <= ID_LIMIT):
            raise InvalidInput.of(FieldError("vote", text[:80], "numbers of runs, such as 1,2,3"))
        numbers.append(int(text))
    return VoteAsked(tuple(dict.fromkeys(numbers)), vote_by, vote_prefer, cm)


VoteAskedDep = Annotated[VoteAsked, Depends(_asked)]


@router.get("/parts/compare/vote", name="compare_vote")
def vote_part(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    view: PartsViewDep,
    asked: VoteAskedDep,
) -> HTMLResponse:
    """Show the vote alone, for a page that is already open."""
    part = _part(settings, chosen(store, view), asked)
    return render(request, "partials/compare_vote.html", part)


@router.get("/compare/vote.csv", name="vote_csv")
def vote_csv(
    store: StoreDep, settings: SettingsDep, view: PartsViewDep, asked: VoteAskedDep
) -> StreamingResponse:
    """Return the vote on every image as a table."""
    found = chosen(store, view)
    if found is None:
        raise NotFound("There is no such run.", "The Runs page lists those there are.")
    split, members = _ballot(found, asked)
    table = vote_table(settings, members)
    first = next(table)
    second = next(table)  # what cannot be read is said before the table begins
    ids = "-".join(str(row.run_id) for row in members.rows[:8])
    headers = {
        "content-disposition": f'attachment; filename="tuneboard-vote-{split}-runs-{ids}.csv"',
        "cache-control": "no-store",
    }
    return StreamingResponse(_lines(first, second, table), media_type="text/csv", headers=headers)


def _part(settings: Settings, found: Chosen | None, asked: VoteAsked) -> VotePart:
    if found is None:
        return VotePart(None, asked, ())
    voters = tuple(
        run for run in found.runs if any(run.id in rows for rows in found.evaluated.values())
    )
    if not asked.members:
        return VotePart(found, asked, voters, found.split)
    try:
        split, members = _ballot(found, asked)
        return VotePart(
            found, asked, voters, split, _result(settings, found, asked, split, members)
        )
    except (InvalidInput, Conflict, NotFound) as error:
        return VotePart(found, asked, voters, found.split, problem=str(error))


def _ballot(found: Chosen, asked: VoteAsked) -> tuple[Split, Ballot]:
    compared = {run.id for run in found.runs}
    for run_id in asked.members:
        if run_id not in compared:
            raise InvalidInput.of(FieldError("vote", run_id, "one of the runs that are compared"))
    split = found.view.split or common_split(asked.members, found.evaluated)[0]
    return split, ballot(
        found.evaluated[split], asked.members, split, asked.method, asked.preferred
    )


def _result(
    settings: Settings, found: Chosen, asked: VoteAsked, split: Split, members: Ballot
) -> VoteResult:
    from app.statistics.proportions import wilson  # nobody loads the statistics at start-up

    votes = hold(settings, members)
    best = members.rows[votes.best]
    samples = len(votes.vote_right)
    matrices = confusion_infos(
        [
            ("The vote", members.classes, votes.confusion),
            (f"The best alone: {found.labels[best.run_id]}", members.classes, best.confusion),
        ],
        asked.cells,
    )
    return VoteResult(
        accuracy=votes.accuracy,
        interval=wilson(sum(votes.vote_right), samples),
        samples=samples,
        line=against_best(members, votes, found.labels, split),
        best_id=best.run_id,
        best_accuracy=sum(votes.right[votes.best]) / max(1, samples),
        figures=tuple(map(confusion_figure, matrices)),
    )


def _lines(first: list[str], second: list[str], rest: Iterator[list[str]]) -> Iterator[str]:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")

    def write(rows: Sequence[Sequence[str]]) -> str:
        text.seek(0)
        text.truncate()
        table.writerows([harmless(cell) for cell in row] for row in rows)
        return text.getvalue()

    waiting = [first, second]
    for row in rest:
        waiting.append(row)
        if len(waiting) >= ROWS_AT_ONCE:
            yield write(waiting)
            waiting = []
    yield write(waiting)
