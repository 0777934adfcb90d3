"""Studies: runs launched together."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from app.answers import StudiesOut, StudyOut
from app.api.runs import EXAMPLE_SPEC, NOTE_LIMIT
from app.bodies import described_as, read_document
from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.errors import field_error
from app.outputs import run_outs, study_out
from app.submit import submit_study
from store.runs import runs_by_ids
from store.studies import get_study, list_studies
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput
from trainer.recipes import Published

RUNS_LIMIT = 1_000

router = APIRouter(prefix="/studies", tags=["studies"])


class StudyIn(BaseModel):
    """A study to launch."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, examples=["Frozen or fine-tuned"])
    note: str = Field("", max_length=NOTE_LIMIT)
    priority: int = Field(0, ge=-1_000, le=1_000, description="Of every run; higher goes first.")
    runs: list[dict[str, Any]] = Field(
        min_length=1, max_length=RUNS_LIMIT, description="Specs.", examples=[[EXAMPLE_SPEC]]
    )
    published: list[Published | None] = Field(
        default_factory=list,
        max_length=RUNS_LIMIT,
        description="What was reported of each run elsewhere, in the runs' order; empty: of none.",
    )


_SCHEMA = StudyIn.model_json_schema(ref_template="#/components/schemas/{model}")
_SCHEMA.pop("$defs")  # they are among the schemas of the answers


async def _read_study(request: Request) -> StudyIn:
    document = await read_document(request)
    return await run_in_threadpool(_parsed, document)


def _parsed(document: object) -> StudyIn:
    try:
        study = StudyIn.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise InvalidInput.of(
            *(field_error(item, [str(part) for part in item["loc"]]) for item in found)
        ) from error
    if study.published and len(study.published) != len(study.runs):
        expected = f"one for each of the {len(study.runs)} runs, or left out"
        raise InvalidInput.of(FieldError("published", len(study.published), expected))
    return study


@router.post(
    "",
    status_code=201,
    openapi_extra=described_as(_SCHEMA, {"name": "Frozen or fine-tuned", "runs": [EXAMPLE_SPEC]}),
)
def create(
    response: Response,
    study: Annotated[StudyIn, Depends(_read_study)],
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
) -> StudyOut:
    """Launch runs together, all or none."""
    row = submit_study(
        store,
        settings,
        bell,
        study.name,
        study.runs,
        owner=owner,
        note=study.note,
        priority=study.priority,
        published=study.published,
    )
    response.headers["location"] = f"/api/v1/studies/{row.id}"
    return study_out(row, run_outs(store, runs_by_ids(store, row.run_ids)))


@router.get("")
def index(store: StoreDep) -> StudiesOut:
    """List the newest studies, without their runs."""
    return StudiesOut(studies=[study_out(row, []) for row in list_studies(store)])


@router.get("/{study_id}")
def show(store: StoreDep, study_id: Annotated[int, Path(ge=1, le=ID_LIMIT)]) -> StudyOut:
    """Return a study with its runs, in order of creation."""
    row = get_study(store, study_id)
    return study_out(row, run_outs(store, runs_by_ids(store, row.run_ids)))
