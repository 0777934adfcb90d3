"""Several processes at one database, as workers are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

from store import lifecycle, runs, studies
from store.database import Store
from tests.store.helpers import ready_dataset, running, spec

PROCESSES = 4
RUNS = 200

CLAIM_ALL = """
import json, sys, time
from store import lifecycle
from store.database import open_store
from trainer.events import Logged
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
claimed = []
while (claim := lifecycle.claim(store, sys.argv[2], device="cpu", lease_s=60)) is not None:
    said = [Logged(time=1.0, message="hello")]
    lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=said, offset=1)
    if claim.run.id % 2:
        lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
    claimed.append(claim.run.id)
    time.sleep(0.002)  # on few cores the others get their turn
print(json.dumps(claimed))
"""

HEARTBEATS = """
import sys
from store import lifecycle
from store.database import open_store
from trainer.events import Logged
store = open_store(sys.argv[1])
for number in range(50):
    said = [Logged(time=1.0, message=f"{sys.argv[2]} {number}")]
    lifecycle.record(store, 1, 1, lease_s=60, events=said)
"""


def start(store: Store, code: str, name: str) -> subprocess.Popen[str]:
    url = store.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-c", code, url, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_each_run_is_claimed_exactly_once(store: Store) -> None:
    ready_dataset(store)
    study = studies.create_study(store, "many", "ann", [spec(str(n)) for n in range(RUNS)])
    workers = [start(store, CLAIM_ALL, f"w{number}") for number in range(PROCESSES)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    claimed: list[list[int]] = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        out, errors = worker.communicate(timeout=120)
        assert (worker.returncode, errors) == (0, "")
        claimed.append(json.loads(out))
    times = Counter(run_id for ids in claimed for run_id in ids)
    assert sorted(times) == sorted(study.run_ids)
    assert set(times.values()) == {1}
    assert sum(1 for ids in claimed if ids) > 1, "only one process ever claimed"
    counts = runs.counts_by_status(store)
    assert (counts["succeeded"], counts["running"]) == (RUNS // 2, RUNS // 2)


def test_event_numbers_have_no_gaps_and_no_doubles(store: Store) -> None:
    from store import events

    claim = running(store)
    assert (claim.run.id, claim.attempt) == (1, 1)
    writers = [start(store, HEARTBEATS, f"w{number}") for number in range(PROCESSES)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    rows = events.events_after(store, 1, 0, limit=1000)
    assert [row.seq for row in rows] == list(range(1, 3 + PROCESSES * 50))
    for number in range(PROCESSES):
        said = [r.payload["message"] for r in rows if r.kind == "log"]
        mine = [message for message in said if message.startswith(f"w{number} ")]
        assert mine == [f"w{number} {n}" for n in range(50)]
    lifecycle.finish(store, 1, 1, "succeeded")
