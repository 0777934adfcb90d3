"""Puts a head of our own into a network: in its classifier's place, or behind an earlier module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from trainer.bases import AUXILIARY_CLASSIFIERS
from trainer.errors import RunFailure
from trainer.model_sections import HeadSpec

IMAGENET_CLASSES = 1000
TAPPED_HEAD = "tapped_head"
"""Name of the head of a network that is cut short."""
# Where torchvision and we keep classifiers; the last layer below the first name found is replaced.
_CLASSIFIERS = ("fc", "classifier", "heads", "head")
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def build_head(layer: nn.Module, classes: int, spec: HeadSpec) -> nn.Module:
    """Return what replaces a linear layer or a 1×1 convolution.

    Hidden layers end in the activation; dropout comes before each layer, the last one too.
    """
    is_conv = isinstance(layer, nn.Conv2d)
    width = _width(layer)
    if width is None:
        raise AssertionError("only layers that `replace_head` chose are replaced")
    layers: list[nn.Module] = []
    for wanted in (*spec.hidden, classes):
        if layers:
            layers.append(_activation(spec.activation))
        if spec.dropout:
            layers.append(nn.Dropout(spec.dropout))
        layers.append(nn.Conv2d(width, wanted, 1) if is_conv else nn.Linear(width, wanted))
        width = wanted
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def replace_head(model: nn.Module, name: str, classes: int, spec: HeadSpec) -> tuple[str, ...]:
    """Put a new head into `model` and return the dotted names of its modules.

    Raises:
        RunFailure: If no classifier is found.
    """
    names = [
        _swap(model, layer, build_head(layer, classes, spec))
        for layer in last_layers(model, name, classes)
    ]
    if not names:
        raise no_classifier(name)
    return tuple(names)


def replace_auxiliary(model: nn.Module, name: str, classes: int) -> tuple[str, ...]:
    """Give the auxiliary classifiers a new last layer each and return their dotted names."""
    names = AUXILIARY_CLASSIFIERS[name]
    for path in names:
        layer = cast(nn.Linear, model.get_submodule(path))
        _swap(model, layer, nn.Linear(layer.in_features, classes))
    return names


@dataclass(frozen=True)
class Tapped:
    """What cutting a network short left."""

    head_names: tuple[str, ...]
    not_loaded: tuple[str, ...]
    """The modules that a weight file need not fit: the head, and the classifier never run."""
    idle: frozenset[str]
    """Names of the parameters that come after the tapped module."""


def tap(model: nn.Module, name: str, classes: int, spec: HeadSpec, size_px: int) -> Tapped:
    """Make `model` end after the module that `spec` names, with a head on what that gives.

    Raises:
        RunFailure: If the module is not run, or gives no features.
    """
    path = str(spec.tap)
    try:
        tapped = model.get_submodule(path)
    except AttributeError as error:
        raise _no_features(name, path, "is not in the network") from error
    classifiers = last_layers(model, name, classes)
    tapped.register_forward_hook(_stop)
    model.__class__ = type(type(model).__name__, (_CutShort, type(model)), {})
    cut = cast(_CutShort, model)
    width, cut.averaged = _features(cut, name, path, size_px)
    idle = _idle_parameters(cut, size_px)
    setattr(model, TAPPED_HEAD, build_head(nn.Linear(width, classes), classes, spec))
    unused = [
        path
        for path, module in model.named_modules()
        if any(module is layer for layer in classifiers) and f"{path}.weight" in idle
    ]
    return Tapped((TAPPED_HEAD,), (TAPPED_HEAD, *unused), idle)


def feature_shape(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]] | None:
    """Return how many features an output of that shape (without its batch) gives, and over what.

    The second is the dimensions, counted with the batch, that the features are a mean over.
    None for what is neither a vector, nor tokens, nor a square map.
    """
    match shape:
        case (width,):
            return width, ()
        case (_, width):
            return width, (1,)
        case (width, height, side) if height == side:
            return width, (2, 3)
        case (height, side, width) if height == side:
            return width, (1, 2)
    return None


def no_classifier(name: str) -> RunFailure:
    """Return the failure of a network whose classifier is not found."""
    return RunFailure(
        "The architecture has no classifier to replace",
        f"`{name}` does not end in a layer that gives one number a class.",
        "Choose another architecture.",
    )


class _Reached(Exception):
    """Carries the tapped module's output out of the network's forward pass."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output


class _CutShort(nn.Module):
    """The class that a tapped network gets, before its own."""

    averaged: tuple[int, ...]
    """Dimensions of the tapped output that the head's features are a mean over."""
    tapped_head: nn.Module

    def forward(self, images: Tensor) -> Tensor:
        """Return what the head makes of the tapped features, [B, classes]."""
        output: Tensor = self.tapped(images)
        features = output.mean(dim=self.averaged) if self.averaged else output
        return cast(Tensor, self.tapped_head(features))

    def tapped(self, images: Tensor) -> Any:
        """Return the tapped module's output, or None where it is not run."""
        try:
            super().forward(images)
        except _Reached as reached:
            return reached.output
        return None


def _stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
    raise _Reached(output)


def _features(model: _CutShort, name: str, path: str, size_px: int) -> tuple[int, tuple[int, ...]]:
    """Return how many features the tapped module gives, and what they are a mean over.

    A map of a square image is square, which tells channels from sides; tokens come before theirs.
    """
    with torch.inference_mode():
        output = model.eval().tapped(torch.zeros(1, 3, size_px, size_px))
    if output is None:
        raise _no_features(name, path, "is not run by itself")
    if isinstance(output, Tensor) and output.shape[:1] == (1,):
        found = feature_shape(tuple(output.shape[1:]))
        if found is not None:
            return found
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise _no_features(name, path, f"gives {shape} for one image")


def _idle_parameters(model: _CutShort, size_px: int) -> frozenset[str]:
    """Return the names of the parameters that the tapped output does not depend on."""
    wanted = {key: parameter.requires_grad for key, parameter in model.named_parameters()}
    model.requires_grad_(True).eval()
    model.tapped(torch.zeros(1, 3, size_px, size_px)).sum().backward()
    idle = frozenset(key for key, p in model.named_parameters() if p.grad is None)
    for key, parameter in model.named_parameters():
        parameter.grad = None
        parameter.requires_grad_(wanted[key])
    return idle


def _activation(name: str) -> nn.Module:
    return nn.ReLU(inplace=True) if name == "relu" else _ACTIVATIONS[name]()


def _width(layer: nn.Module) -> int | None:
    """Return how many features a linear layer or 1×1 convolution takes; None for others."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
        return layer.in_channels
    return None


def _outputs(layer: nn.Module) -> int:
    return int(layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features)  # type: ignore[arg-type]


def last_layers(model: nn.Module, name: str, classes: int) -> list[nn.Module]:
    """Return the layers that give one number a class: several where the network averages some."""
    found = []
    for classifier in _classifiers(model, name, classes):
        layers = [module for module in classifier.modules() if _width(module) is not None]
        outputs = getattr(model, "num_classes", IMAGENET_CLASSES)
        found += [layer for layer in layers if _outputs(layer) == outputs] or layers[-1:]
    return found


def _classifiers(model: nn.Module, name: str, classes: int) -> list[nn.Module]:
    """Return the modules that hold the classifier's last layers."""
    if name.startswith("timm/"):
        found = model.get_classifier()  # type: ignore[operator]
        modules = list(found) if isinstance(found, tuple | list) else [found]
        beside = getattr(model, "aux_head", None)  # VOLO's second one; the larger of both counts
        modules += [beside] if isinstance(beside, nn.Linear) else []
        if all(any(_width(m) is not None for m in found.modules()) for found in modules):
            return modules
        model.reset_classifier(classes)  # type: ignore[operator]
        found = model.get_classifier()  # type: ignore[operator]
        return list(found) if isinstance(found, tuple | list) else [found]
    for attribute in _CLASSIFIERS:
        module = getattr(model, attribute, None)
        if isinstance(module, nn.Module):
            return [module]
    return []


def _swap(model: nn.Module, old: nn.Module, new: nn.Module) -> str:
    """Put `new` in `old`'s place in `model` and return its dotted name there."""
    name = next(path for path, module in model.named_modules() if module is old)
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, new)
    return str(name)


def _no_features(name: str, path: str, why: str) -> RunFailure:
    return RunFailure(
        "The module cannot be tapped",
        f"`{path}` of `{name}` {why}; a head needs a vector, a map or tokens.",
        "Set `model.head.tap` to another module, for example the one around it.",
    )
