"""From a sweep to a study, the same for the API and the form; and what it would come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from app.dependencies import Rings
from app.launch_checks import check_spec
from app.leaks import check_leaks
from app.submit import mind_failure, registered, ring
from store.database import Store
from store.rows import StudyRow
from store.settings import Settings
from store.studies import RequestKey, create_study
from store.webhooks import NO_WEBHOOK, Webhook
from trainer.errors import FieldError, InvalidInput
from trainer.spec import ExperimentSpec
from trainer.sweeps.expand import Expansion, expand
from trainer.sweeps.file import Sweep
from trainer.sweeps.naming import labels

NAME_LIMIT = 200


def checked_sweep(store: Store, settings: Settings, sweep: Sweep) -> Expansion:
    """Return what a sweep comes to, every spec checked, by what only this server knows too.

    Raises:
        InvalidInput: With the path of each wrong field, below `sweep`.
    """
    expansion = expand(sweep)
    errors: dict[str, FieldError] = {}
    seen: set[str] = set()
    for spec in expansion.specs:
        sight = json.dumps([spec.dataset.model_dump(mode="json"), spec.model.weights])
        if sight in seen:
            continue
        seen.add(sight)
        try:
            check_spec(store, settings, spec)
        except InvalidInput as problem:
            for error in problem.errors:
                placed = _placed(error, spec, sweep)
                errors.setdefault(str(placed), placed)
    if errors:
        raise InvalidInput.of(*errors.values())
    return expansion


def submit_sweep(
    store: Store,
    settings: Settings,
    bell: Rings,
    sweep: Sweep,
    name: str = "",
    *,
    owner: str,
    note: str = "",
    priority: int = 0,
    webhook: Webhook = NO_WEBHOOK,
    acknowledge_leaks: bool = False,
    request: RequestKey | None = None,
) -> StudyRow:
    """Queue a sweep's runs, its first step's, or its search; all or nothing.

    Args:
        name: Of the study; made from what is swept where left out.
        webhook: Told when the study ends.
        acknowledge_leaks: See `app.submit.submit`.
        request: See `store.studies.create_study`.

    Raises:
        InvalidInput: With the path of each wrong field, below `sweep`.
    """
    expansion = checked_sweep(store, settings, sweep)
    if not acknowledge_leaks:
        check_leaks(store, settings, expansion.specs)
    names = {spec.dataset.name for spec in expansion.specs}
    datasets = [registered(store, known, owner) for known in sorted(names)]
    study = create_study(
        store,
        name or study_name(expansion),
        owner,
        [run.spec for run in expansion.runs],
        note,
        priority=priority,
        steps=expansion.steps,
        sweep=expansion,
        webhook=webhook,
        leaks_acknowledged=acknowledge_leaks,
        request=request,
    )
    for dataset in datasets:
        mind_failure(store, dataset)
    ring(bell, datasets)
    if sweep.kind == "search":
        bell.ring_interactive()
    return study


def study_name(expansion: Expansion) -> str:
    """Return a name for a study that was given none."""
    sweep, spec = expansion.sweep, expansion.specs[0]
    base = sweep.base.get("name")
    if not expansion.axes:
        return f"{base or spec.display_name()}, {sweep.seeds} seeds"[:NAME_LIMIT]
    words = labels([axis.path for axis in expansion.axes])
    swept = ", ".join(words.values())
    what = {"grid": "Grid", "random": "Draw", "search": "Search", "ladder": "Ladder"}[sweep.kind]
    return f"{what} over {swept}{f': {base}' if base else ''} on {spec.dataset.name}"[:NAME_LIMIT]


def count_words(expansion: Expansion) -> str:
    """Return how many runs a sweep makes, in a sentence."""
    sweep, total = expansion.sweep, expansion.count
    if sweep.kind == "search":
        plan = sweep.searching
        return f"At most {_runs(plan.trials, 'trial')}, {plan.at_once} at a time."
    if sweep.kind == "ladder":
        probes, promoted = (len(step.runs) for step in expansion.steps)
        return (
            f"{_runs(total)}: {_runs(probes, 'probe')}, then the best {sweep.climbing.keep} "
            f"promoted{_seeds(sweep)}, {_runs(promoted)}."
        )
    sizes = [str(len(axis.values)) for axis in expansion.axes]
    if sweep.kind == "random":
        return f"{_runs(total)}: {sweep.runs} drawn at random{_seeds(sweep)}."
    product = " × ".join([*sizes, *([f"{sweep.seeds} seeds"] if sweep.seeds > 1 else [])])
    return f"{_runs(total)}: {product}." if "×" in product else f"{_runs(total)}."


def _seeds(sweep: Sweep) -> str:
    return f", with {sweep.seeds} seeds each" if sweep.seeds > 1 else ""


def _runs(number: int, what: str = "run") -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _placed(error: FieldError, spec: ExperimentSpec, sweep: Sweep) -> FieldError:
    """Return an error of a spec as one of what the sweep says."""
    given = sweep.space.get(error.field)
    if isinstance(given, Sequence):
        value = spec.dataset.name if error.field == "dataset.name" else spec.model.weights
        place = list(given).index(value) if value in given else 0
        return replace(error, field=f"sweep.space.{error.field}.{place}")
    return error.below("sweep.base")
