"""Saved comparisons: views of the Compare page with a name and a note."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from app.comparisons import QUERY_LIMIT, checked_query
from app.dependencies import JsonBody, Owner, StoreDep
from app.texts import NAME_LIMIT, NOTE_LIMIT, checked_name, checked_note
from store.comparisons import (
    change_comparison,
    delete_comparison,
    get_comparison,
    list_comparisons,
    save_comparison,
)
from store.rows import ComparisonRow
from store.values import ID_LIMIT

router = APIRouter(prefix="/comparisons", tags=["compare"])

ComparisonId = Annotated[int, Path(ge=1, le=ID_LIMIT, description="The comparison's number.")]


class ComparisonIn(BaseModel):
    """A view to save."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=NAME_LIMIT, examples=["Frozen or fine-tuned"])
    note: str = Field("", max_length=NOTE_LIMIT)
    query: str = Field(
        max_length=QUERY_LIMIT,
        description="The page's address after the question mark.",
        examples=["run=1&run=2&baseline=1"],
    )


class ComparisonChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=NAME_LIMIT)
    note: str | None = Field(None, max_length=NOTE_LIMIT)
    query: str | None = Field(None, max_length=QUERY_LIMIT)


class ComparisonOut(BaseModel):
    """A saved comparison."""

    id: int
    name: str
    note: str
    owner: str
    query: str
    created_at: float = Field(description="Unix seconds.")
    updated_at: float
    url: str = Field(examples=["/compare?run=1&run=2&saved=1"])


class ComparisonsOut(BaseModel):
    """Saved comparisons, the one changed last first."""

    comparisons: list[ComparisonOut]


@router.get("")
def index(store: StoreDep) -> ComparisonsOut:
    """List the saved comparisons."""
    return ComparisonsOut(comparisons=[_out(row) for row in list_comparisons(store)])


@router.post("", status_code=201, dependencies=[JsonBody])
def create(
    response: Response, store: StoreDep, owner: Owner, wanted: ComparisonIn
) -> ComparisonOut:
    """Save a view of the Compare page."""
    row = save_comparison(
        store,
        checked_name(wanted.name),
        checked_query(wanted.query),
        owner,
        checked_note(wanted.note),
    )
    response.headers["location"] = f"/api/v1/comparisons/{row.id}"
    return _out(row)


@router.get("/{comparison_id}")
def show(store: StoreDep, comparison_id: ComparisonId) -> ComparisonOut:
    """Return a saved comparison."""
    return _out(get_comparison(store, comparison_id))


@router.patch("/{comparison_id}", dependencies=[JsonBody])
def change(store: StoreDep, comparison_id: ComparisonId, wanted: ComparisonChange) -> ComparisonOut:
    """Change the name, the note or the view."""
    row = change_comparison(
        store,
        comparison_id,
        name=None if wanted.name is None else checked_name(wanted.name),
        note=None if wanted.note is None else checked_note(wanted.note),
        query=None if wanted.query is None else checked_query(wanted.query),
    )
    return _out(row)


@router.delete("/{comparison_id}", status_code=204)
def delete(store: StoreDep, comparison_id: ComparisonId) -> None:
    """Forget a saved comparison; its runs stay."""
    delete_comparison(store, comparison_id)


def _out(row: ComparisonRow) -> ComparisonOut:
    return ComparisonOut(**vars(row), url=f"/compare?{row.query}&saved={row.id}")
