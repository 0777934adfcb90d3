"""What the Launch page shows: the form as typed, what is wrong with it, and where it began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.forms import (
    LaunchForm,
    default_values,
    launch_form,
    short_yaml,
    spec_data,
    spec_sections,
)
from app.launch_bases import Base
from app.launch_groups import FormGroup, form_groups
from app.pages.launch_start import Start, start_context
from app.spec_summary import SpecSummary, summarize
from app.texts import NOTE_LIMIT
from store.database import Store
from store.datasets import list_datasets
from store.settings import Settings
from trainer.datasets.catalogue import catalogue_entries
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.planning import SEEDS
from trainer.steps import MEASURES
from trainer.sweeps.file import CHOOSING

PRIORITIES = (-1000, 1000)


@dataclass(frozen=True)
class DatasetChoice:
    """A dataset that a run can name."""

    name: str
    label: str


@dataclass(frozen=True)
class Typed:
    """Everything that a person has typed into the page, as it is."""

    values: Mapping[str, str]
    """By dotted path of the spec."""
    priority: str = "0"
    note: str = ""
    yaml: str | None = None
    """None: what the values make."""
    study: str = ""
    """Number of the study that the run is to join; empty: none."""
    acknowledge_leaks: bool = False

    @property
    def priority_number(self) -> int:
        """The priority, or the usual one while it is no number."""
        try:
            return int(self.priority)
        except ValueError:
            return 0

    @staticmethod
    def of(form: Mapping[str, object]) -> Typed:
        """Return what came with a posted form."""
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
        return Typed(
            values=texts,
            priority=texts.get("priority", "0"),
            note=texts.get("note", "")[:NOTE_LIMIT],
            yaml=texts.get("spec_yaml"),
            study=texts.get("study", "")[:20],
            acknowledge_leaks="acknowledge_leaks" in texts,
        )


@dataclass(frozen=True)
class StudyPart:
    """A part of the page that launches a study, as typed, and what kept it from doing so."""

    values: Mapping[str, str] = field(default_factory=dict)
    """By the names of its controls."""
    errors: tuple[FieldError, ...] = ()

    def error(self, name: str) -> FieldError | None:
        """Return what is wrong with a field."""
        return next((one for one in self.errors if one.field == name), None)


@dataclass(frozen=True)
class Many(StudyPart):
    """The part for several values of some fields, and what it comes to.

    The names of its controls begin with many_.
    """

    count: int = 0
    """Runs that it makes; 0 where that is not known."""
    summary: str = ""
    study: str = ""
    names: tuple[str, ...] = ()
    is_open: bool = False
    kinds: tuple[tuple[str, str], ...] = (
        ("grid", "Grid: every combination"),
        ("random", "Random: some combinations"),
        ("search", "Search: Optuna chooses, trial after trial"),
        ("ladder", "Ladder: short probes, the best for longer"),
    )

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Path and label of each field that may take several values."""
        return [
            (one.path, f"{section.title}: {one.label}")
            for section in spec_sections()
            for one in section.fields
            if one.path != "name"
        ]

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """What a search or a ladder may judge by."""
        return [(name, MEASURES[name].words) for name in CHOOSING]


@dataclass(frozen=True)
class Untried:
    """A long run that was sent off without having been tried, of which is asked whether to."""

    summary: SpecSummary
    source: str
    """form or yaml: what describes it."""


@dataclass(frozen=True)
class LaunchPage:
    """What `pages/launch.html` shows."""

    form: LaunchForm
    groups: tuple[FormGroup, ...]
    datasets: tuple[DatasetChoice, ...]
    priority: str
    priority_error: FieldError | None
    note: str
    yaml: str
    yaml_errors: tuple[FieldError, ...]
    base: Base | None
    summary: SpecSummary | None
    """None where the form describes no run yet."""
    start: Start
    recipe: StudyPart = StudyPart()
    """The part for a published study."""
    acknowledged: bool = False
    """Whether it is to be launched though images leak."""
    is_refused: bool = False
    """Whether this answers an attempt that launched nothing."""
    section: str = "launch_page"
    priorities: tuple[int, int] = PRIORITIES
    seeds: tuple[int, int] = SEEDS
    study: str = ""
    """Number of the study that the run is to join."""
    many: Many = Many()
    untried: Untried | None = None

    @property
    def leak(self) -> FieldError | None:
        """What leaks, where that kept a launch from happening."""
        found = (*self.form.errors, *self.yaml_errors)
        return next((error for error in found if error.field == "acknowledge_leaks"), None)

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """Everything wrong with the form."""
        return self.form.errors + ((self.priority_error,) if self.priority_error else ())


def launch_context(
    store: Store,
    settings: Settings,
    typed: Typed | None = None,
    *,
    errors: Iterable[FieldError] = (),
    priority_error: FieldError | None = None,
    yaml_errors: Iterable[FieldError] = (),
    base: Base | None = None,
    recipe: StudyPart | None = None,
    study: str = "",
    many: Many | None = None,
    untried: Untried | None = None,
    yaml: str | None = None,
) -> LaunchPage:
    """Gather the form as typed, with what is wrong beside it; untouched without `typed`.

    Args:
        yaml: Shown in place of what is typed; it may be no spec at all.
    """
    choices = dataset_choices(store)
    if typed is None:
        first = choices[0].name if choices else ""
        typed = Typed(base.values if base else {**default_values(), "dataset.name": first})
    given, given_yaml = tuple(errors), tuple(yaml_errors)
    form = launch_form(typed.values, given, base.values if base else None)
    summary = None if given else _summary(store, settings, typed)
    return LaunchPage(
        form=form,
        groups=form_groups(form),
        datasets=choices,
        priority=typed.priority,
        priority_error=priority_error,
        note=typed.note,
        yaml=next(one for one in (yaml, typed.yaml, short_yaml(typed.values)) if one is not None),
        yaml_errors=given_yaml,
        base=base,
        summary=summary,
        start=start_context(
            store,
            base.advice if base else None,
            typed.values.get("dataset.name", ""),
            summary.images.train if summary and summary.images else None,
        ),
        recipe=recipe or StudyPart(),
        many=many or _many(typed),
        acknowledged=typed.acknowledge_leaks,
        untried=untried,
        is_refused=bool(given or given_yaml or priority_error or untried),
        study=typed.study or study,
    )


def whole_number(
    field: str, text: str, bounds: tuple[int, int], usual: int
) -> tuple[int, FieldError | None]:
    """Return the number typed, or the usual one where nothing was; with what is wrong about it."""
    low, high = bounds
    try:
        number = int(text.strip() or usual)
    except ValueError:
        number = high + 1
    if low <= number <= high:
        return number, None
    return usual, FieldError(field, text, f"a whole number from {low} to {high}")


def _many(typed: Typed) -> Many:
    """Return what was typed into "Many at once", unfolded if it is of its own."""
    found = {key: text for key, text in typed.values.items() if key.startswith("many_")}
    own = ("many_space", "many_name", "many_note", "many_webhook")
    return Many(found, is_open=any(found.get(key, "").strip() for key in own))


def dataset_choices(store: Store) -> tuple[DatasetChoice, ...]:
    """Return the datasets there are, then those of the catalogue that a run would fetch."""
    rows = [row for row in list_datasets(store, labelled=True) if row.status != "failed"]
    # Ready ones first: a run on them starts at once.
    rows.sort(key=lambda row: (row.status != "ready", row.name))
    choices = [
        DatasetChoice(
            row.name, row.name if row.status == "ready" else f"{row.name} (being prepared)"
        )
        for row in rows
    ]
    known = {row.name for row in list_datasets(store)}
    choices += [
        DatasetChoice(entry.name, f"{entry.name} (prepared on first use)")
        for entry in catalogue_entries()
        if entry.name not in known
    ]
    return tuple(choices)


def _summary(store: Store, settings: Settings, typed: Typed) -> SpecSummary | None:
    """Return what the typed values would come to; None where they make no spec yet."""
    try:
        spec = parse_spec(spec_data(typed.values))
        return summarize(store, settings, spec, typed.priority_number)
    except InvalidInput:
        return None
