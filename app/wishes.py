"""What users ask of runs that are there, the same for the API and the pages."""

from __future__ import annotations

from collections.abc import Sequence

from app.dependencies import Rings
from app.launch_checks import check_spec
from app.submit import mind_failure, registered, ring, submit
from store.database import Store
from store.datasets import get_dataset
from store.lifecycle import resume
from store.replicates import families
from store.rows import RunRow
from store.runs import create_runs
from store.settings import Settings
from trainer.continuing import Schedule, continued, reseeded
from trainer.errors import Conflict, FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec

SEEDS = 2**31  # the spec's limit
LAST_FILE = "last.pt"  # of `trainer.checkpoint`, which brings torch


def resume_run(store: Store, bell: Rings, row: RunRow) -> RunRow:
    """Queue a paused run again.

    Raises:
        NotFound: If its dataset is no longer here.
        Conflict: If it is not paused.
    """
    dataset = get_dataset(store, row.dataset_name)
    resumed = resume(store, row.id)
    mind_failure(store, dataset)
    ring(bell, [dataset])
    return resumed


def why_not_continued(settings: Settings, row: RunRow) -> Conflict | None:
    """Return why a run cannot be trained for more epochs, or None where it can."""
    if row.external:
        return Conflict(
            f"Run {row.id} was reported by a script, so Tuneboard cannot train it further.",
            "Let the script train on and report another run.",
        )
    if row.status != "succeeded":
        return Conflict(
            f"Run {row.id} {'has' if row.is_terminal else 'is'} {row.status}; only a run that has "
            "succeeded is continued.",
            "Clone and edit it, to train it from the beginning.",
        )
    whole = row.finished["epochs"] * row.started.get("steps_per_epoch", 0)
    if row.finished["steps"] != whole:
        return Conflict(
            f"The time limit cut the last epoch of run {row.id} short, so what follows would not "
            "be what an undisturbed run does.",
            "Clone and edit it, with more time.",
        )
    if not (settings.attempt_dir(row.id, row.attempt) / "checkpoints" / LAST_FILE).is_file():
        return Conflict(
            f"The last checkpoint of run {row.id} is no longer here.",
            "Clone and edit it, to train it from the beginning.",
        )
    return None


def continue_run(
    store: Store,
    settings: Settings,
    bell: Rings,
    row: RunRow,
    epochs: int,
    schedule: Schedule | None,
    *,
    owner: str,
) -> RunRow:
    """Queue a run that goes on for more epochs where a finished one ended; return it.

    Args:
        epochs: Added to those the run has done.
        schedule: What becomes of the learning rate; see `trainer.continuing.continued`.

    Raises:
        Conflict: If the run cannot be continued.
        InvalidInput: If its schedule cannot go on as asked.
    """
    if (refusal := why_not_continued(settings, row)) is not None:
        raise refusal
    done = row.finished["epochs"]
    spec = continued(parse_spec(row.spec), done, epochs, schedule)
    run, _ = submit(
        store,
        settings,
        bell,
        spec,
        owner=owner,
        priority=row.priority,
        study_id=row.study_id,
        continues=(row.id, done),
        acknowledge_leaks=row.leaks_acknowledged,
        repeats=True,
    )
    return run


def more_seeds(
    store: Store,
    settings: Settings,
    bell: Rings,
    row: RunRow,
    seeds: int | Sequence[int],
    *,
    owner: str,
) -> list[RunRow]:
    """Queue runs that differ from one in nothing but the seed, all or none; return them.

    Args:
        seeds: Which, or how many that no run of the same settings has had yet.

    Raises:
        Conflict: If a script reported the run.
        InvalidInput: If a seed is out of range or was used already.
    """
    if row.external:
        raise Conflict(f"Run {row.id} was reported by a script; only that can repeat it.")
    spec = parse_spec(row.spec)
    family = families(store, [row])[row.id].runs
    used = {one.spec["training"]["seed"]: one.id for one in family}
    specs = [reseeded(spec, seed) for seed in _wanted(seeds, used, spec)]
    for one in specs:
        check_spec(store, settings, one)
    dataset = registered(store, spec.dataset.name, owner)
    made = create_runs(
        store,
        specs,
        owner=owner,
        priority=row.priority,
        study_id=row.study_id,
        leaks_acknowledged=row.leaks_acknowledged,
    )
    mind_failure(store, dataset)
    ring(bell, [dataset])
    return made


def _wanted(
    seeds: int | Sequence[int], used: dict[int, int], spec: ExperimentSpec
) -> Sequence[int]:
    if isinstance(seeds, int):
        found: list[int] = []
        seed = spec.training.seed
        while len(found) < seeds:
            seed = (seed + 1) % SEEDS
            if seed not in used:
                found.append(seed)
        return found
    for place, seed in enumerate(seeds):
        if seed in used:
            raise InvalidInput.of(
                FieldError(
                    f"seeds.{place}",
                    seed,
                    "a seed that no run of the same settings has had",
                    f"Run {used[seed]} has had it.",
                )
            )
        if seed in seeds[:place]:
            raise InvalidInput.of(FieldError(f"seeds.{place}", seed, "a seed named once"))
    return seeds
