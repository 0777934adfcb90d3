"""Try it: a trained model on one image, its classes, Grad-CAM, feature maps, its modules.

The interactive worker does the work with a model that it keeps loaded; see `app.tryit`.
"""

from __future__ import annotations

import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from app.answers import JobOut
from app.api.jobs import STARTED, Wait, answer_with
from app.bodies import read_document
from app.dependencies import BellDep, JobDep, Owner, RunDep, SettingsDep, StoreDep, accepts
from app.tryit import ASKED, asked_for, check_trained, try_it
from app.uploads import Pictures, receive_pictures
from store.jobs import create_job
from trainer.errors import Conflict, NotFound

BODY_LIMIT_BYTES = 64 * 1024
KEPT_S = 24 * 3600

router = APIRouter(tags=["try it"])

MediaType = Annotated[str, Depends(accepts("multipart/form-data", "application/json"))]


def _described(kind: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body: an image with fields, or JSON that names one."""
    schema = ASKED[kind].model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # the document has them
    fields = {name: one for name, one in schema["properties"].items() if name != "image"}
    form = {
        "type": "object",
        "required": ["file", *schema.get("required", [])],
        "properties": {**fields, "file": {"type": "string", "format": "binary"}},
    }
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _tried(kind: str) -> Any:
    """Return a dependency: the job for what the body asks, ended or not after `wait_s`."""

    async def job(
        request: Request,
        response: Response,
        store: StoreDep,
        settings: SettingsDep,
        bell: BellDep,
        owner: Owner,
        run: RunDep,
        media_type: MediaType,
        wait_s: Wait = 0,
    ) -> JobOut:
        check_trained(run)
        sent: Pictures | None = None
        document: object
        if media_type == "application/json":
            document = await read_document(request, BODY_LIMIT_BYTES)
        else:
            sent = await receive_pictures(request, settings)
            document = {key: value for key, value in sent.fields.items() if value}
        try:
            asked = asked_for(kind, document)
            row = await run_in_threadpool(try_it, store, run, owner, kind, asked, sent)
        except BaseException:  # an image that is refused does not stay
            if sent is not None:
                shutil.rmtree(settings.job_inputs_dir(sent.inputs), ignore_errors=True)
            raise
        bell.ring_interactive()
        return await answer_with(response, store, row, wait_s)

    return Depends(job)


@router.post("/runs/{run_id}/classify", responses=STARTED, openapi_extra=_described("classify"))
async def classify(job: Annotated[JobOut, _tried("classify")]) -> JobOut:
    """Return the probability of each class for one image."""
    return job


@router.post("/runs/{run_id}/gradcam", responses=STARTED, openapi_extra=_described("gradcam"))
async def gradcam(job: Annotated[JobOut, _tried("gradcam")]) -> JobOut:
    """Show which parts of an image spoke for a class, as pictures of the job."""
    return job


@router.post("/runs/{run_id}/features", responses=STARTED, openapi_extra=_described("features"))
async def features(job: Annotated[JobOut, _tried("features")]) -> JobOut:
    """Show the feature maps that a module makes of an image, as a picture of the job."""
    return job


@router.get("/runs/{run_id}/modules", responses=STARTED)
async def modules(
    response: Response,
    store: StoreDep,
    bell: BellDep,
    owner: Owner,
    run: RunDep,
    wait_s: Wait = 0,
) -> JobOut:
    """List the modules of the run's network; its model is loaded for what is asked next."""
    check_trained(run)
    job = await run_in_threadpool(create_job, store, "modules", owner, {}, run.id)
    bell.ring_interactive()
    return await answer_with(response, store, job, wait_s)


@router.get(
    "/jobs/{job_id}/images/{name}.png",
    response_class=FileResponse,
    responses={200: {"content": {"image/png": {}}, "description": "The picture."}},
)
def picture(
    settings: SettingsDep,
    job: JobDep,
    name: Annotated[str, Path(description="seen, heat, overlay or maps.", examples=["overlay"])],
) -> FileResponse:
    """Return a picture that a job made; its result's `files` says which there are."""
    if job.state != "succeeded":
        raise Conflict(
            f"Job {job.id} is {job.state}: only one that succeeded has pictures.",
            "" if job.is_over else "Wait for its end.",
        )
    known = (job.result or {}).get("files", {})
    if name not in known:
        some = ", ".join(known) or "none"
        raise NotFound(f"Job {job.id} has no picture `{name}`.", f"It has: {some}.")
    path = settings.job_dir(job.id) / known[name]
    if not path.is_file():
        raise NotFound(f"The picture of job {job.id} is gone.", "Ask for it again.")
    return FileResponse(
        path,
        media_type="image/png",
        headers={
            "cache-control": f"private, max-age={KEPT_S}, immutable",  # ids are never used twice
            "content-encoding": "identity",  # PNG is compressed already
        },
    )
