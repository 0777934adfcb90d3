"""What the end of a run or a vote means for its study: later steps begin, its end is noted."""

from __future__ import annotations

import logging

from store.database import Store, Unavailable
from store.steps import advance
from store.study_ends import note_ends
from worker.bell import Bell

log = logging.getLogger(__name__)


def go_on(store: Store, bell: Bell, study_id: int | None = None) -> None:
    """Do what is due in a study's steps, by default in every study's; never raises.

    If it has ended, its webhook is rung for. What fails here is done by the next tick.
    """
    try:
        begun = advance(store, study_id)
        to_send = note_ends(store, study_id)
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
    if to_send:
        log.info("Webhooks are to be told: deliveries %s", to_send)
        bell.ring_interactive()
