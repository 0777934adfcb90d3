"""After training: predictions of new images, exported models, votes; each is a job.

The interactive worker does the work; these routes queue it, ring, and tell how far it is.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from app.answers import JobOut, JobsOut
from app.bodies import model_of, read_document
from app.dependencies import (
    BellDep,
    JobDep,
    JsonBody,
    Owner,
    RunDep,
    SettingsDep,
    StoreDep,
    accepts,
)
from app.images import ready_dataset
from app.outputs import job_out
from app.tryit import check_trained, predict_many
from app.uploads import receive_pictures
from store.database import Store
from store.evaluations import evaluations
from store.jobs import cancel_job, create_job, get_job, list_jobs
from store.rows import JobRow, RunRow
from store.runs import get_run
from store.settings import Settings
from store.values import ID_LIMIT
from store.votes import check_same_images
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound
from trainer.steps import VOTERS_LIMIT

FOLDER_BODY_LIMIT_BYTES = 64 * 1024
FIRST_LOOK_S = 0.01
LOOK_S = 0.1
"""Between looks for a job's end, once it takes longer than a click may."""
WAIT_LIMIT_S = 30
_MEDIA_TYPES = {".csv": "text/csv; charset=utf-8", ".png": "image/png"}
SUFFIXES = {"safetensors": "safetensors", "torchscript": "pt", "onnx": "onnx"}
STARTED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobOut, "description": "Queued or at work; ask at `url` for more."}
}

router = APIRouter(tags=["after training"])

Wait = Annotated[float, Query(ge=0, le=WAIT_LIMIT_S, description="Seconds to wait for the result.")]


class FolderIn(BaseModel):
    """Images to classify that lie on the server; one of the two."""

    model_config = ConfigDict(extra="forbid")

    folder: str | None = Field(
        None, max_length=4096, description="Absolute path of a folder under TUNEBOARD_DATA_ROOTS."
    )
    dataset: str | None = Field(
        None, max_length=100, description="Name of a dataset or a collection that is ready."
    )


class ExportIn(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["safetensors", "torchscript", "onnx"] = Field(examples=["safetensors"])


class VoteIn(BaseModel):
    """Which runs are to vote, and how."""

    model_config = ConfigDict(extra="forbid")

    runs: list[Annotated[int, Field(ge=1, le=ID_LIMIT)]] = Field(
        min_length=2, max_length=VOTERS_LIMIT, examples=[[1, 2, 3]]
    )
    split: Literal["val", "test"] = "val"
    method: Literal["majority", "mean"] = "majority"
    prefer: int | None = Field(
        None, description="The run that decides ties of a majority; the first where left out."
    )


@router.post(
    "/runs/{run_id}/predictions",
    responses=STARTED,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {
                                "type": "array",
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                },
                "application/json": {"schema": FolderIn.model_json_schema()},
            },
        }
    },
)
async def predict(
    request: Request,
    response: Response,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    run: RunDep,
    media_type: Annotated[str, Depends(accepts("multipart/form-data", "application/json"))],
    wait_s: Wait = 0,
) -> JobOut:
    """Classify images of a form's `file` fields, a folder on the server, or a dataset."""
    check_trained(run)
    if media_type == "application/json":
        body = model_of(FolderIn, await read_document(request, FOLDER_BODY_LIMIT_BYTES))
        images = await run_in_threadpool(_images_of, body, store, settings)
    else:
        images = {"inputs": (await receive_pictures(request, settings)).inputs}
    job = await run_in_threadpool(predict_many, store, run, owner, images)
    bell.ring_interactive()
    return await answer_with(response, store, job, wait_s)


@router.post("/runs/{run_id}/exports", dependencies=[JsonBody], responses=STARTED)
async def export(
    response: Response,
    store: StoreDep,
    bell: BellDep,
    owner: Owner,
    run: RunDep,
    wanted: ExportIn,
    wait_s: Wait = 0,
) -> JobOut:
    """Write a run's model as a file for use elsewhere, checked on real validation images."""
    check_trained(run)
    job = await run_in_threadpool(queue_export, store, run, wanted, owner)
    bell.ring_interactive()
    return await answer_with(response, store, job, wait_s)


@router.post("/votes", dependencies=[JsonBody], responses=STARTED)
async def vote(
    response: Response,
    store: StoreDep,
    bell: BellDep,
    owner: Owner,
    wanted: VoteIn,
    wait_s: Wait = 0,
) -> JobOut:
    """Let runs vote on the images they were all evaluated on."""
    await run_in_threadpool(_check_voters, store, wanted)
    asked = {
        "runs": wanted.runs,
        "split": wanted.split,
        "method": wanted.method,
        "prefer": wanted.prefer or wanted.runs[0],
        "file": "votes.csv",
    }
    job = await run_in_threadpool(create_job, store, "vote", owner, asked)
    bell.ring_interactive()
    return await answer_with(response, store, job, wait_s)


@router.get("/jobs")
def index(store: StoreDep, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> JobsOut:
    """List the newest jobs, newest first; they are kept for a day after their end."""
    return JobsOut(jobs=[job_out(row) for row in list_jobs(store, limit)])


@router.post("/jobs/{job_id}/cancel")
def cancel(store: StoreDep, job: JobDep) -> JobOut:
    """End a job that has not ended; its worker stops the work for it within two seconds."""
    return job_out(cancel_job(store, job.id))


@router.get("/jobs/{job_id}")
async def show(store: StoreDep, job: JobDep, wait_s: Wait = 0) -> JobOut:
    """Return a job; with `wait_s` once it has ended, or after that time."""
    return job_out(await ended(store, job, wait_s))


@router.get("/jobs/{job_id}/file", response_class=FileResponse)
def download(settings: SettingsDep, job: JobDep) -> FileResponse:
    """Return the file that a job made: a CSV table or an exported model."""
    if job.state != "succeeded":
        raise Conflict(
            f"Job {job.id} is {job.state}: only one that succeeded has a file.",
            "" if job.is_over else "Wait for its end.",
        )
    if "file" not in job.payload:
        raise NotFound(f"Job {job.id} makes no file.", "Its result says what came of it.")
    path = settings.job_dir(job.id) / job.payload["file"]
    if not path.is_file():
        raise NotFound(f"The file of job {job.id} is gone.", "Ask for it again.")
    is_table = path.suffix == ".csv"
    return FileResponse(
        path,
        filename=path.name,
        media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
        # Tensors hardly shrink: without this each would be compressed on the way.
        headers={} if is_table else {"content-encoding": "identity"},
    )


def queue_export(store: Store, run: RunRow, wanted: ExportIn, owner: str) -> JobRow:
    """Queue the export of a run's model, and return the job."""
    asked = {"format": wanted.format, "file": f"run-{run.id}.{SUFFIXES[wanted.format]}"}
    return create_job(store, "export", owner, asked, run.id)


def _check_voters(store: Store, wanted: VoteIn) -> None:
    """Check that the runs can vote.

    Raises:
        NotFound: If there is no such run.
        InvalidInput: If a run is named twice, or the preferred one is not among them.
        Conflict: If one has no predictions, or not of the same images.
    """
    if len(set(wanted.runs)) < len(wanted.runs):
        raise InvalidInput.of(FieldError("runs", wanted.runs, "each run once"))
    if wanted.prefer is not None and wanted.prefer not in wanted.runs:
        raise InvalidInput.of(FieldError("prefer", wanted.prefer, "one of the runs that vote"))
    for run_id in wanted.runs:
        check_trained(get_run(store, run_id))
    check_same_images(evaluations(store, wanted.runs), wanted.runs, wanted.split)


def _images_of(body: FolderIn, store: Store, settings: Settings) -> dict[str, str]:
    """Return which images on the server are meant, as the job's payload says it.

    Raises:
        InvalidInput: If the folder may not be read, or not exactly one of the two is named.
        NotFound: If there is no such dataset.
        Conflict: If it is not ready.
    """
    if (body.folder is None) == (body.dataset is None):
        given = body.folder and body.dataset
        raise InvalidInput.of(
            FieldError("folder", given, "either `folder` or `dataset`", "Send one of the two.")
        )
    if body.dataset is not None:
        return {"dataset": ready_dataset(store, body.dataset).name}
    from trainer.datasets.folder import check_folder_allowed  # Pillow comes with it

    folder = check_folder_allowed(body.folder or "", settings.data_roots, field="folder")
    return {"folder": str(folder)}


async def answer_with(response: Response, store: Store, job: JobRow, wait_s: float) -> JobOut:
    """Return a new job, ended or not, with the status that says which."""
    job = await ended(store, job, wait_s)
    response.status_code = 200 if job.is_over else 202
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return job_out(job)


async def ended(store: Store, job: JobRow, wait_s: float) -> JobRow:
    """Return the job once it has ended, or as it is after `wait_s`."""
    deadline = time.monotonic() + wait_s
    pause_s = FIRST_LOOK_S
    while not job.is_over and time.monotonic() < deadline:
        await asyncio.sleep(pause_s)
        pause_s = min(LOOK_S, 1.1 * pause_s)
        job = await run_in_threadpool(get_job, store, job.id)
    return job
