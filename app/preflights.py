"""Preflights: a spec tried on the worker that would train it, before it is launched."""

from __future__ import annotations

from app.dependencies import Rings
from app.submit import check_spec, registered
from store.database import Store
from store.jobs import create_job
from store.rows import JobRow
from store.settings import Settings
from trainer.spec import ExperimentSpec

SAMPLES_FILE = "samples.png"


def start_preflight(
    store: Store, settings: Settings, bell: Rings, spec: ExperimentSpec, *, owner: str
) -> JobRow:
    """Queue two real steps of a spec for a training worker's next free slot; return the job.

    Raises:
        InvalidInput: If the server cannot run the spec.
    """
    check_spec(store, settings, spec)
    dataset = registered(store, spec.dataset.name, owner)
    asked = {
        "spec": spec.model_dump(mode="json"),
        "dataset": dataset.name,
        "file": SAMPLES_FILE,
    }
    job = create_job(
        store, "preflight", owner, asked, dataset_id=dataset.id, device=spec.training.device
    )
    if dataset.status == "preparing":
        bell.ring_interactive()
    bell.ring_train()
    return job
