"""The Compare page's flips: images that one of two runs gets right and the other does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from app.api.evaluated_images import images_version
from app.dependencies import SettingsDep, StoreDep
from app.flips import KINDS, Flips, Kind, flips
from app.pages.compare_view import Chosen, PartsViewDep, chosen
from app.pages.gallery import Card, cards
from app.pages.templating import render
from app.splits import pair_of_evaluations
from store.database import Store
from store.settings import Settings
from store.values import ID_LIMIT
from trainer.errors import Conflict, NotFound

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class FlipsPart:
    """What `partials/compare_flips.html` shows."""

    chosen: Chosen | None
    kind: Kind
    label: int | None
    """Only images of this class; None: of all."""
    found: Flips | None = None
    """None where there is nothing to show; `problem` says why."""
    cards: tuple[Card, ...] = ()
    classes: tuple[str, ...] = ()
    problem: str = ""
    kinds: tuple[Kind, ...] = KINDS


@router.get("/parts/compare/flips", name="compare_flips")
def flips_part(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    view: PartsViewDep,
    flip: Kind = "fixed",
    label: Annotated[int | None, Query(alias="class", ge=0, le=ID_LIMIT)] = None,
    page: Annotated[int, Query(ge=1, le=ID_LIMIT)] = 1,
) -> HTMLResponse:
    """Show the images alone, for a page that is already open."""
    part = _part(store, settings, chosen(store, view), flip, label, page)
    return render(request, "partials/compare_flips.html", part)


def _part(
    store: Store, settings: Settings, found: Chosen | None, kind: Kind, label: int | None, page: int
) -> FlipsPart:
    if found is None or found.other is None:
        return FlipsPart(found, kind, label, problem="Add a second run to see where they differ.")
    try:
        pair = pair_of_evaluations(store, found.baseline.id, found.other.id, found.split)
        told = flips(settings, *pair, kind, label, page)
    except (NotFound, Conflict) as error:
        return FlipsPart(found, kind, label, problem=str(error))
    return FlipsPart(
        found,
        kind,
        label,
        told,
        cards(told.gallery, pair, found.labels, images_version(store, found.baseline)),
        tuple(one["name"] for one in pair[0].classes),
    )
