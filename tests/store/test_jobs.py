from __future__ import annotations

import pytest
from sqlalchemy import update

from store import jobs
from store.database import Store
from store.datasets import claim_preparation, dataset_ready, register_dataset
from store.rows import JobRow
from store.tables import JOBS
from trainer.errors import Conflict, NotFound

LEASE_S = 60.0


def make(store: Store, kind: str = "vote") -> JobRow:
    return jobs.create_job(store, kind, "ann", {"file": "x.csv"})


def claimed(store: Store) -> JobRow:
    found = jobs.claim_job(store, LEASE_S)
    assert found is not None
    return found


def silence(store: Store, job: JobRow) -> None:
    with store.write() as conn:
        conn.execute(update(JOBS).where(JOBS.c.id == job.id).values(lease_expires_at=1.0))


def test_jobs_are_claimed_in_order_and_once(store: Store) -> None:
    first, second = make(store), make(store)
    assert not first.is_over
    assert [claimed(store).id, claimed(store).id] == [first.id, second.id]
    assert jobs.claim_job(store, LEASE_S) is None
    assert not jobs.jobs_wait(store)


def test_a_result_ends_a_job(store: Store) -> None:
    make(store)
    job = claimed(store)
    assert job.started_at is not None
    assert jobs.job_succeeded(store, job, {"accuracy": 1.0})
    found = jobs.get_job(store, job.id)
    assert (found.state, found.result, found.error) == ("succeeded", {"accuracy": 1.0}, None)
    assert found.is_over
    assert not jobs.job_failed(store, job, {"title": "late"})
    assert jobs.get_job(store, job.id) == found


def test_a_silent_workers_job_is_taken_and_the_zombie_cannot_write(store: Store) -> None:
    make(store)
    zombie = claimed(store)
    assert jobs.beat_job(store, zombie, LEASE_S)
    silence(store, zombie)
    assert jobs.jobs_wait(store)
    job = claimed(store)
    assert job.tries == 2
    assert not jobs.beat_job(store, zombie, LEASE_S)
    assert not jobs.job_succeeded(store, zombie, {})
    assert not jobs.release_job(store, zombie)
    assert jobs.job_failed(store, job, {"title": "No"})
    assert jobs.get_job(store, job.id).error == {"title": "No"}


def test_a_job_that_took_every_worker_with_it_is_given_up(store: Store) -> None:
    deadly, after = make(store), make(store)
    for _ in range(jobs.MAX_TRIES):
        job = claimed(store)
        assert job.id == deadly.id
        silence(store, job)
    assert claimed(store).id == after.id
    found = jobs.get_job(store, deadly.id)
    assert found.state == "failed"
    assert found.error is not None
    assert "given up" in found.error["title"]


def test_a_job_handed_back_is_free_at_once_and_not_counted(store: Store) -> None:
    make(store)
    for _ in range(jobs.MAX_TRIES + 2):
        job = claimed(store)
        assert job.tries == 1
        assert jobs.release_job(store, job)


def test_old_jobs_are_forgotten(store: Store) -> None:
    done, waiting = make(store), make(store)
    jobs.job_succeeded(store, claimed(store), {})
    assert jobs.forget_jobs(store, 3600) == []
    with store.write() as conn:
        conn.execute(update(JOBS).where(JOBS.c.id == done.id).values(finished_at=1.0))
    assert jobs.forget_jobs(store, 3600) == [done.id]
    with pytest.raises(NotFound):
        jobs.get_job(store, done.id)
    assert jobs.get_job(store, waiting.id).state == "queued"


@pytest.mark.parametrize("number", [0, 7, 2**70])
def test_an_unknown_job_is_not_found(store: Store, number: int) -> None:
    with pytest.raises(NotFound, match=str(number)):
        jobs.get_job(store, number)


def test_progress_is_kept_and_begins_anew_with_each_try(store: Store) -> None:
    make(store)
    job = claimed(store)
    told = {"what": "looking at images", "done": 3, "total": 9}
    assert jobs.beat_job(store, job, LEASE_S, told)
    assert jobs.beat_job(store, job, LEASE_S)
    assert jobs.get_job(store, job.id).progress == told
    assert jobs.release_job(store, job)
    assert jobs.get_job(store, job.id).progress == {}


def test_each_hand_takes_its_own_kinds(store: Store) -> None:
    long, quick, train = (make(store, kind) for kind in ("duplicates", "vote", "preflight"))
    asked = jobs.create_job(store, "predict", "ann", {"folder": "/x"}, hand="long")
    assert [job.id for job in _claims(store, "quick")] == [quick.id]
    assert [job.id for job in _claims(store, "long")] == [long.id, asked.id]
    assert [job.id for job in _claims(store, "train")] == [train.id]


def _claims(store: Store, hand: jobs.Hand) -> list[JobRow]:
    found = []
    while job := jobs.claim_job(store, LEASE_S, [hand]):
        found.append(job)
    return found


def test_a_job_for_a_gpu_waits_for_one(store: Store) -> None:
    job = jobs.create_job(store, "preflight", "ann", {}, device="cuda")
    assert jobs.claim_job(store, LEASE_S, ["train"], "cpu") is None
    found = jobs.claim_job(store, LEASE_S, ["train"], "cuda")
    assert found is not None
    assert found.id == job.id


def test_a_job_waits_while_its_dataset_is_being_prepared(store: Store) -> None:
    dataset = register_dataset(store, "digits", "catalogue", "digits", "ann", "Digits")
    job = jobs.create_job(store, "duplicates", "ann", {}, dataset_id=dataset.id)
    assert jobs.claim_job(store, LEASE_S) is None
    claim_preparation(store, LEASE_S)
    dataset_ready(store, dataset.id, "f", {})
    assert claimed(store).id == job.id
    newest = jobs.newest_job(store, "duplicates", dataset.id)
    assert newest is not None
    assert newest.id == job.id
    assert jobs.newest_job(store, "preflight", dataset.id) is None


def test_a_cancelled_job_is_never_claimed_and_a_running_ones_worker_is_told(store: Store) -> None:
    waiting, running = make(store, "duplicates"), make(store)
    assert jobs.cancel_job(store, waiting.id).state == "cancelled"
    job = jobs.claim_job(store, LEASE_S)
    assert job is not None
    assert job.id == running.id
    found = jobs.cancel_job(store, running.id)
    assert (found.state, found.is_over) == ("cancelled", True)
    assert not jobs.beat_job(store, job, LEASE_S)
    assert not jobs.job_succeeded(store, job, {})
    with pytest.raises(Conflict, match="has ended"):
        jobs.cancel_job(store, running.id)
    with pytest.raises(NotFound):
        jobs.cancel_job(store, 99)
    assert [row.id for row in jobs.list_jobs(store)] == [running.id, waiting.id]
