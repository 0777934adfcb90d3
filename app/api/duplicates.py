"""A dataset's duplicates: listed, and looked for where nobody has yet."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.answers import JobOut
from app.dependencies import BellDep, DatasetDep, Owner, SettingsDep, StoreDep
from app.duplicates import Kind, find, look
from app.outputs import job_out

router = APIRouter(prefix="/datasets/{name}/duplicates", tags=["datasets"])


class DuplicateImageOut(BaseModel):
    """An image that is there more than once."""

    path: str
    split: str
    class_name: str
    image: str = Field(description="Address of a small version.")


class DuplicateGroupOut(BaseModel):
    """Images that are the same, or nearly."""

    exact: bool = Field(description="Whether all have the same pixels.")
    across_splits: bool
    across_classes: bool
    images: list[DuplicateImageOut]


class DuplicatesOut(BaseModel):
    """A dataset's duplicates."""

    looked: bool = Field(description="False: nobody has looked yet; POST here to have it done.")
    near: str = Field(description="What near duplicates were looked for.")
    groups: list[DuplicateGroupOut] = Field(description="Those across splits first.")
    total: int = Field(description="Groups of the kind asked for.")


@router.get("")
def index(
    settings: SettingsDep,
    dataset: DatasetDep,
    kind: Annotated[Kind, Query(description="splits, classes: only those across them.")] = "all",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> DuplicatesOut:
    """List groups of images that are the same, or nearly."""
    found = find(settings, dataset, kind, limit, offset)
    return DuplicatesOut(
        looked=found.looked,
        near=found.near,
        groups=[
            DuplicateGroupOut(
                exact=group.exact,
                across_splits=group.across_splits,
                across_classes=group.across_classes,
                images=[DuplicateImageOut(**vars(one)) for one in group.images],
            )
            for group in found.groups
        ],
        total=found.total,
    )


@router.post("", status_code=202)
def start(
    response: Response, store: StoreDep, bell: BellDep, owner: Owner, dataset: DatasetDep
) -> JobOut:
    """Look through all images again; the job says how far it is and can be cancelled."""
    job = look(store, bell, dataset, owner)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return job_out(job)
