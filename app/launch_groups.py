"""How the launch form is grouped: as a person thinks, few fields first, the rest behind "More".

The spec is grouped by what the code needs; this says where each of its fields stands on the page.
A field that nobody placed falls to the part of its section, so a new one is never out of reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.forms import FormField, LaunchForm


@dataclass(frozen=True)
class PartSchema:
    """Fields of a group that are folded away until wanted."""

    key: str
    title: str
    paths: tuple[str, ...]
    """Dotted paths; `*` stands for anything."""


@dataclass(frozen=True)
class GroupSchema:
    """A group of the form: what to see at once, and the parts behind it."""

    key: str
    title: str
    help: str
    essentials: tuple[str, ...]
    parts: tuple[PartSchema, ...]


@dataclass(frozen=True)
class FormPart:
    """A part with its fields as filled in."""

    schema: PartSchema
    fields: tuple[FormField, ...]

    @property
    def given(self) -> int:
        """How many of its fields say something else than their default."""
        return sum(1 for field in self.fields if field.value != field.schema.default)

    @property
    def is_open(self) -> bool:
        """Whether it holds something that a person must see."""
        return any(field.error or field.was is not None for field in self.fields)


@dataclass(frozen=True)
class FormGroup:
    """A group with its fields as filled in."""

    schema: GroupSchema
    essentials: tuple[FormField, ...]
    parts: tuple[FormPart, ...]


GROUPS = (
    GroupSchema(
        "data",
        "Data",
        "Which images, and what is done to them.",
        ("dataset.name", "augmentation.preset"),
        (
            PartSchema(
                "splits",
                "Splits: what is trained on, validated and tested",
                (
                    "dataset.*_split",
                    "dataset.*_fraction",
                    "dataset.*_count",
                    "dataset.rest",
                    "dataset.split_seed",
                ),
            ),
            PartSchema("input", "Input size, resizing and normalization", ("dataset.*",)),
            PartSchema("augmentation", "Own transforms, MixUp and CutMix", ("augmentation.*",)),
        ),
    ),
    GroupSchema(
        "model",
        "Model",
        "The network, and where its first weights come from.",
        ("model.architecture", "model.weights"),
        (PartSchema("head", "Head: what takes the classifier's place", ("model.*",)),),
    ),
    GroupSchema(
        "freezing",
        "What to train",
        "Everything, or only the new head on what the network knows already.",
        ("freeze.layers", "freeze.first_children", "freeze.up_to", "freeze.patterns"),
        (PartSchema("unfreezing", "Frozen layers' mode, unfreezing by epoch", ("freeze.*",)),),
    ),
    GroupSchema(
        "how",
        "How to train",
        "Steps: how large, in which direction, on how many images.",
        (
            "optimizer.name",
            "optimizer.lr",
            "training.batch_size",
            "scheduler.name",
            "scheduler.step_epochs",
            "scheduler.milestones",
            "scheduler.t_0_epochs",
            "scheduler.max_lr",
        ),
        (
            PartSchema("optimizer", "Momentum, weight decay, rates by module", ("optimizer.*",)),
            PartSchema("schedule", "Schedule: warm-up, factor, periods", ("scheduler.*",)),
            PartSchema("loss", "Loss, smoothing and class weights", ("loss.*",)),
            PartSchema(
                "exactness",
                "Seed, precision, gradients and hardware",
                (
                    "training.seed",
                    "training.precision",
                    "training.deterministic",
                    "training.device",
                    "training.accumulate_steps",
                    "training.clip_norm",
                    "training.ema_decay",
                ),
            ),
        ),
    ),
    GroupSchema(
        "stop",
        "When to stop",
        "After so many epochs, earlier where nothing is gained or time is up.",
        ("training.epochs", "training.stop_after_epochs", "training.time_limit_minutes"),
        (PartSchema("ending", "What counts as better, checkpoints", ("training.*",)),),
    ),
    GroupSchema("run", "This run", "", ("name",), (PartSchema("other", "Other", ("*",)),)),
)


def form_groups(form: LaunchForm) -> tuple[FormGroup, ...]:
    """Return the form's fields by group; each stands in exactly one place."""
    fields = {field.schema.path: field for section in form.sections for field in section.fields}
    essentials = {group.key: _claim(fields, group.essentials) for group in GROUPS}
    return tuple(
        FormGroup(group, tuple(essentials[group.key]), tuple(_parts(fields, group)))
        for group in GROUPS
    )


def _parts(fields: dict[str, FormField], group: GroupSchema) -> Iterable[FormPart]:
    for part in group.parts:
        found = [path for path in fields if any(fnmatchcase(path, one) for one in part.paths)]
        if found:
            yield FormPart(part, tuple(_claim(fields, found)))


def _claim(fields: dict[str, FormField], paths: Iterable[str]) -> list[FormField]:
    return [fields.pop(path) for path in paths if path in fields]
