"""Tells webhooks what has happened: one signed POST after another, each note kept with its try.

The address a name leads to is looked at here, at the moment of the call, and the connection is made
to that very address: a name that leads elsewhere a moment later gains nothing. Redirections are
not followed and proxies of the environment not asked.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from store import deliveries
from store.database import Store, Unavailable
from store.rows import DeliveryRow
from store.settings import Settings
from store.webhooks import may_be_called, refusal_remedy
from worker.programs import insist

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""For each of: connecting, sending, and each part of the answer."""
LEASE_S = 120.0
ANSWER_BYTES = 300
"""Of a refusal's text, kept for the study's page."""
AGAIN = frozenset({408, 425, 429})
"""Client errors after which another try may do; after others it will not."""

CERTIFICATE_REMEDY = (
    "It must name the host, and an authority must have signed it that the interactive worker "
    "trusts; SSL_CERT_FILE in the worker's environment names a file of such."
)


class NotCalled(Exception):
    """The address is one that is never called; another try is of no use."""


@dataclass(frozen=True)
class Answer:
    """What the receiver said."""

    status: int
    text: str


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of `X-Tuneboard-Signature`: HMAC-SHA256 of the time, a dot and the body."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def post(delivery: DeliveryRow, secret: str, hosts: Collection[str]) -> Answer:
    """Send a delivery.

    Args:
        hosts: May be called whatever their address.

    Raises:
        NotCalled: If the address must not be called.
        OSError, http.client.HTTPException: If it does not answer.
    """
    parts = urlsplit(delivery.url)
    said = {"delivery": delivery.id, **delivery.payload}
    body = json.dumps(said, ensure_ascii=False).encode()
    now = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Tuneboard",
        "X-Tuneboard-Event": delivery.event,
        "X-Tuneboard-Delivery": str(delivery.id),
        "X-Tuneboard-Timestamp": now,
        "X-Tuneboard-Signature": signature(secret, now, body),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(delivery.url, hosts)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(ANSWER_BYTES).decode("utf-8", "replace"))
    finally:
        connection.close()


class WebhookRunner:
    """Sends one delivery after another."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        draining: threading.Event,
        held: threading.Event,
    ) -> None:
        self._store = store
        self._settings = settings
        self._draining = draining
        self._held = held

    def work(self) -> None:
        """Send all that is due, in this thread."""
        try:
            while not (self._draining.is_set() or self._held.is_set()):
                claimed = deliveries.claim_delivery(self._store, LEASE_S)
                if claimed is None:
                    return
                self._send(*claimed)
        except Unavailable as error:
            log.warning("Could not look for webhooks to tell; the next tick will: %s", error)

    def has_work(self) -> bool:
        """Whether something is due that nobody is sending."""
        return deliveries.deliveries_wait(self._store)

    def _send(self, delivery: DeliveryRow, secret: str) -> None:
        began = time.monotonic()
        outcome: dict[str, Any] = {"at": time.time()}
        is_final = False
        try:
            answer = post(delivery, secret, self._settings.webhook_hosts)
        except NotCalled as why:
            is_final = True
            outcome["error"] = str(why)
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome["error"] = _words(error)
        else:
            outcome["status"] = answer.status
            is_final = 300 <= answer.status < 500 and answer.status not in AGAIN
            if not 200 <= answer.status < 300:
                outcome["error"] = " ".join(answer.text.split()) or "no words"
        outcome["seconds"] = round(time.monotonic() - began, 3)
        study, number = delivery.study_id, delivery.id
        if "error" in outcome:
            log.warning("Study %s: delivery %s failed: %s", study, number, outcome)
            insist(
                lambda: deliveries.not_delivered(self._store, delivery, outcome, final=is_final),
                self._draining,
            )
        else:
            log.info("Study %s: delivery %s has arrived", study, number)
            insist(lambda: deliveries.delivered(self._store, delivery, outcome), self._draining)


def _connection(url: str, hosts: Collection[str]) -> http.client.HTTPConnection:
    """Return a connection to an address that may be called."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _address(host, port, hosts)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    connection.sock = socket.create_connection((address, port), TIMEOUT_S)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        try:
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        except BaseException:
            connection.close()
            raise
    return connection


def _address(host: str, port: int, hosts: Collection[str]) -> str:
    """Return what the host's name leads to.

    Raises:
        NotCalled: If any of it must not be called.
    """
    found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not may_be_called(address, host, hosts):
            raise NotCalled(f"{host} leads to {address}. {refusal_remedy(host)}")
    return found[0]


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return f"its certificate is not accepted: {reason}. {CERTIFICATE_REMEDY}"
    return str(error) or type(error).__name__
