"""Builds a network of any known architecture, with its weights and a head of our own.

Whatever an architecture calls its classifier, its last layer is replaced (each of them, where the
network averages several), and the dotted names of the new modules are remembered: they are the
head, everything else is the backbone.
"""

from __future__ import annotations

from dataclasses import dataclass

import timm
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from trainer import catalogue, weights
from trainer.bases import build_base, wrong_size
from trainer.head import no_classifier, replace_auxiliary, replace_head, tap
from trainer.seeds import derive
from trainer.spec import ExperimentSpec
from trainer.transforms import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    USUAL_CROP_SHARE,
    InputFormat,
)


@dataclass(frozen=True)
class Network:
    """A model with its head known, and what it is fed."""

    module: nn.Module
    head_names: tuple[str, ...]
    """Dotted names of the modules that replace the classifier."""
    form: InputFormat
    head_is_last: bool
    """Whether the head's output is the model's, so that it can be run alone on kept features."""
    trainable: frozenset[str]
    """Names of the parameters that are trained unless they are frozen."""
    auxiliary_names: tuple[str, ...] = ()
    """Dotted names of the auxiliary classifiers' new last layers; run in training alone."""

    def heads(self) -> list[nn.Module]:
        """Return the modules that replace the classifier."""
        return [self.module.get_submodule(name) for name in self.head_names]

    def is_head_key(self, key: str) -> bool:
        """Tell whether a key of the state dict belongs to the head, or an auxiliary one."""
        return any(key.startswith(f"{name}.") for name in (*self.head_names, *self.auxiliary_names))


def build_network(spec: ExperimentSpec, classes: int) -> Network:
    """Return the spec's network with its first weights, on the CPU.

    Raises:
        RunFailure: If the weights cannot be had, the network cannot take the input size, or the
            head finds no place.
    """
    name, source = spec.model.architecture, spec.model.weights
    entry = catalogue.entry(name)
    size = spec.dataset.input_size_px or entry.input_size_px
    seed = spec.training.seed

    torch.manual_seed(derive(seed, "weights"))
    auxiliary = spec.model.auxiliary_weight > 0
    base = build_base(entry, source, size, auxiliary=auxiliary)
    if source == "package":
        weights.load_package(base, str(entry.weights_package))
    form = input_format(spec, base, size)

    torch.manual_seed(derive(seed, "head"))
    idle: frozenset[str] = frozenset()
    if spec.model.head.tap is None:
        head_names = replace_head(base, name, classes, spec.model.head)
        auxiliary_names = replace_auxiliary(base, name, classes) if auxiliary else ()
        not_loaded = (*head_names, *auxiliary_names)
    else:
        try:
            tapped = tap(base, name, classes, spec.model.head, form.size_px)
        except RuntimeError as error:  # what comes before the tap may refuse the size, too
            raise wrong_size(entry, form.size_px, error) from error
        head_names, auxiliary_names = tapped.head_names, ()
        not_loaded, idle = tapped.not_loaded, tapped.idle
    if source == "default" and not name.startswith("timm/"):
        weights.load_torchvision_default(base, name, not_loaded)
    elif source not in {"none", "default", "package"}:
        weights.load_file(base, source, not_loaded)
    head_is_last = _probe(base, entry, head_names, form.size_px, classes)
    trainable = {key for key, p in base.named_parameters() if p.requires_grad} - idle
    return Network(
        module=base,
        head_names=head_names,
        form=form,
        head_is_last=head_is_last and not auxiliary_names,
        trainable=frozenset(trainable),
        auxiliary_names=auxiliary_names,
    )


def input_format(spec: ExperimentSpec, base: nn.Module, size_px: int) -> InputFormat:
    """Return how images are prepared: as the weights were trained, where the spec is silent."""
    name, source = spec.model.architecture, spec.model.weights
    share, squash, interpolation = USUAL_CROP_SHARE, False, "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if name.startswith(catalogue.OURS_PREFIX):
        share = 1.0  # ours, for small images without a margin to spare
    elif source != "none" and name.startswith("timm/"):
        config = timm.data.resolve_model_data_config(base)
        share, squash = config["crop_pct"], config["crop_mode"] == "squash"
        interpolation, mean, std = config["interpolation"], config["mean"], config["std"]
    elif source != "none" and (default := weights.torchvision_default(name)) is not None:
        preset = default.transforms()
        share = preset.crop_size[0] / preset.resize_size[0]
        interpolation, mean, std = preset.interpolation.value, preset.mean, preset.std
    match spec.dataset.normalization:
        case "imagenet":
            mean, std = IMAGENET_MEAN, IMAGENET_STD
        case "half":
            mean, std = HALF, HALF
        case "weights" | "computed":  # computed later, from the images
            pass
    if spec.dataset.interpolation != "weights":
        interpolation = spec.dataset.interpolation
    if interpolation not in {
        mode.value for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)
    }:
        interpolation = "bicubic"  # lanczos and others have no version for bytes
    return InputFormat(
        size_px=size_px,
        resize_px=spec.dataset.resize_px or round(size_px / share),
        squash=squash,
        interpolation=interpolation,  # type: ignore[arg-type]
        mean=tuple(mean),
        std=tuple(std),
    )


def _probe(
    model: nn.Module,
    entry: catalogue.Architecture,
    head_names: tuple[str, ...],
    size_px: int,
    classes: int,
) -> bool:
    """Run one black image through the model; tell whether its output is the head's, flattened.

    Raises:
        RunFailure: If the network cannot take the size, or its output has another shape.
    """
    outputs: list[Tensor] = []
    handles = [
        model.get_submodule(head).register_forward_hook(
            lambda _module, _inputs, output: outputs.append(output)
        )
        for head in head_names
    ]
    try:
        with torch.inference_mode():
            logits = model.eval()(torch.zeros(1, 3, size_px, size_px))
    except Exception as error:  # each architecture refuses in its own way
        raise wrong_size(entry, size_px, error) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, Tensor) or logits.shape != (1, classes):
        raise no_classifier(entry.name)
    if len(outputs) != 1 or outputs[0].numel() != classes:
        return False
    return outputs[0].data_ptr() == logits.data_ptr()
