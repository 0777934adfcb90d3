from __future__ import annotations

import pytest

from store.outlook import outlook
from store.runs import create_run
from store.timings import timings
from tests.seeding import Teller, add_workers, claim, run_spec
from tests.store.helpers import ready_dataset


def test_epochs_are_timed_and_the_first_is_told_apart(store):
    ready_dataset(store)
    run, _ = create_run(store, run_spec("timed", training={"epochs": 3}), owner="ann")
    teller = Teller(store, run.id, claim(store, run.id), epochs=3, top=0.9)
    teller.start()
    assert timings(store, "tuneboard/small_cnn") == []
    for number in (1, 2, 3):
        teller.epoch(number)
    (found,) = timings(store, "tuneboard/small_cnn")
    assert found.run_id == run.id
    assert found.split_sizes["train"] > 0
    assert found.resolved["device"] == "cpu"
    assert found.first_epoch_s > 0
    assert found.epoch_s == pytest.approx(found.first_epoch_s, rel=0.5)
    assert timings(store, "resnet18") == []


def test_the_outlook_counts_what_goes_first(store):
    add_workers(store)
    for name, priority in (("low", -5), ("usual", 0), ("high", 5)):
        create_run(store, run_spec(name), owner="ann", priority=priority)
    found = outlook(store, 0)
    assert found.ahead == 2
    assert [spec["name"] for spec in found.ahead_specs] == ["high", "usual"]
    assert sum(slots.count for slots in found.slots) >= 1
    assert outlook(store, 10).ahead == 0
    assert found.running == ()


def test_a_running_run_has_what_it_last_said_left(store):
    ready_dataset(store)
    run, _ = create_run(store, run_spec("runs", training={"epochs": 3}), owner="ann")
    number = claim(store, run.id)
    assert outlook(store, 0).running == (None,)
    teller = Teller(store, run.id, number, epochs=3, top=0.9)
    teller.start()
    teller.epoch(1)
    teller.progress(50)
    (left,) = outlook(store, 0).running
    assert left is not None
    assert left >= 0
