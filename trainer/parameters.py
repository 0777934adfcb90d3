"""How many numbers a spec's network holds and trains, told from the catalogue without torch.

Follows `trainer.model` and `trainer.freeze`; a test holds the two together on real networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainer import catalogue
from trainer.catalogue import Layer, Layout
from trainer.selection import frozen_modules
from trainer.spec import ExperimentSpec


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers in the parameters of a network."""

    total: int
    trained: int
    """From the first step on."""
    trained_at_last: int
    """Once every stage of unfreezing has begun."""
    is_exact: bool
    """False where the network is built for another input size, or cut short within."""


def count_parameters(spec: ExperimentSpec, classes: int) -> ParameterCounts | None:
    """Return the counts, or None where the catalogue does not know the architecture's modules."""
    name = spec.model.architecture
    layout, entry = catalogue.layout(name), catalogue.entry(name)
    if layout is None or not layout.heads:
        return None
    fixed = entry.parameters - sum(layer.parameters for layer in layout.layers)
    layers = _built(layout, with_auxiliary=spec.model.auxiliary_weight > 0)
    own_size = spec.dataset.input_size_px in (None, entry.input_size_px)
    exact = own_size or not entry.fixed_input_size

    tap = spec.model.head.tap
    if tap is None:
        replaced = dict(layout.heads)
        idle: frozenset[str] = frozenset()
    else:
        width = next((layer.width for layer in layers if layer.name == tap), None)
        if width is None:
            return None
        replaced, idle, exact = {"": width}, _after(layers, tap), False
    auxiliary = dict(layout.auxiliary) if spec.model.auxiliary_weight > 0 else {}
    heads = sum(
        _head_size(width, [*spec.model.head.hidden, classes]) for width in replaced.values()
    )
    heads += sum(_head_size(width, [classes]) for width in auxiliary.values())
    gone = {head for head in (*replaced, *auxiliary) if head}
    kept = [layer for layer in layers if layer.name not in gone]

    def trained(stage: int) -> int:
        frozen = frozen_modules(spec.freeze, [layer.name for layer in layers], stage)
        return heads + sum(
            layer.parameters
            for layer in kept
            if layer.name not in frozen and layer.name not in idle
        )

    return ParameterCounts(
        total=fixed + heads + sum(layer.parameters for layer in kept),
        trained=trained(0),
        trained_at_last=trained(len(spec.freeze.schedule)),
        is_exact=exact,
    )


def _built(layout: Layout, *, with_auxiliary: bool) -> list[Layer]:
    """Return the layers that are built: auxiliary classifiers only where they are used."""
    if with_auxiliary:
        return list(layout.layers)
    roots = {name.partition(".")[0] for name, _ in layout.auxiliary}
    return [layer for layer in layout.layers if layer.name.partition(".")[0] not in roots]


def _after(layers: Sequence[Layer], tap: str) -> frozenset[str]:
    """Return the layers that come after a tapped one in the network's order, so are never run."""
    names = [layer.name for layer in layers]
    last = max(
        index for index, name in enumerate(names) if name == tap or name.startswith(f"{tap}.")
    )
    return frozenset(names[last + 1 :])


def _head_size(width: int, widths: Iterable[int]) -> int:
    size = 0
    for wanted in widths:
        size += width * wanted + wanted
        width = wanted
    return size
