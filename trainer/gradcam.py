"""Grad-CAM: which parts of an image spoke for a class.

After Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization" (2017): the maps of the last layer that still has places, each weighed by the mean
gradient of the class's score, added up, and what speaks against the class left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.errors import RunFailure
from trainer.maps import as_maps, watched
from trainer.sources import Forward
from trainer.trained import Trained

LOOKED_BACK = 40
"""Outputs before the head among which the layer is sought: the last block of a transformer has
some that the class's vector no longer depends on."""


@dataclass(frozen=True)
class Heat:
    """Where a class was seen."""

    target: int
    """The class."""
    layer: str
    """Name of the module whose maps were weighed."""
    grid: tuple[int, int]
    """Height and width of its maps."""
    values: Tensor
    """[S, S] in [0, 1], as large as the network's input; all 0 where nothing spoke for it."""
    probabilities: Tensor
    """[C]."""


def grad_cam(model: Trained, square: Tensor, target: int | None = None) -> Heat:
    """Return where a class was seen in an image.

    Args:
        model: Its parameters stay as they are.
        square: The image, uint8 [3, S, S].
        target: The class; None: the likeliest one.

    Raises:
        RunFailure: If no layer before the head has places.
    """
    logits, candidates = _run(model, square)
    wanted = int(logits.argmax()) if target is None else target
    gradients = torch.autograd.grad(
        logits[wanted], [output for _, output in candidates], allow_unused=True
    )
    layer, maps, slopes = _last_that_matters(model, candidates, gradients)
    heat = (slopes.mean(dim=(1, 2), keepdim=True) * maps).sum(dim=0).relu()
    return Heat(
        target=wanted,
        layer=layer,
        grid=(heat.shape[0], heat.shape[1]),
        values=_enlarged(heat, square.shape[-1]),
        probabilities=logits.detach().double().softmax(dim=0).float().cpu(),
    )


def _run(model: Trained, square: Tensor) -> tuple[Tensor, list[tuple[str, Tensor]]]:
    """Return [C] logits, and the outputs with places before the head, with their modules' names.

    Raises:
        RunFailure: If there is none.
    """
    module = model.network.module
    seen: list[tuple[str, Tensor]] = []
    width: int | None = None

    def reach(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal width
        width = inputs[0].shape[-1]

    def see(name: str, output: Tensor) -> None:
        if width is None and output.requires_grad and _has_places(output, module):
            seen.append((name, output))

    handles = [head.register_forward_pre_hook(reach) for head in model.network.heads()]
    try:
        with torch.inference_mode(False), torch.enable_grad(), watched(model.network, see):
            inputs = model.inputs([square]).requires_grad_()
            # Not a leaf, so that a first layer may work in place.
            logits = Forward(module, model.choices)(inputs * 1)[0]
    finally:
        for handle in handles:
            handle.remove()
    # Of a transformer, what the head takes: not queries, keys and values side by side.
    kept = [
        (name, output) for name, output in seen if output.ndim == 4 or len(output[0, 0]) == width
    ]
    if not kept:
        raise RunFailure(
            "No Grad-CAM of this network",
            "No layer of it before the head has places in the image.",
            "Look at the feature maps of single modules instead.",
        )
    return logits, kept[-LOOKED_BACK:]


def _last_that_matters(
    model: Trained,
    candidates: Sequence[tuple[str, Tensor]],
    gradients: Sequence[Tensor | None],
) -> tuple[str, Tensor, Tensor]:
    """Return name, maps and gradient, both [C, H, W], of the last output that moves the score.

    Where none does, as after a ReLU that lets nothing through, the very last with no gradient.
    """
    module = model.network.module
    for (name, output), gradient in zip(reversed(candidates), reversed(gradients), strict=True):
        maps = _maps(output.detach(), module)
        slopes = None if gradient is None else _maps(gradient, module)
        if slopes is not None and bool(slopes.any()):
            return name, maps, slopes
    name, output = candidates[-1]
    maps = _maps(output.detach(), module)
    return name, maps, torch.zeros_like(maps)


def _maps(output: Tensor, module: nn.Module) -> Tensor:
    maps = as_maps(output, module)
    if maps is None:
        raise AssertionError("candidates have places")
    return maps.float()


def _has_places(output: Tensor, module: nn.Module) -> bool:
    maps = as_maps(output, module)
    return maps is not None and maps.shape[1] > 1 and maps.shape[2] > 1


def _enlarged(heat: Tensor, size_px: int) -> Tensor:
    """Return the heat as large as the image, its maximum 1."""
    large = nn.functional.interpolate(
        heat[None, None], size=(size_px, size_px), mode="bilinear", align_corners=False
    )[0, 0]
    most = float(large.max())
    return (large / most if most > 0 else large).cpu()
