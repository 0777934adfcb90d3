"""Images of an evaluation by their place in it: never by a path that the client names."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from app.api.datasets import CACHE_S
from app.dependencies import RunDep, SettingsDep, StoreDep
from app.images import THUMBNAIL_PX, ready_manifest
from app.predictions import opinions
from store.database import Store
from store.datasets import get_dataset
from store.evaluations import evaluation
from store.rows import RunRow
from store.values import ID_LIMIT
from trainer.errors import NotFound

router = APIRouter(tags=["compare"])

SplitPath = Annotated[Literal["val", "test"], Path(description="Which evaluation of the run.")]


@router.get(
    "/runs/{run_id}/evaluations/{split}/images/{index}",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}, "description": "A small version."}},
)
def image(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    run: RunDep,
    split: SplitPath,
    index: Annotated[int, Path(ge=0, le=ID_LIMIT, description="Place in the split, from 0.")],
    size: Annotated[int, Query(ge=8, le=1024, description="Side of the square, pixels.")] = (
        THUMBNAIL_PX
    ),
    v: Annotated[str, Query(max_length=64, description="Start of the fingerprint.")] = "",
) -> Response:
    """Return a small version of an image that a run was evaluated on."""
    from trainer.datasets.thumbnails import MEDIA_TYPE, thumbnail  # Pillow comes with it

    (said,) = opinions(settings, evaluation(store, run.id, split), [index])
    dataset = get_dataset(store, run.dataset_name)
    manifest = ready_manifest(settings, dataset)
    known = manifest.items.get(said.id)
    if known is None or known[1].label != said.label:
        raise NotFound(
            f"The dataset `{dataset.name}` no longer has the image that run {run.id} saw.",
            "It was prepared anew from other files since then.",
        )
    key = f"{dataset.fingerprint}\0{said.id}\0{size}".encode(errors="replace")
    etag = f'"{hashlib.sha256(key).hexdigest()[:32]}"'
    is_lasting = bool(v) and dataset.fingerprint.startswith(v)
    headers = {
        "etag": etag,
        "cache-control": f"private, max-age={CACHE_S}, immutable" if is_lasting else "no-cache",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(thumbnail(manifest, said.id, size), headers=headers, media_type=MEDIA_TYPE)


def evaluated_image_url(run_id: int, split: str, index: int, version: str) -> str:
    """Return the address of a small version.

    Args:
        version: Of `images_version`: with it the answer is kept for ever.
    """
    ending = f"?v={version}" if version else ""
    return f"/api/v1/runs/{run_id}/evaluations/{split}/images/{index}{ending}"


def images_version(store: Store, run: RunRow) -> str:
    """Return what tells a run's images from those of a dataset prepared anew; empty if gone."""
    try:
        return get_dataset(store, run.dataset_name).fingerprint[:16]
    except NotFound:
        return ""
