"""The section of a spec that says how the learning rate changes while the run goes on.

Nothing here imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer.section import Section, field_problem, refuse_strangers

DEFAULT_PLATEAU_PATIENCE_EPOCHS = 3

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
        refuse_strangers(
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
