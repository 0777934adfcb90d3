"""Later steps of studies: begun when a run or a vote has ended, and rung for."""

from __future__ import annotations

import logging

from store.database import Store, Unavailable
from store.steps import advance
from worker.bell import Bell

log = logging.getLogger(__name__)


def go_on(store: Store, bell: Bell, study_id: int | None = None) -> None:
    """Do what is due in a study's steps, by default in every study's; never raises.

    What fails here is done by the next tick.
    """
    try:
        begun = advance(store, study_id)
    except Unavailable as error:
        log.warning("Could not look for steps to begin; the next tick will: %s", error)
        return
    except Exception:
        log.exception("Steps of study %s could not go on", study_id or "(any)")
        return
    if begun.run_ids:
        log.info("Steps began runs %s", list(begun.run_ids))
        bell.ring_train()
    if begun.job_ids:
        log.info("Steps began votes: jobs %s", list(begun.job_ids))
        bell.ring_interactive()
