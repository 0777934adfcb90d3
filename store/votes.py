"""Which runs can vote together: those evaluated on the same images of the same classes."""

from __future__ import annotations

from collections.abc import Sequence

from store.rows import EvaluationRow
from trainer.errors import Conflict


def check_same_images(
    evaluations: Sequence[EvaluationRow], run_ids: Sequence[int], split: str
) -> None:
    """Check that the runs can vote on a split.

    Args:
        evaluations: Of these runs, and maybe more.

    Raises:
        Conflict: If one has no predictions, or not of the same images.
    """
    rows = {row.run_id: row for row in evaluations if row.split == split}
    for run_id in run_ids:
        if run_id not in rows:
            raise Conflict(f"Run {run_id} was not evaluated on a {split} split.", "Leave it out.")
    first = rows[run_ids[0]]
    names = [one["name"] for one in first.classes]
    different = [
        run_id
        for run_id in run_ids[1:]
        if rows[run_id].samples_fingerprint != first.samples_fingerprint
        or [one["name"] for one in rows[run_id].classes] != names
    ]
    if different:
        others = ", ".join(map(str, different))
        several = len(different) > 1
        raise Conflict(
            f"Run{'s' if several else ''} {others} {'were' if several else 'was'} evaluated on "
            f"other {split} images than run {first.run_id}.",
            "Let only runs vote that share dataset, split shares and split seed.",
        )
