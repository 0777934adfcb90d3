"""What modules of a network say of one image: their outputs seen as maps, and which there are.

A map is one channel of an output laid out as the image is. Convolutions give such outputs
directly, [1, C, H, W], some networks with the channels last; transformers give one vector a patch,
which is laid out as the patches lie; a vector is maps of one value each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trainer.errors import FieldError, InvalidInput, nearest
from trainer.model import Network
from trainer.sources import Forward
from trainer.trained import Trained

USUAL_PREFIXES = (0, 1, 2)
"""Vectors before the patches' own: none, a class's, or another for distillation."""

See = Callable[[str, Tensor], None]


def modules(model: Trained) -> list[dict[str, Any]]:
    """Return the network's modules in their order: name, type, shape of the output, maps.

    The shape lacks the batch's axis; it is None of what does not run when images are classified.
    `maps` is how many maps there are, None where the output is none.
    """
    size = model.network.form.size_px
    outputs: dict[str, Tensor] = {}
    with torch.inference_mode(), watched(model.network, outputs.__setitem__):
        _forward(model)(model.inputs([torch.zeros(3, size, size, dtype=torch.uint8)]))
    found = []
    for name, module in model.network.module.named_modules():
        if not name:
            continue
        output = outputs.get(name)
        laid_out = None if output is None else as_maps(output, model.network.module)
        found.append(
            {
                "name": name,
                "type": type(module).__name__,
                "shape": None if output is None else list(output.shape[1:]),
                "maps": None if laid_out is None else len(laid_out),
            }
        )
    return found


def feature_maps(model: Trained, square: Tensor, name: str) -> Tensor:
    """Return the maps of a module's output, float32 [C, H, W].

    Args:
        square: The image, uint8 [3, S, S].
        name: Dotted, as in `modules`.

    Raises:
        InvalidInput: If there is no such module, or its output cannot be seen as maps.
    """
    network = model.network
    known = [known for known, _ in network.module.named_modules() if known]
    if name not in known:
        tops = ", ".join(f"`{name}`" for name, _ in network.module.named_children())
        remedy = nearest(name, known) or f"Its children are {tops}."
        raise InvalidInput.of(FieldError("module", name, "a module of the run's network", remedy))
    outputs: dict[str, Tensor] = {}

    def keep(of: str, output: Tensor) -> None:
        if of == name:
            outputs[of] = output.clone()  # what comes after may write into it

    with torch.inference_mode(), watched(network, keep):
        _forward(model)(model.inputs([square]))
    found = as_maps(outputs[name], network.module) if name in outputs else None
    if found is None:
        why = "whose output can be laid out as maps" if name in outputs else "that runs at all"
        remedy = "Choose one with a number of maps in the list of modules."
        raise InvalidInput.of(
            FieldError("module", name, f"a module {why} when an image is classified", remedy)
        )
    return found.float().cpu()


@contextmanager
def watched(network: Network, see: See) -> Iterator[None]:
    """Call `see` with the name and the output of each module as it ends; once a call."""

    def hook(name: str) -> Callable[..., None]:
        def on_end(_module: nn.Module, _inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) and output else output
            if isinstance(tensor, Tensor):
                see(name, tensor)

        return on_end

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in network.module.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def as_maps(output: Tensor, module: nn.Module) -> Tensor | None:
    """Return an output of one image as [C, H, W]; None if it is not one value or more a place.

    Args:
        output: [1, …].
        module: The network, which may say how many vectors come before those of the patches.
    """
    if output.shape[:1] != (1,) or output.numel() == 0:
        return None
    one = output[0]
    if one.ndim == 1:
        return one.view(-1, 1, 1)
    if one.ndim == 3:
        first, second, third = one.shape
        if second == third:  # inputs are square, and so are maps
            return one
        return one.permute(2, 0, 1) if first == second else None
    if one.ndim != 2:
        return None
    said = getattr(module, "num_prefix_tokens", None)
    for before in (said,) if isinstance(said, int) else USUAL_PREFIXES:
        patches = one.shape[0] - before
        side = math.isqrt(max(0, patches))
        if side > 1 and side * side == patches:
            return one[before:].T.reshape(one.shape[1], side, side)
    return None


def _forward(model: Trained) -> Forward:
    return Forward(model.network.module, model.choices)
