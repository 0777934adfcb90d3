"""Which architectures there are, read from generated files so that nobody needs torch to ask.

`python -m trainer.build_catalogue` writes the files from the pinned torchvision and timm; tests
check that they are fresh. The trainer checks again with the real model.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

INDEX = Path(__file__).with_name("architectures.json")
MODULES = Path(__file__).with_name("modules.zip")
"""One text file an architecture, written by `trainer.build_layout`: a line for each module in the
model's order (dotted name, own parameters, width of its output), then what a head replaces."""
ROOT_MARK = "."
HEAD_MARK = "@head"
AUXILIARY_MARK = "@auxiliary"
SMALL_CNN = "tuneboard/small_cnn"
OURS_PREFIX = "tuneboard/"
_MODULE_LISTS_KEPT = 16  # of those read last; one is up to 100 KB


@dataclass(frozen=True)
class Architecture:
    """What is known of an architecture without building it."""

    name: str
    """`resnet18`, `timm/convnext_atto` or `tuneboard/small_cnn`."""
    input_size_px: int
    """What its default weights were trained at, or what it is usually fed."""
    parameters: int
    """With its own classifier for ImageNet's 1,000 classes."""
    has_default_weights: bool
    fixed_input_size: bool
    """Whether it accepts its own input size alone."""
    weights_package: str | None
    """The Python package that carries ImageNet weights for it."""
    smallest_input_px: int | None = None
    """The smallest input it takes; None where that could not be tried out."""
    auxiliary_smallest_px: int | None = None
    """The smallest input with which its auxiliary classifiers train; None where it has none."""


@dataclass(frozen=True)
class Layer:
    """A module of an architecture."""

    name: str
    """Dotted; the model's own is empty."""
    parameters: int
    """That can be trained and belong to no module in it."""
    width: int | None
    """Features that its output gives a head that reads it; None where it gives none."""


@dataclass(frozen=True)
class Layout:
    """What an architecture is made of, with its own classifier for ImageNet's 1,000 classes."""

    layers: tuple[Layer, ...]
    """In the model's order, which begins with the model itself."""
    heads: tuple[tuple[str, int], ...]
    """Name and width of the input of each layer that a new head replaces."""
    auxiliary: tuple[tuple[str, int], ...]
    """The same of the last layers of auxiliary classifiers."""


def names() -> list[str]:
    """Return every architecture's name, sorted."""
    return list(_index())


def entry(name: str) -> Architecture:
    """Return what is known of an architecture.

    Raises:
        KeyError: If there is none of that name.
    """
    return _index()[name]


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the files were written from, by name."""
    return dict(_file()["versions"])


def with_weights_package() -> list[str]:
    """Return the names of the architectures whose weights a package carries."""
    return [name for name, found in _index().items() if found.weights_package]


def modules(name: str) -> tuple[str, ...] | None:
    """Return the dotted names of an architecture's modules in the model's order, without its root.

    Those of its own classifier, not of the head that replaces it; of its auxiliary classifiers
    too. None where they are not on file; then the trainer alone can tell.
    """
    found = layout(name)
    return None if found is None else tuple(layer.name for layer in found.layers if layer.name)


@lru_cache(_MODULE_LISTS_KEPT)
def layout(name: str) -> Layout | None:
    """Return what an architecture is made of; None where that is not on file."""
    with zipfile.ZipFile(MODULES) as archive:
        try:
            text = archive.read(name).decode()
        except KeyError:
            return None
    layers: list[Layer] = []
    replaced: dict[str, list[tuple[str, int]]] = {HEAD_MARK: [], AUXILIARY_MARK: []}
    for line in text.splitlines():
        first, *others = line.split("\t")
        if first in replaced:
            replaced[first].append((others[0], int(others[1])))
            continue
        own, width = [int(value) if value else None for value in [*others, "", ""][:2]]
        layers.append(Layer("" if first == ROOT_MARK else first, own or 0, width))
    return Layout(tuple(layers), tuple(replaced[HEAD_MARK]), tuple(replaced[AUXILIARY_MARK]))


@cache
def _index() -> dict[str, Architecture]:
    columns, rows = _file()["columns"], _file()["rows"]
    return {row[0]: Architecture(**dict(zip(columns, row, strict=True))) for row in rows}


@cache
def _file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(INDEX.read_text())
    return found
