"""Archives uploaded in pieces: begin, add, ask how much is there, finish.

POST  /uploads                 what the archive is to become: an id
PATCH /uploads/ID              the next bytes, with their place in `Upload-Offset`
HEAD  /uploads/ID              `Upload-Offset`: where the next byte belongs
POST  /uploads/ID/finish       the dataset
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.answers import DatasetOut
from app.dependencies import BellDep, JsonBody, Owner, SettingsDep, StoreDep, accepts
from app.outputs import dataset_out
from app.resumable import (
    TAIL_BYTES,
    OpenUpload,
    append,
    begin,
    find,
    finished,
    list_open,
    new_id,
    offset_of,
    remove,
    remove_left_alone,
    tail_sha256,
)
from app.uploads import check_free, register_upload
from store.dataset_changes import finished_upload
from store.settings import Settings
from trainer.errors import NotFound

PIECE_TYPES = ("application/offset+octet-stream", "application/octet-stream")
SIZE_LIMIT_BYTES = 2**53

router = APIRouter(prefix="/uploads", tags=["uploads"])

UploadId = Annotated[str, Path(min_length=1, max_length=64, description="As `POST` told it.")]


class UploadIn(BaseModel):
    """An archive that will be sent in pieces, and what it is to become."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=64, description="The dataset's.", examples=["flowers"]
    )
    filename: str = Field(min_length=1, max_length=500, examples=["flowers.zip"])
    size_bytes: int = Field(ge=1, le=SIZE_LIMIT_BYTES, examples=[47286322])
    title: str = Field("", max_length=200)
    labelled: bool = Field(
        True, description="False: a collection of images without classes, to be classified."
    )
    sha256: str = Field(
        "",
        pattern="^([0-9a-fA-F]{64})?$",
        description="Of the whole archive; it is checked at the end where it is given.",
    )
    key: str = Field(
        "", max_length=500, description="How its sender recognises the file again, to resume."
    )


class FinishIn(BaseModel):
    """What to change of the dataset now that everything is here."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        None, max_length=64, description="Another name, where the first has been taken meanwhile."
    )


class UploadOut(BaseModel):
    """An unfinished upload."""

    id: str
    name: str
    title: str
    labelled: bool
    filename: str
    size_bytes: int
    offset: int = Field(description="Bytes that have arrived: where the next one belongs.")
    tail_sha256: str = Field(
        description=f"SHA-256 of the last {TAIL_BYTES // 1024} KiB before the offset (of all "
        "where there are fewer), so that a sender can tell whether it has the same file."
    )
    key: str
    created_at: float
    url: str


class UploadsOut(BaseModel):
    """Your unfinished uploads, oldest first."""

    uploads: list[UploadOut]


def upload_out(settings: Settings, upload: OpenUpload) -> UploadOut:
    """Return an unfinished upload as the API shows it."""
    return UploadOut(
        id=upload.id,
        name=upload.name,
        title=upload.title,
        labelled=upload.labelled,
        filename=upload.filename,
        size_bytes=upload.size_bytes,
        offset=offset_of(settings, upload),
        tail_sha256=tail_sha256(settings, upload),
        key=upload.key,
        created_at=upload.created_at,
        url=f"/api/v1/uploads/{upload.id}",
    )


@router.get("")
def index(settings: SettingsDep, owner: Owner) -> UploadsOut:
    """List your unfinished uploads; one that is left alone for a day is removed."""
    return UploadsOut(
        uploads=[upload_out(settings, upload) for upload in list_open(settings, owner)]
    )


@router.post("", status_code=201, dependencies=[JsonBody])
def create(
    response: Response, wanted: UploadIn, store: StoreDep, settings: SettingsDep, owner: Owner
) -> UploadOut:
    """Begin an upload; its pieces are added with `PATCH`."""
    remove_left_alone(settings)
    check_free(store, wanted.name)
    given = wanted.model_dump()
    given["filename"] = wanted.filename.replace("\\", "/").rpartition("/")[2]
    upload = OpenUpload(id=new_id(), owner=owner, created_at=time.time(), **given)
    begin(settings, upload)
    response.headers["location"] = f"/api/v1/uploads/{upload.id}"
    return upload_out(settings, upload)


@router.get("/{upload_id}")
def show(response: Response, upload_id: UploadId, settings: SettingsDep, owner: Owner) -> UploadOut:
    """Tell how much of an upload has arrived."""
    upload = find(settings, upload_id, owner)
    _say_offset(response, settings, upload)
    return upload_out(settings, upload)


@router.head("/{upload_id}", response_class=Response)
def look(upload_id: UploadId, settings: SettingsDep, owner: Owner) -> Response:
    """Tell in `Upload-Offset` where the next byte belongs."""
    response = Response(headers={"cache-control": "no-store"})
    _say_offset(response, settings, find(settings, upload_id, owner))
    return response


@router.patch(
    "/{upload_id}",
    status_code=204,
    dependencies=[Depends(accepts(*PIECE_TYPES))],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {PIECE_TYPES[0]: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def add(
    request: Request,
    upload_id: UploadId,
    settings: SettingsDep,
    owner: Owner,
    upload_offset: Annotated[int, Header(ge=0, le=SIZE_LIMIT_BYTES)],
) -> Response:
    """Add a piece of any size at `Upload-Offset`; 409 where the next byte belongs elsewhere.

    What arrives of a piece that is cut off is kept.
    """
    upload = await run_in_threadpool(find, settings, upload_id, owner)
    offset = await append(request, settings, upload, upload_offset)
    return Response(status_code=204, headers={"upload-offset": str(offset)})


@router.delete("/{upload_id}", status_code=204)
def cancel(upload_id: UploadId, settings: SettingsDep, owner: Owner) -> None:
    """Remove an unfinished upload and what has arrived of it."""
    remove(settings, find(settings, upload_id, owner).id)


@router.post("/{upload_id}/finish", status_code=201, dependencies=[JsonBody])
def finish(
    response: Response,
    upload_id: UploadId,
    wanted: FinishIn,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
) -> DatasetOut:
    """Make the dataset once everything has arrived; repeating it returns the same dataset."""
    try:
        upload = find(settings, upload_id, owner)
    except NotFound:
        made = finished_upload(store, upload_id)
        if made is None or made.owner != owner:
            raise
        return dataset_out(made)
    name = wanted.name or upload.name
    check_free(store, name)  # before the archive is handed over, so that none is lost for a name
    archive = finished(settings, upload)
    row = register_upload(
        store,
        settings,
        bell,
        archive,
        name=name,
        owner=owner,
        title=upload.title,
        labelled=upload.labelled,
    )
    response.headers["location"] = f"/api/v1/datasets/{row.name}"
    return dataset_out(row)


def _say_offset(response: Response, settings: Settings, upload: OpenUpload) -> None:
    response.headers["upload-offset"] = str(offset_of(settings, upload))
    response.headers["upload-length"] = str(upload.size_bytes)
