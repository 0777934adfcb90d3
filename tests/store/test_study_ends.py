"""When studies end, are stopped, get members, and what their webhooks are told then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from store import deliveries, lifecycle, runs, studies, workers
from store.database import Store
from store.notices import ended_lately
from store.rows import StudyRow
from store.study_ends import note_ends, stop_study
from store.study_results import best_by_study, members
from store.webhooks import Webhook
from tests.store.helpers import claimed, epoch, queued, ready_dataset, spec, started
from trainer.errors import Conflict, InvalidInput, NotFound
from trainer.planning import plan
from trainer.recipes import as_recipe

HOOK = Webhook("https://lab.example/hook")


def made(store: Store, count: int = 2, webhook: Webhook = HOOK) -> StudyRow:
    ready_dataset(store)
    specs = [spec(f"run {number}") for number in range(count)]
    return studies.create_study(store, "both", "ann", specs, webhook=webhook)


def end_next(store: Store, accuracy_epoch: int = 1) -> int:
    found = claimed(store)
    lifecycle.record(
        store,
        found.run.id,
        found.attempt,
        lease_s=60,
        events=[started(), epoch(accuracy_epoch)],
    )
    lifecycle.finish(store, found.run.id, found.attempt, "succeeded")
    return found.run.id


def test_a_study_ends_once_and_its_webhook_is_told_what_came_of_it(store: Store) -> None:
    study = made(store)
    end_next(store, 3)
    assert note_ends(store) == []
    assert studies.get_study(store, study.id).ended_at is None
    second = end_next(store, 5)
    [sent] = note_ends(store)
    assert note_ends(store) == []
    [told] = deliveries.list_deliveries(store, study.id)
    assert (told.id, told.event, told.url, told.state) == (sent, "study.ended", HOOK.url, "queued")
    assert told.payload["best"]["id"] == second
    assert told.payload["study"]["counts"] == {"succeeded": 2}
    assert told.payload["text"] == (
        f"Study both has ended: 2 succeeded. Best validation accuracy 50.00%: run {second}, run 1."
    )
    ended = studies.get_study(store, study.id).ended_at
    assert ended == runs.get_run(store, second).finished_at
    assert [(one.kind, one.how) for one in ended_lately(store)] == [
        ("run", "succeeded"),
        ("run", "succeeded"),
        ("study", "ended"),
    ]


def test_many_lookers_tell_it_once(store: Store) -> None:
    study = made(store)
    end_next(store)
    end_next(store)
    with ThreadPoolExecutor(6) as pool:
        sent = [one for found in pool.map(lambda _: note_ends(store), range(12)) for one in found]
    assert len(sent) == 1
    assert len(deliveries.list_deliveries(store, study.id)) == 1


def test_each_run_is_told_if_that_is_asked_for_and_those_before_are_not(store: Store) -> None:
    study = made(store, 3)
    end_next(store)
    assert note_ends(store) == []
    studies.change_study(store, study.id, webhook=Webhook(HOOK.url, each_run=True))
    assert note_ends(store) == []
    second = end_next(store)
    assert len(note_ends(store, study.id)) == 1
    third = end_next(store)
    assert len(note_ends(store)) == 2
    told = deliveries.list_deliveries(store, study.id)
    assert [(one.event, one.run_id) for one in told] == [
        ("study.ended", None),
        ("run.ended", third),
        ("run.ended", second),
    ]


def test_without_a_webhook_the_end_is_noted_and_nobody_told(store: Store) -> None:
    study = made(store, 1, Webhook())
    end_next(store)
    assert note_ends(store) == []
    assert studies.get_study(store, study.id).ended_at is not None


def test_a_run_that_joins_reopens_a_study_that_is_told_of_again(store: Store) -> None:
    study = made(store, 1)
    end_next(store)
    note_ends(store)
    runs.create_run(store, spec("more"), owner="ann", study_id=study.id)
    assert studies.get_study(store, study.id).ended_at is None
    end_next(store)
    assert len(note_ends(store)) == 1


def test_stopping_what_waits_lets_the_running_run_end(store: Store) -> None:
    study = made(store, 3)
    busy = claimed(store).run.id
    stopped = stop_study(store, study.id, "waiting", "ann")
    assert stopped.stopped_at is not None
    assert stopped.counts == {"running": 1, "cancelled": 2}
    assert not runs.get_run(store, busy).cancel_requested
    stop_study(store, study.id, "all", "ann")
    assert runs.get_run(store, busy).cancel_requested
    lifecycle.finish(store, busy, 1, "cancelled")
    [sent] = note_ends(store)
    assert "was stopped" in deliveries.list_deliveries(store, study.id)[0].payload["text"]
    assert sent
    with pytest.raises(Conflict, match="has ended"):
        stop_study(store, study.id)


def test_a_stopped_study_begins_no_further_step(store: Store) -> None:
    ready_dataset(store)
    first = {**spec("one").model_dump(mode="json")}
    second = {"from": "best_of(sweep, best_val_accuracy)", "training": {"epochs": 2}}
    planned = plan(
        as_recipe(
            {"steps": [{"name": "sweep", "runs": [first]}, {"name": "next", "runs": [second]}]}
        )
    )
    study = studies.create_study(store, "steps", "ann", steps=planned)
    stopped = stop_study(store, study.id, "all", "ann")
    assert [step.state for step in stopped.steps] == ["running", "skipped"]
    assert stopped.steps[1].reason == "ann stopped the study."


def test_members_join_all_or_none(store: Store) -> None:
    study = made(store, 1)
    other = studies.create_study(store, "other", "ann", [spec("theirs")])
    free, elsewhere = queued(store), queued(store)
    faces, _ = runs.create_run(store, spec(dataset="faces"), owner="ann")
    with pytest.raises(Conflict, match=f"belongs to study {other.id}"):
        studies.add_members(store, study.id, [free.id, other.run_ids[0]])
    with pytest.raises(InvalidInput, match="study's dataset, digits"):
        studies.add_members(store, study.id, [free.id, faces.id])
    with pytest.raises(NotFound, match="no run 999"):
        studies.add_members(store, study.id, [free.id, 999])
    with pytest.raises(NotFound, match="no study 99"):
        studies.add_members(store, 99, [free.id])
    joined = studies.add_members(store, study.id, [free.id, elsewhere.id, free.id])
    assert joined.run_ids == (*study.run_ids, free.id, elsewhere.id)


def test_studies_are_found_by_text_owner_and_state_page_after_page(store: Store) -> None:
    ready_dataset(store)
    old = studies.create_study(store, "Rates of 100%", "ann", [spec()], note="why not")
    end_next(store)
    new = studies.create_study(store, "Depths", "ben", [spec()])
    stopped = studies.create_study(store, "Widths", "ben", [spec()])
    stop_study(store, stopped.id)

    def found(**wanted: object) -> list[int]:
        return [row.id for row in studies.find_studies(store, **wanted).rows]  # type: ignore[arg-type]  # by name

    assert found() == [stopped.id, new.id, old.id]
    assert found(text="100%") == found(text="WHY NOT") == found(text=f"#{old.id}") == [old.id]
    assert found(owner="ben") == [stopped.id, new.id]
    assert found(state="active") == [new.id]
    assert found(state="ended") == [stopped.id, old.id]
    assert found(state="stopped") == [stopped.id]
    assert studies.study_owners(store) == ["ann", "ben"]
    page = studies.find_studies(store, limit=2)
    assert [row.id for row in page.rows] == [stopped.id, new.id]
    assert page.next_cursor is not None
    last = studies.find_studies(store, limit=2, cursor=page.next_cursor)
    assert ([row.id for row in last.rows], last.next_cursor) == ([old.id], None)
    with pytest.raises(InvalidInput, match="cursor"):
        studies.find_studies(store, cursor="x")


def test_results_are_light_and_the_best_is_the_oldest_of_equals(store: Store) -> None:
    study = made(store, 3)
    first, second = end_next(store, 4), end_next(store, 4)
    found = members(store, study.id)
    assert [(one.run_id, one.accuracy) for one in found] == [
        (first, pytest.approx(0.4)),
        (second, pytest.approx(0.4)),
        (study.run_ids[2], None),
    ]
    assert best_by_study(store, [study.id, 99])[study.id].run_id == first


def test_a_changed_address_gets_a_new_secret_and_the_same_one_keeps_its_own(store: Store) -> None:
    study = made(store)
    assert len(study.webhook_secret) >= 32
    assert study.webhook_secret not in repr(study)
    same = studies.change_study(store, study.id, webhook=Webhook(HOOK.url, each_run=True))
    assert same.webhook_secret == study.webhook_secret
    assert same.webhook_runs_since is not None
    changed = studies.change_study(store, study.id, webhook=Webhook("https://b.example"), note="n")
    assert changed.webhook_secret not in {"", study.webhook_secret}
    assert (changed.note, changed.name) == ("n", "both")
    gone = studies.change_study(store, study.id, webhook=Webhook(), name="new")
    assert (gone.webhook_url, gone.webhook_secret, gone.name) == ("", "", "new")


def test_deliveries_are_claimed_once_and_tried_again_a_bounded_number_of_times(
    store: Store,
) -> None:
    study = made(store)
    sent = deliveries.try_webhook(store, study.id, "ann")
    found = deliveries.claim_delivery(store, 60)
    assert found is not None
    delivery, secret = found
    assert (delivery.id, delivery.tries, secret) == (sent, 1, study.webhook_secret)
    assert deliveries.claim_delivery(store, 60) is None
    assert deliveries.not_delivered(store, delivery, {"error": "no"})
    assert not deliveries.delivered(store, delivery, {"status": 200})  # its try is over
    assert deliveries.claim_delivery(store, 60) is None  # not due yet
    assert not deliveries.deliveries_wait(store)
    for number in range(2, deliveries.MAX_TRIES + 1):
        make_due(store)
        again = deliveries.claim_delivery(store, 60)
        assert again is not None
        assert again[0].tries == number
        deliveries.not_delivered(store, again[0], {"error": f"no {number}"})
    [row] = deliveries.list_deliveries(store, study.id)
    assert (row.state, len(row.outcomes)) == ("failed", deliveries.MAX_TRIES)


def test_a_silent_senders_delivery_is_taken_by_another(store: Store) -> None:
    study = made(store)
    deliveries.try_webhook(store, study.id, "ann")
    first = deliveries.claim_delivery(store, -1)
    second = deliveries.claim_delivery(store, 60)
    assert first is not None
    assert second is not None
    assert (first[0].id, second[0].tries) == (second[0].id, 2)
    assert not deliveries.delivered(store, first[0], {"status": 200})
    assert deliveries.delivered(store, second[0], {"status": 204})
    assert deliveries.claim_delivery(store, 60) is None


def test_a_test_needs_a_webhook(store: Store) -> None:
    study = made(store, webhook=Webhook())
    with pytest.raises(Conflict, match="no webhook"):
        deliveries.try_webhook(store, study.id, "ann")
    with pytest.raises(NotFound):
        deliveries.try_webhook(store, 99, "ann")


def make_due(store: Store) -> None:
    from sqlalchemy import update

    from store.study_tables import DELIVERIES

    with store.write() as conn:
        conn.execute(update(DELIVERIES).values(due_at=0.0))


def test_workers_asked_to_drain_are_not_counted_on(store: Store) -> None:
    from store.rows import WorkerRow

    made(store, 1)
    run_id = runs.list_runs(store).rows[0].id
    workers.beat(store, WorkerRow("w", "train", "h", 1, "cpu", 1, 1.0))
    workers.request_drain(store, "w")
    place = runs.queue_place(store, run_id)
    assert place is not None
    assert place.waiting_for == "worker"
