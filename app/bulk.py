"""What is done to many runs at once, the same for the API and the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from app.dependencies import Rings
from app.submit import cancel_run
from store.database import Store
from store.deletion import Deletion, delete_runs, look_at_deletion
from store.labels import archive, change_tags
from store.runs import runs_by_ids
from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

Action = Literal["cancel", "tag", "untag", "archive", "unarchive", "delete"]
ACTIONS: tuple[Action, ...] = get_args(Action)
BULK_LIMIT = 10_000  # runs


@dataclass(frozen=True)
class Done:
    """What became of an action on many runs."""

    action: Action
    run_ids: tuple[int, ...]
    refused: dict[int, str] = field(default_factory=dict)
    """Runs left as they were, and why."""
    deletion: Deletion | None = None


def typed_tags(text: str) -> list[str]:
    """Return the tags of a form's field, which have commas between."""
    return [tag for tag in text.split(",") if tag.strip()]


def act(
    store: Store,
    settings: Settings,
    bell: Rings,
    action: Action,
    run_ids: Sequence[int],
    tags: Sequence[str] = (),
    *,
    dry_run: bool = False,
) -> Done:
    """Do something to every run that allows it.

    Args:
        dry_run: Say what would be done, and do nothing.

    Raises:
        InvalidInput: If there are too many, or tags are missing or wrong.
    """
    ids = list(dict.fromkeys(run_ids))
    if len(ids) > BULK_LIMIT:
        raise InvalidInput.of(FieldError("ids", f"{len(ids)} runs", f"at most {BULK_LIMIT:,}"))
    if action in {"tag", "untag"} and not tags:
        raise InvalidInput.of(FieldError("tags", [], "at least one tag", "Such as paper."))
    if action == "delete":
        work = look_at_deletion if dry_run else delete_runs
        found = work(store, settings, ids)
        return Done(action, found.run_ids, found.refused | _unknown(ids, found), found)
    able, refused = _sorted_out(store, action, ids)
    if dry_run:
        return Done(action, able, refused)
    if action == "cancel":
        return _cancel(store, bell, able, refused)
    if action in {"tag", "untag"}:
        add, remove = (tags, ()) if action == "tag" else ((), tags)
        done = change_tags(store, able, add, remove)
    else:
        done = archive(store, able, shelved=action == "archive")
    return Done(action, tuple(done), refused)


def _cancel(store: Store, bell: Rings, able: Sequence[int], refused: dict[int, str]) -> Done:
    done = []
    for run_id in able:
        try:
            cancel_run(store, bell, run_id)
        except (Conflict, NotFound) as error:  # it ended, or went, in between
            refused[run_id] = error.detail
        else:
            done.append(run_id)
    return Done("cancel", tuple(done), refused)


def _sorted_out(
    store: Store, action: Action, ids: Sequence[int]
) -> tuple[tuple[int, ...], dict[int, str]]:
    """Return the runs that allow an action, and why the others do not."""
    rows = {row.id: row for row in runs_by_ids(store, ids)}
    refused = {run_id: "There is no such run." for run_id in ids if run_id not in rows}
    for row in rows.values():
        if action == "cancel" and row.is_terminal:
            refused[row.id] = f"It has {row.status} already."
        elif action == "archive" and not row.is_terminal:
            refused[row.id] = f"It is {row.status}; only ended runs are archived."
    return tuple(run_id for run_id in rows if run_id not in refused), refused


def _unknown(ids: Sequence[int], found: Deletion) -> dict[int, str]:
    known = set(found.run_ids) | found.refused.keys()
    return {run_id: "There is no such run." for run_id in ids if run_id not in known}
