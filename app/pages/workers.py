"""The Workers page: who trains, on what, and what waits in which order; draining and moving."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse

from app.answers import RunOut, WorkerOut
from app.dependencies import StoreDep
from app.outputs import run_outs, workers_out
from app.pages.templating import render
from app.security import CheckedForm
from store.database import Store
from store.queue import WORKER_SILENCE_S, move_run, queued_ids
from store.runs import list_runs, runs_by_ids
from store.values import ID_LIMIT
from store.workers import request_drain
from trainer.errors import FieldError, InvalidInput

QUEUE_SHOWN = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class WorkerLine:
    """A worker, and what it trains."""

    worker: WorkerOut
    runs: tuple[RunOut, ...]

    @property
    def is_silent(self) -> bool:
        """Whether it has not been heard of for too long to count on it."""
        return self.worker.age_s > WORKER_SILENCE_S

    @property
    def state(self) -> tuple[str, str]:
        """The look of its state, and its words."""
        if self.is_silent:
            return "warning", "Silent"
        if self.worker.draining or self.worker.drain_requested:
            return "draining", "Draining" if self.runs or not self.worker.draining else "Drained"
        return ("running", "Busy") if self.runs else ("ready", "Idle")

    @property
    def memory_bytes(self) -> int | None:
        """Of its machine."""
        return self.worker.details.get("memory_bytes")

    @property
    def facts(self) -> tuple[str, ...]:
        """What its machine is: GPUs or processor, and how many CPUs."""
        details = self.worker.details
        named = [str(name) for name in details.get("gpus", ())]
        named += [str(details[key]) for key in ("processor", "cpu") if details.get(key)]
        if details.get("cpus"):
            named.append(f"{details['cpus']} CPU{'s' if details['cpus'] != 1 else ''}")
        return tuple(named)

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Of the packages that make its runs' numbers."""
        return tuple(dict(self.worker.details.get("versions", {})).items())


@dataclass(frozen=True)
class WorkersPage:
    """What `pages/workers.html` shows."""

    workers: tuple[WorkerLine, ...]
    queue: tuple[RunOut, ...]
    """In the order in which they will be taken."""
    queued_total: int
    section: str = "workers_page"

    @property
    def has_trainer(self) -> bool:
        """Whether some worker can take a run."""
        return any(
            line.worker.kind == "train" and line.state[0] in {"running", "ready"}
            for line in self.workers
        )

    def neighbour(self, index: int, by: int) -> int | None:
        """Return the run so many places from the one at `index`; None beyond the ends."""
        place = index + by
        return self.queue[place].id if 0 <= place < len(self.queue) else None


def workers_context(store: Store) -> WorkersPage:
    """Gather workers, running runs and the queue."""
    running = list_runs(store, status="running", limit=200).rows
    outs = {run.id: run for run in run_outs(store, running)}
    waiting_ids = queued_ids(store)
    waiting = run_outs(store, runs_by_ids(store, waiting_ids[:QUEUE_SHOWN]))
    return WorkersPage(
        workers=tuple(
            WorkerLine(worker, tuple(outs[run.id] for run in running if run.worker_id == worker.id))
            for worker in workers_out(store)
        ),
        queue=tuple(waiting),
        queued_total=len(waiting_ids),
    )


@router.get("/workers", name="workers_page")
def workers(request: Request, store: StoreDep) -> HTMLResponse:
    """Show the workers and the queue."""
    return render(request, "pages/workers.html", workers_context(store))


@router.get("/parts/workers", name="workers_live")
def workers_live(request: Request, store: StoreDep) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    return render(request, "partials/workers_live.html", workers_context(store))


@router.post("/workers/{worker_id}/drain", name="worker_drain")
def drain(request: Request, store: StoreDep, worker_id: str, form: CheckedForm) -> RedirectResponse:
    """Ask a worker to take nothing new, or to work again."""
    request_drain(store, worker_id, drain=form.get("drain") == "yes")
    return RedirectResponse(request.app.url_path_for("workers_page"), 303)


@router.post("/queue/move", name="queue_move")
def move(request: Request, store: StoreDep, form: CheckedForm) -> RedirectResponse:
    """Put a waiting run elsewhere in the queue."""
    run_id = _run_id(form, "run")
    before, after = _run_id(form, "before"), _run_id(form, "after")
    move_run(store, run_id or 0, before=before, after=after)
    return RedirectResponse(f"{request.app.url_path_for('workers_page')}#queue-{run_id}", 303)


def _run_id(form: FormData, name: str) -> int | None:
    """Return the number of a run in a form; None where it is left out.

    Raises:
        InvalidInput: If it is something else.
    """
    text = str(form.get(name, ""))
    if not text and name != "run":
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:11]) <= ID_LIMIT):
        raise InvalidInput.of(FieldError(name, text[:80], "the number of a run"))
    return int(text)
