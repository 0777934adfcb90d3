"""Lets several runs vote on the images they were all evaluated on: `python -m trainer.vote --help`.

Works on recorded predictions alone; needs numpy and neither torch nor the models.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.cells import harmless
from trainer.errors import Conflict
from trainer.files import write_atomically
from trainer.program import answer

Method = Literal["majority", "mean"]
METHODS: tuple[Method, ...] = ("majority", "mean")


@dataclass(frozen=True)
class Recorded:
    """What one run said of every image."""

    name: str
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    """[N, C]."""


def load_recorded(name: str, file: Path) -> Recorded:
    """Return the predictions in an .npz file that an evaluation wrote.

    Raises:
        Conflict: If there is none.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            return Recorded(name, found["ids"], found["labels"], found["probabilities"])
    except (OSError, ValueError, KeyError) as error:
        raise Conflict(
            f"The predictions of run {name} cannot be read: {error}.", "Leave that run out."
        ) from error


def vote(
    probabilities: NDArray[np.float32], method: Method, preferred: int = 0
) -> NDArray[np.int64]:
    """Return the class voted for each image, [N].

    Args:
        probabilities: [R, N, C], of R runs.
        method: majority: the class that most runs find most likely. Of classes with as many
            votes, the preferred run's is taken; where its own has fewer, the one with the
            highest mean probability. mean: the highest mean probability.
        preferred: Which of the R runs decides ties.
    """
    mean = probabilities.astype(np.float64).mean(axis=0)
    if method == "mean":
        likeliest: NDArray[np.int64] = mean.argmax(axis=1)
        return likeliest
    votes = probabilities.argmax(axis=2)
    counts = np.zeros(mean.shape, dtype=np.int64)
    for chosen in votes:
        counts[np.arange(len(chosen)), chosen] += 1
    tied = counts == counts.max(axis=1, keepdims=True)
    likeliest = np.where(tied, mean, -1.0).argmax(axis=1)
    wanted = votes[preferred]
    voted: NDArray[np.int64] = np.where(tied[np.arange(len(wanted)), wanted], wanted, likeliest)
    return voted


def confusion(
    labels: NDArray[np.int64], voted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return counts [C, C]; the row is the true class, the column the voted one."""
    cells: NDArray[np.int64] = np.bincount(labels * classes + voted, minlength=classes**2)
    return cells.reshape(classes, classes)


def hold(
    members: Sequence[Recorded], classes: Sequence[str], method: Method, preferred: int, out: Path
) -> dict[str, Any]:
    """Vote, write the CSV file and return what came of it.

    Raises:
        Conflict: If the runs were not evaluated on the same images in the same order.
    """
    first = members[0]
    for other in members[1:]:
        if not (
            np.array_equal(first.ids, other.ids)
            and np.array_equal(first.labels, other.labels)
            and first.probabilities.shape == other.probabilities.shape
        ):
            raise Conflict(
                f"Runs {first.name} and {other.name} were evaluated on different images.",
                "Let only runs vote that share dataset, split shares and split seed.",
            )
    stacked = np.stack([member.probabilities for member in members])
    voted = vote(stacked, method, preferred)
    choices = stacked.argmax(axis=2)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "true", "voted", *(f"run {member.name}" for member in members)])
    for index, (name, label) in enumerate(zip(first.ids, first.labels, strict=True)):
        cells = (label, voted[index], *choices[:, index])
        table.writerow(harmless(shown) for shown in (str(name), *(classes[cell] for cell in cells)))
    write_atomically(out, lambda file: file.write(text.getvalue().encode()))
    return {
        "method": method,
        "preferred": members[preferred].name,
        "accuracy": float((voted == first.labels).mean()),
        "samples": len(voted),
        "confusion": confusion(first.labels, voted, len(classes)).tolist(),
        "classes": list(classes),
        "members": [
            {"run": member.name, "accuracy": float((chosen == first.labels).mean())}
            for member, chosen in zip(members, choices, strict=True)
        ],
        "file": out.name,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.vote", description="Let runs vote by their recorded predictions."
    )
    parser.add_argument("--out", required=True, type=Path, help="CSV file to write")
    parser.add_argument("--method", choices=METHODS, default="majority")
    parser.add_argument("--prefer", type=int, default=0, help="which run decides ties, from 0")
    parser.add_argument("--class", action="append", dest="classes", required=True)
    parser.add_argument(
        "--run", action="append", nargs=2, metavar=("NAME", "NPZ"), required=True, dest="runs"
    )
    options = parser.parse_args(arguments)

    def work() -> dict[str, Any]:
        members = [load_recorded(name, Path(file)) for name, file in options.runs]
        return hold(members, options.classes, options.method, options.prefer, options.out)

    return answer(work)


if __name__ == "__main__":
    sys.exit(main())
