from __future__ import annotations

from sqlalchemy import insert

from store.database import Store
from store.tables import ATTEMPTS, RUN_EVENTS
from store.wallclock import gaps
from tests.store.helpers import queued


def told(
    store: Store, run_id: int, attempts: int, *events: tuple[str, int | None, float, float | None]
) -> None:
    with store.write() as conn:
        for number in range(1, attempts + 1):
            conn.execute(
                insert(ATTEMPTS).values(
                    run_id=run_id, number=number, worker_id="w", started_at=0.0, detail=""
                )
            )
        for seq, (kind, step, time, elapsed_s) in enumerate(events, start=10):
            payload = {} if elapsed_s is None else {"elapsed_s": elapsed_s}
            conn.execute(
                insert(RUN_EVENTS).values(
                    run_id=run_id, seq=seq, kind=kind, step=step, time=time, payload=payload
                )
            )


def test_the_time_between_attempts_is_told_by_the_step_it_went_on_from(store: Store) -> None:
    run_id, whole = queued(store).id, queued(store).id
    told(
        store,
        run_id,
        3,
        ("run_started", 0, 1000.0, None),
        ("epoch_finished", 10, 1005.0, 5.0),
        ("epoch_finished", 20, 1010.0, 10.0),
        ("run_started", 20, 1100.0, None),
        ("epoch_finished", 30, 1106.0, 15.0),
        ("run_started", 30, 1200.0, None),
    )
    told(store, whole, 1, ("run_started", 0, 1.0, None), ("epoch_finished", 10, 9.0, 5.0))
    # The third attempt ended no epoch, so it has nothing to tell.
    assert gaps(store, [run_id, whole]) == {run_id: [(0, 0.0), (20, 91.0)]}
    assert gaps(store, []) == {}
