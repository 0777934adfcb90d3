"""Searches: what is due is asked of Optuna, in a process of its own, and its answers are stored.

A hand of the interactive worker. While a search goes on it looks twice a second: a trial's end or
epoch is heard of without anybody's ring, and costs two small queries. The process that knows
Optuna stays for the next question, and ends with the last search.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from store import searches
from store.database import Store, Unavailable
from store.searches import Question
from worker.bell import Bell
from worker.programs import signal_group
from worker.steps import go_on

log = logging.getLogger(__name__)

LOOK_S = 0.5
ANSWER_TIMEOUT_S = 120.0
"""Loading Optuna takes a second, an answer milliseconds; a busy machine takes longer."""
TRIES = 3
"""Questions without an answer, one after the other, before a search is given up."""
SUGGEST = (sys.executable, "-m", "trainer.suggest")


class Searcher:
    """Carries all searches on."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        draining: threading.Event,
        held: threading.Event,
        command: Sequence[str] = SUGGEST,
    ) -> None:
        self._store = store
        self._bell = bell
        self._draining = draining
        self._held = held
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._broken: dict[int, int] = {}
        """Questions in a row to which a study got no answer."""

    def work(self) -> None:
        """Carry searches on until none is left, in this thread."""
        try:
            while not self._is_stopped and searches.searching(self._store):
                for study_id in searches.searches_due(self._store):
                    self._go_on(study_id)
                self._draining.wait(LOOK_S)
        except Unavailable as error:
            log.warning("Could not look for searches; the next tick will: %s", error)
        finally:
            self._close()

    def has_work(self) -> bool:
        """Whether a search waits for somebody to go on with it."""
        return bool(searches.searches_due(self._store))

    def kill(self) -> None:
        """Kill the process that is asked, now."""
        process = self._process
        if process is not None:
            signal_group(process, signal.SIGKILL)

    @property
    def _is_stopped(self) -> bool:
        return self._draining.is_set() or self._held.is_set()

    def _go_on(self, study_id: int) -> None:
        question = searches.look(self._store, study_id)
        if question is None:
            go_on(self._store, self._bell, study_id)  # it may have ended
            return
        answer = self._ask(question)
        if answer is None:
            return
        done = searches.take(self._store, question, answer["drawn"], answer["pruned"])
        if done.run_ids:
            log.info("Study %s: trials began as runs %s", study_id, list(done.run_ids))
            self._bell.ring_train()
        if done.pruned:
            log.info("Study %s: pruned runs %s", study_id, list(done.pruned))

    def _ask(self, question: Question) -> dict[str, Any] | None:
        """Return the answer; None where there is none, which ends the search at the third time."""
        study_id = question.study_id
        process = self._process or self._start()
        assert process.stdin is not None  # noqa: S101 - asked for with PIPE
        assert process.stdout is not None  # noqa: S101
        patience = threading.Timer(ANSWER_TIMEOUT_S, self.kill)
        patience.start()
        try:
            process.stdin.write(json.dumps(question.payload).encode() + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            self._close()
            if self._draining.is_set():
                return None
            tries = self._broken[study_id] = self._broken.get(study_id, 0) + 1
            log.error("Study %s: no answer about its search (try %s): %s", study_id, tries, error)
            if tries >= TRIES:
                reason = "Optuna gave no answer; the interactive worker's log holds more."
                searches.stop_search(self._store, study_id, reason)
            return None
        finally:
            patience.cancel()
        self._broken.pop(study_id, None)
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )
        return self._process

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        signal_group(process, signal.SIGKILL)
        with contextlib.suppress(OSError), process:  # what it has not read cannot be written
            pass
