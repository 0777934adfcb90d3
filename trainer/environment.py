"""What the numbers were made with: versions, machine, threads. Written as `environment.json`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from trainer.resolve import cpu_name

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def environment() -> dict[str, Any]:
    """Return what describes the machine, as plain JSON."""
    cuda = torch.cuda.is_available()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "hostname": platform.node(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }
