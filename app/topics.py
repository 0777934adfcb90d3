"""What pages hear beside the events of runs: whole rows, again when they have changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from app.outputs import dataset_out, run_outs, workers_out
from store.database import Store
from store.datasets import list_datasets
from store.notices import ended_lately
from store.run_list import existing_ids
from store.runs import list_runs, runs_by_ids

TOPICS = ("runs", "datasets", "workers", "notices")
RUNS_WATCHED = 100  # newest runs on a board; active ones are on it whatever their age
GONE_KEPT = 1_000


class Board:
    """A topic's rows as JSON, and since which version each has been so."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.version = 0
        self._rows: dict[str, tuple[int, bytes]] = {}
        self._gone: dict[str, int] = {}
        self._frames: dict[int, bytes] = {}
        self._active_runs: set[int] = set()

    def look(self, store: Store) -> bool:
        """Read the rows again and return whether any changed."""
        if self.topic == "runs":
            rows = self._read_runs(store)
            others = [int(key) for key in self._rows.keys() - rows.keys()]
            there = existing_ids(store, others) if others else frozenset()
            deleted = [str(run_id) for run_id in others if run_id not in there]
            return self._take(rows, deleted)
        rows = _READERS[self.topic](store)
        return self._take(rows, [key for key in self._rows if key not in rows])

    def frame_since(self, version: int) -> bytes:
        """Return the server-sent event with what changed after `version`; all of it for 0."""
        if version not in self._frames:
            rows = b",".join(row for changed, row in self._rows.values() if changed > version)
            gone = [key for key, changed in self._gone.items() if changed > version > 0]
            topic = self.topic.encode()
            data = b'{"%s":[%s],"gone":%s}' % (topic, rows, json.dumps(gone).encode())
            self._frames[version] = b"event: %s\ndata: %s\n\n" % (topic, data)
        return self._frames[version]

    def _take(self, rows: Mapping[str, bytes], gone: Sequence[str]) -> bool:
        changed = {
            key: row
            for key, row in rows.items()
            if key not in self._rows or self._rows[key][1] != row
        }
        if not changed and not gone and self.version:
            return False
        version = self.version + 1
        for key, row in changed.items():
            self._rows[key] = (version, row)
            self._gone.pop(key, None)
        for key in gone:
            del self._rows[key]
            self._gone[key] = version
        while len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]
        self._frames.clear()
        self.version = version
        return True

    def _read_runs(self, store: Store) -> dict[str, bytes]:
        newest = list_runs(store, archived="all", limit=RUNS_WATCHED)
        rows = {row.id: row for row in newest.rows}
        for status in ("running", "queued"):
            page = list_runs(store, status=status, limit=RUNS_WATCHED)
            rows.update({row.id: row for row in page.rows})
        # Runs that were active and are neither new nor active any more have just ended.
        ended = self._active_runs - rows.keys()
        rows.update({row.id: row for row in runs_by_ids(store, sorted(ended))})
        self._active_runs = {row.id for row in rows.values() if not row.is_terminal}
        return {
            str(run.id): run.model_dump_json(exclude={"spec"}).encode()
            for run in run_outs(store, list(rows.values()))
        }


def _read_datasets(store: Store) -> dict[str, bytes]:
    rows = list_datasets(store)
    return {row.name: dataset_out(row).model_dump_json().encode() for row in rows}


def _read_workers(store: Store) -> dict[str, bytes]:
    return {row.id: row.model_dump_json().encode() for row in workers_out(store)}


def _read_notices(store: Store) -> dict[str, bytes]:
    return {
        f"{one.kind} {one.id} {one.at}": json.dumps(
            {
                "key": f"{one.kind} {one.id} {one.at:.3f}",
                **vars(one),
                "url": f"/{'studies' if one.kind == 'study' else 'runs'}/{one.id}",
            }
        ).encode()
        for one in ended_lately(store)
    }


_READERS: Mapping[str, Callable[[Store], dict[str, bytes]]] = {
    "datasets": _read_datasets,
    "workers": _read_workers,
    "notices": _read_notices,
}
