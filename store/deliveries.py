"""What webhooks are told: `queued → sending → delivered | failed`.

`sending → queued` with a later time while tries are left, or when the sender falls silent. Each
claim is a new try, and what became of it is written only by that try: nothing is sent twice, but
where a sender dies between its request and its note. Receivers can tell by the delivery's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from store.columns import fresh
from store.database import Store
from store.rows import DeliveryRow
from store.study_tables import DELIVERIES, STUDIES, Delivery
from store.values import is_id, plain_json
from trainer.errors import Conflict, NotFound

BACKOFF_S = (5.0, 30.0, 120.0, 600.0)
"""Pauses before the second try and those after it; then it is given up."""
MAX_TRIES = len(BACKOFF_S) + 1
LISTED = 20


def add_delivery(
    conn: Connection,
    store: Store,
    study: Any,
    event: str,
    payload: Mapping[str, Any],
    *,
    run_id: int | None = None,
    key: str | None = None,
) -> int:
    """Queue something for a study's webhook within the caller's transaction; return its id.

    Args:
        study: The study's row.
        key: Of what must be told once.
    """
    values = fresh(
        Delivery,
        study_id=study.id,
        run_id=run_id,
        key=key,
        event=event,
        url=study.webhook_url,
        payload=plain_json(dict(payload)),
        state="queued",
        created_at=store.clock(),
        due_at=store.clock(),
    )
    return int(conn.scalar(insert(DELIVERIES).values(**values).returning(DELIVERIES.c.id)) or 0)


def try_webhook(store: Store, study_id: int, sender: str) -> int:
    """Queue a test for a study's webhook, and return its id.

    Raises:
        NotFound: If there is no such study.
        Conflict: If it has no webhook.
    """
    with store.write() as conn:
        study = None
        if is_id(study_id):
            study = conn.execute(select(STUDIES).where(STUDIES.c.id == study_id)).one_or_none()
        if study is None:
            raise NotFound(f"There is no study {study_id}.")
        if not study.webhook_url:
            raise Conflict(f"Study {study_id} has no webhook.", "Give it an address first.")
        said = {
            "event": "test",
            "text": f"A test of study {study.name}'s webhook, sent by {sender}.",
            "study": {"id": study.id, "name": study.name, "owner": study.owner},
        }
        return add_delivery(conn, store, study, "test", said)


def claim_delivery(store: Store, lease_s: float) -> tuple[DeliveryRow, str] | None:
    """Take what is due and nobody is sending, and the secret to sign it with; None if nothing is.

    What was tried too often without a word is given up on the way.
    """
    with store.write() as conn:
        while True:
            row = conn.execute(
                select(DELIVERIES)
                .where(_free(store))
                .order_by(DELIVERIES.c.due_at, DELIVERIES.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None:
                return None
            if row.tries < MAX_TRIES:
                break
            conn.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.id == row.id)
                .values(state="failed", finished_at=store.clock(), lease_expires_at=None)
            )
        claimed = conn.execute(
            update(DELIVERIES)
            .where(DELIVERIES.c.id == row.id)
            .values(
                state="sending",
                tries=row.tries + 1,
                lease_expires_at=store.clock() + lease_s,
            )
            .returning(*DELIVERIES.c)
        ).one()
        secret = conn.scalar(
            select(STUDIES.c.webhook_secret).where(STUDIES.c.id == claimed.study_id)
        )
    return DeliveryRow(**claimed._mapping), secret or ""


def delivered(store: Store, delivery: DeliveryRow, outcome: Mapping[str, Any]) -> bool:
    """Note that the receiver took it; False if it is no longer this try's."""
    return _end_try(store, delivery, outcome, "delivered")


def not_delivered(
    store: Store, delivery: DeliveryRow, outcome: Mapping[str, Any], *, final: bool = False
) -> bool:
    """Note why a try failed, and when the next one is due; False if it is no longer this try's.

    Args:
        final: Whether another try would be of no use.
    """
    if final or delivery.tries >= MAX_TRIES:
        return _end_try(store, delivery, outcome, "failed")
    return _end_try(store, delivery, outcome, "queued", BACKOFF_S[delivery.tries - 1])


def deliveries_wait(store: Store) -> bool:
    """Tell whether something is due that nobody is sending."""
    with store.read() as conn:
        return conn.scalar(select(DELIVERIES.c.id).where(_free(store)).limit(1)) is not None


def list_deliveries(store: Store, study_id: int, limit: int = LISTED) -> list[DeliveryRow]:
    """Return a study's newest deliveries, newest first."""
    query = (
        select(DELIVERIES)
        .where(DELIVERIES.c.study_id == study_id)
        .order_by(DELIVERIES.c.id.desc())
        .limit(limit)
    )
    with store.read() as conn:
        return [DeliveryRow(**row._mapping) for row in conn.execute(query)]


def _free(store: Store) -> ColumnElement[bool]:
    now = store.clock()
    waits = and_(DELIVERIES.c.state == "queued", DELIVERIES.c.due_at <= now)
    silent = and_(DELIVERIES.c.state == "sending", DELIVERIES.c.lease_expires_at < now)
    return or_(waits, silent)


def _end_try(
    store: Store,
    delivery: DeliveryRow,
    outcome: Mapping[str, Any],
    state: str,
    pause_s: float | None = None,
) -> bool:
    mine = and_(
        DELIVERIES.c.id == delivery.id,
        DELIVERIES.c.tries == delivery.tries,
        DELIVERIES.c.state == "sending",
    )
    values: dict[str, Any] = {
        "state": state,
        "lease_expires_at": None,
        "outcomes": plain_json([*delivery.outcomes, dict(outcome)]),
    }
    with store.write() as conn:
        if pause_s is None:
            values["finished_at"] = store.clock()
        else:
            values["due_at"] = store.now(conn) + pause_s
        return conn.execute(update(DELIVERIES).where(mine).values(**values)).rowcount > 0
