"""What users ask of runs that are there, the same for the API and the pages."""

from __future__ import annotations

from app.dependencies import Rings
from app.submit import mind_failure, ring
from store.database import Store
from store.datasets import get_dataset
from store.lifecycle import resume
from store.rows import RunRow


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
