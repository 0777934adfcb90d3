"""A spec's list of transforms, built of torchvision.transforms.v2 and drawn from a sample's seed.

torchvision's transforms draw from torch's global generator, which the network's dropout uses at
the same time and which all threads share. So whatever a transform asks torch to draw is drawn
from a generator of its sample instead: the outcome depends on (seed, epoch, sample) alone,
whichever thread makes it and whatever else is going on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2

from trainer.augmentations import PRESETS
from trainer.data_sections import AugmentationSpec
from trainer.seeds import derive
from trainer.transforms import InputFormat, resized

Start = Literal["whole", "resized", "square"]
"""What the first transform is given: the whole image, the resized one, or the fixed view."""

_DRAWS: frozenset[Any] = frozenset(
    (
        torch.rand,
        torch.randn,
        torch.randint,
        torch.randperm,
        torch.bernoulli,
        torch.multinomial,
        torch.normal,
        torch._sample_dirichlet,
        Tensor.uniform_,
        Tensor.normal_,
        Tensor.bernoulli_,
        Tensor.random_,
        Tensor.exponential_,
    )
)


class Drawing(TorchFunctionMode):
    """While it is entered, what this thread asks torch to draw comes from one generator."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, with the generator where it draws."""
        if func in _DRAWS:
            return func(*args, **{**(kwargs or {}), "generator": self._generator})
        return func(*args, **(kwargs or {}))


class Pipeline:
    """What a list of transforms makes of one image."""

    def __init__(self, listed: Sequence[Mapping[str, Any]], form: InputFormat, seed: int) -> None:
        names = {given["name"] for given in listed}
        self.start: Start = (
            "whole"
            if "RandomResizedCrop" in names
            else "resized"
            if "RandomCrop" in names
            else "square"
        )
        self._form = form
        self._seed = seed
        self._steps = [build_transform(given, form) for given in listed]

    def __call__(self, image: Tensor, epoch: int, sample: str) -> Tensor:
        """Return uint8 [3, S, S].

        Args:
            image: uint8 [3, H, W]: the decoded frame, or the fixed view where `start` is square.
            epoch: From 1.
            sample: The image's id.
        """
        if self.start == "resized":
            image = resized(image, self._form)
        with Drawing(derive(self._seed, "transforms", epoch, sample)):
            for step in self._steps:
                image = step(image)
        return torch.as_tensor(image)


def pipeline(spec: AugmentationSpec, form: InputFormat, seed: int) -> Pipeline | None:
    """Return the spec's own transforms, or those of its preset; None where there are none."""
    listed = spec.transforms or PRESETS.get(spec.preset, ())
    return Pipeline(listed, form, seed) if listed else None


def build_transform(given: Mapping[str, Any], form: InputFormat) -> Callable[[Tensor], Tensor]:
    """Return one transform of the table, whose parameters the spec has checked."""
    name = given["name"]
    parameters = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in given.items()
        if key != "name"
    }
    size = [form.size_px, form.size_px]
    if "interpolation" in parameters:
        parameters["interpolation"] = InterpolationMode(parameters["interpolation"])
    match name:
        case "RandomResizedCrop":
            mode = InterpolationMode(form.interpolation)
            parameters |= {"size": size, "interpolation": mode, "antialias": True}
        case "RandomCrop":
            parameters |= {"size": size, "pad_if_needed": True}
        case "Grayscale":
            parameters["num_output_channels"] = 3
        case "AutoAugment":
            parameters["policy"] = AutoAugmentPolicy(parameters.get("policy", "imagenet"))
        case _:
            pass
    built: Callable[[Tensor], Tensor] = getattr(v2, name)(**parameters)
    return built
