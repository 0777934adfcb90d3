from __future__ import annotations

from typing import Any

from app.spec_queue import queue_of
from store.outlook import Outlook, Slots


def found(**changes: Any) -> Outlook:
    usual: dict[str, Any] = {
        "now": 0.0,
        "slots": (Slots("cpu", 2),),
        "running": (),
        "ahead": 0,
        "ahead_specs": (),
    }
    return Outlook(**{**usual, **changes})


def minutes(spec: Any) -> float | None:
    return spec.get("takes")


def test_with_a_free_slot_it_starts_at_once() -> None:
    queue = queue_of(found(running=(30.0,)), "auto", minutes)
    assert (queue.position, queue.starts_in_s) == (1, 0.0)
    assert "at once" in queue.text


def test_the_queue_is_played_through_the_slots() -> None:
    waits = found(running=(100.0, 10.0), ahead=2, ahead_specs=({"takes": 50.0}, {"takes": 70.0}))
    # The second slot takes the first run (10 + 50), then the other (60 + 70); the first is free
    # at 100.
    queue = queue_of(waits, "auto", minutes)
    assert queue.starts_in_s == 100.0
    assert queue.position == 3
    assert queue.text == "2 queued before it, 2 running."


def test_nobody_tells_what_is_not_known() -> None:
    assert queue_of(found(running=(None, 5.0)), "auto", minutes).starts_in_s is None
    waits = found(running=(1.0, 2.0), ahead=1, ahead_specs=({},))
    assert queue_of(waits, "auto", minutes).starts_in_s is None
    many = found(running=(1.0, 2.0), ahead=60, ahead_specs=({"takes": 1.0},) * 50)
    assert queue_of(many, "auto", minutes).starts_in_s is None


def test_without_a_worker_that_fits_it_says_so() -> None:
    assert "No training worker" in queue_of(found(slots=()), "auto", minutes).text
    assert "GPU" in queue_of(found(), "cuda", minutes).text
