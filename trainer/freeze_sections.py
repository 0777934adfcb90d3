"""The section of a spec that says which part of the network is trained, and from when on.

Names of modules are checked against the catalogue; nothing here imports torch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer import selection
from trainer.module_names import listed, unknown_module
from trainer.optimizer_section import RateGroup, check_groups
from trainer.section import Section, field_problem, yaml_list

_STAGE_EXAMPLE = "[{epoch: 6, unfreeze: all, lr: 0.0001, scheduler: restart}]"


class Stage(Section):
    """What is unfrozen in one epoch of a freezing schedule."""

    epoch: int = Field(
        description="The epoch that the stage begins with, counted from 1.", ge=2, le=10_000
    )
    unfreeze: Literal["all"] | tuple[str, ...] = Field(
        description="all, or patterns of the names of modules."
    )
    lr: float | None = Field(
        None,
        description="The learning rate from here on, before the schedule's factor; empty: as "
        "before.",
        gt=0,
        le=10,
    )
    groups: tuple[RateGroup, ...] | None = Field(
        None,
        description="Learning rates by module from here on, in place of `optimizer.groups`; empty: "
        "as before.",
        max_length=20,
    )
    scheduler: Literal["continue", "restart"] = Field(
        "continue",
        description="continue: the learning rate's schedule goes on counting epochs. restart: it "
        "starts over.",
    )

    @property
    def restarts(self) -> bool:
        """Whether the learning rate's schedule starts over."""
        return self.scheduler == "restart"

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _one_pattern_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, str) and given != "all" else given

    @field_validator("unfreeze")
    @classmethod
    def _something_to_unfreeze(cls, given: Any) -> Any:
        if given != "all" and (not given or "" in given):
            raise PydanticCustomError(
                "tuneboard", "{expected}", {"expected": "all, or a list of names or patterns"}
            )
        return given


class FreezeSpec(Section):
    """Which layers keep their weights."""

    layers: Literal["none", "backbone", "first_children", "up_to", "patterns"] = Field(
        "none",
        title="Frozen layers",
        description="none: every layer is trained (fine-tuning). backbone: only the new head is "
        "trained (the network is a fixed feature extractor). first_children: the first of the "
        "network's top-level modules. up_to: everything up to a named module. patterns: modules "
        "by name. The new head is always trained.",
    )
    first_children: int | None = Field(
        None,
        title="Frozen children",
        description="How many of the network's top-level modules, in their order, are frozen. Of "
        "ResNet-18's ten the first five end with layer1, the first nine with the pool before fc.",
        ge=1,
        le=1000,
        json_schema_extra={"applies_when": {"freeze.layers": ["first_children"]}},
    )
    up_to: str | None = Field(
        None,
        title="Last frozen module",
        description="Dotted name of a module; it and everything before it in the network's order "
        "is frozen.",
        max_length=200,
        examples=["layer3"],
        json_schema_extra={"applies_when": {"freeze.layers": ["up_to"]}},
    )
    patterns: tuple[str, ...] = Field(
        (),
        title="Frozen modules",
        description="Dotted names of modules; with each, everything in it is frozen. * stands for "
        "anything, dots too.",
        max_length=100,
        examples=[["conv1", "layer[12]", "*.bn1"]],
        json_schema_extra={"applies_when": {"freeze.layers": ["patterns"]}},
    )
    mode: Literal["eval", "train"] = Field(
        "eval",
        title="Frozen layers run in",
        description="eval: really frozen, batch statistics too. train: weights fixed, but batch "
        "statistics keep moving and dropout stays on, as many published scripts do unawares.",
    )
    schedule: tuple[Stage, ...] = Field(
        (),
        title="Unfreezing",
        description="Stages as a YAML list, each with epoch (the first epoch of the stage), "
        "unfreeze (all, or a list of names as above), and if wanted lr (the new learning rate), "
        "groups (new learning rates by module) and scheduler (continue, or restart the learning "
        "rate's schedule).",
        max_length=20,
        examples=[_STAGE_EXAMPLE],
        json_schema_extra={
            "applies_when": {"freeze.layers": ["backbone", "first_children", "up_to", "patterns"]}
        },
    )

    @field_validator("schedule", mode="before")
    @classmethod
    def _read_yaml(cls, value: object) -> object:
        """Take a list as the form sends it: as YAML text."""
        return yaml_list(value, "stages", _STAGE_EXAMPLE)

    @model_validator(mode="after")
    def _fields_fit_the_choice(self) -> FreezeSpec:
        for field in ("first_children", "up_to", "patterns"):
            value = getattr(self, field)
            if self.layers != field and value not in (None, ()):
                raise field_problem(
                    field,
                    list(value) if isinstance(value, tuple) else value,
                    f"left out for `freeze.layers: {self.layers}`",
                    f"Only `freeze.layers: {field}` takes it.",
                )
            if self.layers == field and value in (None, ()):
                raise field_problem(
                    field, None, f"given with `freeze.layers: {field}`", "It has no default."
                )
        return self

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> FreezeSpec:
        if self.schedule and self.layers == "none":
            raise field_problem(
                "schedule",
                f"{len(self.schedule)} stages",
                "left out with `freeze.layers: none`",
                "Nothing is frozen that a stage could unfreeze.",
            )
        epochs = [stage.epoch for stage in self.schedule]
        for index, (before, epoch) in enumerate(pairwise(epochs), 1):
            if epoch <= before:
                raise field_problem(
                    f"schedule.{index}.epoch",
                    epoch,
                    f"above {before}, the epoch of the stage before",
                    "List the stages in their order.",
                )
        return self

    @property
    def backbone_never_moves(self) -> bool:
        """Whether the whole backbone stays as it is, in evaluation mode, to the run's end."""
        return self.layers == "backbone" and self.mode == "eval" and not self.schedule

    @property
    def names_modules(self) -> bool:
        """Whether the architecture's modules matter: their names, or how many there are."""
        return self.layers not in ("none", "backbone") or bool(self.schedule)

    def check_modules(self, name: str, known: tuple[str, ...]) -> None:
        """Refuse names and numbers of modules that the architecture does not have.

        Args:
            name: Of the architecture.
            known: Dotted names of its modules in their order.
        """
        if self.first_children is not None:
            children = tuple(one for one in known if "." not in one)
            if self.first_children > len(children):
                raise field_problem(
                    "freeze.first_children",
                    self.first_children,
                    f"at most {len(children)} for `{name}`",
                    f"Its children are {listed(children)}.",
                )
        if self.up_to is not None and self.up_to not in known:
            raise unknown_module("freeze.up_to", self.up_to, name, known)
        for index, pattern in enumerate(self.patterns):
            if not selection.matching(known, [pattern]):
                raise unknown_module(f"freeze.patterns.{index}", pattern, name, known)
        for number, stage in enumerate(self.schedule):
            self._check_stage(number, stage, name, known)

    def _check_stage(self, number: int, stage: Stage, name: str, known: tuple[str, ...]) -> None:
        if stage.groups:
            check_groups(stage.groups, f"freeze.schedule.{number}.groups", name, known)
        frozen = selection.frozen_modules(self, known, number)
        field = f"freeze.schedule.{number}.unfreeze"
        if not frozen:
            raise field_problem(
                field, stage.unfreeze, "left out: nothing is frozen any more", "Remove the stage."
            )
        if stage.unfreeze == "all":
            return
        for pattern in stage.unfreeze:
            found = selection.matching(known, [pattern])
            if not found:
                raise unknown_module(field, pattern, name, known)
            if not found & frozen:
                raise field_problem(
                    field,
                    pattern,
                    "the name of something that is still frozen",
                    "What it names is trained already.",
                )
