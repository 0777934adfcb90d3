"""The one description of a run.

A YAML file, a REST body, the launch form and the database all hold an `ExperimentSpec`. Labels,
help, bounds and defaults of the form come from the fields here; `trainer.parsing` turns text into
specs. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import Field, model_validator

from trainer import catalogue
from trainer.data_sections import AugmentationSpec, DatasetSpec
from trainer.freeze_sections import FreezeSpec
from trainer.model_sections import ModelSpec
from trainer.optimizer_section import OptimizerSpec, check_groups
from trainer.scheduler_section import SchedulerSpec
from trainer.section import Section as _Section
from trainer.section import field_problem as _field_problem
from trainer.training_sections import LossSpec, TrainingSpec


class ExperimentSpec(_Section):
    """Everything that decides a run's numbers, and its name."""

    name: str = Field(
        "",
        title="Run name",
        description="Shown in tables and charts. Empty: made from the model and what is trained.",
        max_length=200,
    )
    dataset: DatasetSpec = Field(title="Data")
    model: ModelSpec = Field(default_factory=ModelSpec, title="Model")
    freeze: FreezeSpec = Field(default_factory=FreezeSpec, title="What to train")
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec, title="Optimizer")
    scheduler: SchedulerSpec = Field(default_factory=SchedulerSpec, title="Schedule")
    loss: LossSpec = Field(default_factory=LossSpec, title="Loss")
    augmentation: AugmentationSpec = Field(default_factory=AugmentationSpec, title="Augmentation")
    training: TrainingSpec = Field(default_factory=TrainingSpec, title="Training")

    @model_validator(mode="after")
    def _something_pretrained_to_freeze(self) -> ExperimentSpec:
        if self.freeze.layers == "backbone" and self.model.weights == "none":
            raise _field_problem(
                "freeze.layers",
                self.freeze.layers,
                "none with `model.weights: none`",
                "A frozen backbone of random weights learns nothing; choose pretrained weights.",
            )
        return self

    @model_validator(mode="after")
    def _modules_exist(self) -> ExperimentSpec:
        name = self.model.architecture
        if self.names_modules and (known := catalogue.modules(name)) is not None:
            self.check_modules(known)
        return self

    @model_validator(mode="after")
    def _stages_fit_the_run(self) -> ExperimentSpec:
        for index, stage in enumerate(self.freeze.schedule):
            if stage.epoch > self.training.epochs:
                raise _field_problem(
                    f"freeze.schedule.{index}.epoch",
                    stage.epoch,
                    f"at most the run's {self.training.epochs} epochs",
                    "Begin the stage earlier, or train longer.",
                )
            if stage.lr is not None and self.scheduler.name == "one_cycle":
                raise _field_problem(
                    f"freeze.schedule.{index}.lr",
                    stage.lr,
                    "left out with `scheduler.name: one_cycle`",
                    "The cycle says how high the rate goes; choose another schedule.",
                )
        return self

    @model_validator(mode="after")
    def _schedule_fits_the_run(self) -> ExperimentSpec:
        again = self.scheduler.restarts_after
        if again and again[-1] >= self.training.epochs:
            raise _field_problem(
                "scheduler.restarts_after",
                list(again),
                f"epochs before the last of the run's {self.training.epochs}",
                "Train longer, or leave the later ones out.",
            )
        stages = {stage.epoch for stage in self.freeze.schedule if stage.restarts}
        starts = sorted({1, *stages, *(epoch + 1 for epoch in again)})
        ends = [*starts[1:], self.training.epochs + 1]
        for start, end in zip(starts, ends, strict=True):
            self.scheduler.check_length(end - start)
        highest = self.scheduler.max_lr
        if highest is not None and highest <= self.optimizer.lr:
            raise _field_problem(
                "scheduler.max_lr",
                highest,
                f"above `optimizer.lr`, {self.optimizer.lr:g}, where the cycle starts",
                "Ten times `optimizer.lr` is a good first try.",
            )
        return self

    @model_validator(mode="after")
    def _mixed_labels_fit_the_loss(self) -> ExperimentSpec:
        if self.augmentation.mixes and self.loss.name == "hinge":
            field = "mixup_alpha" if self.augmentation.mixup_alpha else "cutmix_alpha"
            raise _field_problem(
                f"augmentation.{field}",
                getattr(self.augmentation, field),
                "0 with `loss.name: hinge`, which knows no shares of classes",
                "Choose `loss.name: cross_entropy`, or leave MixUp and CutMix off.",
            )
        return self

    @model_validator(mode="after")
    def _input_suits_the_architecture(self) -> ExperimentSpec:
        entry = catalogue.entry(self.model.architecture)
        size, remedy = self.dataset.input_size_px, f"Its own is {entry.input_size_px}."
        if size is None or self.model.head.tap is not None:  # what is cut off cannot refuse
            return self
        smallest = entry.smallest_input_px
        if self.model.auxiliary_weight and entry.auxiliary_smallest_px:
            smallest = entry.auxiliary_smallest_px
            remedy += " Smaller images need `model.auxiliary_loss_weight: 0`."
        if smallest is not None and size < smallest:
            raise _field_problem(
                "dataset.input_size_px",
                size,
                f"at least {smallest} for `{entry.name}`",
                remedy,
            )
        return self

    @model_validator(mode="after")
    def _images_are_large_enough(self) -> ExperimentSpec:
        size = self.dataset.input_size_px or catalogue.entry(self.model.architecture).input_size_px
        if self.dataset.resize_px is not None and self.dataset.resize_px < size:
            raise _field_problem(
                "dataset.resize_px",
                self.dataset.resize_px,
                f"at least the input size, {size}",
                "Raise it, or lower `dataset.input_size_px`.",
            )
        for index, transform in enumerate(self.augmentation.transforms):
            reach = {"kernel_size": 2 * size - 1, "padding": size - 1}
            for key, limit in reach.items():
                if transform.get(key, 0) > limit:
                    raise _field_problem(
                        f"augmentation.transforms.{index}.{key}",
                        transform[key],
                        f"at most {limit} at an input size of {size}",
                        "",
                    )
        return self

    @property
    def names_modules(self) -> bool:
        """Whether the architecture's modules matter: their names, or how many there are."""
        return self.freeze.names_modules or bool(self.optimizer.groups)

    def check_modules(self, known: tuple[str, ...]) -> None:
        """Refuse names and numbers of modules that the architecture does not have.

        Args:
            known: Dotted names of its modules in their order.
        """
        name = self.model.architecture
        self.freeze.check_modules(name, known)
        check_groups(self.optimizer.groups, "optimizer.groups", name, known)

    def display_name(self) -> str:
        """Return the name, or one made from architecture, weights and freezing."""
        if self.name:
            return self.name
        architecture = self.model.architecture.rpartition("/")[2]
        if self.model.weights == "none":
            return f"{architecture} from scratch"
        how = {"none": "fine-tuned", "backbone": "frozen"}.get(self.freeze.layers, "partly frozen")
        return f"{architecture} {how}{', then unfrozen' if self.freeze.schedule else ''}"


def spec_yaml(spec: ExperimentSpec) -> str:
    """Return the spec as a YAML document that `parse_spec_text` reads back."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def flat_fields(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"optimizer.lr": 0.001, …}` of a spec's JSON; lists are kept as values."""
    flat: dict[str, Any] = {}
    for key, value in spec.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flat_fields(value, f"{path}."))
        else:
            flat[path] = value
    return flat
