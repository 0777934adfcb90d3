"""The sections of a spec that say what is learned and for how long: loss and training.

Nothing here imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer.section import Section, field_problem

CLASS_WEIGHTS_LIMIT = 10_000


class LossSpec(Section):
    """What training makes small."""

    name: Literal["cross_entropy", "hinge"] = Field(
        "cross_entropy",
        title="Loss",
        description="cross_entropy: softmax. hinge: the multi-class hinge of a linear SVM "
        "(Weston and Watkins; torch's MultiMarginLoss, margin 1). Validation and test losses are "
        "the same without smoothing and class weights, so that runs can be compared.",
    )
    label_smoothing: float = Field(
        0.0,
        title="Label smoothing",
        description="Cross-entropy only: share of the target spread evenly over all classes.",
        ge=0,
        lt=1,
        json_schema_extra={"applies_when": {"loss.name": ["cross_entropy"]}},
    )
    class_weights: tuple[float, ...] | Literal["balanced"] = Field(
        (),
        title="Class weights",
        description="Weight of each class's images in the training loss, in the order of the "
        "dataset's classes; or balanced: the rarer a class, the heavier, by images / (classes x "
        "images of the class). Empty: all alike.",
        json_schema_extra={"examples": [[1.0, 2.5], "balanced"]},
    )

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights_are_usable(cls, given: object) -> object:
        if given in ("balanced", ["balanced"], ("balanced",)):
            return "balanced"
        weights = _numbers(given)
        if weights is None or not all(0 < weight <= 1000 for weight in weights):
            raise PydanticCustomError(
                "tuneboard",
                "{expected}",
                {
                    "expected": "balanced, or one number above 0 and up to 1000 for each class",
                    "remedy": "",
                },
            )
        return weights

    @model_validator(mode="after")
    def _smoothing_is_cross_entropys(self) -> LossSpec:
        if self.label_smoothing and self.name != "cross_entropy":
            raise field_problem(
                "label_smoothing",
                self.label_smoothing,
                f"0 for `loss.name: {self.name}`",
                "Only cross_entropy has a target that can be smoothed.",
            )
        return self


class TrainingSpec(Section):
    """How long, in what portions, and how exactly."""

    epochs: int = Field(
        10,
        title="Epochs",
        description="Passes over the training images.",
        ge=1,
        le=10_000,
        json_schema_extra={"unit": "epochs"},
    )
    batch_size: int = Field(
        32,
        title="Batch size",
        description="Images that go through the network together.",
        ge=1,
        le=4096,
        json_schema_extra={"unit": "images"},
    )
    accumulate_steps: int = Field(
        1,
        title="Batches per step",
        description="Batches whose gradients are added up before the weights move: a step is of "
        "so many times the batch size, in the memory of one batch.",
        ge=1,
        le=256,
        json_schema_extra={"unit": "batches"},
    )
    clip_norm: float | None = Field(
        None,
        title="Clip gradients",
        description="Longest gradient of all trained weights together; a longer one is "
        "shortened to it. Empty: never.",
        gt=0,
        le=1e6,
    )
    ema_decay: float | None = Field(
        None,
        title="Averaged weights",
        description="Share of the moving average of all weights that each step keeps, for example "
        "0.999; the average is what is validated and saved. In the first steps the share is "
        "smaller, (1 + step) / (10 + step). Empty: no average.",
        gt=0,
        lt=1,
        examples=[0.999],
    )
    best_by: Literal["val_accuracy", "val_loss"] = Field(
        "val_accuracy",
        title="Best epoch by",
        description="The figure whose best epoch's weights are kept; equal ones are told apart "
        "by the other. Early stopping watches it too.",
    )
    stop_after_epochs: int | None = Field(
        None,
        title="Stop after",
        description="Early stopping: ends the run after so many epochs in a row that brought no "
        "better figure. Empty: never.",
        ge=1,
        le=10_000,
        json_schema_extra={"unit": "epochs without gain"},
    )
    min_delta: float | None = Field(
        None,
        title="Least gain",
        description="Early stopping only: what a figure must be better by to count; 0 where left "
        "empty.",
        ge=0,
        le=100,
    )
    time_limit_minutes: float | None = Field(
        None,
        title="Time limit",
        description="Ends training once it took so long: the epoch under way is cut short, "
        "validated and counted, and the run succeeds with what it has. Gaps between attempts do "
        "not count; the final evaluation comes on top. Empty: none.",
        gt=0,
        le=100_000,
        json_schema_extra={"unit": "minutes"},
    )
    checkpoint_minutes: float = Field(
        10.0,
        title="Checkpoint every",
        description="Longest training between two checkpoints; longer epochs get some on the way.",
        gt=0,
        le=1440,
        json_schema_extra={"unit": "minutes"},
    )
    seed: int = Field(
        0,
        title="Seed",
        description="Seed of the head's first weights, of the order of images and of augmentation. "
        "Repeat a run under several to see how much is luck.",
        ge=0,
        le=2**31 - 1,
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        title="Precision",
        description="Arithmetic of the forward and backward pass. auto: bf16 where the hardware "
        "has it and the network gains by it, fp32 elsewhere; the run's page says which was taken. "
        "fp16: on a GPU only, with the loss scaled.",
    )
    deterministic: bool = Field(
        True,
        title="Repeatable",
        description="On a GPU only. yes: kernels that give the same numbers every time, wherever "
        "there are any. no: whichever kernels are fastest, tried out in the first steps; the same "
        "spec then gives slightly other numbers each time, and so does a run that is resumed. A "
        "CPU repeats its numbers at no cost.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        title="Device",
        description="auto: the worker's GPU where it has one, its CPU elsewhere.",
    )

    @property
    def step_images(self) -> int:
        """Images of one step."""
        return self.batch_size * self.accumulate_steps

    @model_validator(mode="after")
    def _options_fit_together(self) -> TrainingSpec:
        if self.stop_after_epochs is None and self.min_delta is not None:
            raise field_problem(
                "min_delta",
                self.min_delta,
                "left out without `training.stop_after_epochs`",
                "Only early stopping takes it.",
            )
        if self.stop_after_epochs is not None and self.stop_after_epochs >= self.epochs:
            raise field_problem(
                "stop_after_epochs",
                self.stop_after_epochs,
                f"less than the run's {self.epochs} epochs",
                "The run would end before it could be stopped early.",
            )
        if not self.deterministic and self.device == "cpu":
            raise field_problem(
                "deterministic",
                self.deterministic,
                "true on a CPU",
                "Only a GPU has faster kernels to choose from.",
            )
        if self.precision == "fp16" and self.device == "cpu":
            raise field_problem(
                "precision", "fp16", "auto, fp32 or bf16 on a CPU", "fp16 needs a GPU."
            )
        return self


def _numbers(given: object) -> tuple[float, ...] | None:
    """Return a list of numbers, typed or not, as floats; None for anything else."""
    if not isinstance(given, list | tuple) or len(given) > CLASS_WEIGHTS_LIMIT:
        return None
    numbers: list[float] = []
    for item in given:
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            return None
        try:
            numbers.append(float(item))
        except ValueError:
            return None
    return tuple(numbers)
