"""The sections of a spec that say what network is trained, and what takes its classifier's place.

Names of modules are checked against the catalogue; nothing here imports torch.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer import catalogue
from trainer.errors import nearest
from trainer.module_names import unknown_module
from trainer.section import Section, field_problem

WEIGHT_FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# torchvision's fine-tuning tutorial; https://pytorch.org/tutorials (fine-tuning torchvision models)
DEFAULT_AUXILIARY_WEIGHT = 0.4


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
