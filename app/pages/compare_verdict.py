"""The Compare page's verdict, and the button that launches the seeds it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.pages.compare_view import PATH, Chosen, PartsViewDep, chosen
from app.pages.templating import render
from app.security import CheckedForm
from app.splits import SPLITS
from store.runs import runs_by_ids
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from app.verdict.view import Line, Verdict

QUERY_LIMIT = 20_000  # characters of an address that is returned to

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Whisker:
    """A difference and its interval on an axis from 0 to 100 with "no difference" at 50."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class VerdictPart:
    """What `partials/compare_verdict.html` shows."""

    chosen: Chosen | None
    found: Verdict | None
    """None where there is nothing to compare."""
    whiskers: tuple[Whisker | None, ...]
    """One a line of the verdict."""
    reach: float
    """The difference at the ends of the whiskers' axis."""


@router.get("/parts/compare/verdict", name="compare_verdict")
def verdict_part(
    request: Request, store: StoreDep, settings: SettingsDep, view: PartsViewDep
) -> HTMLResponse:
    """Show the verdict alone, for a page that is already open."""
    found = chosen(store, view)
    judged = None
    if found is not None and found.other is not None:
        from app.verdict.view import verdict  # the statistics come with it

        judged = verdict(
            store, settings, [run.id for run in found.runs], found.baseline.id, view.split
        )
    lines = judged.lines if judged else ()
    reach = _reach(lines)
    page = VerdictPart(found, judged, tuple(_whisker(line, reach) for line in lines), reach)
    return render(request, "partials/compare_verdict.html", page)


@router.post("/compare/seeds", name="compare_seeds")
def launch_seeds(
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
) -> RedirectResponse:
    """Queue the seeds that two runs' settings lack, and show the comparison again."""
    from app.verdict.seeds import launch_missing  # the statistics come with it

    numbers = [_number(name, str(form.get(name, ""))) for name in ("baseline", "run")]
    rows = runs_by_ids(store, numbers)
    if len(rows) != 2:
        raise InvalidInput.of(FieldError("run", numbers, "two runs that are there"))
    split = next((one for one in SPLITS if one == form.get("split")), None)
    launch_missing(store, settings, bell, rows[0], rows[1], split, owner=owner)
    query = parse_qsl(str(form.get("query", ""))[:QUERY_LIMIT], keep_blank_values=True)
    return RedirectResponse(f"{PATH}?{urlencode(query)}#verdict", 303)


def _number(field: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= ID_LIMIT:
        return int(text)
    raise InvalidInput.of(FieldError(field, text[:100], "the number of a run"))


def _reach(lines: Sequence[Line]) -> float:
    """Return a round share of images that no interval exceeds."""
    ends = [abs(end) for line in lines for end in line.found.interval or ()]
    largest = max([*ends, 0.01])
    return next((step for step in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5) if largest <= step), 1.0)


def _whisker(line: Line, reach: float) -> Whisker | None:
    if line.found.interval is None or line.found.difference is None:
        return None
    low, high = line.found.interval
    return Whisker(*(50 + 50 * end / reach for end in (low, line.found.difference, high)))
