"""The Workers page: who trains, on what, and what waits."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.answers import RunOut, WorkerOut
from app.dependencies import StoreDep
from app.outputs import run_outs, workers_out
from app.pages.templating import render
from store.database import Store
from store.queue import WORKER_SILENCE_S
from store.runs import list_runs

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
            line.worker.kind == "train" and not line.worker.draining and not line.is_silent
            for line in self.workers
        )


def workers_context(store: Store) -> WorkersPage:
    """Gather workers, running runs and the queue."""
    running = list_runs(store, status="running", limit=200).rows
    outs = {run.id: run for run in run_outs(store, running)}
    waiting = run_outs(store, list_runs(store, status="queued", limit=200).rows)
    waiting.sort(key=lambda run: run.queue.position if run.queue else 0)
    return WorkersPage(
        workers=tuple(
            WorkerLine(worker, tuple(outs[run.id] for run in running if run.worker_id == worker.id))
            for worker in workers_out(store)
        ),
        queue=tuple(waiting[:QUEUE_SHOWN]),
        queued_total=len(waiting),
    )


@router.get("/workers", name="workers_page")
def workers(request: Request, store: StoreDep) -> HTMLResponse:
    """Show the workers and the queue."""
    return render(request, "pages/workers.html", workers_context(store))


@router.get("/parts/workers", name="workers_live")
def workers_live(request: Request, store: StoreDep) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    return render(request, "partials/workers_live.html", workers_context(store))
