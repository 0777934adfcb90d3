"""What is done with a study after its launch: stopped, seeds added, told of; for API and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.dependencies import Rings
from app.launch_checks import check_spec
from store.database import Store
from store.replicates import families
from store.rows import RunRow, StudyRow
from store.runs import runs_by_ids
from store.settings import Settings
from store.steps import advance
from store.studies import extend_study, get_study
from store.study_ends import What, note_ends, stop_study
from trainer.errors import Conflict, FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.published import Published

SEEDS_LIMIT = 20
MEMBERS_LIMIT = 1_000
_SEED_WORDS = ", seed "


def stop(store: Store, bell: Rings, study_id: int, what: What, owner: str) -> StudyRow:
    """Stop a study, and do at once what that means for its steps and its webhook.

    Raises:
        NotFound: If there is no such study.
        Conflict: If it has ended.
    """
    stop_study(store, study_id, what, owner)
    begun = advance(store, study_id)
    if note_ends(store, study_id) or begun.job_ids:
        bell.ring_interactive()
    return get_study(store, study_id)


def add_seeds(
    store: Store,
    settings: Settings,
    bell: Rings,
    study_id: int,
    count: int,
    *,
    owner: str,
    priority: int = 0,
) -> tuple[StudyRow, int]:
    """Repeat every setting of a study with so many further seeds; return it, and the runs added.

    A setting whose runs were all cancelled, or reported from outside, is left out.

    Raises:
        NotFound: If there is no such study.
        Conflict: If there is nothing to repeat.
        InvalidInput: If it would be too many runs, or the server can no longer run a spec.
    """
    if not 1 <= count <= SEEDS_LIMIT:
        raise InvalidInput.of(FieldError("count", count, f"1 to {SEEDS_LIMIT}"))
    study = get_study(store, study_id)
    runs = runs_by_ids(store, study.run_ids)
    specs, published, errors = [], [], []
    for run, seeds in _settings_of(store, runs, count):
        for seed in seeds:
            spec = parse_spec(_with_seed(run.spec, seed))
            try:
                check_spec(store, settings, spec)
            except InvalidInput as problem:
                errors += [item.below(f"runs.{run.id}") for item in problem.errors]
                break
            specs.append(spec)
            known = run.published
            published.append(Published.model_validate(known) if known else None)
    if errors:
        raise InvalidInput.of(*errors)
    if not specs:
        raise Conflict(
            f"Study {study_id} has no run that could be repeated.",
            "Launch a run into it first; cancelled and reported runs are not repeated.",
        )
    if len(runs) + len(specs) > MEMBERS_LIMIT:
        expected = f"few enough for {MEMBERS_LIMIT} runs in the study"
        raise InvalidInput.of(FieldError("count", count, expected, f"It has {len(runs)} runs."))
    extended = extend_study(
        store, study_id, specs, owner=owner, priority=priority, published=published
    )
    bell.ring_train()
    return extended, len(specs)


def _settings_of(store: Store, runs: Sequence[RunRow], count: int) -> list[tuple[RunRow, range]]:
    """Return a run of each setting that is to be repeated, and the seeds to repeat it with."""
    of_run = families(store, runs)
    first: dict[int, RunRow] = {}
    for run in runs:
        if not run.external and run.status != "cancelled":
            first.setdefault(of_run[run.id].number, run)
    found = []
    for run in first.values():
        taken = max(one.spec["training"]["seed"] for one in of_run[run.id].runs)
        found.append((run, range(taken + 1, taken + 1 + count)))
    return found


def _with_seed(spec: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the spec with another seed, which its name tells if it told the first one's."""
    name, mark, old = str(spec.get("name", "")).rpartition(_SEED_WORDS)
    training = {**spec["training"], "seed": seed}
    changed = {**spec, "training": training}
    if mark and old.isdecimal():
        changed["name"] = f"{name}{_SEED_WORDS}{seed}"
    elif spec.get("name"):
        changed["name"] = f"{spec['name'][:180]}{_SEED_WORDS}{seed}"
    return changed
