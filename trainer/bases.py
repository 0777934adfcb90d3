"""Builds an architecture as its library does, with its own classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
from torch import nn
from torchvision import models as tv

from trainer import weights
from trainer.catalogue import OURS_PREFIX, SMALL_CNN, Architecture
from trainer.errors import RunFailure
from trainer.small_cnn import SmallCNN
from trainer.study_cnns import ComplexCNN, MediumCNN, SimpleCNN

OURS: dict[str, Callable[[], nn.Module]] = {
    SMALL_CNN: SmallCNN,
    f"{OURS_PREFIX}simple_cnn": SimpleCNN,
    f"{OURS_PREFIX}complex_cnn": ComplexCNN,
    f"{OURS_PREFIX}medium_cnn": MediumCNN,
}
AUXILIARY_CLASSIFIERS = {
    "googlenet": ("aux1.fc2", "aux2.fc2"),
    "inception_v3": ("AuxLogits.fc",),
}
"""torchvision's networks with further classifiers for training → the last layers of these."""


def build_base(
    entry: Architecture, source: str, size_px: int, *, auxiliary: bool = False
) -> nn.Module:
    """Return the architecture with its own classifier; timm's default weights come with it.

    Args:
        entry: Of the architecture.
        source: `model.weights`.
        size_px: Side of the input, for those that are built for one.
        auxiliary: Whether to build the auxiliary classifiers of a network that has some.

    Raises:
        RunFailure: If it cannot be built for the size.
    """
    name = entry.name
    other_size = entry.fixed_input_size and size_px != entry.input_size_px
    options: dict[str, Any] = size_options(name, size_px) if other_size else {}
    if name in OURS:
        return OURS[name]()
    if name.startswith("timm/"):
        build, own = timm.create_model, name.removeprefix("timm/")
        if source == "default":
            file = weights.timm_default_file(entry)
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
    else:
        build, own = tv.get_model, name
        if name in AUXILIARY_CLASSIFIERS:
            # Pretrained ones expect inputs on another scale and convert from ImageNet's themselves.
            options |= {
                "aux_logits": auxiliary,
                "transform_input": source != "none",
                "init_weights": source == "none",
            }
        options["weights"] = None
    try:
        model: nn.Module = build(own, **options)
    except Exception as error:  # each architecture refuses in its own way
        if other_size:
            raise wrong_size(entry, size_px, error) from error
        raise
    return model


def size_options(name: str, size_px: int) -> dict[str, Any]:
    """Return the arguments that build a network for another input size than its own."""
    if name.startswith("timm/"):
        return {"img_size": size_px}
    return {"image_size": size_px} if name.startswith("vit_") else {"input_size": (size_px,) * 2}


def wrong_size(entry: Architecture, size_px: int, error: Exception) -> RunFailure:
    """Return the failure of a network that cannot take a size."""
    own = entry.input_size_px
    reason = str(error).rstrip(".") or type(error).__name__
    return RunFailure(
        "The network cannot take this input size",
        f"`{entry.name}` refused images of {size_px} px: {reason}.",
        f"Set `dataset.input_size_px: {own}`, or leave it empty."
        if size_px != own
        else "Choose another architecture.",
    )
