"""Datasets: added, uploaded, looked at, removed."""

from __future__ import annotations

import hashlib
import shutil
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.answers import CatalogueEntryOut, DatasetOut, DatasetsOut, SampleOut, SamplesOut
from app.dependencies import (
    BellDep,
    DatasetDep,
    DatasetName,
    JsonBody,
    Owner,
    SettingsDep,
    StoreDep,
    accepts,
)
from app.images import THUMBNAIL_PX, image_url, ready_manifest
from app.outputs import dataset_out
from app.submit import add_dataset
from app.uploads import receive_archive, receive_body, register_upload, uploads_dir
from store.datasets import delete_dataset, list_datasets
from store.rows import DatasetRow
from trainer.datasets.catalogue import catalogue_entries
from trainer.datasets.manifest import NO_CLASS, Item, Manifest
from trainer.errors import FieldError, InvalidInput

ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
CACHE_S = 365 * 24 * 3600

router = APIRouter(prefix="/datasets", tags=["datasets"])


class DatasetIn(BaseModel):
    """A dataset to prepare."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64, examples=["digits"])
    kind: Literal["catalogue", "folder"] = Field(examples=["catalogue"])
    source: str = Field(
        "",
        max_length=4096,
        description="Name in the catalogue (the dataset's own where left out), or the absolute "
        "path of a folder under TUNEBOARD_DATA_ROOTS.",
        examples=["digits"],
    )
    title: str = Field("", max_length=200, examples=["Handwritten digits"])
    labelled: bool = Field(
        True, description="False: a folder whose images have no classes, to be classified."
    )


@router.get("")
def index(store: StoreDep) -> DatasetsOut:
    """List the datasets, and what the catalogue has."""
    rows = list_datasets(store)
    known = {row.source for row in rows if row.kind == "catalogue"}
    return DatasetsOut(
        datasets=[dataset_out(row) for row in rows],
        catalogue=[
            CatalogueEntryOut(
                name=entry.name,
                title=entry.title,
                description=entry.description,
                note=entry.note,
                classes=entry.classes,
                splits=dict(entry.splits),
                registered=entry.name in known,
            )
            for entry in catalogue_entries()
        ],
    )


@router.post("", status_code=201, dependencies=[JsonBody])
def create(
    response: Response,
    dataset: DatasetIn,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
) -> DatasetOut:
    """Prepare a dataset of the catalogue or a folder; one that failed is tried again."""
    row = add_dataset(
        store,
        settings,
        bell,
        dataset.name,
        dataset.kind,
        dataset.source,
        owner=owner,
        title=dataset.title,
        labelled=dataset.labelled,
    )
    return _created(response, row)


@router.post(
    "/upload",
    status_code=201,
    dependencies=[Depends(accepts("multipart/form-data"))],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["name", "file"],
                        "properties": {
                            "name": {"type": "string"},
                            "file": {"type": "string", "format": "binary"},
                        },
                    }
                }
            },
        }
    },
)
async def upload(
    request: Request,
    response: Response,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
) -> DatasetOut:
    """Prepare a dataset from a zip archive in a form with the fields `name` and `file`."""
    received = await receive_archive(request, settings)
    name = received.fields.get("name", "")
    row = await run_in_threadpool(
        register_upload, store, settings, bell, received, name=name, owner=owner
    )
    return _created(response, row)


@router.put(
    "/{name}/archive",
    status_code=201,
    dependencies=[Depends(accepts(*ZIP_TYPES))],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_archive(
    request: Request,
    response: Response,
    name: DatasetName,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
) -> DatasetOut:
    """Prepare a dataset from a zip archive that is the whole body."""
    received = await receive_body(request, settings, f"{name}.zip")
    row = await run_in_threadpool(
        register_upload, store, settings, bell, received, name=name, owner=owner
    )
    return _created(response, row)


@router.get("/{name}")
def show(dataset: DatasetDep) -> DatasetOut:
    """Return a dataset."""
    return dataset_out(dataset)


@router.delete("/{name}", status_code=204)
def remove(store: StoreDep, settings: SettingsDep, name: DatasetName) -> None:
    """Remove a dataset and our copy of its images; 409 while queued or running runs use it."""
    row = delete_dataset(store, name)
    shutil.rmtree(settings.dataset_dir(row.id), ignore_errors=True)
    if row.kind == "upload":
        (uploads_dir(settings) / row.source).unlink(missing_ok=True)


@router.get("/{name}/samples")
def samples(
    dataset: DatasetDep,
    settings: SettingsDep,
    split: Annotated[Literal["train", "val", "test", "images"] | None, Query()] = None,
    label: Annotated[int | None, Query(ge=0, description="Number of the class.")] = None,
    per_class: Annotated[
        int | None, Query(ge=1, le=1000, description="A few of every class, always the same.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> SamplesOut:
    """List images with their classes and the addresses of small versions."""
    manifest = ready_manifest(settings, dataset)
    if label is not None and label >= len(manifest.classes):
        raise InvalidInput.of(FieldError("label", label, f"less than {len(manifest.classes)}"))
    found = [
        (place, item)
        for place, item in _chosen(manifest, per_class)
        if split in {None, place} and label in {None, item.label}
    ]
    return SamplesOut(
        samples=[
            SampleOut(
                path=item.path,
                label=item.label,
                class_name="" if item.label == NO_CLASS else manifest.classes[item.label],
                split=place,
                image=image_url(dataset, item.path),
            )
            for place, item in found[offset : offset + limit]
        ],
        total=len(found),
    )


@router.get(
    "/{name}/image",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}, "description": "A small version."}},
)
def image(
    request: Request,
    dataset: DatasetDep,
    settings: SettingsDep,
    path: Annotated[str, Query(max_length=4096, description="As in the list of samples.")],
    size: Annotated[int, Query(ge=8, le=1024, description="Side of the square, pixels.")] = (
        THUMBNAIL_PX
    ),
    v: Annotated[str, Query(max_length=64, description="Start of the fingerprint.")] = "",
) -> Response:
    """Return a small version of an image."""
    from trainer.datasets.thumbnails import MEDIA_TYPE, thumbnail  # Pillow comes with it

    manifest = ready_manifest(settings, dataset)
    key = f"{dataset.fingerprint}\0{path}\0{size}".encode(errors="replace")
    etag = f'"{hashlib.sha256(key).hexdigest()[:32]}"'
    # Only an address with the fingerprint in it means these very bytes for ever.
    is_lasting = bool(v) and dataset.fingerprint.startswith(v)
    headers = {
        "etag": etag,
        "cache-control": f"private, max-age={CACHE_S}, immutable" if is_lasting else "no-cache",
    }
    if etag in request.headers.get("if-none-match", "") and path in manifest.items:
        return Response(status_code=304, headers=headers)
    return Response(thumbnail(manifest, path, size), headers=headers, media_type=MEDIA_TYPE)


def _chosen(manifest: Manifest, per_class: int | None) -> list[tuple[str, Item]]:
    if per_class is None:
        return list(manifest.items.values())
    from trainer.datasets.thumbnails import sample_items

    return sample_items(manifest, per_class)


def _created(response: Response, row: DatasetRow) -> DatasetOut:
    response.headers["location"] = f"/api/v1/datasets/{row.name}"
    return dataset_out(row)
