"""A run's trained model, put together again from the files that the run wrote.

No pretrained weights are needed: the run's own hold every tensor, and what was resolved when it
began (preprocessing, device, precision, threads, batch size) is taken from its events, so that
the same image gives the same probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from trainer import resolve
from trainer.checkpoint import BEST_FILE
from trainer.data import decoder_threads
from trainer.errors import RunFailure
from trainer.events import RunStarted, parse_event
from trainer.model import Network, build_network
from trainer.parsing import parse_spec
from trainer.resolve import Choices
from trainer.sources import Forward
from trainer.spec import ExperimentSpec
from trainer.transforms import centre, decode, normalise

FORMAT = "tuneboard-1"
"""Of an exported file's metadata; raised when older files can no longer be read."""

Device = Literal["recorded", "cpu"]
"""recorded: as the run was trained, where there is such a device; the CPU otherwise."""


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode, and what it needs to be fed."""

    spec: ExperimentSpec
    classes: tuple[str, ...]
    resolved: Mapping[str, Any]
    """What the run resolved; see `Choices.describe` and `InputFormat.describe`."""
    choices: Choices
    network: Network

    def prepare(self, file: Path) -> Tensor:
        """Return the image in a file as uint8 [3, S, S].

        Raises:
            RunFailure: If it cannot be decoded.
        """
        return centre(decode(file), self.network.form)

    def inputs(self, squares: Sequence[Tensor]) -> Tensor:
        """Return what the network takes, float32 [B, 3, S, S] on the device."""
        stacked = torch.stack(list(squares)).to(self.choices.torch_device())
        return normalise(stacked, self.network.form)

    @torch.inference_mode()
    def probabilities(self, squares: Sequence[Tensor]) -> Tensor:
        """Return [B, C] float32 on the CPU, as an evaluation of the run computes them."""
        logits = Forward(self.network.module, self.choices)(self.inputs(squares)).cpu()
        return logits.double().softmax(dim=1).float()

    def of_files(self, files: Sequence[Path]) -> Iterator[Tensor]:
        """Yield the probabilities of image files, a batch at a time.

        Raises:
            RunFailure: If a file cannot be decoded.
        """
        size = self.choices.evaluation_batch_size
        with ThreadPoolExecutor(decoder_threads(self.choices.threads), "decode") as pool:
            for start in range(0, len(files), size):
                yield self.probabilities(list(pool.map(self.prepare, files[start : start + size])))

    def description(self) -> dict[str, str]:
        """Return what an exported file says of itself; each value but the format is JSON."""
        about = {
            "classes": list(self.classes),
            "preprocessing": self.network.form.describe(),
            "spec": self.spec.model_dump(mode="json"),
            "resolved": dict(self.resolved),
        }
        return {"format": FORMAT, **{key: json.dumps(value) for key, value in about.items()}}


def load_trained(attempt: Path, device: Device = "recorded") -> Trained:
    """Return the model of a run that has ended well.

    Args:
        attempt: The folder that its last attempt wrote to.
        device: Where to run it.

    Raises:
        RunFailure: If its files are not there or not whole.
    """
    try:
        spec = json.loads((attempt / "spec.json").read_text(encoding="utf-8"))
        started = _started(attempt / "events.jsonl")
        tensors = load_file(attempt / "checkpoints" / BEST_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunFailure(
            "The run's files are incomplete",
            f"The trained model in {attempt} cannot be read: {error}.",
            "Launch the run again.",
        ) from error
    return _assemble(spec, started.classes, started.resolved, tensors, device)


def load_exported(file: Path, device: Device = "recorded") -> Trained:
    """Return the model in a safetensors file that `trainer.export` wrote.

    Raises:
        RunFailure: If the file is no such file.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            said = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        if said.get("format") != FORMAT:
            raise ValueError(f"its format is {said.get('format')!r}, not {FORMAT!r}")
        spec, classes, resolved = (json.loads(said[key]) for key in ("spec", "classes", "resolved"))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise RunFailure(
            "The file is no exported model",
            f"`{file}` cannot be read as a model that Tuneboard exported: {error}.",
            "Export the run again with --format safetensors.",
        ) from error
    return _assemble(spec, classes, resolved, tensors, device)


def _started(events: Path) -> RunStarted:
    """Return the newest `run_started` event: a resumed run says one more."""
    found = None
    for line in events.read_bytes().splitlines():
        if b'"kind":"run_started"' in line:
            found = parse_event(line)
    if not isinstance(found, RunStarted):
        raise ValueError("events.jsonl holds no `run_started`")
    return found


def _assemble(
    given: Mapping[str, Any],
    classes: Sequence[str],
    resolved: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    device: Device,
) -> Trained:
    spec = parse_spec(dict(given))
    choices = _choices(resolved, device)
    resolve.apply(choices)
    module_spec = spec.model_copy(
        update={"model": spec.model.model_copy(update={"weights": "none"})}
    )
    network = build_network(module_spec, len(classes))
    module: Any = network.module
    if spec.model.weights != "none" and getattr(module, "transform_input", None) is False:
        module.transform_input = True  # torchvision's GoogLeNet and Inception with weights
    form = replace(
        network.form,
        size_px=resolved["input_size_px"],
        resize_px=resolved["resize_px"],
        squash=resolved["resize_mode"] == "squash",
        interpolation=resolved["interpolation"],
        mean=tuple(resolved["mean"]),
        std=tuple(resolved["std"]),
    )
    module.load_state_dict(dict(tensors))
    module.requires_grad_(False).eval()
    module.to(device=choices.torch_device())
    module.to(memory_format=torch.channels_last)
    return Trained(spec, tuple(classes), resolved, choices, replace(network, form=form))


def _choices(resolved: Mapping[str, Any], device: Device) -> Choices:
    known = {item.name: resolved[item.name] for item in fields(Choices) if item.name in resolved}
    choices = Choices(**known)
    if choices.device == "cuda" and (device == "cpu" or not torch.cuda.is_available()):
        return replace(
            choices, device="cpu", device_name=resolve.cpu_name(), precision="fp32",
            threads=resolve.available_threads(), deterministic="on",
        )  # fmt: skip
    return choices
