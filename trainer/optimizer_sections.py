"""The sections of a spec that say how weights follow gradients: optimizer and schedule.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer import selection
from trainer.module_names import unknown_module
from trainer.section import Section, field_problem, yaml_list

DEFAULT_PLATEAU_PATIENCE_EPOCHS = 3
_GROUPS_EXAMPLE = "[{modules: [layer4*], lr: 0.0001}, {modules: ['*'], lr: 1.0e-05}]"


class RateGroup(Section):
    """Modules that have a learning rate of their own."""

    modules: tuple[str, ...] = Field(
        description="Dotted names of modules; with each, everything in it. * stands for anything, "
        "dots too.",
        min_length=1,
        max_length=100,
    )
    lr: float = Field(
        description="Their learning rate, which the schedule multiplies like the others'.",
        gt=0,
        le=10,
    )

    @field_validator("modules", mode="before")
    @classmethod
    def _one_pattern_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class OptimizerSpec(Section):
    """How weights follow gradients."""

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd", title="Optimizer", description="SGD with momentum, Adam, AdamW or RMSprop."
    )
    lr: float = Field(
        1e-3, title="Learning rate", description="Size of the first steps.", gt=0, le=10
    )
    groups: tuple[RateGroup, ...] = Field(
        (),
        title="Rates by module",
        description="Learning rates of some modules, as a YAML list, each with modules (names, as "
        "for frozen modules) and lr. What several name belongs to the first; the rest has the "
        "learning rate above, which is also the one recorded. Stages of unfreezing may give "
        "others.",
        max_length=20,
        examples=[_GROUPS_EXAMPLE],
    )
    momentum: float | None = Field(
        None,
        title="Momentum",
        description="SGD and RMSprop only; where left empty, 0.9 for SGD and 0 for RMSprop.",
        ge=0,
        lt=1,
        json_schema_extra={"applies_when": {"optimizer.name": ["sgd", "rmsprop"]}},
    )
    nesterov: bool = Field(
        False,
        title="Nesterov",
        description="SGD only: takes the gradient where the momentum is about to lead.",
        json_schema_extra={"applies_when": {"optimizer.name": ["sgd"]}},
    )
    alpha: float | None = Field(
        None,
        title="Smoothing",
        description="RMSprop only: how much of the mean of squared gradients is kept in each "
        "step; 0.99 where left empty. Inception's recipe has 0.9.",
        gt=0,
        lt=1,
        json_schema_extra={"applies_when": {"optimizer.name": ["rmsprop"]}},
    )
    eps: float | None = Field(
        None,
        title="Epsilon",
        description="Added below the fraction of Adam, AdamW and RMSprop; 1e-8 where left empty.",
        gt=0,
        le=1,
        json_schema_extra={"applies_when": {"optimizer.name": ["adam", "adamw", "rmsprop"]}},
    )
    weight_decay: float = Field(
        0.0,
        title="Weight decay",
        description="Pull of trained weights towards zero.",
        ge=0,
        le=1,
    )
    weight_decay_on: Literal["all", "weights"] = Field(
        "all",
        title="Weight decay on",
        description="all: every trained parameter. weights: norms and biases (all parameters of "
        "one dimension) are left out.",
    )

    @field_validator("groups", mode="before")
    @classmethod
    def _read_yaml(cls, value: object) -> object:
        """Take a list as the form sends it: as YAML text."""
        return yaml_list(value, "groups", _GROUPS_EXAMPLE)

    @model_validator(mode="after")
    def _parameters_fit_the_optimizer(self) -> OptimizerSpec:
        _refuse_strangers(
            self,
            "optimizer.name",
            {
                "momentum": ("sgd", "rmsprop"),
                "nesterov": ("sgd",),
                "alpha": ("rmsprop",),
                "eps": ("adam", "adamw", "rmsprop"),
            },
        )
        if self.nesterov and self.momentum == 0:
            raise field_problem(
                "nesterov", True, "false without momentum", "Set `optimizer.momentum: 0.9`."
            )
        if self.weight_decay_on != "all" and not self.weight_decay:
            raise field_problem(
                "weight_decay_on",
                self.weight_decay_on,
                "all with `optimizer.weight_decay: 0`",
                "There is no decay to leave anything out of; set one, say 1e-4.",
            )
        return self


_CHANGING = (
    "step",
    "multi_step",
    "exponential",
    "cosine",
    "cosine_restarts",
    "one_cycle",
    "plateau",
)
"""Schedules that change the rate."""


class SchedulerSpec(Section):
    """How the learning rate changes while the run goes on."""

    name: Literal[
        "none",
        "step",
        "multi_step",
        "exponential",
        "cosine",
        "cosine_restarts",
        "one_cycle",
        "plateau",
    ] = Field(
        "none",
        title="Schedule",
        description="none: constant. step: multiplied by a factor every few epochs. multi_step: "
        "multiplied after the epochs given. exponential: multiplied after every epoch. cosine: "
        "down to zero along a half cosine. cosine_restarts: the same again and again. one_cycle: "
        "up to a highest rate and down to nearly zero, step by step. plateau: multiplied when "
        "the validation no longer gets better.",
    )
    warmup_epochs: int = Field(
        0,
        title="Warm-up",
        description="Epochs in which the rate rises step by step in a straight line to where the "
        "schedule starts; the schedule counts its epochs after them.",
        ge=0,
        le=1000,
        json_schema_extra={"unit": "epochs"},
    )
    step_epochs: int | None = Field(
        None,
        title="Epochs per step",
        description="Step schedule only; 7 where left empty.",
        ge=1,
        le=10_000,
        json_schema_extra={"unit": "epochs", "applies_when": {"scheduler.name": ["step"]}},
    )
    milestones: tuple[int, ...] = Field(
        (),
        title="Milestones",
        description="Multi-step schedule only: the epochs after which the rate is multiplied, "
        "rising, for example 30, 60.",
        max_length=100,
        examples=[[30, 60]],
        json_schema_extra={"applies_when": {"scheduler.name": ["multi_step"]}},
    )
    gamma: float | None = Field(
        None,
        title="Factor",
        description="What the rate is multiplied by in the step, multi-step, exponential and "
        "plateau schedules; where left empty, 0.95 for exponential and 0.1 for the others.",
        gt=0,
        le=1,
        json_schema_extra={
            "applies_when": {"scheduler.name": ["step", "multi_step", "exponential", "plateau"]}
        },
    )
    t_max_epochs: int | None = Field(
        None,
        title="Epochs to zero",
        description="Cosine schedule only; the run's number of epochs where left empty.",
        ge=1,
        le=10_000,
        json_schema_extra={"unit": "epochs", "applies_when": {"scheduler.name": ["cosine"]}},
    )
    t_0_epochs: int | None = Field(
        None,
        title="Epochs to the first restart",
        description="Cosine with restarts only, and needed there.",
        ge=1,
        le=10_000,
        json_schema_extra={
            "unit": "epochs",
            "applies_when": {"scheduler.name": ["cosine_restarts"]},
        },
    )
    t_mult: int | None = Field(
        None,
        title="Growth of periods",
        description="Cosine with restarts only: each period is so many times as long as the one "
        "before; 1 where left empty.",
        ge=1,
        le=100,
        json_schema_extra={"applies_when": {"scheduler.name": ["cosine_restarts"]}},
    )
    max_lr: float | None = Field(
        None,
        title="Highest rate",
        description="One-cycle schedule only, and needed there: the rate rises from "
        "`optimizer.lr` to this and falls to a ten-thousandth of `optimizer.lr`.",
        gt=0,
        le=10,
        json_schema_extra={"applies_when": {"scheduler.name": ["one_cycle"]}},
    )
    rise_share: float | None = Field(
        None,
        title="Share of the rise",
        description="One-cycle schedule only: share of the steps in which the rate rises; 0.3 "
        "where left empty.",
        gt=0,
        lt=1,
        json_schema_extra={"applies_when": {"scheduler.name": ["one_cycle"]}},
    )
    patience_epochs: int | None = Field(
        None,
        title="Patience",
        description="Plateau schedule only: epochs without a better validation that are put up "
        f"with; {DEFAULT_PLATEAU_PATIENCE_EPOCHS} where left empty.",
        ge=0,
        le=10_000,
        json_schema_extra={"unit": "epochs", "applies_when": {"scheduler.name": ["plateau"]}},
    )
    watch: Literal["val_loss", "val_accuracy"] | None = Field(
        None,
        title="Watches",
        description="Plateau schedule only: the figure that has to get better, by a "
        "ten-thousandth of itself; val_loss where left empty.",
        json_schema_extra={"applies_when": {"scheduler.name": ["plateau"]}},
    )

    restarts_after: tuple[int, ...] = Field(
        (),
        title="Begins again after",
        description="Epochs, rising, after which the whole schedule begins again, warm-up "
        "included, over the epochs up to the next restart or the end. Continuing a run for more "
        "epochs sets it.",
        max_length=100,
        examples=[[10]],
        json_schema_extra={"applies_when": {"scheduler.name": list(_CHANGING)}},
    )

    @field_validator("milestones", "restarts_after")
    @classmethod
    def _epochs_rise(cls, epochs: tuple[int, ...]) -> tuple[int, ...]:
        if any(epoch < 1 for epoch in epochs) or list(epochs) != sorted(set(epochs)):
            raise PydanticCustomError(
                "tuneboard", "{expected}", {"expected": "rising epochs, each 1 or more"}
            )
        return epochs

    @model_validator(mode="after")
    def _parameters_fit_the_schedule(self) -> SchedulerSpec:
        _refuse_strangers(
            self,
            "scheduler.name",
            {
                "step_epochs": ("step",),
                "milestones": ("multi_step",),
                "gamma": ("step", "multi_step", "exponential", "plateau"),
                "t_max_epochs": ("cosine",),
                "t_0_epochs": ("cosine_restarts",),
                "t_mult": ("cosine_restarts",),
                "max_lr": ("one_cycle",),
                "rise_share": ("one_cycle",),
                "patience_epochs": ("plateau",),
                "watch": ("plateau",),
                "restarts_after": _CHANGING,
            },
        )
        for name, field, remedy in (
            ("multi_step", "milestones", "Give the epochs, for example `milestones: [5, 8]`."),
            ("cosine_restarts", "t_0_epochs", "Give the length of the first period in epochs."),
            ("one_cycle", "max_lr", "Ten times `optimizer.lr` is a good first try."),
        ):
            if self.name == name and not getattr(self, field):
                raise field_problem(field, None, f"given with `scheduler.name: {name}`", remedy)
        return self

    def check_length(self, epochs: int) -> None:
        """Refuse a schedule that cannot do its work in a run of so many epochs."""
        left = epochs - self.warmup_epochs
        if left < 1:
            raise field_problem(
                "scheduler.warmup_epochs",
                self.warmup_epochs,
                f"less than the run's {epochs} epochs",
                "The schedule itself would never begin.",
            )
        if self.name == "multi_step" and self.milestones[-1] >= left:
            raise field_problem(
                "scheduler.milestones",
                list(self.milestones),
                f"epochs before the last of the {left} that the schedule has",
                "A later milestone would change nothing; train longer or leave it out.",
            )
        if self.name == "cosine_restarts" and (self.t_0_epochs or 0) > left:
            raise field_problem(
                "scheduler.t_0_epochs",
                self.t_0_epochs,
                f"at most the {left} epochs that the schedule has",
                "The first period would not end within the run.",
            )
        patience = (
            DEFAULT_PLATEAU_PATIENCE_EPOCHS
            if self.patience_epochs is None
            else self.patience_epochs
        )
        # One epoch to compare with, the patience, the epoch it runs out in, and one that gains.
        if self.name == "plateau" and patience + 2 >= left:
            raise field_problem(
                "scheduler.patience_epochs",
                patience,
                f"at most {left - 3} in the {left} epochs that the schedule has"
                if left >= 3
                else f"in a run of at least 3 epochs after the warm-up; this one has {left}",
                "The rate could never fall; train longer or choose another schedule.",
            )


def check_groups(
    groups: Sequence[RateGroup], field: str, name: str, known: tuple[str, ...]
) -> None:
    """Refuse names of modules that the architecture does not have, or that come too late.

    Args:
        groups: Learning rates by module.
        field: Dotted path of the groups.
        name: Of the architecture.
        known: Dotted names of its modules in their order.
    """
    taken: set[str] = set()
    for number, group in enumerate(groups):
        found: set[str] = set()
        for index, pattern in enumerate(group.modules):
            matched = selection.matching(known, [pattern])
            if not matched:
                raise unknown_module(f"{field}.{number}.modules.{index}", pattern, name, known)
            found |= matched
        if found <= taken:
            raise field_problem(
                f"{field}.{number}.modules",
                list(group.modules),
                "names of something that no group before has taken",
                "What several groups name belongs to the first; list the narrower one first.",
            )
        taken |= found


def _refuse_strangers(section: Section, choice: str, owners: dict[str, tuple[str, ...]]) -> None:
    """Refuse fields that are given though the section's choice has no use for them.

    Args:
        section: Its field `name` holds the choice.
        choice: Dotted path of that field, for the message.
        owners: Field → the choices that take it; a field counts as given unless None or empty.
    """
    chosen = getattr(section, "name")  # noqa: B009 (each section has its own literal type)
    for field, takers in owners.items():
        value = getattr(section, field)
        if chosen not in takers and value is not None and value is not False and value != ():
            raise field_problem(
                field,
                list(value) if isinstance(value, tuple) else value,
                f"left out for `{choice}: {chosen}`",
                f"Only {' and '.join(takers)} {'take' if len(takers) > 1 else 'takes'} it.",
            )
