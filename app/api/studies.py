"""Studies: runs launched together."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from app.api.runs import EXAMPLE_SPEC, NOTE_LIMIT
from app.bodies import described_as, read_document
from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.errors import field_error
from app.outputs import run_outs, study_out
from app.study_answers import StudiesOut, StudyOut
from app.submit import submit_recipe, submit_study
from store.runs import runs_by_ids
from store.studies import get_study, list_studies
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput
from trainer.published import Published
from trainer.recipes import as_recipe
from trainer.steps import STEPS_LIMIT

RUNS_LIMIT = 1_000

router = APIRouter(prefix="/studies", tags=["studies"])


class StudyIn(BaseModel):
    """A study to launch."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, examples=["Frozen or fine-tuned"])
    note: str = Field("", max_length=NOTE_LIMIT)
    priority: int = Field(0, ge=-1_000, le=1_000, description="Of every run; higher goes first.")
    runs: list[dict[str, Any]] | None = Field(
        None, min_length=1, max_length=RUNS_LIMIT, description="Specs.", examples=[[EXAMPLE_SPEC]]
    )
    steps: list[dict[str, Any]] | None = Field(
        None,
        min_length=1,
        max_length=STEPS_LIMIT,
        description="In place of `runs`: steps as in a recipe's file.",
    )
    study_data: str = Field(
        "", max_length=500, description="What the reported numbers of `steps` were measured on."
    )
    substitute: bool = Field(
        False,
        description="Launch what the runs of `steps` name as their `substitute` in place of them.",
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
    runs = study.runs or []
    if study.steps is None:
        if study.runs is None:
            raise InvalidInput.of(FieldError("runs", None, "given, or `steps`"))
        if study.study_data:
            expected = "left out in a study without steps"
            raise InvalidInput.of(FieldError("study_data", study.study_data[:80], expected))
        if study.substitute:
            raise InvalidInput.of(FieldError("substitute", True, "left out without `steps`"))
    elif study.runs is not None:
        raise InvalidInput.of(FieldError("steps", len(study.steps), "left out beside `runs`"))
    if study.published and (study.steps or len(study.published) != len(runs)):
        expected = f"one for each of the {len(runs)} runs, or left out"
        if study.steps:
            expected = "left out beside `steps`, whose runs have `reported`"
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
    """Launch runs together, all or none; of a study with steps, those of the first ones."""
    if study.steps is not None:
        row = submit_recipe(
            store,
            settings,
            bell,
            as_recipe(study.model_dump(include={"name", "note", "study_data", "steps"})),
            owner=owner,
            priority=study.priority,
            substitute=study.substitute,
        )
    else:
        row = submit_study(
            store,
            settings,
            bell,
            study.name,
            study.runs or [],
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
