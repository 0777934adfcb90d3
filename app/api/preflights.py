"""Preflights: a spec tried before it is launched; each is a job."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.answers import JobOut
from app.api.runs import EXAMPLE_SPEC
from app.bodies import SpecBody, described_as
from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.outputs import job_out
from app.preflights import start_preflight

router = APIRouter(prefix="/preflights", tags=["runs"])


@router.post(
    "",
    status_code=202,
    openapi_extra=described_as({"$ref": "#/components/schemas/ExperimentSpec"}, EXAMPLE_SPEC),
)
def start(
    response: Response,
    spec: SpecBody,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
) -> JobOut:
    """Take two real steps on a training worker's next free slot; the job's result tells of them.

    Its file is a picture of augmented training images as the model sees them.
    """
    job = start_preflight(store, settings, bell, spec, owner=owner)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return job_out(job)
