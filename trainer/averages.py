"""A moving average of the weights, which is validated and saved in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Averages:
    """The moving average of a state dict's tensors; whole numbers are copied, not averaged."""

    def __init__(self, decay: float, tensors: Mapping[str, Tensor]) -> None:
        """Start from `tensors`, the live ones; `values` holds the average."""
        self._decay = decay
        self._live = dict(tensors)
        self.values = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from stored values."""
        for name, tensor in values.items():
            self.values[name].copy_(tensor)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the live tensors after step `step`, counted from 1.

        The share kept is at most (1 + step) / (10 + step), so that the first weights, which
        mean nothing, are soon forgotten (as TensorFlow's ExponentialMovingAverage does).
        """
        keep = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in self._live.items():
            if tensor.is_floating_point():
                self.values[name].lerp_(tensor, 1 - keep)
            else:
                self.values[name].copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the live tensors within a block."""
        raw = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._write(self.values)
        try:
            yield
        finally:
            self._write(raw)

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(values[name])
