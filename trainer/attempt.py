"""Puts one attempt together: choices, network, data, loop, final evaluation."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch.amp import GradScaler

from trainer import resolve
from trainer.checkpoint import CheckpointFolder, State
from trainer.continuing import is_continuation
from trainer.data import MemoryBudget, Split, batch_bounds, decoder_threads
from trainer.datasets.manifest import Item, Manifest
from trainer.datasets.splits import resolve_splits
from trainer.environment import environment, versions
from trainer.errors import RunFailure
from trainer.evaluate import record
from trainer.eventlog import EventLog
from trainer.events import RunFinished, RunStarted, Warned
from trainer.files import write_atomically
from trainer.freeze import check_modules, freeze, parameter_counts, stifled_stages
from trainer.kept_features import KeptFeatures
from trainer.loop import Training
from trainer.losses import TrainingLoss
from trainer.model import Network, build_network
from trainer.optim import build_optimizer
from trainer.pixel_statistics import pixel_statistics
from trainer.progress import Clock, Length, Reporter
from trainer.resolve import Choices
from trainer.run_data import RunData, Splits
from trainer.sources import Forward, Source, feature_variants
from trainer.spec import ExperimentSpec
from trainer.stages import groups_at
from trainer.watch import ResourceMeter, StopRequest

_LOG = logging.getLogger(__name__)

STATISTICS_BATCH = 64  # images whose pixels are summed at a time


@dataclass
class Attempt:
    """What one attempt is given."""

    spec: ExperimentSpec
    manifest: Manifest
    checkpoints: CheckpointFolder
    resumed: State | None
    """Where an earlier attempt came to."""
    log: EventLog
    stop: StopRequest
    features_dir: Path | None = None
    """Where the features of frozen backbones are kept for other runs; None: nowhere."""

    def run(self) -> None:
        """Go from the spec to the last file.

        Raises:
            Interrupted: After SIGTERM.
            TuneboardError: If the run cannot go on for a reason that its user can mend.
        """
        began = time.monotonic()
        self._write_descriptions()
        splits = resolve_splits(self.manifest, self.spec.dataset)
        choices = self._choices()
        loss = self._loss(splits, choices)
        network = build_network(self.spec, len(self.manifest.classes))
        check_modules(network, self.spec)
        stage = self.resumed.stage if self.resumed else 0
        if self.resumed is None:
            # Of the whole run, so of what its last stage trains.
            freeze(network, self.spec.freeze, len(self.spec.freeze.schedule))
            choices = choices.for_network(
                resolve.precision_for(self.spec.training, choices.device, network.module),
                feature_variants(self.spec, network, len(splits["train"])),
            )
        freeze(network, self.spec.freeze, stage)
        network = self._normalised(network, splits, choices)
        network.module.to(device=choices.torch_device())
        network.module.to(memory_format=torch.channels_last)
        state = self._state(choices, network)

        step_images = self.spec.training.step_images
        batch_sizes = [b - a for a, b in batch_bounds(len(splits["train"]), step_images)]
        length = Length(
            epochs=self.spec.training.epochs,
            steps_per_epoch=len(batch_sizes),
            train_images=len(splits["train"]),
            val_images=len(splits["val"]),
        )
        self._say_started(choices, network, splits, length, state.images_at_once)
        if self.resumed is None:
            self._describe(choices, network, splits, length)
            for warning in stifled_stages(self.spec):
                self.log.say(warning)
        clock = Clock(time.monotonic() - began, {}, {})
        reporter = Reporter(self.log, clock, length)
        meter = ResourceMeter(self.log, gpu=choices.device == "cuda")
        self.stop.be_patient()
        meter.start()
        pool = ThreadPoolExecutor(decoder_threads(choices.threads), "decode")
        try:
            data = RunData(
                spec=self.spec,
                manifest=self.manifest,
                splits=splits,
                choices=choices,
                network=network,
                pool=pool,
                log=self.log,
                stop=self.stop,
                clock=clock,
                reporter=reporter,
                kept=self._kept_features(choices, network),
            )
            forward, train_source, val_source = data.sources()
            if self.resumed is not None:  # what it took to get here again is no training
                clock.restart(state.elapsed_s, state.seconds, state.epoch_seconds)
            else:
                state.found_s = data.found_s
            optimizer = build_optimizer(
                self.spec.optimizer, network.module, groups_at(self.spec, stage)
            )
            if state.optimizer:
                optimizer.load_state_dict(state.optimizer)
            # Enabled it keeps fp16's small gradients from vanishing; otherwise it does nothing.
            scaler = GradScaler(choices.device, enabled=choices.precision == "fp16")
            if state.scaler:
                scaler.load_state_dict(state.scaler)
            training = Training(
                spec=self.spec,
                choices=choices,
                network=network,
                forward=forward,
                train_source=train_source,
                val_source=val_source,
                batch_sizes=batch_sizes,
                optimizer=optimizer,
                scaler=scaler,
                loss=loss,
                largest_share=_largest_share(splits["val"]),
                state=state,
                log=self.log,
                clock=clock,
                reporter=reporter,
                length=length,
                checkpoints=self.checkpoints,
                stop=self.stop,
            )
            training.run()
            self._evaluate(training, data)
        finally:
            pool.shutdown(cancel_futures=True)
            meter.stop()
        self._finish(training)

    def _choices(self) -> Choices:
        """Return the stored choices of a resumed run, new ones otherwise, and set torch up."""
        training = self.spec.training
        if self.resumed is None:
            threads = resolve.available_threads()
            choices = resolve.resolve(training, threads, training.batch_size)
        else:
            choices = resolve.restore(self.resumed.choices)
            if self.resumed.versions != versions():
                self._warn(
                    "Resumed with other versions",
                    f"The run began with {_listed(self.resumed.versions)} and goes on with "
                    f"{_listed(versions())}; its numbers may differ from an undisturbed run's.",
                )
        resolve.apply(choices)
        return choices

    def _state(self, choices: Choices, network: Network) -> State:
        """Return where to start from, its tensors loaded into the network.

        Raises:
            RunFailure: If the checkpoint is of another spec, dataset or backbone.
        """
        never_moves = self.spec.freeze.backbone_never_moves
        computes = self.spec.dataset.normalization == "computed"
        fresh = State(
            spec=self.spec.model_dump_json(exclude={"name"}),
            dataset_fingerprint=self.manifest.fingerprint,
            choices=choices.describe(),
            versions=versions(),
            backbone_digest=backbone_digest(network) if never_moves else "",
            images_at_once=self.spec.training.batch_size,
            evaluation_batch=choices.evaluation_batch_size,
            pixel_mean=list(network.form.mean) if computes else [],
            pixel_std=list(network.form.std) if computes else [],
        )
        state = self.resumed
        if state is None:
            return fresh
        self._check_spec(state)
        for what, before, now in (
            ("dataset", state.dataset_fingerprint, fresh.dataset_fingerprint),
            ("frozen weights", state.backbone_digest, fresh.backbone_digest),
        ):
            if before != now:
                raise _another(what, state)
        network.module.load_state_dict(state.model, strict=not never_moves)
        state.images_at_once = state.images_at_once or fresh.images_at_once
        state.evaluation_batch = state.evaluation_batch or fresh.evaluation_batch
        self.log.note(f"Goes on from step {state.step} in epoch {min(state.epoch, self._epochs)}.")
        return state

    def _check_spec(self, state: State) -> None:
        """Make the state one of this spec, where it is of the run that this one continues.

        Raises:
            RunFailure: If it is of any other spec.
        """
        before = ExperimentSpec.model_validate_json(state.spec)
        now = self.spec.model_copy(update={"name": before.name})
        if before == now:
            return
        done = len(state.history)
        if state.batch or state.epoch != done + 1 or not is_continuation(before, now, done):
            raise _another("spec", state)
        state.spec, state.ended = self.spec.model_dump_json(exclude={"name"}), ""

    def _normalised(self, network: Network, splits: Splits, choices: Choices) -> Network:
        """Return the network fed with what the training images' statistics say, if they count.

        They are computed once; a resumed run takes those of its checkpoint.
        """
        if self.spec.dataset.normalization != "computed":
            return network
        if self.resumed is not None:
            mean, std = tuple(self.resumed.pixel_mean), tuple(self.resumed.pixel_std)
        else:
            with ThreadPoolExecutor(decoder_threads(choices.threads), "decode") as pool:
                root, items = Path(self.manifest.root), splits["train"]
                images = Split(root, items, network.form, MemoryBudget(0), pool)
                mean, std = pixel_statistics(images, STATISTICS_BATCH, self.stop.check)
            self.log.note(
                f"The training images' pixels have the mean {_rounded(mean)} and the standard "
                f"deviation {_rounded(std)}."
            )
        return replace(network, form=replace(network.form, mean=mean, std=std))

    def _kept_features(self, choices: Choices, network: Network) -> KeptFeatures | None:
        """Return the features that runs like this one share; None where none are kept."""
        if self.features_dir is None or not choices.feature_variants:
            return None
        determined_by = {
            "dataset": self.manifest.fingerprint,
            "architecture": self.spec.model.architecture,
            "tap": self.spec.model.head.tap,
            "backbone": backbone_digest(network),
            "form": network.form.describe(),
            "choices": replace(choices, feature_variants=0).describe(),
            "versions": versions(),
        }
        return KeptFeatures(self.features_dir, determined_by)

    def _loss(self, splits: Splits, choices: Choices) -> TrainingLoss:
        counts = [0] * len(self.manifest.classes)
        for item in splits["train"]:
            counts[item.label] += 1
        return TrainingLoss(self.spec.loss, counts, choices.torch_device())

    @property
    def _epochs(self) -> int:
        return self.spec.training.epochs

    def _evaluate(self, training: Training, data: RunData) -> None:
        """Load the best epoch's weights and write down what they say of every image."""
        state, network = training.state, training.network
        best = self.checkpoints.load_best(state)
        network.module.load_state_dict(best, strict=not state.backbone_digest)
        network.module.eval()
        evaluated: list[tuple[Literal["val", "test"], Forward, Source]] = [
            ("val", training.forward, training.val_source)
        ]
        rate = training.last_rate()
        if "test" in data.splits:
            found_s = data.found_s
            with training.clock.span("validation"):
                forward, source = data.test(len(state.history), state.step, rate)
            state.found_s += data.found_s - found_s
            evaluated.append(("test", forward, source))
        for split, forward, source in evaluated:
            items = data.splits[split]
            phase: Literal["validation", "test"] = "test" if split == "test" else "validation"
            with training.clock.span("validation"):
                outcome = training.evaluate(forward, source, phase, len(items), rate)
                event = record(
                    outcome,
                    items,
                    self.manifest.classes,
                    split=split,
                    epoch=state.best_epoch,
                    attempt=self.checkpoints.attempt,
                )
            self.log.say(event)
            self.log.note(
                f"With the weights of epoch {state.best_epoch}, {event.accuracy:.2%} of "
                f"{event.samples} {split} images are right."
            )

    def _finish(self, training: Training) -> None:
        state, clock = training.state, training.clock
        with clock.span("checkpoint"):
            self.checkpoints.save_final(training.network.module.state_dict())
            self.checkpoints.prune([])
        elapsed_s = clock.elapsed_s()
        self.log.say(
            RunFinished(
                time=time.time(),
                best_epoch=state.best_epoch,
                best_val_accuracy=state.best_val_accuracy,
                epochs=len(state.history),
                steps=state.step,
                elapsed_s=elapsed_s,
                standalone_s=elapsed_s + state.found_s,
                seconds=clock.totals(),
            )
        )

    def _say_started(
        self,
        choices: Choices,
        network: Network,
        splits: Splits,
        length: Length,
        images_at_once: int,
    ) -> None:
        total, trained = parameter_counts(network)
        self.log.say(
            RunStarted(
                time=time.time(),
                device=choices.device_name,
                versions=versions(),
                parameters_total=total,
                parameters_trained=trained,
                classes=list(self.manifest.classes),
                split_sizes={split: len(items) for split, items in splits.items()},
                epochs=length.epochs,
                steps_per_epoch=length.steps_per_epoch,
                resolved={
                    **choices.describe(),
                    "images_at_once": images_at_once,
                    **network.form.describe(),
                    "memory_format": "channels_last",
                },
                resumed_from_step=self.resumed.step if self.resumed else None,
            )
        )

    def _describe(self, choices: Choices, network: Network, splits: Splits, length: Length) -> None:
        """Say in the log what is about to happen."""
        images = ", ".join(f"{len(items)} {split}" for split, items in splits.items())
        model, size = self.spec.model, network.form.size_px
        total, trained = parameter_counts(network)
        self.log.note(
            f"Images: {images}, of {len(self.manifest.classes)} classes; "
            f"{len(self.manifest.skipped)} files skipped; fed at {size} x {size} px."
        )
        self.log.note(
            f"Network: {model.architecture}, weights {model.weights}; "
            f"{trained:,} of {total:,} parameters are trained."
        )
        self.log.note(
            f"Trains on {choices.device_name} in {choices.precision} with {choices.threads} "
            f"threads: {length.epochs} epochs of {length.steps_per_epoch} steps."
        )
        if choices.deterministic == "on" and not self.spec.training.deterministic:
            self.log.note("`training.deterministic: false` changes nothing on a CPU.")

    def _write_descriptions(self) -> None:
        """Write `spec.json` and `environment.json` beside the events."""
        for name, content in (
            ("spec.json", self.spec.model_dump(mode="json")),
            ("environment.json", environment()),
        ):
            text = json.dumps(content, indent=2, ensure_ascii=False).encode()
            write_atomically(self.checkpoints.attempt / name, lambda file, t=text: file.write(t))  # type: ignore[misc]

    def _warn(self, title: str, detail: str) -> None:
        self.log.say(Warned(time=time.time(), title=title, detail=detail))


def _another(what: str, state: State) -> RunFailure:
    return RunFailure(
        f"The checkpoint is of another {what}",
        f"The {what} changed since the run began, so it cannot go on from step {state.step}.",
        "Launch the run again.",
    )


def _largest_share(items: Sequence[Item]) -> float:
    """Return the share of a split's images that are of its most frequent class."""
    counts = Counter(item.label for item in items)
    return max(counts.values()) / len(items)


def backbone_digest(network: Network) -> str:
    """Return a hash of every tensor outside the head."""
    digest = hashlib.blake2b(digest_size=16)
    for key, tensor in network.module.state_dict().items():
        if not network.is_head_key(key):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _rounded(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
