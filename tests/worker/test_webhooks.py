"""Webhooks told by the interactive worker, against a receiver on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import update

from store import deliveries, lifecycle, studies
from store.rows import DeliveryRow, StudyRow
from store.tables import DELIVERIES
from store.webhooks import Webhook
from tests.store.helpers import spec
from tests.worker.house import House, wait_until
from worker.bell import Bell
from worker.interactive import Interactive
from worker.steps import go_on
from worker.webhooks import WebhookRunner


class Receiver:
    """Answers with the statuses given, one after the other and the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heard.append((self.path, dict(self.headers), body))
                left = outer.statuses
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(b"so it is")

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?lab=1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver(200)
    yield opened
    opened.close()


def made(house: House, url: str) -> StudyRow:
    specs = [spec("one", dataset="shapes")]
    return studies.create_study(house.store, "S", "ann", specs, webhook=Webhook(url))


def sender(house: House, hosts: tuple[str, ...] = ("127.0.0.1",)) -> WebhookRunner:
    settings = house.settings.model_copy(update={"webhook_hosts": hosts})
    return WebhookRunner(house.store, settings, threading.Event(), threading.Event())


def only(house: House, study: StudyRow) -> DeliveryRow:
    [row] = deliveries.list_deliveries(house.store, study.id)
    return row


def make_due(house: House) -> None:
    with house.store.write() as conn:
        conn.execute(update(DELIVERIES).values(due_at=0.0))


def test_the_end_of_a_study_is_told_once_and_signed(house: House, receiver: Receiver) -> None:
    study = made(house, receiver.url)
    bell = Bell(house.settings)
    lifecycle.request_cancel(house.store, study.run_ids[0])
    go_on(house.store, bell, study.id)
    go_on(house.store, bell)
    sender(house).work()
    sender(house).work()
    [(path, headers, body)] = receiver.heard
    said = json.loads(body)
    row = only(house, study)
    assert path == "/hook?lab=1"
    assert (said["event"], said["delivery"], said["study"]["id"]) == (
        "study.ended",
        row.id,
        study.id,
    )
    assert headers["X-Tuneboard-Event"] == "study.ended"
    assert headers["X-Tuneboard-Delivery"] == str(row.id)
    signed = headers["X-Tuneboard-Timestamp"].encode() + b"." + body
    right = hmac.new(study.webhook_secret.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Tuneboard-Signature"] == f"sha256={right}"
    assert (row.state, [one["status"] for one in row.outcomes]) == ("delivered", [200])
    bell.close(0.1)


def test_an_error_of_the_receiver_is_followed_by_another_try(
    house: House, receiver: Receiver
) -> None:
    receiver.statuses = [500, 200]
    study = made(house, receiver.url)
    deliveries.try_webhook(house.store, study.id, "ann")
    sender(house).work()
    waiting = only(house, study)
    assert (waiting.state, waiting.outcomes[0]["status"]) == ("queued", 500)
    assert waiting.outcomes[0]["error"] == "so it is"
    assert len(receiver.heard) == 1  # the second try waits its time
    make_due(house)
    sender(house).work()
    row = only(house, study)
    assert (row.state, [one["status"] for one in row.outcomes]) == ("delivered", [500, 200])
    ids = {json.loads(body)["delivery"] for _, _, body in receiver.heard}
    assert ids == {row.id}


@pytest.mark.parametrize("status", [302, 404])
def test_what_another_try_would_not_mend_is_final(
    house: House, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]
    study = made(house, receiver.url)
    deliveries.try_webhook(house.store, study.id, "ann")
    sender(house).work()
    assert (only(house, study).state, len(receiver.heard)) == ("failed", 1)


def test_a_refused_connection_is_tried_a_bounded_number_of_times(
    house: House, receiver: Receiver
) -> None:
    study = made(house, receiver.url)
    receiver.close()
    deliveries.try_webhook(house.store, study.id, "ann")
    for _ in range(deliveries.MAX_TRIES + 2):
        make_due(house)
        sender(house).work()
    row = only(house, study)
    assert (row.state, len(row.outcomes)) == ("failed", deliveries.MAX_TRIES)
    assert "refused" in row.outcomes[0]["error"].lower()


def test_a_name_that_leads_to_this_machine_is_not_called(house: House, receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "localhost")
    study = made(house, url)
    deliveries.try_webhook(house.store, study.id, "ann")
    sender(house, hosts=()).work()
    row = only(house, study)
    assert (row.state, receiver.heard) == ("failed", [])
    assert "TUNEBOARD_WEBHOOK_HOSTS" in row.outcomes[0]["error"]


def test_the_interactive_worker_tells_and_holds_when_asked(
    house: House, receiver: Receiver
) -> None:
    study = made(house, receiver.url)
    bell = Bell(house.settings)
    settings = house.settings.model_copy(update={"webhook_hosts": ("127.0.0.1",)})
    hand = Interactive(house.store, settings, bell)
    hand.hold(True)
    deliveries.try_webhook(house.store, study.id, "ann")
    hand.wake()
    assert not hand.has_free_slot
    hand.hold(False)  # wakes it
    wait_until(lambda: only(house, study).state == "delivered")
    assert len(receiver.heard) == 1
    hand.drain()
    assert hand.wait_until_idle(10)
    bell.close(0.1)
