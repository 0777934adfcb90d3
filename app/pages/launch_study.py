"""What the Launch page's parts that make a study say of it beside its runs: note and webhook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.texts import checked_note
from store.settings import Settings
from store.webhooks import NO_WEBHOOK, Webhook, checked_webhook
from trainer.errors import FieldError, InvalidInput


@dataclass(frozen=True)
class StudyWords:
    """A study's note and whom it tells, and what is wrong with them."""

    note: str = ""
    webhook: Webhook = NO_WEBHOOK
    errors: tuple[FieldError, ...] = ()


def study_words(settings: Settings, values: Mapping[str, str], part: str) -> StudyWords:
    """Return what was typed into the controls of one part, whose names begin with it."""
    errors: list[FieldError] = []
    note, webhook = "", NO_WEBHOOK
    try:
        note = checked_note(values.get(f"{part}_note", ""))
    except InvalidInput as problem:
        errors += problem.errors
    try:
        webhook = checked_webhook(
            values.get(f"{part}_webhook", ""),
            each_run=f"{part}_webhook_runs" in values,
            hosts=settings.webhook_hosts,
        )
    except InvalidInput as problem:
        errors += problem.errors
    return StudyWords(note, webhook, tuple(errors))
