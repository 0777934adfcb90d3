"""Preflights: a spec tried on the worker that would train it, before it is launched."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.dependencies import Rings
from app.launch_checks import check_spec
from app.spec_summary import SpecSummary, summarize
from app.submit import registered
from store.database import Store
from store.jobs import create_job, succeeded_jobs
from store.rows import JobRow
from store.settings import Settings
from trainer.errors import InvalidInput
from trainer.spec import ExperimentSpec

SAMPLES_FILE = "samples.png"


def start_preflight(
    store: Store,
    settings: Settings,
    bell: Rings,
    spec: ExperimentSpec,
    *,
    owner: str,
    launch: Mapping[str, str] | None = None,
) -> JobRow:
    """Queue two real steps of a spec for a training worker's next free slot; return the job.

    Args:
        launch: What was typed of the launch beside the spec, for the page that goes on with it.

    Raises:
        InvalidInput: If the server cannot run the spec.
    """
    check_spec(store, settings, spec)
    dataset = registered(store, spec.dataset.name, owner)
    asked = {
        "spec": spec.model_dump(mode="json"),
        "dataset": dataset.name,
        "file": SAMPLES_FILE,
        **({"launch": dict(launch)} if launch else {}),
    }
    job = create_job(
        store, "preflight", owner, asked, dataset_id=dataset.id, device=spec.training.device
    )
    if dataset.status == "preparing":
        bell.ring_interactive()
    bell.ring_train()
    return job


def long_untried(store: Store, settings: Settings, spec: ExperimentSpec) -> SpecSummary | None:
    """Return what a run comes to if it is a long one of which no preflight is known; else None.

    A run of a network that nobody has timed here is not called long.
    """
    with suppress(InvalidInput):
        summary = summarize(store, settings, spec)
        if summary.is_long and not _was_tried(store, spec):
            return summary
    return None


def _was_tried(store: Store, spec: ExperimentSpec) -> bool:
    wanted = _trained(spec.model_dump(mode="json"))
    return any(
        _trained(job.payload["spec"]) == wanted for job in succeeded_jobs(store, "preflight")
    )


def _trained(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec without what makes no difference to whether it fits and how long it takes."""
    return {**spec, "name": None, "training": {**spec["training"], "seed": None}}
