from __future__ import annotations

import pytest

import app.submit
from app.submit import submit
from store.datasets import dataset_failed, get_dataset
from store.lifecycle import fail_queued_for_dataset
from store.runs import get_run
from tests.app.conftest import SPEC
from trainer.parsing import parse_spec


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_queued_while_its_dataset_fails_fails_with_it(
    settings, store, bell, monkeypatch, moment
):
    create_run = app.submit.create_run
    error = {"title": "No", "detail": "No disk.", "remedy": ""}

    def fail() -> None:
        dataset_failed(store, get_dataset(store, "digits").id, error)
        fail_queued_for_dataset(store, "digits", error)

    def create(*arguments, **options):
        if moment == "before":
            fail()
        made = create_run(*arguments, **options)
        if moment == "after":
            fail()
        return made

    monkeypatch.setattr(app.submit, "create_run", create)
    run, _ = submit(store, settings, bell, parse_spec(SPEC), owner="local")
    ended = get_run(store, run.id)
    assert (ended.status, ended.error) == ("failed", error)
