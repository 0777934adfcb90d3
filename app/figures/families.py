"""Which figures of curves there are: the recorded series, training and validation together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FIRST = ("accuracy", "loss")
"""Shown where nothing else is asked for, and ahead of the others."""


@dataclass(frozen=True)
class Family:
    """A metric, and the series that hold it."""

    key: str
    title: str
    train: str | None
    """The series on the training images; None where it is not told apart from validation."""
    validation: str | None

    @property
    def is_percent(self) -> bool:
        """Whether values are shares of one."""
        return self.key.endswith("accuracy")

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series."""
        return tuple(name for name in (self.train, self.validation) if name is not None)


def families(names: Iterable[str]) -> tuple[Family, ...]:
    """Return the metrics that series names make, accuracy and loss always and first.

    `train_loss` and `val_loss` are one metric; a name of any other form is one of its own.
    """
    found = {key: {"train_": f"train_{key}", "val_": f"val_{key}"} for key in FIRST}
    for name in sorted(names):
        for prefix in ("train_", "val_"):
            if name.startswith(prefix) and name != prefix:
                found.setdefault(name.removeprefix(prefix), {})[prefix] = name
                break
        else:
            found.setdefault(name, {})["val_"] = name
    return tuple(
        Family(key, _title(key), parts.get("train_"), parts.get("val_"))
        for key, parts in found.items()
    )


def _title(key: str) -> str:
    words = key.replace("_", " ").strip() or key
    return words[0].upper() + words[1:]
