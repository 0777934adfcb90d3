"""Webhooks told by the interactive worker, against a receiver on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from store import deliveries, lifecycle, studies
from store.rows import DeliveryRow, StudyRow
from store.study_tables import DELIVERIES
from store.webhooks import Webhook
from tests.store.helpers import spec
from tests.worker.house import House, wait_until
from worker.bell import Bell
from worker.interactive import Interactive
from worker.steps import go_on
from worker.webhooks import WebhookRunner


@dataclass(frozen=True)
class Certificate:
    """A host's, signed by itself."""

    path: Path
    key: Path


class Receiver:
    """Answers with the statuses given, one after the other and the last for ever."""

    def __init__(self, *statuses: int, certificate: Certificate | None = None) -> None:
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
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.path, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}/hook?lab=1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver(200)
    yield opened
    opened.close()


def certificate_of(folder: Path, address: str) -> Certificate:
    made = Certificate(folder / f"{address}.pem", folder / f"{address}-key.pem")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    name = ("-subj", "/CN=receiver", "-addext", f"subjectAltName=IP:{address}")
    files = ("-out", made.path, "-keyout", made.key)
    command = ["openssl", "req", "-x509", *curve, *name, *files]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return certificate_of(tmp_path, "127.0.0.1")


@pytest.fixture
def secure_receiver(certificate: Certificate) -> Iterator[Receiver]:
    opened = Receiver(200, certificate=certificate)
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


def test_a_receiver_whose_certificate_is_trusted_is_told_by_https(
    house: House,
    secure_receiver: Receiver,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    study = made(house, secure_receiver.url)
    deliveries.try_webhook(house.store, study.id, "ann")
    sender(house).work()
    assert (only(house, study).state, len(secure_receiver.heard)) == ("delivered", 1)


def test_a_receiver_whose_certificate_is_not_trusted_is_told_nothing_and_the_page_why(
    house: House, secure_receiver: Receiver
) -> None:
    study = made(house, secure_receiver.url)
    deliveries.try_webhook(house.store, study.id, "ann")
    sender(house).work()
    row = only(house, study)
    assert (row.state, secure_receiver.heard) == ("queued", [])  # it is tried again
    assert row.outcomes[0]["error"].startswith("its certificate is not accepted: self-signed")
    assert "SSL_CERT_FILE" in row.outcomes[0]["error"]


def test_a_certificate_for_another_host_is_not_accepted(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate_of(tmp_path, "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.path))
    receiver = Receiver(200, certificate=other)
    study = made(house, receiver.url)
    deliveries.try_webhook(house.store, study.id, "ann")
    sender(house).work()
    receiver.close()
    assert receiver.heard == []
    assert "not valid for '127.0.0.1'" in only(house, study).outcomes[0]["error"]


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
