"""What a study's authors reported of a run, and how far a run of ours is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from trainer.section import Section

Metric = Literal[
    "best_val_accuracy",
    "final_val_accuracy",
    "final_val_loss",
    "train_accuracy",
    "train_loss",
    "test_accuracy",
    "accuracy",
    "training_s",
]
METRIC_WORDS: Mapping[Metric, str] = {
    "best_val_accuracy": "best validation accuracy",
    "final_val_accuracy": "final validation accuracy",
    "final_val_loss": "final validation loss",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
    "test_accuracy": "test accuracy",
    "accuracy": "accuracy (of which images is not told)",
    "training_s": "wall clock in seconds",
}


DIFFERENCES_LIMIT = 20


class Reported(Section):
    """One number that a study's authors published of a run."""

    metric: Metric
    value: float
    kind: Literal["measured", "approximate", "forecast"]
    device: str = Field("", max_length=100, description="Empty where the authors do not say.")

    def words(self) -> str:
        """Return the number, what it is and where it was taken, as people read it."""
        shown = f"{self.value:.2%}" if self.metric.endswith("accuracy") else f"{self.value:g}"
        device = self.device or "device not told"
        return f"{METRIC_WORDS[self.metric]} {shown} ({self.kind}, {device})"


class Published(Section):
    """What travels with a run of a recipe: the authors' numbers, and how far it is their run."""

    recipe: str = Field("", max_length=200)
    reported: tuple[Reported, ...] = Field((), max_length=20)
    substitute: bool = Field(
        False, description="Whether another network or other weights stand in for the study's."
    )
    differences: tuple[str, ...] = Field(
        (),
        max_length=DIFFERENCES_LIMIT,
        description="Why the numbers are not comparable; empty: they are.",
    )

    @property
    def comparable(self) -> bool:
        """Whether the reported numbers may stand beside measured ones."""
        return bool(self.reported) and not self.substitute and not self.differences

    def lines(self) -> tuple[str, ...]:
        """Return what is to be shown beside the run's own numbers, a line each."""
        numbers = tuple(one.words() for one in self.reported)
        if self.comparable:
            return numbers
        why = "; ".join(self.differences) or "nothing was reported"
        opening = "Substitute: " if self.substitute else ""
        if not numbers:
            return (f"{opening}{why}.",)
        return (f"{opening}not comparable with what was reported: {why}.",)
