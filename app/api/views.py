"""Saved views of the Runs page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import JsonBody, Owner, StoreDep
from app.texts import NAME_LIMIT, checked_name
from app.views import QUERY_LIMIT, checked_query
from store.rows import ViewRow
from store.values import ID_LIMIT
from store.views import change_view, delete_view, get_view, list_views, save_view

router = APIRouter(prefix="/views", tags=["runs"])

ViewId = Annotated[int, Path(ge=1, le=ID_LIMIT, description="The view's number.")]


class ViewIn(BaseModel):
    """A view to save."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=NAME_LIMIT, examples=["Best on ants and bees"])
    query: str = Field(
        max_length=QUERY_LIMIT,
        description="The page's address after the question mark.",
        examples=["filter=dataset+%3D+hymenoptera&sort=-best_val_accuracy"],
    )


class ViewChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=NAME_LIMIT)
    query: str | None = Field(None, max_length=QUERY_LIMIT)


class ViewOut(BaseModel):
    """A saved view."""

    id: int
    name: str
    owner: str
    query: str
    created_at: float = Field(description="Unix seconds.")
    url: str = Field(examples=["/runs?sort=-best_val_accuracy"])


class ViewsOut(BaseModel):
    """Saved views by name."""

    views: list[ViewOut]


@router.get("")
def index(store: StoreDep) -> ViewsOut:
    """List the saved views of the Runs page."""
    return ViewsOut(views=[_out(row) for row in list_views(store)])


@router.post("", status_code=201, dependencies=[JsonBody])
def create(response: Response, store: StoreDep, owner: Owner, wanted: ViewIn) -> ViewOut:
    """Save a view of the Runs page."""
    row = save_view(store, checked_name(wanted.name), checked_query(store, wanted.query), owner)
    response.headers["location"] = f"/api/v1/views/{row.id}"
    return _out(row)


@router.get("/{view_id}")
def show(store: StoreDep, view_id: ViewId) -> ViewOut:
    """Return a saved view."""
    return _out(get_view(store, view_id))


@router.patch("/{view_id}", dependencies=[JsonBody])
def change(store: StoreDep, view_id: ViewId, wanted: ViewChange) -> ViewOut:
    """Change the name or the view."""
    return _out(
        change_view(
            store,
            view_id,
            name=None if wanted.name is None else checked_name(wanted.name),
            query=None if wanted.query is None else checked_query(store, wanted.query),
        )
    )


@router.delete("/{view_id}", status_code=204)
def delete(store: StoreDep, view_id: ViewId) -> None:
    """Forget a saved view; its runs stay."""
    delete_view(store, view_id)


def _out(row: ViewRow) -> ViewOut:
    return ViewOut(**vars(row), url=f"/runs?{row.query}" if row.query else "/runs")
