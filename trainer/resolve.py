"""The choices that change numbers, made once before the first step and kept with the run.

A resumed run takes its stored choices, so that it ends with the numbers of one that was not
interrupted. None depends on timing.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from trainer.errors import RunFailure
from trainer.training_sections import TrainingSpec

CPU_EVALUATION_BATCH = 64  # activations still fit the caches' neighbourhood
CUDA_EVALUATION_BATCH = 256

Precision = Literal["fp32", "bf16", "fp16"]
Deterministic = Literal["on", "where possible", "off"]
"""Some operations of a GPU have no repeatable version."""


@dataclass(frozen=True)
class Choices:
    """What was resolved of a spec on one machine."""

    device: Literal["cpu", "cuda"]
    device_name: str
    precision: Precision
    threads: int
    """Of one operation on the CPU."""
    evaluation_batch_size: int
    feature_variants: int = 0
    """Versions of each training image whose backbone features are kept: 0 where the backbone
    runs in every step, 1, or 2 where images are mirrored."""
    deterministic: Deterministic = "on"

    def torch_device(self) -> torch.device:
        """Return the device as torch knows it."""
        return torch.device(self.device)

    def describe(self) -> dict[str, Any]:
        """Return the choices as plain JSON."""
        return asdict(self)

    def for_network(self, precision: Precision, feature_variants: int) -> Choices:
        """Return the choices with those that need the network to be known."""
        return replace(self, precision=precision, feature_variants=feature_variants)


def resolve(spec: TrainingSpec, threads: int, batch_size: int) -> Choices:
    """Return the choices for a run on this machine, before its network is known.

    Raises:
        RunFailure: If the spec asks for a GPU and there is none.
    """
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise RunFailure(
            "There is no GPU here",
            "`training.device` is cuda, but torch sees no CUDA device.",
            "Set `training.device: auto`, or start a worker on a machine with a GPU.",
        )
    if spec.precision == "fp16" and not torch.cuda.is_available():
        raise RunFailure(
            "fp16 needs a GPU",
            "`training.precision` is fp16, but torch sees no CUDA device.",
            "Set `training.precision: auto`, or start a worker on a machine with a GPU.",
        )
    on_gpu = spec.device == "cuda" or (spec.device == "auto" and torch.cuda.is_available())
    on_gpu_deterministic: Deterministic = "where possible" if spec.deterministic else "off"
    smallest = CUDA_EVALUATION_BATCH if on_gpu else CPU_EVALUATION_BATCH
    return Choices(
        device="cuda" if on_gpu else "cpu",
        device_name=torch.cuda.get_device_name() if on_gpu else cpu_name(),
        precision="fp32",
        threads=threads,
        evaluation_batch_size=max(smallest, batch_size),
        deterministic=on_gpu_deterministic if on_gpu else "on",
    )


def precision_for(spec: TrainingSpec, device: str, module: nn.Module) -> Precision:
    """Return the arithmetic for a network whose frozen parameters are marked.

    bf16 where the hardware multiplies it, but for grouped convolutions that are trained on a CPU:
    their backward pass is slower for it. Measured on one core of an AMD EPYC with AVX-512 BF16,
    CPU time of a training step in fp32 and in bf16: ResNet-18 (224 px, batch 16) 2,003 and
    971 ms; the small network (32 px, batch 64) 88 and 56 ms; EfficientNet-Lite0 (96 px, batch
    64), full of grouped convolutions, 972 and 1,552 ms, though its forward pass alone takes 245
    and 125 ms.
    """
    if spec.precision != "auto":
        return spec.precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    trains_groups = any(
        isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.weight.requires_grad
        for layer in module.modules()
    )
    return "bf16" if cpu_has_bf16() and not trains_groups else "fp32"


def restore(stored: dict[str, Any]) -> Choices:
    """Return the choices that a checkpoint holds.

    Raises:
        RunFailure: If they need a GPU and there is none.
    """
    choices = Choices(**stored)
    if choices.device == "cuda" and not torch.cuda.is_available():
        raise RunFailure(
            "The run began on a GPU and there is none here",
            f"Its steps so far were done on {choices.device_name}; on a CPU its numbers would "
            "no longer be those of one run.",
            "Start a worker on a machine with a GPU, or launch the run again for the CPU.",
        )
    return choices


def apply(choices: Choices) -> None:
    """Set torch up for the choices: threads, and whether operations are to be repeatable."""
    torch.set_num_threads(choices.threads)
    # The allocator need not fill what it hands out; our code reads nothing it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if choices.deterministic == "off":
        torch.backends.cudnn.benchmark = True
        torch.use_deterministic_algorithms(False)
        return
    if choices.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    # What has no repeatable version warns on a GPU instead of ending the run.
    torch.use_deterministic_algorithms(True, warn_only=choices.device == "cuda")


def available_threads() -> int:
    """Return how many threads this process may use: its cores, or fewer if OMP_NUM_THREADS says."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(wanted) if wanted.isdigit() and int(wanted) > 0 else cores or 1
    return max(1, min(cores or 1, limit))


def cpu_has_bf16() -> bool:
    """Tell whether the processor multiplies bf16 in hardware (AMX or AVX-512 BF16)."""
    return bool(
        torch.cpu._is_amx_tile_supported()
        or torch.cpu._is_avx512_bf16_supported()  # no public name
    )


def cpu_name() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
