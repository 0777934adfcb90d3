"""Training a finished run for more epochs: which spec that is, and which would be another run.

A continued run is one that could have been launched as it is: its spec, trained from the
beginning, gives the same numbers as its parent's epochs and those added. What would break that is
refused. Nothing here imports torch.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec

Schedule = Literal["go_on", "restart"]
NAME_LIMIT = 200  # characters, as the spec's
_ENDING = re.compile(r", (\d+ epochs|seed \d+)$")


def needs_restart(spec: ExperimentSpec, done: int) -> bool:
    """Tell whether the schedule has come to its end with the epochs done.

    A schedule that reaches its lowest rate in the last epoch planned cannot go on past it: over
    more epochs it would have been another one from the start.
    """
    schedule = spec.scheduler
    if schedule.name == "cosine":
        longest = schedule.t_max_epochs
        return longest is None or done - _last_start(spec) - schedule.warmup_epochs >= longest
    return schedule.name == "one_cycle"


def continued(
    spec: ExperimentSpec, done: int, more: int, schedule: Schedule | None = None
) -> ExperimentSpec:
    """Return the spec of a run that goes on for `more` epochs after `done`.

    Early stopping that has ended the run is left out, and so is a time limit.

    Args:
        schedule: go_on: the learning rate follows the schedule further. restart: the schedule
            begins again over the added epochs. None: go_on, where that is possible.

    Raises:
        InvalidInput: If the schedule cannot go on, or cannot restart.
    """
    planned, total = spec.training.epochs, done + more
    kind = spec.scheduler.name
    if schedule == "restart":
        if kind == "none":
            raise InvalidInput.of(
                FieldError("schedule", schedule, "go_on: this run's learning rate is constant")
            )
        if done < planned and needs_restart(spec, planned):
            raise InvalidInput.of(
                FieldError(
                    "schedule",
                    schedule,
                    f"go_on: the {kind} schedule was planned over {planned} epochs and stopped "
                    f"after {done}",
                    f"Continue for {planned - done} epochs to follow it to its end.",
                )
            )
    elif needs_restart(spec, planned) and total > planned:
        if done < planned:
            raise InvalidInput.of(
                FieldError(
                    "epochs",
                    more,
                    f"at most {planned - done}, to where the {kind} schedule ends",
                    "Then continue that run with a restart of the schedule.",
                )
            )
        raise InvalidInput.of(
            FieldError(
                "schedule",
                schedule,
                f"restart: the {kind} schedule has ended after the {planned} epochs it was "
                "planned over",
                f"`restart` lets it begin again over the {more} added epochs; or launch a run of "
                f"{total} epochs afresh.",
            )
        )
    elif needs_restart(spec, planned) and total < planned:
        raise InvalidInput.of(
            FieldError(
                "epochs",
                more,
                f"{planned - done}, to where the {kind} schedule ends",
                "A shorter schedule would have been another one from the start.",
            )
        )
    return _changed(spec, done, total, is_restarted=schedule == "restart")


def is_continuation(before: ExperimentSpec, now: ExperimentSpec, done: int) -> bool:
    """Tell whether `now` is a spec that `continued` makes of `before`, whatever its name."""
    more = now.training.epochs - done
    if more < 1:
        return False
    for schedule in ("go_on", "restart"):
        try:
            made = continued(before, done, more, schedule)
        except InvalidInput:
            continue
        if made.model_copy(update={"name": now.name}) == now:
            return True
    return False


def reseeded(spec: ExperimentSpec, seed: int) -> ExperimentSpec:
    """Return the spec with another seed, and a name that says so."""
    data = spec.model_dump(mode="json")
    data["training"]["seed"] = seed
    data["name"] = _named(spec, f"seed {seed}")
    return parse_spec(data)


def _changed(spec: ExperimentSpec, done: int, total: int, *, is_restarted: bool) -> ExperimentSpec:
    data: dict[str, Any] = spec.model_dump(mode="json")
    training = data["training"]
    if done < spec.training.epochs:  # early stopping is what ended it
        training |= {"stop_after_epochs": None, "min_delta": None}
    training |= {"epochs": total, "time_limit_minutes": None}
    if is_restarted:
        data["scheduler"]["restarts_after"].append(done)
    data["name"] = _named(spec, f"{total} epochs")
    return parse_spec(data)


def _named(spec: ExperimentSpec, ending: str) -> str:
    before = _ENDING.sub("", spec.display_name())
    return f"{before[: NAME_LIMIT - len(ending) - 2]}, {ending}"


def _last_start(spec: ExperimentSpec) -> int:
    """Return how many epochs lie before the newest start of the schedule."""
    stages = [stage.epoch - 1 for stage in spec.freeze.schedule if stage.restarts]
    return max([0, *stages, *spec.scheduler.restarts_after])
