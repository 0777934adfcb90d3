from __future__ import annotations

from store import runs
from store.database import Store
from store.replicates import families
from tests.store.helpers import queued, spec
from trainer.parsing import parse_spec


def test_only_seed_and_name_may_differ(store: Store) -> None:
    first = queued(store, "one", epochs=3, seed=0)
    second = queued(store, "two", epochs=3, seed=1)
    again = queued(store, "three", epochs=3, seed=1)
    longer = queued(store, "longer", epochs=4, seed=1)
    queued(store, "otherwise", epochs=3, seed=1, batch_size=8)
    runs.create_run(store, spec("elsewhere", dataset="flowers", epochs=3, seed=1), owner="ann")
    wider = {**first.spec, "optimizer": {**first.spec["optimizer"], "lr": 0.5}}
    runs.create_run(store, parse_spec(wider), owner="ann")
    found = families(store, [second, longer])
    assert [row.id for row in found[second.id].runs] == [first.id, second.id, again.id]
    assert [row.id for row in found[longer.id].runs] == [longer.id]
    both = families(store, [first, second])
    assert both[first.id] is both[second.id]


def test_a_run_from_outside_is_no_replicate_of_ours(store: Store) -> None:
    ours = queued(store, epochs=3)
    outside, _ = runs.create_run(store, spec(epochs=3, seed=1), owner="ann", external=True)
    found = families(store, [ours, outside])
    assert [row.id for row in found[ours.id].runs] == [ours.id]
    assert [row.id for row in found[outside.id].runs] == [outside.id]
