from __future__ import annotations

from store import lifecycle
from store.database import Store
from store.resources import samples
from tests.store.helpers import running
from trainer import events as said


def test_samples_stay_after_the_run_and_are_thinned_evenly(store: Store) -> None:
    claim = running(store)
    used = [
        said.Resources(time=float(second), memory_bytes=second, cpu_percent=50.0)
        for second in range(1, 11)
    ]
    lifecycle.record(store, claim.run.id, 1, lease_s=60, events=used)
    lifecycle.finish(store, claim.run.id, 1, "succeeded")
    assert [one.memory_bytes for one in samples(store, claim.run.id, 100)] == list(range(1, 11))
    assert [one.time for one in samples(store, claim.run.id, 4)] == [1, 4, 7, 10]
    assert samples(store, claim.run.id, 4)[0].gpu_percent is None
    assert samples(store, 99, 4) == []
