"""Describes a network's modules for the catalogue: names, parameters, widths, where heads go.

`trainer.build_catalogue` writes what comes out; `trainer.catalogue.layout` reads it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainer.bases import AUXILIARY_CLASSIFIERS
from trainer.catalogue import AUXILIARY_MARK, HEAD_MARK, ROOT_MARK
from trainer.head import IMAGENET_CLASSES, feature_shape, last_layers


def layout_text(model: nn.Module, name: str, size_px: int) -> str:
    """Return the lines of an architecture: its modules in order, then what a head replaces.

    Args:
        model: On the meta device, with its own classifier; its classifier may be reset.
        name: Of the architecture.
        size_px: Side of the input whose outputs give the modules' widths.
    """
    widths = _widths(model, size_px)
    lines = []
    for path, module in model.named_modules():
        own = sum(p.numel() for p in module.parameters(recurse=False) if p.requires_grad)
        lines.append(_line(path or ROOT_MARK, own or "", widths.get(path, "")))
    lines += [
        _line(HEAD_MARK, path, _input_width(layer)) for path, layer in _named_heads(model, name)
    ]
    lines += [
        _line(AUXILIARY_MARK, path, _input_width(model.get_submodule(path)))
        for path in AUXILIARY_CLASSIFIERS.get(name, ())
    ]
    return "\n".join(lines)


def _named_heads(model: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    try:
        layers = last_layers(model, name, IMAGENET_CLASSES)
    except AttributeError:  # timm's encoders have no classifier to ask for
        return []
    found = []
    for layer in layers:
        found += [(path, layer) for path, module in model.named_modules() if module is layer][:1]
    return found


def _input_width(layer: nn.Module) -> int:
    return int(layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features)  # type: ignore[arg-type]


def _line(*parts: object) -> str:
    return "\t".join(str(part) for part in parts).rstrip("\t")


def _widths(model: nn.Module, size_px: int) -> dict[str, int]:
    """Return how many features each module gives that gives some, for one image."""
    found: dict[str, int] = {}

    def note(path: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor) or output.shape[:1] != (1,):
                return
            shape = feature_shape(tuple(output.shape[1:]))
            if shape is not None:
                found.setdefault(path, shape[0])

        return hook

    handles = [
        module.register_forward_hook(note(path)) for path, module in model.named_modules() if path
    ]
    try:
        with torch.device("meta"), torch.no_grad():
            model.eval()(torch.zeros(1, 3, size_px, size_px))
    except Exception:  # an architecture that cannot run without memory has no widths on file
        return found
    finally:
        for handle in handles:
            handle.remove()
    return found
