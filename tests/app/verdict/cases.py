"""Evidence made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.verdict.evidence import Candidate, Evidence, Seed


def candidate(
    run_id: int, rights: Sequence[bytes], family: int | None = None, **changes: Any
) -> Candidate:
    """Return a run whose settings have one seed for each of `rights`, the first its own."""
    seeds = tuple(
        Seed(run_id + 1000 * seed, seed, sum(right), right) for seed, right in enumerate(rights)
    )
    fields: dict[str, Any] = {
        "run_id": run_id,
        "label": f"run {run_id}",
        "family": run_id if family is None else family,
        "right": rights[0],
        "seeds": seeds,
        "taken": frozenset(range(len(rights))),
    }
    return Candidate(**{**fields, **changes})


def evidence(baseline: Candidate, *others: Candidate, **changes: Any) -> Evidence:
    fields: dict[str, Any] = {
        "split": "val",
        "samples": len(baseline.right or b""),
        "split_chose_epoch": True,
        "split_reason": "",
        "baseline": baseline,
        "others": others,
        "refusals": {},
    }
    return Evidence(**{**fields, **changes})


def shared(both: int, fixed: int, broken: int, neither: int) -> tuple[bytes, bytes]:
    """Return what two models got right so that these are the counts."""
    first = bytes([1] * both + [0] * fixed + [1] * broken + [0] * neither)
    second = bytes([1] * both + [1] * fixed + [0] * broken + [0] * neither)
    return first, second
