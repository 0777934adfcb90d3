"""Datasets: added, uploaded, looked at, removed."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.answers import CatalogueEntryOut, DatasetOut, DatasetsOut, SampleOut, SamplesOut
from app.dataset_cut import cut_of
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
from app.removal import freed_bytes, remove_dataset
from app.submit import add_dataset
from app.uploads import receive_archive, receive_body, register_upload
from store.dataset_changes import (
    DESCRIPTION_LIMIT,
    TITLE_LIMIT,
    change_dataset,
    dataset_use,
)
from store.datasets import list_datasets
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


class DatasetChange(BaseModel):
    """What to change of a dataset; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=64, description="Specs may still say the old one.")
    title: str | None = Field(None, max_length=TITLE_LIMIT)
    description: str | None = Field(None, max_length=DESCRIPTION_LIMIT)


class DatasetUseOut(BaseModel):
    """What a dataset is used for, and what it takes."""

    runs: int = Field(description="On it, of whatever state.")
    live_runs: list[int] = Field(description="The first of those that have not ended.")
    live_total: int = Field(description="While there are any, it cannot be deleted.")
    freed_bytes: int = Field(description="What deleting it frees: our copy of its images.")


class CutIn(BaseModel):
    """A cut, in the fields of a spec's `dataset` section; see the reference."""

    model_config = ConfigDict(extra="forbid")

    train_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    validation_fraction: float | None = None
    validation_count: int | None = None
    test_fraction: float | None = None
    test_count: int | None = None
    train_count: int | None = None
    rest: str | None = None
    split_seed: int | None = None


class CutOut(BaseModel):
    """What a cut gives."""

    classes: list[str]
    counts: dict[str, list[int]] = Field(description="Split: images of each class.")
    totals: dict[str, int]
    fingerprints: dict[str, str] = Field(
        description="Split: equal for runs that can be compared image by image on it."
    )
    launch: str = Field(description="Address of the launch form, filled with this cut.")


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


@router.patch("/{name}", dependencies=[JsonBody])
def change(dataset: DatasetDep, wanted: DatasetChange, store: StoreDep) -> DatasetOut:
    """Rename or describe a dataset; its runs go with it, and its old name still leads to it."""
    row = change_dataset(
        store,
        dataset.name,
        new_name=wanted.name,
        title=wanted.title,
        description=wanted.description,
    )
    return dataset_out(row)


@router.get("/{name}/use")
def use(dataset: DatasetDep, store: StoreDep, settings: SettingsDep) -> DatasetUseOut:
    """Tell which runs use a dataset, and what deleting it would free."""
    found = dataset_use(store, dataset.name)
    return DatasetUseOut(
        runs=found.runs,
        live_runs=list(found.live),
        live_total=found.live_total,
        freed_bytes=freed_bytes(settings, dataset),
    )


@router.get("/{name}/cut")
def cut(dataset: DatasetDep, settings: SettingsDep, wanted: Annotated[CutIn, Query()]) -> CutOut:
    """Tell how many images of each class a cut gives; nothing is copied or changed."""
    manifest = ready_manifest(settings, dataset)
    found = cut_of(manifest, dataset.name, wanted.model_dump())
    return CutOut(
        classes=list(manifest.classes),
        counts={split: list(numbers) for split, numbers in found.counts.items()},
        totals=found.totals,
        fingerprints=dict(found.fingerprints),
        launch=f"/launch?{found.launch_query}",
    )


@router.delete("/{name}", status_code=204)
def remove(store: StoreDep, settings: SettingsDep, name: DatasetName) -> None:
    """Remove a dataset and our copy of its images; 409 while queued or running runs use it."""
    remove_dataset(store, settings, name)


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
