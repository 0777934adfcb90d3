"""What a trainer says while it works: one JSON object a line of `events.jsonl`.

The trainer appends, the worker reads and stores, pages show. Steps count optimizer steps from 1
over the whole run; epochs count from 1; seconds are of training, without gaps between attempts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    time: float
    """Unix time in seconds at which it was said."""


class PhaseSeconds(BaseModel):
    """Where the seconds of a span went."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: float = 0.0
    compute: float = 0.0
    validation: float = 0.0
    checkpoint: float = 0.0


class RunStarted(_Event):
    """Everything is built; the first step follows."""

    kind: Literal["run_started"] = "run_started"
    device: str
    versions: dict[str, str]
    parameters_total: int
    parameters_trained: int
    classes: list[str]
    split_sizes: dict[str, int]
    """Images per split: train, val, and test where there is one."""
    epochs: int
    steps_per_epoch: int
    resolved: dict[str, Any]
    """Choices that change numbers: device, precision, threads, input size, normalization, …"""
    resumed_from_step: int | None = None


class Progress(_Event):
    """How far the run is; said at most a few times a second."""

    kind: Literal["progress"] = "progress"
    phase: Literal["features", "train", "validation", "test"]
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    learning_rate: float
    samples_per_s: float
    elapsed_s: float
    eta_s: float | None


class StepsRecorded(_Event):
    """Loss and learning rate at chosen steps, in columns of equal length.

    Which steps are chosen depends on the spec alone, so a resumed run records the same ones.
    """

    kind: Literal["steps_recorded"] = "steps_recorded"
    epoch: int
    steps: list[int]
    elapsed_s: list[float]
    loss: list[float]
    learning_rate: list[float]


class EpochFinished(_Event):
    """One pass over the training images and one over the validation images are done."""

    kind: Literal["epoch_finished"] = "epoch_finished"
    epoch: int
    step: int
    elapsed_s: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    is_best: bool
    seconds: PhaseSeconds
    """Of this epoch; `checkpoint` is what the checkpoint before it took."""


class Resources(_Event):
    """What the trainer's process uses."""

    kind: Literal["resources"] = "resources"
    memory_bytes: int
    cpu_percent: float
    """100 is one core."""
    gpu_memory_bytes: int | None = None
    """What the process holds of the GPU's memory; None without one, as the next."""
    gpu_percent: float | None = None
    """Share of the time in which the GPU was at work, whoever's; from NVML."""


class Warned(_Event):
    """Something its user should know, though the run goes on."""

    kind: Literal["warning"] = "warning"
    title: str
    detail: str
    remedy: str = ""


class Logged(_Event):
    """A line for the run's log."""

    kind: Literal["log"] = "log"
    level: Literal["info", "warning", "error"] = "info"
    message: str


class Checkpointed(_Event):
    """`checkpoints/last.pt` now holds the state after this step."""

    kind: Literal["checkpointed"] = "checkpointed"
    epoch: int
    step: int


class ClassFigures(BaseModel):
    """How well one class was told from the others; fractions in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    precision: float
    recall: float
    f1: float
    support: int


class Evaluated(_Event):
    """A split was evaluated with the weights of the best epoch."""

    kind: Literal["evaluated"] = "evaluated"
    split: Literal["val", "test"]
    epoch: int
    accuracy: float
    top5_accuracy: float | None = None
    """Share of images whose class is among the five most likely; none for five classes or fewer."""
    loss: float
    macro_precision: float | None = None
    """Mean over the classes that have images, each counting the same; so the next two."""
    macro_recall: float | None = None
    macro_f1: float | None = None
    calibration_error: float | None = None
    """Expected calibration error over 15 bins of equal width: how far confidence is from accuracy,
    in [0, 1]."""
    samples: int
    samples_fingerprint: str
    """Hash of the sample ids and labels in order; equal where runs saw the same images."""
    confusion: list[list[int]]
    """[C][C] counts; the row is the true class, the column the predicted one."""
    classes: list[ClassFigures]
    predictions_file: str
    """Path below the run's folder of an .npz with ids, labels and probabilities."""


class RunFinished(_Event):
    """The run reached its end; files are complete."""

    kind: Literal["run_finished"] = "run_finished"
    best_epoch: int
    best_val_accuracy: float
    epochs: int
    """Really done: fewer than asked for after early stopping or at the time limit."""
    steps: int
    elapsed_s: float
    standalone_s: float
    """`elapsed_s` and the stored cost of every cache this run found ready."""
    seconds: PhaseSeconds


class RunFailed(_Event):
    """The run cannot go on; the process ends after this."""

    kind: Literal["run_failed"] = "run_failed"
    title: str
    detail: str
    remedy: str = ""


Event = (
    RunStarted
    | Progress
    | StepsRecorded
    | EpochFinished
    | Resources
    | Warned
    | Logged
    | Checkpointed
    | Evaluated
    | RunFinished
    | RunFailed
)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
_LIST_ADAPTER: TypeAdapter[list[Event]] = TypeAdapter(
    list[Annotated[Event, Field(discriminator="kind")]]
)


def event_line(event: Event) -> bytes:
    """Return the event as one line of JSON, newline included."""
    return event.model_dump_json().encode() + b"\n"


def parse_event(line: bytes | str) -> Event:
    """Return the event in one line of `events.jsonl`.

    Raises:
        pydantic.ValidationError: If the line is no event of ours.
    """
    return _ADAPTER.validate_json(line)


def parse_events(text: bytes) -> list[Event]:
    """Return the events in a JSON list.

    Raises:
        pydantic.ValidationError: If it is none, or one of them is no event of ours.
    """
    return _LIST_ADAPTER.validate_json(text)
