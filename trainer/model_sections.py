"""The sections of a spec that say what network is trained, and which part of it.

Names of modules are checked against the catalogue; nothing here imports torch.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePath
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer import catalogue, selection
from trainer.errors import nearest
from trainer.section import Section, field_problem

WEIGHT_FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# torchvision's fine-tuning tutorial; https://pytorch.org/tutorials (fine-tuning torchvision models)
DEFAULT_AUXILIARY_WEIGHT = 0.4
_STAGE_EXAMPLE = "[{epoch: 6, unfreeze: all, lr: 0.0001, scheduler: restart}]"


class HeadSpec(Section):
    """What replaces the network's classifier."""

    hidden: tuple[int, ...] = Field(
        (),
        title="Hidden layers",
        description="Widths of hidden layers before the last layer, for example 256 or 512, 256. "
        "Empty: one linear layer.",
        max_length=4,
        examples=[[256]],
    )
    activation: Literal["relu", "gelu", "silu", "tanh"] = Field(
        "relu",
        title="Activation",
        description="What follows each hidden layer.",
    )
    dropout: float = Field(
        0.0,
        title="Dropout",
        description="Share of the values dropped before each layer of the head while training.",
        ge=0,
        lt=1,
    )
    tap: str | None = Field(
        None,
        title="Reads the output of",
        description="The module whose output the head reads, averaged over the image where it is "
        "a map; what comes after is not run. VGG-16's 4,096 codes are classifier.4. Empty: the "
        "head takes the place of the classifier's last layer.",
        max_length=200,
        examples=["classifier.4"],
    )

    @field_validator("hidden")
    @classmethod
    def _widths_in_range(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        for width in widths:
            if not 1 <= width <= 16384:
                raise PydanticCustomError(
                    "tuneboard", "{expected}", {"expected": "widths between 1 and 16384"}
                )
        return widths

    @model_validator(mode="after")
    def _something_to_activate(self) -> HeadSpec:
        if self.activation != "relu" and not self.hidden:
            raise field_problem(
                "activation",
                self.activation,
                "relu without `model.head.hidden`",
                "Only hidden layers are followed by an activation; give their widths.",
            )
        return self


class ModelSpec(Section):
    """The network, and where its first weights come from."""

    architecture: str = Field(
        "resnet18",
        title="Architecture",
        description="A torchvision classifier by its own name (resnet18), one of timm's as "
        "timm/NAME, or a small network for training from scratch: tuneboard/small_cnn, simple_cnn, "
        "medium_cnn or complex_cnn.",
        max_length=120,
        examples=["timm/tf_efficientnet_lite0"],
    )
    weights: str = Field(
        "default",
        title="Weights",
        description="none: from scratch. default: the pretrained weights of torchvision or timm, "
        "downloaded once. package: the ImageNet weights of an installed package (EfficientNet-"
        "Lite 0 to 2), which needs no internet. Or the path of a weight file on the server.",
        max_length=500,
        examples=["none", "default", "package"],
    )
    auxiliary_loss_weight: float | None = Field(
        None,
        title="Auxiliary loss",
        description="inception_v3 and googlenet only: what the losses of their auxiliary "
        f"classifiers are multiplied by in training; {DEFAULT_AUXILIARY_WEIGHT} where left empty, "
        "0: built without them. Evaluation uses the main classifier alone.",
        ge=0,
        le=10,
        json_schema_extra={"applies_when": {"model.architecture": ["inception_v3", "googlenet"]}},
    )
    head: HeadSpec = Field(default_factory=HeadSpec, title="Head")

    @property
    def auxiliary_weight(self) -> float:
        """What the losses of auxiliary classifiers are multiplied by; 0 where there are none."""
        entry = catalogue.entry(self.architecture)
        if entry.auxiliary_smallest_px is None or self.head.tap is not None:
            return 0.0
        given = self.auxiliary_loss_weight
        return DEFAULT_AUXILIARY_WEIGHT if given is None else given

    @field_validator("architecture")
    @classmethod
    def _architecture_exists(cls, name: str) -> str:
        if name not in catalogue.names():
            raise PydanticCustomError(
                "tuneboard",
                "{expected}",
                {
                    "expected": "the name of a known architecture",
                    "remedy": nearest(name, catalogue.names()),
                },
            )
        return name

    @field_validator("weights")
    @classmethod
    def _weights_are_a_source(cls, source: str) -> str:
        if source in {"none", "default", "package"}:
            return source
        if PurePath(source).suffix in WEIGHT_FILE_SUFFIXES:
            return source
        raise PydanticCustomError(
            "tuneboard",
            "{expected}",
            {
                "expected": "none, default, package or the path of a file ending in "
                + ", ".join(WEIGHT_FILE_SUFFIXES),
                "remedy": nearest(source, ("none", "default", "package")),
            },
        )

    @model_validator(mode="after")
    def _weights_fit_the_architecture(self) -> ModelSpec:
        entry = catalogue.entry(self.architecture)
        if self.weights == "package" and entry.weights_package is None:
            carriers = ", ".join(catalogue.with_weights_package())
            raise field_problem(
                "weights",
                self.weights,
                f"none, default or a file for `{self.architecture}`, whose weights no package "
                "carries",
                f"Packages carry the weights of {carriers}.",
            )
        if self.weights == "default" and not entry.has_default_weights:
            raise field_problem(
                "weights",
                self.weights,
                f"none or a file for `{self.architecture}`, which has no published weights",
                "Write `weights: none` to train from scratch.",
            )
        return self

    @model_validator(mode="after")
    def _auxiliary_loss_has_a_classifier(self) -> ModelSpec:
        if self.auxiliary_loss_weight is None:
            return self
        if catalogue.entry(self.architecture).auxiliary_smallest_px is None:
            raise field_problem(
                "auxiliary_loss_weight",
                self.auxiliary_loss_weight,
                f"left out for `{self.architecture}`, which has no auxiliary classifier",
                "Only inception_v3 and googlenet have one.",
            )
        if self.head.tap is not None:
            raise field_problem(
                "auxiliary_loss_weight",
                self.auxiliary_loss_weight,
                "left out with `model.head.tap`",
                "Where the head reads another module, the auxiliary classifiers are left out.",
            )
        return self

    @model_validator(mode="after")
    def _tapped_module_exists(self) -> ModelSpec:
        tap = self.head.tap
        known = catalogue.modules(self.architecture) if tap is not None else None
        if tap is not None and known is not None and tap not in known:
            raise unknown_module("head.tap", tap, self.architecture, known)
        return self


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
        "unfreeze (all, or a list of names as above), and if wanted lr (the new learning rate) and "
        "scheduler (continue, or restart the learning rate's schedule).",
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
        if not isinstance(value, str):
            return value
        try:
            read = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise PydanticCustomError(
                "tuneboard",
                "{expected}",
                {"expected": "a YAML list of stages", "remedy": f"For example {_STAGE_EXAMPLE}."},
            ) from error
        return () if read is None else read

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
                    f"Its children are {_listed(children)}.",
                )
        if self.up_to is not None and self.up_to not in known:
            raise unknown_module("freeze.up_to", self.up_to, name, known)
        for index, pattern in enumerate(self.patterns):
            if not selection.matching(known, [pattern]):
                raise unknown_module(f"freeze.patterns.{index}", pattern, name, known)
        for number, stage in enumerate(self.schedule):
            self._check_stage(number, stage, name, known)

    def _check_stage(self, number: int, stage: Stage, name: str, known: tuple[str, ...]) -> None:
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


def unknown_module(
    field: str, value: str, architecture: str, known: tuple[str, ...]
) -> PydanticCustomError:
    """Return an error about a module's name that the architecture does not know."""
    tops = tuple(name for name in known if "." not in name)
    return field_problem(
        field,
        value,
        f"the name of a module of `{architecture}`",
        nearest(value, known) or f"Its children are {_listed(tops)}.",
    )


def _listed(names: tuple[str, ...], shown: int = 20) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
