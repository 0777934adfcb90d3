"""A step begins once, however many look after it and end what it waits for at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from store import lifecycle, series, steps
from store.database import Store
from store.study_tables import STUDY_STEPS
from store.tables import JOBS, RUNS
from tests.store.helpers import claimed, epoch, ready_dataset
from tests.store.step_studies import (
    LONGER,
    SWEEP,
    VOTE,
    evaluate,
    launch,
    step,
)


def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leaves others time to get between what was read and its writing."""

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(0.2)
        return function(*given, **named)

    return slow


@pytest.mark.parametrize("kind", ["runs", "vote"])
def test_a_step_begins_once_however_many_look_at_the_same_time(
    store: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER if kind == "runs" else VOTE)
    evaluate(store)
    evaluate(store)
    lookers = 6
    together = threading.Barrier(lookers)
    for name in ("add_run", "add_job"):
        monkeypatch.setattr(steps, name, slowly(getattr(steps, name)))

    def look(_: int) -> steps.Begun:
        with store.read():  # a connection of its own, so that nobody has to wait for one
            together.wait()
        return steps.advance(store)

    with store.write() as conn:
        for run_id in study.run_ids:  # a value to choose by
            points = series.columns_of([series.Point(1, 1.0, 1.0, 0.5)])
            series.append(conn, run_id, {"val_accuracy": points})
        # Ending the step before, too, would make them wait for each other.
        conn.execute(update(STUDY_STEPS).where(STUDY_STEPS.c.name == "sweep").values(state="ended"))
    with ThreadPoolExecutor(lookers) as pool:
        begun = list(pool.map(look, range(lookers)))
    assert sum(len(one.run_ids) + len(one.job_ids) for one in begun) == 1
    with store.read() as conn:
        total = len(conn.execute(select(RUNS.c.id)).all())
        voting = len(conn.execute(select(JOBS.c.id)).all())
    assert (total, voting) == ((3, 0) if kind == "runs" else (2, 1))


def test_ends_at_the_same_time_begin_the_next_step_once(store: Store) -> None:
    ready_dataset(store)
    members = [{"name": f"lr {n}", "optimizer": {"lr": n / 100}} for n in range(1, 7)]
    study = launch(store, {"name": "sweep", "runs": members}, LONGER)
    claims = [claimed(store) for _ in members]
    together = threading.Barrier(len(claims))

    def end(claim: lifecycle.Claim) -> int:
        told = [epoch(1, val_accuracy=0.1 * claim.run.spec["optimizer"]["lr"])]
        lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
        with store.read():
            together.wait()
        lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
        return len(steps.advance(store, study.id).run_ids)

    with ThreadPoolExecutor(len(claims)) as pool:
        begun = list(pool.map(end, claims))
    assert sum(begun) == 1
    later = step(store, study, "longer")
    assert later.choices[0]["chosen"] == study.run_ids[-1]
