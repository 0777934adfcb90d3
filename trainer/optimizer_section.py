"""The section of a spec that says how weights follow gradients, and learning rates by module.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator

from trainer import selection
from trainer.module_names import unknown_module
from trainer.section import Section, field_problem, refuse_strangers, yaml_list

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
        refuse_strangers(
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
