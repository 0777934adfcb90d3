"""Imported once by the worker's fork server, so that trainers start warm.

Imports only: no tensor operation, no thread and no CUDA, which would not survive a fork.
"""

from __future__ import annotations

from trainer.process import wait_passively

wait_passively()

# ruff: noqa: E402 — OpenMP reads its settings when torch is imported.
import timm
import torch
import torchvision
from torchvision.transforms import v2

import trainer.run

__all__ = ["timm", "torch", "torchvision", "trainer", "v2"]
