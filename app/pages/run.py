"""The Run page: live curves, progress, log, and what came of it; cancelling and the note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.answers import LogLine, RunOut
from app.dependencies import BellDep, RunDep, SettingsDep, StoreDep
from app.figures.curves import ACCURACY, BATCH, LOSS, curve_figure, curve_info, thinned
from app.figures.resources import GIB, resource_figures
from app.figures.style import Figure, run_style
from app.outputs import log_out, run_out
from app.pages.run_downloads import Downloads, downloads
from app.pages.run_parts import Part, ResultsPart, RunViewDep, part_of, results_part
from app.pages.run_wish_forms import Wishes, WishForm, wishes
from app.pages.templating import render
from app.pages.tryit import TryForm, try_form
from app.security import CheckedForm
from app.submit import cancel_run
from app.texts import checked_note
from store.database import Store
from store.datasets import get_dataset
from store.events import log_length, log_lines, phase_seconds, warnings
from store.resources import Sample, samples
from store.rows import AttemptRow, DatasetRow, RunRow, SeriesPoints
from store.runs import attempts, update_note
from store.series import series
from store.settings import Settings
from trainer.errors import NotFound

LOG_LINES = 300
SAMPLES = 600  # of the resources, in a chart
MAX_POINTS = 2000  # of a curve; more cannot be told apart on a screen
QUERY_LIMIT = 200
CURVES = ("train_accuracy", "val_accuracy", "train_loss", "val_loss", "learning_rate")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class EpochLine:
    """One epoch's figures; None where one was not finite or not told."""

    epoch: int
    elapsed_s: float
    is_best: bool
    values: Mapping[str, float]


@dataclass(frozen=True)
class RunPage:
    """What `pages/run.html` and its parts show."""

    run: RunOut
    row: RunRow
    dataset: DatasetRow | None
    attempts: tuple[AttemptRow, ...]
    log: tuple[LogLine, ...]
    warnings: tuple[Mapping[str, Any], ...]
    epochs: tuple[EpochLine, ...]
    results: ResultsPart | None
    """None until it has been evaluated."""
    figures: Mapping[str, Figure]
    samples: tuple[Sample, ...]
    resources: Mapping[str, tuple[str, Figure]]
    """Title and small chart by what is measured."""
    log_total: int
    """Lines of the whole log, or of what was searched for."""
    log_query: str
    spec_yaml: str
    phases: Mapping[str, float]
    """Seconds by phase, of the epochs so far while the run has not finished."""
    wishes: Wishes
    tryit: TryForm | None
    downloads: Downloads
    section: str = "runs_page"

    @property
    def fraction(self) -> float:
        """Share of the steps that are done."""
        if self.run.status == "succeeded":
            return 1.0
        return self.run.progress.fraction if self.run.progress else 0.0

    @property
    def can_pause(self) -> bool:
        """Whether the run may be asked to pause."""
        row = self.row
        is_asked = row.cancel_requested or row.pause_requested
        return row.status in {"queued", "running"} and not row.external and not is_asked

    @property
    def can_resume(self) -> bool:
        """Whether the run is paused, or is about to be."""
        row = self.row
        return not row.cancel_requested and (row.status == "paused" or row.pause_requested)

    @property
    def resource_words(self) -> str:
        """The resources in a sentence."""
        memory = max(one.memory_bytes for one in self.samples) / GIB
        cores = sum(one.cpu_percent for one in self.samples) / len(self.samples) / 100
        text = f"At most {memory:.2f} GiB of memory, on average {cores:.1f} processor cores"
        gpu = [one.gpu_percent for one in self.samples if one.gpu_percent is not None]
        held = [one.gpu_memory_bytes for one in self.samples if one.gpu_memory_bytes is not None]
        if held:
            text += f", at most {max(held) / GIB:.2f} GiB of the GPU's memory"
        if gpu:
            text += f"; the GPU was at work {sum(gpu) / len(gpu):.0f} % of the time"
        return f"{text}."


def run_context(
    store: Store,
    settings: Settings,
    row: RunRow,
    part: Part | None,
    log_query: str = "",
    forms: Mapping[str, WishForm] | None = None,
) -> RunPage:
    """Gather what is known of a run.

    Args:
        part: The evaluation to show, if there is one.
        log_query: Only lines of the log that hold it are shown.
        forms: What was asked of the run, as filled in.
    """
    names = [style.series for style in (*ACCURACY, *LOSS, *BATCH)] + ["learning_rate"]
    points = series(store, [row.id], names)
    lines = log_lines(store, row.id, LOG_LINES, log_query)
    used = samples(store, row.id, SAMPLES)
    began = row.started_at or row.created_at
    phases = row.finished.get("seconds") or phase_seconds(store, row.id)
    return RunPage(
        run=run_out(store, row),
        row=row,
        dataset=_dataset(store, row.dataset_name),
        attempts=tuple(attempts(store, row.id)),
        log=tuple(log_out(lines, len(lines)).lines),
        warnings=tuple(line.payload for line in warnings(store, row.id)),
        epochs=epoch_lines(row.id, points),
        results=results_part(store, settings, part) if part else None,
        figures=run_figures(row, points),
        samples=tuple(used),
        resources=resource_figures(used, began, run_style(row.id).colour),
        log_total=log_length(store, row.id, log_query),
        log_query=log_query,
        phases={phase: seconds for phase, seconds in phases.items() if seconds},
        wishes=wishes(store, settings, row, forms),
        downloads=downloads(store, settings, row),
        spec_yaml=yaml.safe_dump(row.spec, sort_keys=False, allow_unicode=True),
        tryit=try_form(store, row, {}),
    )


def run_figures(row: RunRow, points: Mapping[tuple[int, str], SeriesPoints]) -> dict[str, Figure]:
    """Return the run's curves by name."""
    shown, sampled_from = thinned(points, MAX_POINTS)
    runs = [(row.id, row.name)]
    return {
        "accuracy": curve_figure(
            curve_info("Accuracy", "Accuracy", ACCURACY, runs, shown, percent=True)
        ),
        "loss": curve_figure(curve_info("Loss", "Loss", LOSS, runs, shown)),
        "batch": curve_figure(
            curve_info(
                "Batch loss and learning rate",
                "Batch loss",
                BATCH,
                runs,
                shown,
                "step",
                second_y_title="Learning rate",
                sampled_from=sampled_from,
            )
        ),
    }


def epoch_lines(
    run_id: int, points: Mapping[tuple[int, str], SeriesPoints]
) -> tuple[EpochLine, ...]:
    """Return the curves as a table, one line an epoch, newest last."""
    by_epoch: dict[int, dict[str, float]] = {}
    elapsed: dict[int, float] = {}
    for name in CURVES:
        found = points.get((run_id, name), SeriesPoints())
        for epoch, seconds, value in zip(found.epochs, found.elapsed, found.values, strict=True):
            by_epoch.setdefault(round(epoch), {})[name] = value
            elapsed[round(epoch)] = seconds
    accuracies = {
        epoch: values["val_accuracy"]
        for epoch, values in sorted(by_epoch.items())
        if values.get("val_accuracy", float("nan")) == values.get("val_accuracy")
    }
    best = max(accuracies, key=accuracies.__getitem__, default=None)
    return tuple(
        EpochLine(epoch, elapsed[epoch], epoch == best, values)
        for epoch, values in sorted(by_epoch.items())
    )


@router.get("/runs/{run_id}", name="run_page")
def run(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    row: RunDep,
    view: RunViewDep,
    log: Annotated[str, Query(max_length=QUERY_LIMIT, description="Part of a line.")] = "",
) -> HTMLResponse:
    """Show a run."""
    page = run_context(store, settings, row, part_of(request, store, row, view), log.strip())
    return render(request, "pages/run.html", page)


@router.get("/parts/runs/{run_id}", name="run_live")
def run_live(
    request: Request, store: StoreDep, settings: SettingsDep, row: RunDep, view: RunViewDep
) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    page = run_context(store, settings, row, part_of(request, store, row, view))
    return render(request, "partials/run_live.html", page)


@router.post("/runs/{run_id}/cancel", name="run_cancel")
def cancel(
    request: Request, store: StoreDep, bell: BellDep, row: RunDep, _form: CheckedForm
) -> RedirectResponse:
    """Cancel a run and show it."""
    cancel_run(store, bell, row.id)
    return RedirectResponse(request.app.url_path_for("run_page", run_id=row.id), 303)


@router.post("/runs/{run_id}/note", name="run_note")
def note(request: Request, store: StoreDep, row: RunDep, form: CheckedForm) -> RedirectResponse:
    """Keep a run's note and show the run."""
    update_note(store, row.id, checked_note(str(form.get("note", ""))))
    return RedirectResponse(request.app.url_path_for("run_page", run_id=row.id) + "#note", 303)


def _dataset(store: Store, name: str) -> DatasetRow | None:
    try:
        return get_dataset(store, name)
    except NotFound:
        return None
