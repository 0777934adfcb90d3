"""Studies: runs launched together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.api.runs import EXAMPLE_SPEC
from app.bodies import described_as, model_of, read_document
from app.dependencies import BellDep, IdempotencyKey, Owner, Rings, SettingsDep, StoreDep
from app.leaks import ACKNOWLEDGE_LEAKS
from app.outputs import run_outs, study_out
from app.study_answers import LaunchPreviewOut, StudiesOut, StudyOut
from app.submit import submit_recipe, submit_study
from app.sweeps import checked_sweep, count_words, study_name, submit_sweep
from app.texts import NOTE_LIMIT
from store.database import Store
from store.rows import StudyRow
from store.runs import runs_by_ids
from store.settings import Settings
from store.studies import RequestKey, State, find_studies, get_study, study_of_request
from store.study_results import best_by_study
from store.values import ID_LIMIT
from store.webhooks import URL_LIMIT, Webhook, checked_webhook
from trainer.errors import FieldError, InvalidInput
from trainer.published import Published
from trainer.recipes import as_recipe
from trainer.steps import STEPS_LIMIT
from trainer.sweeps.file import Ladder, Search, Sweep, as_sweep

RUNS_LIMIT = 1_000
WEBHOOK_WORDS = "Address of http or https that is told when the study ends; empty: nobody is."

router = APIRouter(prefix="/studies", tags=["studies"])

StudyId = Annotated[int, Path(ge=1, le=ID_LIMIT, description="The study's number.", examples=[1])]


class StudyIn(BaseModel):
    """A study to launch."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        "",
        max_length=200,
        description="Needed without `sweep`; with one it is made from what is swept.",
        examples=["Frozen or fine-tuned"],
    )
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
    sweep: Sweep | None = Field(
        None,
        description="In place of `runs`: many runs out of one spec, as a grid, a draw, a search "
        "or a ladder.",
    )
    study_data: str = Field(
        "", max_length=500, description="What the reported numbers of `steps` were measured on."
    )
    substitute: bool = Field(
        False,
        description="Launch what the runs of `steps` name as their `substitute` in place of them.",
    )
    webhook: str = Field("", max_length=URL_LIMIT, description=WEBHOOK_WORDS)
    webhook_runs: bool = Field(False, description="Tell the webhook of each run's end as well.")
    published: list[Published | None] = Field(
        default_factory=list,
        max_length=RUNS_LIMIT,
        description="What was reported of each run elsewhere, in the runs' order; empty: of none.",
    )
    acknowledge_leaks: bool = Field(False, description=ACKNOWLEDGE_LEAKS)


_REFERENCE = "#/components/schemas/"
_SCHEMA = StudyIn.model_json_schema(ref_template=_REFERENCE + "{model}")
_DEFINITIONS = _SCHEMA.pop("$defs")
_OF_SWEEPS = (Sweep, Search, Ladder)
"""All others are among the schemas of the answers."""


def _whole(schema: Any) -> Any:
    """Return a schema with those of sweeps in the place of what refers to them."""
    if isinstance(schema, list):
        return [_whole(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).removeprefix(_REFERENCE)
    if name in {model.__name__ for model in _OF_SWEEPS}:
        return _whole(_DEFINITIONS[name])
    return {key: _whole(one) for key, one in schema.items()}


_EXAMPLE = {
    "sweep": {
        "base": EXAMPLE_SPEC,
        "space": {"optimizer.lr": [0.1, 0.01], "training.batch_size": [16, 32]},
        "seeds": 2,
    }
}


async def _read_study(request: Request) -> StudyIn:
    document = await read_document(request)
    return await run_in_threadpool(_parsed, document)


def _parsed(document: object) -> StudyIn:
    if isinstance(document, dict) and isinstance(document.get("sweep"), dict):
        document = {**document, "sweep": as_sweep(document["sweep"])}
    study = model_of(StudyIn, document)
    _check_sweep(study)
    runs = study.runs or []
    if study.sweep is not None:
        return study
    if study.steps is None:
        if study.runs is None:
            raise InvalidInput.of(FieldError("runs", None, "given, or `steps`, or `sweep`"))
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


def _check_sweep(study: StudyIn) -> None:
    """Refuse a study without a name, or with more than a sweep has."""
    if study.sweep is None:
        if not study.name.strip():
            raise InvalidInput.of(FieldError("name", study.name, "given"))
        return
    for key in ("runs", "steps", "study_data", "substitute", "published"):
        if getattr(study, key):
            raise InvalidInput.of(FieldError(key, "given", "left out beside `sweep`"))


def request_key(key: str | None, *asked: object) -> RequestKey | None:
    """Return what a request is called by its sender, with a digest of what it asks for."""
    if key is None:
        return None
    text = json.dumps(asked, sort_keys=True)
    return RequestKey(key, hashlib.sha256(text.encode()).hexdigest())


def answer_once(
    response: Response,
    store: Store,
    owner: str,
    request: RequestKey | None,
    launch: Callable[[], StudyRow],
) -> StudyOut:
    """Answer with the study that a request makes, or made when it was sent before."""
    row = study_of_request(store, owner, request) if request else None
    response.status_code = 200 if row else 201
    row = row or launch()
    response.headers["location"] = f"/api/v1/studies/{row.id}"
    return whole(store, row)


@router.post(
    "",
    status_code=201,
    responses={
        200: {
            "model": StudyOut | LaunchPreviewOut,
            "description": "This key has made this study before; or what a dry run tells.",
        }
    },
    openapi_extra=described_as(_whole(_SCHEMA), _EXAMPLE),
)
def create(
    response: Response,
    study: Annotated[StudyIn, Depends(_read_study)],
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    dry_run: Annotated[
        bool, Query(description="Of a sweep: launch nothing, answer how many runs it makes.")
    ] = False,
    idempotency_key: IdempotencyKey = None,
) -> StudyOut | LaunchPreviewOut:
    """Launch runs together, all or none; of a study with steps, those of the first ones."""
    webhook = checked_webhook(
        study.webhook, each_run=study.webhook_runs, hosts=settings.webhook_hosts
    )
    if dry_run:
        response.status_code = 200
        return _preview(store, settings, study)
    request = request_key(idempotency_key, study.model_dump(mode="json"))
    return answer_once(
        response,
        store,
        owner,
        request,
        lambda: _launched(store, settings, bell, study, webhook, owner, request),
    )


def _launched(
    store: Store,
    settings: Settings,
    bell: Rings,
    study: StudyIn,
    webhook: Webhook,
    owner: str,
    request: RequestKey | None,
) -> StudyRow:
    if study.sweep is not None:
        return submit_sweep(
            store,
            settings,
            bell,
            study.sweep,
            study.name.strip(),
            owner=owner,
            note=study.note,
            priority=study.priority,
            webhook=webhook,
            acknowledge_leaks=study.acknowledge_leaks,
            request=request,
        )
    if study.steps is not None:
        return submit_recipe(
            store,
            settings,
            bell,
            as_recipe(study.model_dump(include={"name", "note", "study_data", "steps"})),
            owner=owner,
            priority=study.priority,
            substitute=study.substitute,
            webhook=webhook,
            acknowledge_leaks=study.acknowledge_leaks,
            request=request,
        )
    return submit_study(
        store,
        settings,
        bell,
        study.name,
        study.runs or [],
        owner=owner,
        note=study.note,
        priority=study.priority,
        published=study.published,
        webhook=webhook,
        acknowledge_leaks=study.acknowledge_leaks,
        request=request,
    )


def _preview(store: Store, settings: Settings, study: StudyIn) -> LaunchPreviewOut:
    if study.sweep is None:
        remedy = "Specs are checked by POST /api/v1/spec/validate."
        raise InvalidInput.of(FieldError("dry_run", True, "left out without `sweep`", remedy))
    expansion = checked_sweep(store, settings, study.sweep)
    return LaunchPreviewOut(
        name=study.name.strip() or study_name(expansion),
        kind=study.sweep.kind,
        runs_total=expansion.count,
        summary=count_words(expansion),
        fields=expansion.paths,
        names=expansion.names,
    )


@router.get("")
def index(
    store: StoreDep,
    q: Annotated[str, Query(max_length=200, description="Part of name or note, or id.")] = "",
    owner: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[State, Query(description="Those that go on, have ended, were stopped.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: Annotated[str, Query(max_length=20)] = "",
) -> StudiesOut:
    """List studies without their runs, newest first."""
    page = find_studies(store, text=q, owner=owner, state=state, limit=limit, cursor=cursor)
    best = best_by_study(store, [row.id for row in page.rows])
    return StudiesOut(
        studies=[study_out(row, [], best.get(row.id)) for row in page.rows],
        next_cursor=page.next_cursor,
    )


@router.get("/{study_id}")
def show(store: StoreDep, study_id: StudyId) -> StudyOut:
    """Return a study with its runs, in order of creation."""
    return whole(store, get_study(store, study_id))


def whole(store: Store, row: StudyRow) -> StudyOut:
    """Return a study with its runs."""
    return study_out(row, run_outs(store, runs_by_ids(store, row.run_ids)))
