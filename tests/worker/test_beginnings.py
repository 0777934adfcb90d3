"""Where an attempt begins, and what a run that continues another has in the end."""

from __future__ import annotations

import shutil
import threading
from typing import Any

import pytest

from store import runs
from store.lifecycle import Status
from store.rows import RunRow
from tests.worker.house import House, fake_launch
from trainer.continuing import continued
from trainer.parsing import parse_spec
from worker.beginnings import NothingToContinue, checkpoint_folder
from worker.supervise import Supervisor


def supervised(house: House, act: str = "train") -> Status | None:
    claim: Any = house.claim()
    return Supervisor(
        house.store, house.settings, claim, fake_launch(act, 0), threading.Event()
    ).run()


def continuing(house: House, parent: RunRow, more: int) -> int:
    done = parent.finished["epochs"]
    spec = continued(parse_spec(parent.spec), done, more)
    run, _ = runs.create_run(house.store, spec, owner="tester", continues=(parent.id, done))
    return run.id


def test_a_continued_run_has_its_parents_curves_and_those_added(any_house: House) -> None:
    house = any_house
    parent_id = house.submit(epochs=2)
    assert supervised(house) is Status.SUCCEEDED
    parent = house.run(parent_id)
    child_id = continuing(house, parent, 2)
    assert supervised(house, "crash-after-a-checkpoint") is Status.QUEUED
    assert supervised(house) is Status.SUCCEEDED
    whole_id = house.submit(epochs=4)
    assert supervised(house) is Status.SUCCEEDED
    assert house.figures(child_id) == house.figures(whole_id)
    assert house.run(child_id).epoch == 4
    assert house.run(parent_id) == parent


def test_a_run_whose_parent_is_gone_fails_and_says_so(house: House) -> None:
    parent_id = house.submit(epochs=1)
    assert supervised(house) is Status.SUCCEEDED
    child_id = continuing(house, house.run(parent_id), 1)
    shutil.rmtree(house.settings.run_dir(parent_id))
    with pytest.raises(NothingToContinue):
        checkpoint_folder(house.store, house.settings, house.run(child_id))
    assert supervised(house) is Status.FAILED
    error = house.run(child_id).error
    assert error is not None
    assert error["title"] == "The run to continue is gone"
    assert f"run {parent_id}" in error["detail"]
