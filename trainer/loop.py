"""Trains epoch by epoch, from any checkpoint on, and says what happens.

Given the same state the loop does the same arithmetic, whichever attempt it runs in: order,
augmentation and dropout come from seeds of (seed, epoch, batch), the learning rate from the spec,
the step and the validations before it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from trainer.averages import Averages
from trainer.checkpoint import CheckpointFolder, State
from trainer.errors import RunFailure
from trainer.evaluate import Outcome, predict
from trainer.eventlog import EventLog
from trainer.events import Checkpointed, EpochFinished, Warned
from trainer.freeze import freeze, parameter_counts, set_training_mode
from trainer.history import collapsed, is_better, likely_causes, skill, stops_early
from trainer.losses import TrainingLoss, plain_loss
from trainer.model import Network
from trainer.optim import learning_rate, set_learning_rate, take_in_unfrozen
from trainer.progress import Clock, Length, Reporter, StepRecorder
from trainer.resolve import Choices
from trainer.seeds import derive
from trainer.sources import Forward, Source
from trainer.spec import ExperimentSpec
from trainer.stages import groups_at, span_at, stage_at
from trainer.stepper import Stepper, first_line, is_out_of_memory
from trainer.watch import Interrupted, StopRequest


@dataclass
class Training:
    """One run's moving parts, put together by `trainer.run`."""

    spec: ExperimentSpec
    choices: Choices
    network: Network
    forward: Forward
    """Of what runs in each step: the network, or its head on kept features."""
    train_source: Source
    val_source: Source
    batch_sizes: Sequence[int]
    """Images of each step of an epoch."""
    optimizer: Optimizer
    scaler: GradScaler
    """Of the loss in fp16; disabled otherwise."""
    loss: TrainingLoss
    largest_share: float
    """Of the validation images that are of the most frequent class."""
    state: State
    log: EventLog
    clock: Clock
    reporter: Reporter
    length: Length
    checkpoints: CheckpointFolder
    stop: StopRequest

    def __post_init__(self) -> None:
        self._saved_at = time.monotonic()
        decay = self.spec.training.ema_decay
        self._averages = None if decay is None else Averages(decay, self.trained_tensors())
        if self._averages is not None:
            self._averages.load(self.state.averages)
        self._stepper = Stepper(
            self.forward.outputs,
            self.loss,
            self.optimizer,
            self.scaler,
            auxiliary_weight=self.spec.model.auxiliary_weight,
            clip_norm=self.spec.training.clip_norm,
            images_at_once=self.state.images_at_once,
            when_halved=self._note_halved,
        )

    def run(self) -> None:
        """Train the epochs that are left.

        Raises:
            Interrupted: After SIGTERM, with a checkpoint of the step it came in.
            RunFailure: If the loss is no longer a number, or not even one image fits into memory.
        """
        while not self._is_over():
            try:
                self._epoch()
            except Interrupted:
                self._save()
                raise

    def trained_tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold: all of the model but a backbone that never moves."""
        tensors = self.network.module.state_dict()
        if self.state.backbone_digest:
            return {k: tensor for k, tensor in tensors.items() if self.network.is_head_key(k)}
        return tensors

    def best_tensors(self) -> dict[str, Tensor]:
        """Return what is validated and saved as weights: the average, where one is kept."""
        return self.trained_tensors() if self._averages is None else self._averages.values

    def last_rate(self) -> float:
        """Return the learning rate of the newest finished epoch's last step."""
        state, steps = self.state, len(self.batch_sizes)
        return learning_rate(self.spec, len(state.history), steps - 1, steps, state.history)

    def _is_over(self) -> bool:
        """Tell whether no epoch is left; one that was cut short is still to be validated."""
        state = self.state
        if state.ended:
            return state.batch == 0
        return state.epoch > self.spec.training.epochs

    def _rate(self, batch: int) -> float:
        """Return the learning rate of a batch of the epoch under way."""
        state = self.state
        return learning_rate(self.spec, state.epoch, batch, len(self.batch_sizes), state.history)

    def _epoch(self) -> None:
        state = self.state
        self._enter_stage()
        losses = self._train()
        rate = self._rate(max(state.batch - 1, 0))
        sizes = self.batch_sizes[: state.batch]
        images = sum(sizes)
        weighted = losses.double() * torch.tensor(sizes, dtype=torch.float64)
        with self.clock.span("validation"):
            with self._averages.in_place() if self._averages else nullcontext():
                validation = self._validate(rate)
            figures = val_accuracy, val_loss = validation.accuracy, validation.loss
        better = is_better(
            self.spec.training, figures, (state.best_val_accuracy, state.best_val_loss)
        )
        before = state.best_file()
        if better:
            state.best_epoch = state.epoch
            state.best_val_accuracy, state.best_val_loss = val_accuracy, val_loss
        self.log.say(
            EpochFinished(
                time=time.time(),
                epoch=state.epoch,
                step=state.step,
                elapsed_s=self.clock.elapsed_s(),
                train_loss=float(weighted.sum() / images),
                train_accuracy=state.epoch_correct / images,
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                learning_rate=rate,
                is_best=better,
                seconds=self.clock.new_epoch(),
            )
        )
        self.log.note(
            f"Epoch {state.epoch} of {self.spec.training.epochs}: {val_accuracy:.2%} of the "
            f"validation images right, loss {val_loss:.4g}{', the best so far' if better else ''}."
        )
        state.history = [*state.history, figures]
        self._judge()
        state.epoch += 1
        state.batch, state.epoch_losses, state.epoch_correct = 0, [], 0
        with self.clock.span("checkpoint"):
            if better:
                self.checkpoints.save_best(state.best_epoch, self.best_tensors())
            self._save()
            if better and before:
                self.checkpoints.prune([state.best_file()])

    def _enter_stage(self) -> None:
        """Unfreeze what the schedule says for the epoch; the optimizer keeps what it knows."""
        state, network = self.state, self.network
        stage = stage_at(self.spec, state.epoch)
        if stage == state.stage:
            return
        state.stage = stage
        freeze(network, self.spec.freeze, stage)
        rates = groups_at(self.spec, stage)
        take_in_unfrozen(self.optimizer, self.spec.optimizer, network.module, rates)
        total, trained = parameter_counts(network)
        self.log.note(
            f"Unfreezes at epoch {state.epoch}: {trained:,} of {total:,} parameters are trained."
        )

    def _judge(self) -> None:
        """Say what the epoch just validated means for the run, and whether it is the last."""
        state, training = self.state, self.spec.training
        of = f"{state.epoch} of {training.epochs} epochs"
        if not state.ended and state.epoch < training.epochs and self._is_out_of_time():
            state.ended = "time_limit"
        if state.ended == "time_limit":
            cut = len(self.batch_sizes) - state.batch
            self._warn(
                "Ended at the time limit",
                f"Training took the {training.time_limit_minutes:g} minutes it was given, in {of}"
                + (
                    f"; the last one is {cut} of {len(self.batch_sizes)} steps short."
                    if cut
                    else "."
                ),
                "Raise `training.time_limit_minutes` to train on.",
            )
        elif state.epoch < training.epochs and stops_early(training, state.history):
            state.ended = "early_stopping"
            self.log.note(
                f"Stopped early after {of}: {training.stop_after_epochs} in a row brought no "
                f"better {training.best_by}."
            )
        if collapsed(state.history, self.largest_share, training.epochs, is_last=bool(state.ended)):
            best = max(accuracy for accuracy, _ in state.history)
            self._warn(
                "The network hardly learns",
                f"After {of} the best validation accuracy is {best:.2%}, while always guessing the "
                f"largest class gives {self.largest_share:.2%}: "
                f"{max(skill(best, self.largest_share), 0):.0%} of the way to being right.",
                likely_causes(self.spec),
            )

    def _train(self) -> Tensor:
        """Take the epoch's steps that are left; return the loss of those taken, [steps]."""
        state, seed = self.state, self.spec.training.seed
        set_training_mode(self.network, self.spec.freeze, state.stage)
        device = self.choices.torch_device()
        losses = torch.zeros(len(self.batch_sizes), dtype=torch.float32, device=device)
        losses[: state.batch] = torch.tensor(state.epoch_losses, dtype=torch.float32, device=device)
        correct = torch.tensor(state.epoch_correct, device=device)
        recorder = StepRecorder(self.log, state.epoch, self.length)
        step_images = self.spec.training.step_images
        batches = iter(self.train_source.train(state.epoch, step_images, state.batch))
        left = sum(self.batch_sizes[state.batch :])
        rate = self._rate(state.batch)
        self.reporter.begin("train", state.epoch, state.step, rate, left)

        def settle() -> None:
            """Bring what the device and the recorder hold into the state and the events."""
            state.epoch_losses = losses[: state.batch].tolist()
            state.epoch_correct = int(correct)
            _check_finite(losses[: state.batch], state.step - state.batch, self.spec)
            recorder.say(losses)

        try:
            while state.batch < len(self.batch_sizes) and not state.ended:
                batch = state.batch
                self.stop.check()
                with self.clock.span("data"):
                    inputs, labels = next(batches)
                with self.clock.span("compute"):
                    rate = self._rate(batch)
                    set_learning_rate(self.optimizer, rate, span_at(self.spec, state.epoch).lr)
                    loss, right = self._step(
                        inputs, labels, derive(seed, "step", state.epoch, batch)
                    )
                    losses[batch] = loss
                    correct += right
                    state.batch, state.step = batch + 1, state.step + 1
                    if self._averages is not None:
                        self._averages.update(state.step)
                    recorder.note(state.step, batch, self.clock.elapsed_s(), rate)
                    self.reporter.rate = rate
                    said = self.reporter.advance(len(labels), state.step, loss.item)
                    if said or device.type == "cpu":  # where looking costs no waiting
                        _check_finite(losses[: state.batch], state.step - state.batch, self.spec)
                recorder.say_if_due(losses)
                if self._is_out_of_time() and state.batch < len(self.batch_sizes):
                    state.ended = "time_limit"
                if self._is_checkpoint_due():
                    settle()
                    with self.clock.span("checkpoint"):
                        self._save()
        finally:
            settle()
        return losses[: state.batch].cpu()

    def _step(self, inputs: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Take one step; return the batch's mean loss and how many images were right, both []."""
        return self._stepper.take(inputs, labels, seed)

    def _is_out_of_time(self) -> bool:
        limit = self.spec.training.time_limit_minutes
        return limit is not None and self.clock.elapsed_s() >= limit * 60

    def _is_checkpoint_due(self) -> bool:
        """Tell whether training went on for long since the last checkpoint."""
        return time.monotonic() - self._saved_at >= self.spec.training.checkpoint_minutes * 60

    def _note_halved(self, images_at_once: int, reason: str) -> None:
        self.state.images_at_once = images_at_once
        self._warn(
            "Out of memory: the batch is done in parts",
            f"{reason} From step {self.state.step + 1} on, at most {images_at_once} images go "
            "through the network together; gradients are added up, so a step is still of as many "
            "images as the spec says.",
            "Batch normalisation sees the smaller parts; lower `training.batch_size` or "
            "`dataset.input_size_px` to avoid it.",
        )

    def _warn(self, title: str, detail: str, remedy: str) -> None:
        self.log.say(Warned(time=time.time(), title=title, detail=detail, remedy=remedy))

    def _validate(self, rate: float) -> Outcome:
        self.network.module.eval()
        return self.evaluate(
            self.forward, self.val_source, "validation", self.length.val_images, rate
        )

    def evaluate(
        self,
        forward: Forward,
        source: Source,
        phase: Literal["validation", "test"],
        images: int,
        rate: float,
    ) -> Outcome:
        """Return what `forward` says of a source, in smaller batches if memory runs out.

        Raises:
            Interrupted: After SIGTERM.
        """
        state = self.state

        def after_batch(done: int) -> None:
            self.reporter.advance(done, state.step)
            self.stop.check()

        while True:
            epoch = len(state.history) if self._is_over() else state.epoch
            self.reporter.begin(phase, epoch, state.step, rate, images)
            size = state.evaluation_batch
            try:
                batches = source.fixed(size)
                return predict(forward, batches, after_batch, plain_loss(self.spec.loss))
            except (MemoryError, RuntimeError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
                reason = first_line(error)
            torch.cuda.empty_cache()  # does nothing where CUDA is not in use
            state.evaluation_batch = size // 2
            self._warn(
                "Out of memory: images are evaluated in smaller batches",
                f"{reason} From here on {size // 2} at a time.",
                "It changes no result beyond rounding.",
            )

    def _save(self) -> None:
        """Bring the state between two steps to disk; the events up to here go first."""
        state = self.state
        state.model = self.trained_tensors()
        state.optimizer = self.optimizer.state_dict()
        state.scaler = self.scaler.state_dict()
        state.averages = self._averages.values if self._averages else {}
        state.elapsed_s = self.clock.elapsed_s()
        state.seconds, state.epoch_seconds = self.clock.run, self.clock.epoch
        state.events_bytes = self.log.sync()
        self.checkpoints.save_last(state)
        self._saved_at = time.monotonic()
        # After an epoch's last step the epoch under way is already the next.
        epoch = state.epoch if state.batch else state.epoch - 1
        self.log.say(Checkpointed(time=time.time(), epoch=epoch, step=state.step))


def _check_finite(losses: Tensor, steps_before: int, spec: ExperimentSpec) -> None:
    """Raise if any loss of the epoch so far is infinite or not a number."""
    finite = torch.isfinite(losses)
    if bool(finite.all()):
        return
    index = int((~finite).nonzero()[0])
    value = float(losses[index])
    raise RunFailure(
        "The loss is no longer a number",
        f"At step {steps_before + index + 1} the loss became {value}: training diverged.",
        f"Try a smaller `optimizer.lr`, say {spec.optimizer.lr / 10:g}"
        + (", or `training.precision: fp32`." if spec.training.precision != "fp32" else "."),
    )
