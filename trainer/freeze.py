"""Which parameters are trained, and which modules run in training mode."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pydantic_core import PydanticCustomError

from trainer.errors import RunFailure
from trainer.events import Warned
from trainer.freeze_sections import FreezeSpec
from trainer.model import Network
from trainer.optim import learning_rate
from trainer.selection import frozen_modules
from trainer.spec import ExperimentSpec
from trainer.stages import span_at

# A carried-over rate below this share of its base trains next to nothing; StepLR(7, 0.1) carried
# into epoch 31 leaves a hundredth of it.
STIFLED_SHARE = 0.01


def freeze(network: Network, spec: FreezeSpec, stage: int = 0) -> None:
    """Mark the parameters that are trained once so many stages of the schedule have begun."""
    frozen = frozen_names(network, spec, stage)
    for name, parameter in network.module.named_parameters():
        owner = name.rpartition(".")[0]
        parameter.requires_grad_(name in network.trainable and owner not in frozen)


def check_modules(network: Network, spec: ExperimentSpec) -> None:
    """Refuse what the spec says of modules that the real network does not have.

    Raises:
        RunFailure: As the spec itself would say it, where it knew the names.
    """
    if not spec.names_modules:
        return
    names = tuple(name for name, _ in network.module.named_modules() if name)
    try:
        spec.check_modules(names)
    except PydanticCustomError as error:
        said = error.context or {}
        raise RunFailure(
            "The network has other modules",
            f"`{said['field']}` is {said['value']!r}, which should be {said['expected']}.",
            str(said["remedy"]),
        ) from error


def set_training_mode(network: Network, spec: FreezeSpec, stage: int = 0) -> None:
    """Put the modules into the mode their training asks for.

    Frozen ones run in evaluation mode (batch statistics fixed, dropout off) unless
    `freeze.mode: train` says otherwise. What holds something that is trained, but for the head,
    runs in training mode itself.
    """
    network.module.train()
    if spec.mode == "train":
        return
    names = [name for name, _ in network.module.named_modules()]
    frozen = frozen_names(network, spec, stage)
    # Auxiliary classifiers run only where the whole network is in training mode.
    moving = {""} if network.auxiliary_names else set()
    for name in names:
        if name not in frozen and not network.is_head_key(f"{name}."):
            while name and name not in moving:
                moving.add(name)
                name = name.rpartition(".")[0]
            moving.add("")
    for name, module in network.module.named_modules():
        if name in frozen and name not in moving:
            module.training = False


def frozen_names(network: Network, spec: FreezeSpec, stage: int) -> frozenset[str]:
    """Return the names of the modules whose own parameters are frozen; never one of the head's."""
    names = [name for name, _ in network.module.named_modules()]
    return frozenset(
        name for name in frozen_modules(spec, names, stage) if not network.is_head_key(f"{name}.")
    )


def parameter_counts(network: Network) -> tuple[int, int]:
    """Return how many numbers the parameters hold, and how many of these are trained."""
    parameters = list(network.module.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    return total, sum(p.numel() for p in parameters if p.requires_grad)


def stifled_stages(spec: ExperimentSpec) -> Iterator[Warned]:
    """Yield a warning for each stage whose learning rate has all but run out before it begins."""
    for stage in spec.freeze.schedule:
        base = span_at(spec, stage.epoch).lr
        rate = learning_rate(spec, stage.epoch)
        if not stage.restarts and rate < STIFLED_SHARE * base:
            yield Warned(
                time=time.time(),
                title="A stage of unfreezing is stifled",
                detail=f"What is unfrozen at epoch {stage.epoch} starts at a learning rate of "
                f"{rate:.3g}, {rate / base:.2g} of {base:g}: the schedule carried over has all but "
                "run out.",
                remedy="Give the stage `scheduler: restart`, or an `lr` that makes up for it.",
            )
