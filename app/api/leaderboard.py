"""The run list's own words and deeds: its fields, and actions on many runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.bulk import BULK_LIMIT, Action, Done, act
from app.dependencies import BellDep, JsonBody, SettingsDep, StoreDep
from store.deletion import Deletion
from store.query_language import LENGTH_LIMIT
from store.run_fields import run_fields
from store.run_list import Archived, matching_ids, wanted_runs
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput

router = APIRouter(prefix="/runs", tags=["runs"])


class FieldOut(BaseModel):
    """Something to filter, sort and show runs by."""

    name: str = Field(examples=["optimizer.lr"])
    title: str
    kind: str = Field(description="number, text, choice, flag, time, tags, mixed.")
    values: list[str] = Field(description="All that a choice has; those in use of some texts.")
    unit: str = Field(description="s: seconds. %: a share, shown as a percentage. Else empty.")
    filters: bool
    sorts: bool


class FieldsOut(BaseModel):
    """All of them."""

    fields: list[FieldOut]


class BulkIn(BaseModel):
    """What to do, and to which runs: those of the numbers, or all that a filter matches."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    ids: list[Annotated[int, Field(ge=1, le=ID_LIMIT)]] | None = Field(None, max_length=BULK_LIMIT)
    filter: str | None = Field(
        None,
        max_length=LENGTH_LIMIT,
        examples=["status = failed and created < 30d"],
        description="In place of `ids`; archived runs only where it speaks of them.",
    )
    archived: Archived | None = None
    tags: list[str] = Field([], description="For tag and untag.", examples=[["paper"]])
    dry_run: bool = Field(False, description="Say what would be done, and do nothing.")


class RefusedOut(BaseModel):
    """A run left as it was."""

    run: int
    reason: str


class BulkOut(BaseModel):
    """What was done, or would be."""

    action: Action
    runs: list[int] = Field(description="Runs that it was done to.")
    refused: list[RefusedOut]
    freed_bytes: int = Field(0, description="Of the runs' files, by a deletion.")
    studies: list[str] = Field([], description="Studies that lost members.")
    comparisons: list[str] = Field([], description="Saved comparisons that lost runs.")
    jobs: int = Field(0, description="Predictions, exports and the like that went with them.")
    children: list[int] = Field([], description="Runs that continued them, and stay.")


@router.get("/fields")
def fields(store: StoreDep) -> FieldsOut:
    """List what `filter`, `sort` and `columns` may name."""
    found = run_fields(store).by_name.values()
    return FieldsOut(
        fields=[
            FieldOut(
                name=one.name,
                title=one.title,
                kind=one.kind,
                values=list(one.choices),
                unit=one.unit,
                filters=one.filters,
                sorts=one.sorts,
            )
            for one in found
        ]
    )


@router.post("/bulk", dependencies=[JsonBody])
def bulk(store: StoreDep, settings: SettingsDep, bell: BellDep, asked: BulkIn) -> BulkOut:
    """Cancel, tag, untag, archive, take out of the archive or delete many runs.

    What a run does not allow is refused for that run alone, with the reason.
    """
    if (asked.ids is None) == (asked.filter is None):
        raise InvalidInput.of(FieldError("ids", asked.ids, "given, or else `filter`"))
    if asked.filter is not None and not asked.filter.strip():
        raise InvalidInput.of(FieldError("filter", "", "not empty", "Name the runs' `ids`."))
    ids = asked.ids
    if ids is None:
        wanted = wanted_runs(run_fields(store), filter=asked.filter, archived=asked.archived)
        ids = matching_ids(store, wanted, BULK_LIMIT + 1)
    done = act(store, settings, bell, asked.action, ids, asked.tags, dry_run=asked.dry_run)
    return bulk_out(done)


def bulk_out(done: Done) -> BulkOut:
    """Return what became of an action as the API shows it."""
    gone = done.deletion or Deletion()
    return BulkOut(
        action=done.action,
        runs=list(done.run_ids),
        refused=[RefusedOut(run=run, reason=why) for run, why in sorted(done.refused.items())],
        freed_bytes=gone.freed_bytes,
        studies=list(gone.studies),
        comparisons=list(gone.comparisons),
        jobs=gone.jobs,
        children=list(gone.children),
    )
