"""The forms of the Run page that ask something of its run, as filled in, and its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.wishes import why_not_continued
from store.database import Store
from store.replicates import families
from store.rows import RunRow
from store.runs import continuations
from store.settings import Settings
from trainer.continuing import needs_restart
from trainer.errors import Conflict, FieldError
from trainer.parsing import parse_spec


@dataclass(frozen=True)
class WishForm:
    """One of the forms that ask something of a run, as filled in."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[FieldError, ...] = ()

    def value(self, name: str, default: str = "") -> str:
        """Return what was typed into a field."""
        return self.values.get(name, default)

    def error(self, name: str) -> FieldError | None:
        """Return what is wrong with a field."""
        return next((one for one in self.errors if one.field.partition(".")[0] == name), None)

    @property
    def others(self) -> tuple[FieldError, ...]:
        """What is wrong with fields of the spec that the form does not show."""
        return tuple(one for one in self.errors if one.field.partition(".")[0] not in self.values)


@dataclass(frozen=True)
class Wishes:
    """What can be asked of a run beside pausing and cancelling it, and its relatives."""

    why_not_continued: Conflict | None
    needs_restart: bool
    """Whether the schedule must begin again for more epochs."""
    planned_left: int
    """Epochs that early stopping left of those planned."""
    forms: Mapping[str, WishForm]
    """By wish: continue, seeds, priority, tags."""
    continuations: tuple[RunRow, ...]
    replicates: tuple[RunRow, ...]
    """Runs of the same settings and other seeds."""

    def form(self, name: str) -> WishForm:
        """Return a form as filled in."""
        return self.forms.get(name, WishForm())


def wishes(
    store: Store, settings: Settings, row: RunRow, forms: Mapping[str, WishForm] | None = None
) -> Wishes:
    """Return what can be asked of a run, and the forms as filled in."""
    refusal = why_not_continued(settings, row)
    must_restart, left = False, 0
    if refusal is None:
        spec, done = parse_spec(row.spec), row.finished["epochs"]
        left = spec.training.epochs - done
        must_restart = left == 0 and needs_restart(spec, done)
    same = () if row.external else families(store, [row])[row.id].runs
    return Wishes(
        why_not_continued=refusal,
        needs_restart=must_restart,
        planned_left=left,
        forms=forms or {},
        continuations=tuple(continuations(store, row.id)),
        replicates=tuple(run for run in same if run.id != row.id),
    )
