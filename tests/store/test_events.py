from __future__ import annotations

from store import events, ingest, lifecycle
from store.database import Store
from tests.store.helpers import epoch, log, progress, queued, running
from trainer import events as said


def test_events_come_in_order_after_a_number(store: Store) -> None:
    run_id = running(store).run.id
    lifecycle.record(store, run_id, 1, lease_s=60, events=[log(str(n)) for n in range(5)])
    rows = events.events_after(store, run_id, 3, limit=2)
    assert [(row.seq, row.payload["message"]) for row in rows] == [(4, "1"), (5, "2")]
    assert events.events_after(store, run_id, 7) == []
    assert [row.seq for row in events.events_after(store, run_id, -5)] == [1, 2, 3, 4, 5, 6, 7]


def test_strange_numbers_find_nothing(store: Store) -> None:
    assert events.events_after(store, 2**40, 0) == []
    assert events.events_after(store, 1, 2**70) == []
    assert events.log_lines(store, 2**40) == []


def test_heads_say_status_and_newest_number(store: Store) -> None:
    run_id = running(store).run.id
    waiting = queued(store).id
    lifecycle.record(store, run_id, 1, lease_s=60, events=[progress(1), log("a")])
    assert events.heads(store, [run_id, waiting, 99, 2**40]) == {
        run_id: ("running", 4),
        waiting: ("queued", 1),
    }
    assert events.heads(store, []) == {}


def test_phases_add_up_over_epochs_and_what_was_taken_back_does_not_count(store: Store) -> None:
    run_id = running(store).run.id
    assert not any(events.phase_seconds(store, run_id).values())
    told = [epoch(number, seconds=said.PhaseSeconds(data=0.5, compute=2)) for number in (1, 2)]
    lifecycle.record(store, run_id, 1, lease_s=60, events=told)
    phases = {"data": 1.0, "compute": 4.0, "validation": 0.0, "checkpoint": 0.0}
    assert events.phase_seconds(store, run_id) == phases
    ingest.rewind(store, run_id, 1, offset=10, step=10, epochs=1)
    assert events.phase_seconds(store, run_id)["compute"] == 2.0


def test_the_log_is_its_newest_lines_oldest_first(store: Store) -> None:
    run_id = running(store).run.id
    warned = said.Warned(time=2.0, title="Slow disk", detail="9 MB/s")
    failed = said.RunFailed(time=3.0, title="t", detail="d")
    lifecycle.record(
        store, run_id, 1, lease_s=60, events=[log("a"), log("b"), progress(1), warned, failed]
    )
    assert [row.kind for row in events.log_lines(store, run_id)] == [
        "log",
        "log",
        "warning",
        "run_failed",
    ]
    assert [row.kind for row in events.log_lines(store, run_id, limit=2)] == [
        "warning",
        "run_failed",
    ]


def test_a_log_is_searched_in_all_that_its_lines_say(store: Store) -> None:
    claim = running(store)
    warning = said.Warned(time=1.0, title="Slow", detail="100 % idle", remedy="Buy a DISK")
    said_lines = [log("The first line"), warning, log("a second LINE"), log("100 lines of it")]
    lifecycle.record(store, claim.run.id, 1, lease_s=60, events=said_lines)

    def found(text: str) -> list[str]:
        rows = events.log_lines(store, claim.run.id, 500, text)
        assert events.log_length(store, claim.run.id, text) == len(rows)
        return [row.payload.get("message", row.payload.get("title", "")) for row in rows]

    assert found("line") == ["The first line", "a second LINE", "100 lines of it"]
    assert found("disk") == ["Slow"]
    assert found("0 %") == ["Slow"]
    assert found("nowhere") == []
    assert len(found("")) == 4
    assert len(events.log_lines(store, claim.run.id, 1, "line")) == 1
    assert [row.payload["title"] for row in events.warnings(store, claim.run.id)] == ["Slow"]
