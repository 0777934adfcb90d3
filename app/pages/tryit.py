"""Try it, on a run's page and on one of its own: the form, and what came of a job.

The form works without scripts: it is answered by this page with the job in its address. With
scripts the same form is sent to the part, and the answer is put in its place.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.answers import JobOut, RunOut
from app.api.jobs import Wait, ended
from app.dependencies import BellDep, JobDep, Owner, Rings, RunDep, SettingsDep, StoreDep
from app.images import list_collections, ready_dataset
from app.outputs import job_out, run_out
from app.pages.templating import render
from app.security import CheckedForm, check_form_token
from app.tryit import TRY_KINDS, asked_for, check_trained, predict_many, try_it
from app.uploads import Pictures, receive_form
from store.database import Store
from store.evaluations import evaluations
from store.jobs import cancel_job, get_job
from store.rows import JobRow, RunRow
from store.settings import Settings
from trainer.errors import FieldError, InvalidInput, TuneboardError

WAIT_S = 15.0
"""A page without scripts waits so long for its answer before it shows how far it is."""
SPLIT_TITLES = {"val": "validation", "test": "test"}
FIELDS = ("show", "image", "split", "index", "collection", "class", "module", "maps", "columns")
KEPT = {"class": "class", "module": "module", "maps": "page", "collection": "dataset"}
"""Fields of the form that a job's request holds, and their names there."""
BARS_SHOWN = 8
_IMAGE = re.compile(r"(val|test|job)-(\d{1,9})")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class TryForm:
    """The form, as filled in."""

    run_id: int
    classes: tuple[str, ...]
    splits: tuple[tuple[str, str, int], ...]
    """Name, title and number of images of each evaluation."""
    collections: tuple[tuple[str, int], ...]
    """Name and number of images of each."""
    values: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Return what was chosen or typed."""
        return self.values.get(name, "")

    @property
    def show(self) -> str:
        """What is to be shown of the image."""
        return self.value("show") if self.value("show") in TRY_KINDS else "classify"


@dataclass(frozen=True)
class Share:
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True)
class TryAnswer:
    """What `partials/tryit_answer.html` shows: a job, or what is wrong with what was asked."""

    job: JobOut | None = None
    problem: TuneboardError | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the form, so that the address can say what is shown."""

    @property
    def result(self) -> Mapping[str, Any]:
        """What the job said."""
        return (self.job and self.job.result) or {}

    @property
    def shares(self) -> tuple[Share, ...]:
        """The classes, the likeliest first."""
        pairs = zip(self.result["classes"], self.result["probabilities"], strict=True)
        found = [Share(name, probability) for name, probability in pairs]
        return tuple(sorted(found, key=lambda share: -share.probability))

    @property
    def image(self) -> str:
        """How the form and the address name the image."""
        if self.job is None or self.job.kind not in TRY_KINDS:
            return ""
        known = self.job.request["image"]
        if "index" in known:
            return f"{known['split']}-{known['index']}"
        return f"job-{known.get('job', self.job.id)}"

    @property
    def bars_shown(self) -> int:
        """How many classes are shown at once."""
        return BARS_SHOWN


@dataclass(frozen=True)
class TryPage:
    """What `pages/tryit.html` shows."""

    run: RunOut
    tryit: TryForm
    answer: TryAnswer | None = None
    section: str = "runs_page"


def try_form(store: Store, row: RunRow, values: Mapping[str, str]) -> TryForm | None:
    """Return the form of a run that can be tried; None for any other."""
    if row.external or row.status != "succeeded":
        return None
    found = evaluations(store, [row.id])
    return TryForm(
        row.id,
        tuple(one["name"] for one in found[0].classes) if found else (),
        tuple((one.split, SPLIT_TITLES.get(one.split, one.split), one.samples) for one in found),
        tuple((one.name, one.summary["samples"]) for one in list_collections(store)),
        {name: values[name] for name in FIELDS if values.get(name)},
    )


@router.get("/runs/{run_id}/try", name="run_try")
def page(request: Request, store: StoreDep, row: RunDep) -> HTMLResponse:
    """Show the form, and what came of the job in the address."""
    check_trained(row)
    number = request.query_params.get("job", "")
    answer = _answer_of(get_job(store, int(number))) if number.isdecimal() else None
    values = {**(answer.settings if answer else {}), **request.query_params}
    return _page(request, store, row, values, answer)


@router.post("/runs/{run_id}/try", name="run_try_send")
async def send(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    row: RunDep,
) -> Response:
    """Do what a form without scripts asks for, and show it."""
    answer = await _asked(request, store, settings, bell, owner, row, WAIT_S)
    if answer.job is None:
        return await run_in_threadpool(_page, request, store, row, answer.settings, answer)
    address = request.app.url_path_for("run_try", run_id=row.id)
    return RedirectResponse(f"{address}?job={answer.job.id}#try-answer", 303)


@router.post("/parts/runs/{run_id}/try", name="run_try_part")
async def send_part(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    row: RunDep,
    wait_s: Wait = 10,
) -> HTMLResponse:
    """Do what the form asks for and return the answer alone, ready or not."""
    return _part(request, await _asked(request, store, settings, bell, owner, row, wait_s))


@router.get("/parts/tries/{job_id}", name="try_part")
async def part(request: Request, store: StoreDep, job: JobDep, wait_s: Wait = 0) -> HTMLResponse:
    """Return the answer of a job alone, once it has ended or after that time."""
    return _part(request, _answer_of(await ended(store, job, wait_s)))


@router.post("/tries/{job_id}/cancel", name="try_cancel")
def cancel(request: Request, store: StoreDep, job: JobDep, _form: CheckedForm) -> RedirectResponse:
    """Cancel a job and show that."""
    if not job.is_over:
        cancel_job(store, job.id)
    address = request.app.url_path_for("run_try", run_id=job.run_id)
    return RedirectResponse(f"{address}?job={job.id}#try-answer", 303)


async def _asked(
    request: Request,
    store: Store,
    settings: Settings,
    bell: Rings,
    owner: str,
    row: RunRow,
    wait_s: float,
) -> TryAnswer:
    """Return what came of a form within `wait_s`, or what is wrong with it."""
    check_trained(row)

    def check(early: Mapping[str, str]) -> None:
        check_form_token(request, early.get("csrf_token"))

    fields, sent = await receive_form(request, settings, check)
    try:
        check(fields)
        job = await run_in_threadpool(_queue, store, row, owner, fields, sent)
    except InvalidInput as error:
        _forget(settings, sent)
        kept = {name: fields[name] for name in FIELDS if fields.get(name)}
        return TryAnswer(problem=error, settings=kept)
    except BaseException:
        _forget(settings, sent)
        raise
    bell.ring_interactive()
    return _answer_of(await ended(store, job, wait_s))


def _queue(
    store: Store, row: RunRow, owner: str, fields: Mapping[str, str], sent: Pictures | None
) -> JobRow:
    """Queue what a form asks for: several files, a zip or a collection become a table."""
    if sent is not None and (len(sent.names) > 1 or sent.names[0].lower().endswith(".zip")):
        return predict_many(store, row, owner, {"inputs": sent.inputs})
    if sent is None and fields.get("collection") and not fields.get("index"):
        images = {"dataset": ready_dataset(store, fields["collection"]).name}
        return predict_many(store, row, owner, images)
    kind = fields["show"] if fields.get("show") in TRY_KINDS else "classify"
    document: dict[str, Any] = {}
    if sent is None:
        document["image"] = _named_image(fields)
    if kind == "gradcam" and fields.get("class"):
        document["class"] = fields["class"]
    if kind == "features":
        if not fields.get("module"):
            expected = "the name of one of the network's modules"
            raise InvalidInput.of(
                FieldError("module", None, expected, "Try `features` or `conv1`.")
            )
        names = {"module": "module", "maps": "page", "columns": "columns"}
        document |= {key: fields[name] for name, key in names.items() if fields.get(name)}
    return try_it(store, row, owner, kind, asked_for(kind, document), sent)


def _named_image(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the image that the form names without sending it.

    Raises:
        InvalidInput: If it names none.
    """
    if fields.get("index"):
        return {"split": fields.get("split", "val"), "index": fields["index"]}
    found = _IMAGE.fullmatch(fields.get("image", ""))
    if found is None:
        expected = "a file, or the number of an evaluated image"
        raise InvalidInput.of(FieldError("image", fields.get("image") or None, expected))
    what, number = found[1], int(found[2])
    return {"job": number} if what == "job" else {"split": what, "index": number}


def _answer_of(job: JobRow) -> TryAnswer:
    request = job.payload
    settings = {"show": job.kind}
    for name, key in KEPT.items():
        if key in request:
            settings[name] = str(request[key])
    answer = TryAnswer(job_out(job), settings=settings)
    return TryAnswer(answer.job, settings={**settings, "image": answer.image})


def _page(
    request: Request,
    store: Store,
    row: RunRow,
    values: Mapping[str, str],
    answer: TryAnswer | None,
) -> HTMLResponse:
    form = try_form(store, row, values)
    if form is None:
        raise AssertionError("checked before")
    status = answer.problem.status if answer and answer.problem else 200
    shown = TryPage(run_out(store, row), form, answer)
    return render(request, "pages/tryit.html", shown, status)


def _part(request: Request, answer: TryAnswer) -> HTMLResponse:
    status = answer.problem.status if answer.problem else 200
    return render(request, "partials/tryit_answer.html", answer, status)


def _forget(settings: Settings, sent: Pictures | None) -> None:
    if sent is not None:
        shutil.rmtree(settings.job_inputs_dir(sent.inputs), ignore_errors=True)
