"""What is done with a study after its launch: changed, stopped, given runs and a webhook."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.api.run_wishes import PRIORITY_LIMIT
from app.api.studies import RUNS_LIMIT, WEBHOOK_WORDS, StudyId, whole
from app.dependencies import BellDep, JsonBody, Owner, SettingsDep, StoreDep
from app.studies import SEEDS_LIMIT, add_seeds, stop
from app.study_answers import DeliveryOut, SeedsOut, StudyOut, WebhookOut
from app.texts import NOTE_LIMIT, checked_name, checked_note
from store.database import Store
from store.deliveries import list_deliveries, try_webhook
from store.rows import StudyRow
from store.studies import add_members, change_study, get_study
from store.values import ID_LIMIT
from store.webhooks import URL_LIMIT, checked_webhook

router = APIRouter(prefix="/studies", tags=["studies"])


class StudyChange(BaseModel):
    """What to change of a study; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=1_000, examples=["Frozen or fine-tuned"])
    note: str | None = Field(None, max_length=NOTE_LIMIT, description="Markdown.")
    webhook: str | None = Field(None, max_length=URL_LIMIT, description=WEBHOOK_WORDS)
    webhook_runs: bool = Field(
        False, description="Tell the webhook of each run's end as well; heeded beside `webhook`."
    )


class StopIn(BaseModel):
    """What to stop."""

    model_config = ConfigDict(extra="forbid")

    what: Literal["waiting", "all"] = Field(
        "all", description="waiting: runs and steps that have not begun. all: running ones too."
    )


class MembersIn(BaseModel):
    """Runs that are to belong to the study."""

    model_config = ConfigDict(extra="forbid")

    runs: list[Annotated[int, Field(ge=1, le=ID_LIMIT)]] = Field(
        min_length=1, max_length=RUNS_LIMIT, examples=[[3, 4]]
    )


class SeedsIn(BaseModel):
    """How many further seeds each setting gets."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(1, ge=1, le=SEEDS_LIMIT)
    priority: int = Field(0, ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)


@router.patch("/{study_id}", dependencies=[JsonBody])
def change(
    store: StoreDep, settings: SettingsDep, study_id: StudyId, change: StudyChange
) -> StudyOut:
    """Change a study's name, note or webhook; a webhook of another address gets a new secret."""
    webhook = None
    if change.webhook is not None:
        webhook = checked_webhook(
            change.webhook, each_run=change.webhook_runs, hosts=settings.webhook_hosts
        )
    row = change_study(
        store,
        study_id,
        name=None if change.name is None else checked_name(change.name),
        note=None if change.note is None else checked_note(change.note),
        webhook=webhook,
    )
    return whole(store, row)


@router.post("/{study_id}/stop", dependencies=[JsonBody])
def stop_runs(
    store: StoreDep, bell: BellDep, owner: Owner, study_id: StudyId, how: StopIn
) -> StudyOut:
    """Stop a study: nothing more of it begins; with `all`, running runs are cancelled too."""
    return whole(store, stop(store, bell, study_id, how.what, owner))


@router.post("/{study_id}/members", dependencies=[JsonBody])
def join(store: StoreDep, study_id: StudyId, members: MembersIn) -> StudyOut:
    """Take runs into the study that belong to none and used the same dataset; all or none."""
    return whole(store, add_members(store, study_id, members.runs))


@router.post("/{study_id}/seeds", status_code=201, dependencies=[JsonBody])
def more_seeds(
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    study_id: StudyId,
    seeds: SeedsIn,
) -> SeedsOut:
    """Repeat each setting of the study with the seeds that follow its own."""
    row, added = add_seeds(
        store, settings, bell, study_id, seeds.count, owner=owner, priority=seeds.priority
    )
    return SeedsOut(added=added, study=whole(store, row))


@router.get("/{study_id}/webhook")
def show_webhook(store: StoreDep, study_id: StudyId) -> WebhookOut:
    """Return whom the study tells, the secret that signs it, and the newest deliveries."""
    return webhook_out(store, get_study(store, study_id))


@router.post("/{study_id}/webhook/test", status_code=202)
def send_test(store: StoreDep, bell: BellDep, owner: Owner, study_id: StudyId) -> WebhookOut:
    """Queue a test for the study's webhook; the interactive worker sends it."""
    try_webhook(store, study_id, owner)
    bell.ring_interactive()
    return webhook_out(store, get_study(store, study_id))


def webhook_out(store: Store, row: StudyRow) -> WebhookOut:
    """Return a study's webhook as the API shows it."""
    return WebhookOut(
        url=row.webhook_url,
        each_run=row.webhook_runs_since is not None,
        secret=row.webhook_secret,
        deliveries=[
            DeliveryOut(
                id=one.id,
                event=one.event,
                run=one.run_id,
                state=one.state,
                created_at=one.created_at,
                due_at=one.due_at,
                finished_at=one.finished_at,
                outcomes=one.outcomes,
            )
            for one in list_deliveries(store, row.id)
        ],
    )
