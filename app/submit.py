"""From a valid spec to a queued run, the same for the API and the form.

Has it checked, registers a catalogue dataset that is used for the first time, stores the run, and
rings the queue after the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.dependencies import Rings
from app.launch_checks import catalogue_titles, check_launch, check_spec, dataset_error
from app.leaks import check_leaks
from store.database import Store
from store.datasets import get_dataset, get_dataset_by_id, register_dataset
from store.lifecycle import fail_queued_for_dataset, request_cancel
from store.rows import DatasetRow, RunRow, StudyRow
from store.runs import create_run
from store.settings import Settings
from store.steps import Begun, advance
from store.studies import RequestKey, create_study
from store.study_ends import note_ends
from store.webhooks import NO_WEBHOOK, Webhook
from trainer.datasets.catalogue import catalogue_entry
from trainer.errors import FieldError, InvalidInput, NotFound
from trainer.parsing import parse_spec
from trainer.planning import launchable, plan
from trainer.published import Published
from trainer.recipes import Recipe
from trainer.spec import ExperimentSpec
from trainer.steps import PlannedStep


def submit(
    store: Store,
    settings: Settings,
    bell: Rings,
    spec: ExperimentSpec,
    *,
    owner: str,
    priority: int = 0,
    study_id: int | None = None,
    idempotency_key: str | None = None,
    external: bool = False,
    note: str = "",
    continues: tuple[int, int] | None = None,
    acknowledge_leaks: bool = False,
    repeats: bool = False,
) -> tuple[RunRow, bool]:
    """Queue a run and return it, and whether it is new (an idempotency key may name an old one).

    An external run is reported by a script, so neither dataset nor weights need be here.

    Args:
        continues: The run whose checkpoint it begins with, and how many epochs that has.
        acknowledge_leaks: Launch it though images that it is judged by may be among its training
            images.
        repeats: It is cut as a run that is there already, so nobody is asked about leaks again.

    Raises:
        InvalidInput: If the server cannot run the spec, or images leak and nobody said to go on.
        Conflict: If the key was used for another spec.
    """
    dataset = None
    if not external:
        check_launch(store, settings, spec, may_leak=acknowledge_leaks or repeats)
        dataset = registered(store, spec.dataset.name, owner)
    run, created = create_run(
        store,
        spec,
        owner=owner,
        study_id=study_id,
        priority=priority,
        idempotency_key=idempotency_key,
        external=external,
        note=note,
        continues=continues,
        leaks_acknowledged=acknowledge_leaks,
    )
    if dataset is not None:
        mind_failure(store, dataset)
        ring(bell, [dataset])
    return run, created


def submit_study(
    store: Store,
    settings: Settings,
    bell: Rings,
    name: str,
    specs: Sequence[object],
    *,
    owner: str,
    note: str = "",
    priority: int = 0,
    published: Sequence[Published | None] = (),
    webhook: Webhook = NO_WEBHOOK,
    acknowledge_leaks: bool = False,
    request: RequestKey | None = None,
) -> StudyRow:
    """Queue a run for each spec, all or none, and return their study.

    Args:
        specs: Each as JSON or YAML would hold it.
        published: What was reported of each run; empty: of none.
        webhook: Told when the study ends; see `store.webhooks.checked_webhook`.
        acknowledge_leaks: See `submit`.
        request: See `store.studies.create_study`.

    Raises:
        InvalidInput: With the errors of every spec, under `runs.0`, `runs.1`, …
    """
    parsed = []
    errors: list[FieldError] = []
    for number, data in enumerate(specs):
        try:
            spec = parse_spec(data)
            check_spec(store, settings, spec)
            parsed.append(spec)
        except InvalidInput as error:
            errors += (item.below(f"runs.{number}") for item in error.errors)
    if errors:
        raise InvalidInput.of(*errors)
    if not acknowledge_leaks:
        check_leaks(store, settings, parsed)
    datasets = [registered(store, name, owner) for name in {s.dataset.name for s in parsed}]
    study = create_study(
        store,
        name,
        owner,
        parsed,
        note,
        priority=priority,
        published=published,
        webhook=webhook,
        leaks_acknowledged=acknowledge_leaks,
        request=request,
    )
    for dataset in datasets:
        mind_failure(store, dataset)
    ring(bell, datasets)
    return study


def submit_recipe(
    store: Store,
    settings: Settings,
    bell: Rings,
    recipe: Recipe,
    *,
    owner: str,
    priority: int = 0,
    dataset: str | None = None,
    epochs: int | None = None,
    small: bool = False,
    substitute: bool = False,
    seeds: int = 1,
    note: str = "",
    webhook: Webhook = NO_WEBHOOK,
    acknowledge_leaks: bool = False,
    request: RequestKey | None = None,
) -> StudyRow:
    """Queue a recipe's runs, or its first steps' runs; all or none; see `trainer.planning.plan`.

    Args:
        note: In place of the recipe's own.
        webhook: Told when the study ends.
        request: See `store.studies.create_study`.

    Raises:
        InvalidInput: If the dataset is unknown, or a spec does not allow what is asked for.
    """
    if dataset is not None and (problem := dataset_error(store, dataset)) is not None:
        raise InvalidInput.of(replace(problem, field="dataset"))
    planned = plan(
        recipe, dataset=dataset, epochs=epochs, small=small, substitute=substitute, seeds=seeds
    )
    title = recipe.name + (", small scale" if small else "")
    if recipe.has_steps:
        return _submit_steps(
            store,
            settings,
            bell,
            title,
            planned,
            owner=owner,
            note=note or recipe.note,
            priority=priority,
            webhook=webhook,
            acknowledge_leaks=acknowledge_leaks,
            request=request,
        )
    runs = launchable(planned)
    return submit_study(
        store,
        settings,
        bell,
        title,
        [run.spec.model_dump(mode="json") for run in runs],
        owner=owner,
        note=note or recipe.note,
        priority=priority,
        published=[run.published for run in runs],
        webhook=webhook,
        acknowledge_leaks=acknowledge_leaks,
        request=request,
    )


def cancel_run(store: Store, bell: Rings, run_id: int) -> RunRow:
    """Cancel a run, and do what that means for its study's later steps.

    Raises:
        NotFound: If there is no such run.
        Conflict: If it has ended.
    """
    run = request_cancel(store, run_id)
    if run.study_id is not None and run.is_terminal:
        _ring_for(bell, advance(store, run.study_id))
        if note_ends(store, run.study_id):
            bell.ring_interactive()
    return run


def _submit_steps(
    store: Store,
    settings: Settings,
    bell: Rings,
    name: str,
    steps: Sequence[PlannedStep],
    *,
    owner: str,
    note: str,
    priority: int,
    webhook: Webhook,
    acknowledge_leaks: bool,
    request: RequestKey | None,
) -> StudyRow:
    errors: dict[tuple[str, str], FieldError] = {}
    for place, step in enumerate(steps):
        for number, run in enumerate(step.runs):
            for option in run.options:
                try:
                    check_spec(store, settings, option.spec)
                except InvalidInput as problem:
                    for item in problem.errors:
                        below = item.below(f"steps.{place}.runs.{number}")
                        errors.setdefault((below.field, str(below.value)), below)
    if errors:
        raise InvalidInput.of(*errors.values())
    if not acknowledge_leaks:
        check_leaks(store, settings, [option.spec for step in steps for option in step.options])
    names = {option.spec.dataset.name for step in steps for option in step.options}
    datasets = [registered(store, known, owner) for known in sorted(names)]
    study = create_study(
        store,
        name,
        owner,
        note=note,
        priority=priority,
        steps=steps,
        webhook=webhook,
        leaks_acknowledged=acknowledge_leaks,
        request=request,
    )
    for dataset in datasets:
        mind_failure(store, dataset)
    ring(bell, datasets)
    return study


def add_dataset(
    store: Store,
    settings: Settings,
    bell: Rings,
    name: str,
    kind: str,
    source: str,
    *,
    owner: str,
    title: str = "",
    labelled: bool = True,
) -> DatasetRow:
    """Register a dataset of the catalogue or a folder of the server, to be prepared.

    Args:
        source: Name in the catalogue, by default the dataset's own; or the folder's path.
        labelled: False for a folder whose images have no classes.

    Raises:
        InvalidInput: If the name or the source is refused.
        Conflict: If the name belongs to other data.
    """
    if kind == "catalogue":
        if not labelled:
            raise InvalidInput.of(
                FieldError("labelled", labelled, "true for a dataset of the catalogue")
            )
        entry = catalogue_entry(source or name)
        source, title = entry.name, title or entry.title
    elif kind == "folder":
        from trainer.datasets.folder import check_folder_allowed  # Pillow comes with it

        source = str(check_folder_allowed(source, settings.data_roots))
    row = register_dataset(store, name, kind, source, owner, title, labelled=labelled)
    if row.status == "preparing":
        bell.ring_interactive()
    return row


def ring(bell: Rings, datasets: Sequence[DatasetRow]) -> None:
    """Tell the workers of runs that have been queued, and of datasets that are not ready."""
    if any(dataset.status == "preparing" for dataset in datasets):
        bell.ring_interactive()
    bell.ring_train()


def mind_failure(store: Store, dataset: DatasetRow) -> None:
    """Fail runs queued in the moment between a look at their dataset and its failure."""
    if dataset.status == "ready":
        return
    try:
        now = get_dataset_by_id(store, dataset.id)
    except NotFound:
        return
    if now.status == "failed":
        fail_queued_for_dataset(store, now.name, now.error or {})


def _ring_for(bell: Rings, begun: Begun) -> None:
    if begun.run_ids:
        bell.ring_train()
    if begun.job_ids:
        bell.ring_interactive()


def registered(store: Store, name: str, owner: str) -> DatasetRow:
    """Return the dataset, registered on first use if it is one of the catalogue."""
    try:
        return get_dataset(store, name)
    except NotFound:
        return register_dataset(store, name, "catalogue", name, owner, catalogue_titles()[name])
