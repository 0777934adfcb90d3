"""A study's page: how far it is, its steps, its runs by result, its note and its webhook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from app.answers import RunOut
from app.api.study_changes import webhook_out
from app.dependencies import StoreDep
from app.figures.compare import RUNS_LIMIT
from app.markdown import markdown
from app.outputs import run_outs
from app.pages.studies import StudyProgress
from app.pages.study_steps import StepView, StudyId, step_views
from app.pages.templating import render
from app.steps import sweep_out
from app.study_answers import SearchOut, WebhookOut
from store.database import Store
from store.rows import TERMINAL_STATUSES, StudyRow
from store.runs import runs_by_ids
from store.studies import get_study
from store.study_results import Member, best_of, members
from trainer.errors import FieldError

Sort = Literal["best", "worst", "oldest", "newest", "name", "status"]
SORTS: dict[Sort, str] = {
    "best": "Best first",
    "worst": "Worst first",
    "oldest": "Oldest first",
    "newest": "Newest first",
    "name": "By name",
    "status": "By status",
}
PAGE_SIZE = 50

router = APIRouter(include_in_schema=False)

AskedSort = Annotated[Sort, Query()]
AskedPage = Annotated[int, Query(ge=1, le=1_000)]


@dataclass(frozen=True)
class Typed:
    """What was typed into one of the page's forms and refused."""

    form: str = ""
    """note, members, seeds or webhook; empty: nothing was refused."""
    values: tuple[tuple[str, str], ...] = ()
    errors: tuple[FieldError, ...] = ()

    def value(self, form: str, name: str, usual: str) -> str:
        """Return what a control of a form holds."""
        return dict(self.values).get(name, usual) if form == self.form else usual

    def error(self, form: str) -> FieldError | None:
        """Return what is wrong with a form."""
        return self.errors[0] if self.errors and form == self.form else None


@dataclass(frozen=True)
class MembersPart:
    """Some of the study's runs, sorted."""

    runs: tuple[RunOut, ...]
    total: int
    sort: Sort
    page: int
    best: Member | None
    has_reported: bool
    """Whether some run's authors reported numbers."""

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // PAGE_SIZE))


@dataclass(frozen=True)
class StudyPage:
    """What `pages/study.html` and its parts show."""

    study: StudyRow
    progress: StudyProgress
    steps: tuple[StepView, ...]
    members: MembersPart
    note: Markup
    webhook: WebhookOut
    typed: Typed
    section: str = "studies_page"

    @property
    def search(self) -> SearchOut | None:
        """How far the study's search is; None without one."""
        return None if self.study.sweep is None else sweep_out(self.study.sweep).search

    @property
    def is_due(self) -> bool:
        """Whether a step goes on though its runs have ended: of a vote's end no run tells."""
        return any(
            step.state == "running" and all(run.status in TERMINAL_STATUSES for run in step.runs)
            for step in self.steps
        )

    @property
    def is_telling(self) -> bool:
        """Whether something is on its way to the webhook."""
        return any(one.state in {"queued", "sending"} for one in self.webhook.deliveries)

    @property
    def compare_query(self) -> str:
        """The query that compares its runs."""
        return urlencode([("run", run_id) for run_id in self.study.run_ids[:RUNS_LIMIT]])

    @property
    def best_query(self) -> str:
        """The query of the launch form that begins with the best run."""
        best = self.members.best
        return urlencode({"study": self.study.id} | ({"from": best.run_id} if best else {}))


def study_context(
    store: Store, row: StudyRow, sort: Sort = "best", page: int = 1, typed: Typed | None = None
) -> StudyPage:
    """Gather what is known of a study."""
    return StudyPage(
        study=row,
        progress=StudyProgress(row),
        steps=step_views(store, row),
        members=members_part(store, row, sort, page),
        note=markdown(row.note),
        webhook=webhook_out(store, row),
        typed=typed or Typed(),
    )


def members_part(store: Store, row: StudyRow, sort: Sort, page: int) -> MembersPart:
    """Return a page of a study's runs."""
    known = members(store, row.id)
    ids = [one.run_id for one in sorted_members(known, sort)]
    first = (page - 1) * PAGE_SIZE
    runs = run_outs(store, runs_by_ids(store, ids[first : first + PAGE_SIZE]))
    return MembersPart(
        runs=tuple(runs),
        total=len(known),
        sort=sort,
        page=page,
        best=best_of(known),
        has_reported=any(run.published is not None for run in runs),
    )


def sorted_members(known: Sequence[Member], sort: Sort) -> list[Member]:
    """Return runs in the order asked for; those without a result come last."""
    if sort == "oldest":
        return sorted(known, key=lambda one: one.run_id)
    if sort == "newest":
        return sorted(known, key=lambda one: -one.run_id)
    if sort == "name":
        return sorted(known, key=lambda one: (one.name.casefold(), one.run_id))
    if sort == "status":
        return sorted(known, key=lambda one: (one.status, one.run_id))
    sign = -1 if sort == "best" else 1
    return sorted(
        known, key=lambda one: (one.accuracy is None, sign * (one.accuracy or 0.0), one.run_id)
    )


@router.get("/studies/{study_id}", name="study_page")
def study(
    request: Request,
    store: StoreDep,
    study_id: StudyId,
    sort: AskedSort = "best",
    page: AskedPage = 1,
) -> HTMLResponse:
    """Show a study."""
    context = study_context(store, get_study(store, study_id), sort, page)
    return render(request, "pages/study.html", context)


@router.get("/parts/studies/{study_id}", name="study_live")
def study_live(
    request: Request,
    store: StoreDep,
    study_id: StudyId,
    sort: AskedSort = "best",
    page: AskedPage = 1,
) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    context = study_context(store, get_study(store, study_id), sort, page)
    return render(request, "partials/study_live.html", context)
