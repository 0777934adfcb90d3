"""One step of training: gradients of a batch, in as many parts as memory asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from trainer.data import batch_bounds
from trainer.errors import RunFailure
from trainer.losses import TrainingLoss
from trainer.mixing import dominant


class Stepper:
    """Takes steps; a step that does not fit into memory is done in smaller parts from then on."""

    def __init__(
        self,
        forward: Callable[[Tensor], Sequence[Tensor]],
        loss: TrainingLoss,
        optimizer: Optimizer,
        scaler: GradScaler,
        *,
        auxiliary_weight: float,
        clip_norm: float | None,
        images_at_once: int,
        when_halved: Callable[[int, str], None],
    ) -> None:
        """Prepare for steps.

        Args:
            forward: Maps inputs [B, …] to float32 logits [B, C]; those of auxiliary classifiers
                may follow.
            loss: What is made small.
            optimizer: Over the parameters that are trained.
            scaler: Disabled unless the arithmetic is fp16.
            auxiliary_weight: What the losses of auxiliary classifiers are multiplied by.
            clip_norm: Longest gradient, None for any length.
            images_at_once: Most images that go through the network together.
            when_halved: Told the new number and the reason.
        """
        self._forward = forward
        self._loss = loss
        self._optimizer = optimizer
        self._scaler = scaler
        self._auxiliary_weight = auxiliary_weight
        self._clip_norm = clip_norm
        self._at_once = images_at_once
        self._when_halved = when_halved

    def take(self, inputs: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Take one step; return the batch's mean loss and how many images were right, both [].

        Only forward and backward passes are tried again with less: they leave the weights alone.
        What a forward pass cut short did to running statistics of the batch norm stays.

        Args:
            inputs: [B, …].
            labels: [B] int64, or [B, C] float shares.
            seed: Of the step's dropout.

        Raises:
            RunFailure: If not even single images fit.
        """
        while True:
            torch.manual_seed(seed)
            reason = None
            try:
                outcome = self._gradients(inputs, labels)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = first_line(error)
            if reason is None:  # outside of `except`, which keeps the failed pass's tensors alive
                break
            self._halve(len(labels), reason)
        self._scaler.unscale_(self._optimizer)
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters(), self._clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return outcome

    def _gradients(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Leave the gradients of the batch's mean loss on the parameters."""
        self._optimizer.zero_grad(set_to_none=True)
        bounds = batch_bounds(len(labels), self._at_once)
        losses, rights = [], []
        for first, end in bounds:
            part = labels[first:end]
            try:
                logits, *others = self._forward(inputs[first:end])
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise _too_small(self._at_once) from error
            loss = self._loss(logits, part)
            for other in others:
                loss = loss + self._auxiliary_weight * self._loss(other, part)
            if len(bounds) > 1:
                loss = loss * self._loss.share(part, labels)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            rights.append((logits.detach().argmax(dim=1) == dominant(part)).sum())
        return torch.stack(losses).sum(), torch.stack(rights).sum()

    def _halve(self, images: int, reason: str) -> None:
        at_once = min(self._at_once, images)
        if at_once == 1:
            raise RunFailure(
                "Out of memory",
                f"Not even one image fits into memory with this network: {reason}",
                "Lower `dataset.input_size_px`, freeze more layers or choose a smaller network.",
            )
        self._at_once = at_once // 2
        self._optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()  # does nothing where CUDA is not in use
        self._when_halved(self._at_once, reason)

    def _parameters(self) -> Iterable[nn.Parameter]:
        return [one for group in self._optimizer.param_groups for one in group["params"]]


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there was no memory left, on a GPU or beside it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # How torch says it of the CPU.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def first_line(error: BaseException) -> str:
    """Return the first line of an out-of-memory error."""
    return str(error).partition("\n")[0] or "There was no memory left."


def _too_small(images_at_once: int) -> RunFailure:
    return RunFailure(
        "The batch is too small for this network",
        f"With {images_at_once} image(s) at once its batch normalisation has nothing to average.",
        "Raise `training.batch_size`, or, where memory is short, lower `dataset.input_size_px`.",
    )
