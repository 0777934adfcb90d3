"""The transforms a spec may list, their parameters' bounds, and what the presets consist of.

Names and parameters are those of torchvision.transforms.v2, so its documentation applies. What is
not a parameter here is chosen by the run: the size of crops is the input size, and the outcome
always has the size it came with. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticCustomError

from trainer.errors import nearest

TRANSFORMS_LIMIT = 20
CROPS = ("RandomResizedCrop", "RandomCrop")
"""They decide what the list begins with, so that a list holds one of them at most."""


@dataclass(frozen=True)
class Number:
    """A number within bounds, both of them allowed."""

    low: float
    high: float
    whole: bool = False
    odd: bool = False

    def problem(self, value: Any) -> str:
        """Return what would have been right, or an empty string where `value` is."""
        kinds = int if self.whole else (int, float)
        good = (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and self.low <= value <= self.high
            and (not self.odd or value % 2 == 1)
        )
        return "" if good else self.text()

    def text(self) -> str:
        """Return the bounds in words."""
        kind = "an odd number" if self.odd else "a whole number" if self.whole else "a number"
        return f"{kind} between {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class Pair:
    """Two numbers, the smaller first."""

    of: Number

    def problem(self, value: Any) -> str:
        """Return what would have been right, or an empty string where `value` is."""
        if isinstance(value, list | tuple) and len(value) == 2:
            low, high = value
            if not self.of.problem(low) and not self.of.problem(high) and low <= high:
                return ""
        return self.text()

    def text(self) -> str:
        """Return the bounds in words."""
        of = f"between {self.of.low:g} and {self.of.high:g}"
        return f"two numbers {of}, the smaller first, as in [{self.of.low:g}, {self.of.high:g}]"


@dataclass(frozen=True)
class Either:
    """One of two kinds of value."""

    one: Number
    other: Pair

    def problem(self, value: Any) -> str:
        """Return what would have been right, or an empty string where `value` is."""
        if not self.one.problem(value) or not self.other.problem(value):
            return ""
        return f"{self.one.text()}, or {self.other.text()}"


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    of: tuple[str, ...]

    def problem(self, value: Any) -> str:
        """Return what would have been right, or an empty string where `value` is."""
        return "" if isinstance(value, str) and value in self.of else "one of " + ", ".join(self.of)


@dataclass(frozen=True)
class Allowed:
    """The parameters that a transform takes here."""

    parameters: Mapping[str, Number | Pair | Either | Choice]
    required: tuple[str, ...] = ()


_SHARE = Number(0, 1)
_P = {"p": _SHARE}
_FILL = {"fill": Number(0, 255)}
_ANGLE = Either(Number(0, 180), Pair(Number(-180, 180)))
_JITTER = Either(Number(0, 10), Pair(Number(0, 10)))
_SAMPLED = {"interpolation": Choice(("nearest", "bilinear"))}
_BINS = {"num_magnitude_bins": Number(2, 100, whole=True)}
_AREA = {"scale": Pair(Number(0.01, 1)), "ratio": Pair(Number(0.1, 10))}

TABLE: Mapping[str, Allowed] = {
    "RandomResizedCrop": Allowed(_AREA),
    "RandomCrop": Allowed(
        {
            "padding": Number(0, 256, whole=True),
            "padding_mode": Choice(("constant", "edge", "reflect", "symmetric")),
            **_FILL,
        }
    ),
    "RandomHorizontalFlip": Allowed(_P),
    "RandomVerticalFlip": Allowed(_P),
    "RandomRotation": Allowed({"degrees": _ANGLE, **_FILL, **_SAMPLED}, ("degrees",)),
    "RandomAffine": Allowed(
        {
            "degrees": _ANGLE,
            "translate": Pair(_SHARE),
            "scale": Pair(Number(0.05, 20)),
            "shear": Either(Number(0, 89), Pair(Number(-89, 89))),
            **_FILL,
            **_SAMPLED,
        },
        ("degrees",),
    ),
    "RandomPerspective": Allowed({"distortion_scale": _SHARE, **_P, **_FILL, **_SAMPLED}),
    "ColorJitter": Allowed(
        {
            "brightness": _JITTER,
            "contrast": _JITTER,
            "saturation": _JITTER,
            "hue": Either(Number(0, 0.5), Pair(Number(-0.5, 0.5))),
        }
    ),
    "RandomPhotometricDistort": Allowed(_P),
    "RandomChannelPermutation": Allowed({}),
    "Grayscale": Allowed({}),
    "RandomGrayscale": Allowed(_P),
    "GaussianBlur": Allowed(
        {
            "kernel_size": Number(1, 31, whole=True, odd=True),
            "sigma": Either(Number(0.01, 20), Pair(Number(0.01, 20))),
        },
        ("kernel_size",),
    ),
    "RandomAdjustSharpness": Allowed(
        {"sharpness_factor": Number(0, 20), **_P}, ("sharpness_factor",)
    ),
    "RandomAutocontrast": Allowed(_P),
    "RandomEqualize": Allowed(_P),
    "RandomInvert": Allowed(_P),
    "RandomPosterize": Allowed({"bits": Number(1, 8, whole=True), **_P}, ("bits",)),
    "RandomSolarize": Allowed({"threshold": Number(0, 255), **_P}, ("threshold",)),
    "RandomErasing": Allowed({**_P, **_AREA, "value": Number(0, 255)}),
    "TrivialAugmentWide": Allowed(_BINS),
    "RandAugment": Allowed(
        {
            "num_ops": Number(1, 10, whole=True),
            "magnitude": Number(0, 30, whole=True),
        }
    ),
    "AutoAugment": Allowed({"policy": Choice(("imagenet", "cifar10", "svhn"))}),
    "AugMix": Allowed(
        {
            "severity": Number(1, 10, whole=True),
            "mixture_width": Number(1, 10, whole=True),
            "alpha": Number(0.01, 100),
        }
    ),
}

_FLIP: dict[str, Any] = {"name": "RandomHorizontalFlip"}
# Presets beyond the three that `trainer.data` does itself. trivial_augment and rand_augment are
# torchvision's training recipe around the published policies (arXiv:2103.10158, 1909.13719) with
# their default strength; light and strong are ours, mild and rough versions of the same idea.
PRESETS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "light": (
        {"name": "RandomResizedCrop", "scale": [0.5, 1.0]},
        _FLIP,
        {"name": "ColorJitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1},
    ),
    "strong": (
        {"name": "RandomResizedCrop"},
        _FLIP,
        {"name": "RandomRotation", "degrees": 15, "interpolation": "bilinear"},
        {"name": "ColorJitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
        {"name": "RandomErasing", "p": 0.25},
    ),
    "trivial_augment": ({"name": "RandomResizedCrop"}, _FLIP, {"name": "TrivialAugmentWide"}),
    "rand_augment": ({"name": "RandomResizedCrop"}, _FLIP, {"name": "RandAugment"}),
}


def check_transforms(listed: Sequence[Mapping[str, Any]]) -> None:
    """Refuse transforms and parameters that are not in the table.

    Raises:
        PydanticCustomError: Of the first thing wrong; its field is `INDEX.PARAMETER`.
    """
    for index, given in enumerate(listed):
        name = given.get("name")
        if not isinstance(name, str) or name not in TABLE:
            raise _problem(
                f"{index}.name",
                name,
                "the name of a transform of torchvision.transforms.v2 that is known here",
                nearest(str(name), TABLE) or "Known: " + ", ".join(TABLE) + ".",
            )
        _check_parameters(index, name, given)
    crops = [index for index, given in enumerate(listed) if given["name"] in CROPS]
    if len(crops) > 1:
        raise _problem(
            f"{crops[1]}.name",
            listed[crops[1]]["name"],
            "the only crop of the list",
            "Keep one of " + " and ".join(CROPS) + ".",
        )


def _check_parameters(index: int, name: str, given: Mapping[str, Any]) -> None:
    allowed = TABLE[name]
    for key, value in given.items():
        if key == "name":
            continue
        kind = allowed.parameters.get(key)
        if kind is None:
            known = ", ".join(allowed.parameters)
            raise _problem(
                f"{index}.{key}",
                value,
                f"left out, as {name} takes no such parameter here",
                nearest(key, allowed.parameters) or (f"It takes {known}." if known else ""),
            )
        if problem := kind.problem(value):
            raise _problem(f"{index}.{key}", value, problem, "")
    for key in allowed.required:
        if key not in given:
            raise _problem(f"{index}.{key}", None, "given", f"{name} has no default for it.")


def _problem(field: str, value: Any, expected: str, remedy: str) -> PydanticCustomError:
    shown = value if isinstance(value, str | int | float) or value is None else str(value)
    return PydanticCustomError(
        "tuneboard",
        "{expected}",
        {"field": field, "value": shown, "expected": expected, "remedy": remedy},
    )
