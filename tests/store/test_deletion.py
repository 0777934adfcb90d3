"""Deleting runs: nothing that refers to them stays, live ones stay, files go after the rows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from sqlmodel import SQLModel

from store import deletion, jobs, lifecycle, runs
from store.columns import fresh
from store.comparisons import list_comparisons, save_comparison
from store.database import Store
from store.deletion import delete_runs, look_at_deletion, remove_leftovers
from store.labels import baselines, change_tags, pin
from store.settings import Settings
from store.studies import create_study, get_study
from store.study_tables import STEP_RUNS, STUDY_STEPS, StudyStep
from store.tables import LEFTOVERS, RUNS
from tests.store.helpers import claimed, epoch, evaluated, queued, ready_dataset, spec, started
from trainer.errors import NotFound


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def ended(store: Store, settings: Settings, name: str = "a run") -> int:
    """A run with rows in every table that a worker writes, and with files."""
    run = queued(store, name)
    claim = claimed(store)
    assert claim.run.id == run.id
    events = [started(), epoch(1), evaluated()]
    lifecycle.record(store, run.id, claim.attempt, lease_s=60, events=events)
    lifecycle.finish(store, run.id, claim.attempt, "succeeded")
    folder = settings.attempt_dir(run.id, 1)
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(b"x" * 1000)
    return run.id


def rows_about(store: Store, run_id: int) -> dict[str, int]:
    """Return how many rows of each table name the run."""
    found = {}
    with store.read() as conn:
        for table in SQLModel.metadata.sorted_tables:
            for column in table.c:
                if any(key.column is RUNS.c.id for key in column.foreign_keys):
                    query = select(func.count()).select_from(table).where(column == run_id)
                    found[table.name] = conn.scalar(query)
    return found


def test_everything_about_a_run_goes_and_its_files(store: Store, settings: Settings) -> None:
    ready_dataset(store)
    first, second = ended(store, settings, "one"), ended(store, settings, "two")
    change_tags(store, [first], add=["paper"])
    pin(store, first)
    job = jobs.create_job(store, "export", "ann", {"file": "x", "format": "onnx"}, run_id=first)
    settings.job_dir(job.id).mkdir(parents=True)
    (settings.job_dir(job.id) / "x").write_bytes(b"y" * 500)
    save_comparison(store, "both", f"run={first}&run={second}&baseline={first}", "ann")
    save_comparison(store, "alone", f"run={first}", "ann")
    save_comparison(store, "other", f"run={second}&epoch={first}", "ann")
    assert all(rows_about(store, first)[name] for name in ("attempts", "series_chunks", "jobs"))

    plan = look_at_deletion(store, settings, [first])
    assert (plan.run_ids, plan.freed_bytes, plan.jobs) == ((first,), 1500, 1)
    assert set(plan.comparisons) == {"both", "alone"}
    assert runs.get_run(store, first)

    done = delete_runs(store, settings, [first, 99])
    assert (done.run_ids, done.refused, done.freed_bytes) == ((first,), {}, 1500)
    assert not any(rows_about(store, first).values())
    assert runs.runs_by_ids(store, [first]) == []
    assert not settings.run_dir(first).exists()
    assert not settings.job_dir(job.id).exists()
    assert settings.attempt_dir(second, 1).exists()
    assert rows_about(store, second)["attempts"] == 1
    assert baselines(store) == {}
    left = {row.name: row.query for row in list_comparisons(store)}
    assert left == {"both": f"run={second}", "other": f"run={second}&epoch={first}"}
    assert remove_leftovers(store, settings) == 0


def test_a_job_that_meets_a_deletion_finds_no_run(store: Store, settings: Settings) -> None:
    ready_dataset(store)
    run_id = ended(store, settings)
    problems: list[BaseException | None] = []

    def ask() -> None:
        with pytest.raises(NotFound, match=f"There is no run {run_id}") as problem:
            jobs.create_job(store, "export", "ann", {"file": "x", "format": "onnx"}, run_id=run_id)
        problems.append(problem.value)

    asking = threading.Thread(target=ask)
    with store.write() as conn:
        deletion._delete_rows(conn, [run_id])
        asking.start()
        asking.join(0.2)
        assert not problems
    asking.join(20)
    assert problems
    assert jobs.list_jobs(store) == []


def test_live_runs_are_refused_one_by_one(store: Store, settings: Settings) -> None:
    ready_dataset(store)
    done = ended(store, settings)
    waits = queued(store, "waits")
    found = delete_runs(store, settings, [waits.id, done])
    assert found.run_ids == (done,)
    assert found.refused == {waits.id: "It is queued; cancel it first."}
    assert runs.get_run(store, waits.id).status == "queued"


def test_a_study_loses_its_member_and_is_named(store: Store, settings: Settings) -> None:
    ready_dataset(store)
    study = create_study(store, "seeds", "ann", [spec("one"), spec("two")])
    lifecycle.request_cancel(store, study.run_ids[0])
    found = delete_runs(store, settings, study.run_ids)
    assert found.studies == ("seeds",)
    assert get_study(store, study.id).run_ids == study.run_ids[1:]


def test_a_run_that_a_step_may_choose_is_kept(store: Store, settings: Settings) -> None:
    ready_dataset(store)
    study = create_study(store, "ladder", "ann", [spec("one")])
    (run_id,) = study.run_ids
    lifecycle.request_cancel(store, run_id)
    step = {
        "study_id": study.id,
        "after": [],
        "when_failed": "continue",
        "owner": "ann",
        "priority": 0,
        "plan": {},
        "options": [],
    }
    with store.write() as conn:
        for position, state in enumerate(("ended", "waiting")):
            values = fresh(StudyStep, **step, position=position, name=str(position), state=state)
            conn.execute(insert(STUDY_STEPS).values(**values))
        first = conn.scalar(select(func.min(STUDY_STEPS.c.id)))
        conn.execute(insert(STEP_RUNS).values(run_id=run_id, step_id=first, place=0))
    found = delete_runs(store, settings, [run_id])
    assert found.run_ids == ()
    assert "“ladder” has steps to come" in found.refused[run_id]
    with store.write() as conn:
        conn.execute(STUDY_STEPS.update().values(state="ended"))
    assert delete_runs(store, settings, [run_id]).run_ids == (run_id,)


def test_a_run_that_another_begins_with_is_kept_until_then(
    store: Store, settings: Settings
) -> None:
    ready_dataset(store)
    parent = ended(store, settings)
    child = queued(store, "more epochs")
    with store.write() as conn:
        conn.execute(RUNS.update().where(RUNS.c.id == child.id).values(continues_run=parent))
    found = delete_runs(store, settings, [parent])
    assert found.run_ids == ()
    assert found.refused[parent].startswith(f"Run {child.id} will begin with its checkpoint")
    lifecycle.request_cancel(store, child.id)
    assert delete_runs(store, settings, [parent]).children == (child.id,)
    assert runs.get_run(store, child.id).continues_run == parent


def test_files_left_by_a_crash_are_removed_later(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_dataset(store)
    run_id = ended(store, settings)
    stranger = settings.run_dir(4711)
    stranger.mkdir()

    def crash(*_: object) -> int:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(deletion, "_remove", crash)
        with pytest.raises(SystemExit):
            delete_runs(store, settings, [run_id])
    assert runs.runs_by_ids(store, [run_id]) == []
    assert settings.run_dir(run_id).exists()
    assert remove_leftovers(store, settings) == 1000
    assert not settings.run_dir(run_id).exists()
    assert stranger.exists()  # nobody noted it: not ours to remove
    with store.read() as conn:
        assert conn.scalar(select(func.count()).select_from(LEFTOVERS)) == 0


def test_many_runs_go_in_parts(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    made = [queued(store, str(number)).id for number in range(5)]
    for run_id in made:
        lifecycle.request_cancel(store, run_id)
    assert delete_runs(store, settings, [*made, made[0]]).run_ids == tuple(made)


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    assert deletion.folder_bytes(tmp_path) < 200
    assert deletion.folder_bytes(tmp_path / "nowhere") == 0
