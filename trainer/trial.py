"""Two real steps of a run that nobody has launched: memory, speed, and what its model sees."""

from __future__ import annotations

import resource as usage
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.amp import GradScaler

from trainer import resolve
from trainer.attempt import Attempt
from trainer.checkpoint import CheckpointFolder
from trainer.data import batch_bounds, decoder_threads
from trainer.datasets.manifest import Manifest
from trainer.datasets.splits import resolve_splits
from trainer.errors import RunFailure
from trainer.eventlog import EventLog
from trainer.freeze import check_modules, freeze, parameter_counts, set_training_mode
from trainer.model import build_network
from trainer.optim import build_optimizer
from trainer.program import Say
from trainer.progress import Clock, Length, Reporter
from trainer.run_data import RunData
from trainer.sources import Forward, feature_variants
from trainer.spec import ExperimentSpec
from trainer.stages import groups_at
from trainer.stepper import Stepper, first_line, is_out_of_memory
from trainer.transforms import InputFormat
from trainer.watch import StopRequest

SAMPLES_SHOWN = 8
SHEET_COLUMNS = 4
SAMPLE_PX = 160


class _Trial(Attempt):
    """An attempt that takes a few steps and keeps nothing."""

    def measure(self, out: Path, steps: int, say: Say) -> dict[str, Any]:
        """Take the steps and return what they took."""
        spec = self.spec
        splits = resolve_splits(self.manifest, spec.dataset)
        choices = self._choices()
        loss = self._loss(splits, choices)
        network = build_network(spec, len(self.manifest.classes))
        check_modules(network, spec)
        freeze(network, spec.freeze, len(spec.freeze.schedule))
        choices = choices.for_network(
            resolve.precision_for(spec.training, choices.device, network.module),
            feature_variants(spec, network, len(splits["train"])),
        )
        freeze(network, spec.freeze, 0)
        device = choices.torch_device()
        network.module.to(device=device)
        network.module.to(memory_format=torch.channels_last)
        total, trained = parameter_counts(network)
        sizes = [b - a for a, b in batch_bounds(len(splits["train"]), spec.training.step_images)]
        length = Length(spec.training.epochs, len(sizes), len(splits["train"]), len(splits["val"]))
        clock = Clock(0.0, {}, {})
        halved: list[int] = []
        with ThreadPoolExecutor(decoder_threads(choices.threads), "decode") as pool:
            data = RunData(
                spec=spec,
                manifest=self.manifest,
                splits=splits,
                choices=choices,
                network=network,
                pool=pool,
                log=self.log,
                stop=self.stop,
                clock=clock,
                reporter=Reporter(self.log, clock, length),
            )
            forward = Forward(network.module, choices)
            optimizer = build_optimizer(spec.optimizer, network.module, groups_at(spec, 0))
            stepper = Stepper(
                forward.outputs,
                loss,
                optimizer,
                GradScaler(choices.device, enabled=choices.precision == "fp16"),
                auxiliary_weight=spec.model.auxiliary_weight,
                clip_norm=spec.training.clip_norm,
                images_at_once=spec.training.batch_size,
                when_halved=lambda images, _reason: halved.append(images),
            )
            set_training_mode(network, spec.freeze, 0)
            step_s, data_s, losses = [], [], []
            batches = data.pixels("train").train(1, spec.training.step_images, 0)
            for number in range(min(steps, len(sizes))):
                began = time.monotonic()
                inputs, labels = next(batches)
                _settle(device)
                ready = time.monotonic()
                if number == 0:
                    _write_sheet(inputs, network.form, out)
                step_loss, _ = stepper.take(inputs, labels, number)
                losses.append(float(step_loss))
                step_s.append(time.monotonic() - ready)
                data_s.append(ready - began)
                say({"what": "taking steps", "done": number + 1, "total": steps + 1})
            network.module.eval()
            fixed = data.pixels("val").fixed(choices.evaluation_batch_size)
            inputs, labels = next(fixed)
            began = time.monotonic()
            with torch.inference_mode():
                forward(inputs).sum().item()
            looked_s = time.monotonic() - began
        per_image_s = looked_s / len(labels)
        val_s = per_image_s * len(splits["val"])
        train_s = step_s[-1] * len(sizes)
        first_s = max(train_s, data_s[0] / sizes[0] * len(splits["train"])) + val_s
        variants = choices.feature_variants
        epoch_s: float | None = train_s + val_s
        total_s = first_s + (train_s + val_s) * (spec.training.epochs - 1)
        if variants:  # the backbone runs once over every image; then only the head, not timed here
            first_s = total_s = per_image_s * variants * len(splits["train"]) + val_s
            epoch_s = None
        return {
            "device": choices.device_name,
            "precision": choices.precision,
            "fits": True,
            "images_at_once": halved[-1] if halved else spec.training.batch_size,
            "peak_memory_bytes": _peak_bytes(device),
            "memory_bytes": _memory_bytes(device),
            "steps": len(step_s),
            "seconds_per_step": step_s[-1],
            "seconds_first_epoch": first_s,
            "seconds_per_epoch": epoch_s,
            "seconds_total": total_s,
            "cached_features": bool(variants),
            "losses": losses,
            "parameters_total": total,
            "parameters_trained": trained,
            "input_px": network.form.size_px,
            "splits": {split: len(items) for split, items in splits.items()},
            "warnings": _trouble(losses, halved, spec),
        }


def try_steps(
    spec: ExperimentSpec, manifest: Manifest, folder: Path, out: Path, steps: int, say: Say
) -> dict[str, Any]:
    """Take a few steps of a run and return what they took.

    Args:
        folder: An empty one, for what an attempt writes.
        out: PNG of training images as the model sees them.

    Raises:
        TuneboardError: If the run would fail for a reason that its user can mend.
    """
    log = EventLog(folder, 0)
    try:
        return _Trial(spec, manifest, CheckpointFolder(folder), None, log, StopRequest()).measure(
            out, steps, say
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailure(
            "It does not fit into memory",
            first_line(error),
            "Halve `training.batch_size`, or lower `dataset.input_size_px`.",
        ) from error
    finally:
        log.close()


def _trouble(losses: list[float], halved: list[int], spec: ExperimentSpec) -> list[dict[str, str]]:
    found = []
    if halved:
        found.append(
            {
                "title": "A batch does not fit into memory at once",
                "detail": f"Batches of {spec.training.batch_size} go through in parts of "
                f"{halved[-1]}.",
                "remedy": "That is slower and changes batch normalisation; lower "
                "`training.batch_size` or `dataset.input_size_px`.",
            }
        )
    if not all(value == value and abs(value) != float("inf") for value in losses):
        found.append(
            {
                "title": "The loss is no number",
                "detail": "It is not finite within the first steps.",
                "remedy": "Lower `optimizer.lr`.",
            }
        )
    return found


def _write_sheet(inputs: Tensor, form: InputFormat, out: Path) -> None:
    """Write the first images of a batch, side by side, as the model sees them."""
    mean = torch.tensor(form.mean).view(3, 1, 1)
    std = torch.tensor(form.std).view(3, 1, 1)
    shown = inputs[:SAMPLES_SHOWN].detach().float().cpu() * std + mean
    rows = -(-len(shown) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * SAMPLE_PX, rows * SAMPLE_PX), "white")
    for number, image in enumerate(shown):
        pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        picture = Image.fromarray(pixels).resize((SAMPLE_PX, SAMPLE_PX))
        sheet.paste(
            picture, (number % SHEET_COLUMNS * SAMPLE_PX, number // SHEET_COLUMNS * SAMPLE_PX)
        )
    sheet.save(out, "PNG")


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _peak_bytes(device: torch.device) -> int:
    """Return the most memory used so far: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved())
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.getrusage(usage.RUSAGE_SELF).ru_maxrss * unit


def _memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info()[1])
    import psutil

    return int(psutil.virtual_memory().total)
