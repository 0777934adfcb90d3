"""Where an attempt begins: at its run's checkpoint, at that of the run it continues, or afresh."""

from __future__ import annotations

import time
from pathlib import Path

from store.database import Store
from store.rows import RunRow
from store.runs import runs_by_ids
from store.settings import Settings
from trainer.errors import RunFailure
from trainer.events import RunFailed


class NothingToContinue(RunFailure):
    """The run that is to be continued has no checkpoint any more."""

    title = "The run to continue is gone"

    def event(self) -> RunFailed:
        """Return the failure as the trainer would say it."""
        return RunFailed(time=time.time(), title=self.title, detail=self.detail, remedy=self.remedy)


def checkpoint_folder(store: Store, settings: Settings, run: RunRow) -> Path | None:
    """Return the attempt's folder whose checkpoint a run goes on from; None: it starts afresh.

    Raises:
        NothingToContinue: If it continues a run whose checkpoint is no longer here.
        Unavailable: If the database does not answer.
    """
    if run.checkpoint_attempt is not None:
        before = settings.attempt_dir(run.id, run.checkpoint_attempt)
        if before.is_dir():
            return before
    if run.continues_run is None:
        return None
    for parent in runs_by_ids(store, [run.continues_run]):
        folder = settings.attempt_dir(parent.id, parent.attempt)
        if (folder / "checkpoints" / "last.pt").is_file():
            return folder
    raise NothingToContinue(
        "The run to continue is gone",
        f"Run {run.id} was to go on from the checkpoint of run {run.continues_run}, which was "
        "removed.",
        "Clone and edit this run: its spec, trained from the beginning, gives the same numbers.",
    )
