"""A live server on a database of its own, whose runs the tests themselves drive."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.main import create_app
from store import lifecycle
from store.database import Store, open_store
from store.settings import Settings
from tests.seeding import LEASE_S, Teller, add_digits
from tests.tuneboard.processes import until


class NoBell:
    """Nobody is there to hear."""

    def ring_train(self) -> None: ...

    def ring_interactive(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Served:
    """A running server and its store."""

    url: str
    store: Store
    settings: Settings

    def take_next(self) -> Teller:
        """Wait for a queued run and claim it as a worker would."""
        found: list[lifecycle.Claim] = []

        def claimed() -> bool:
            claim = lifecycle.claim(self.store, "lab:1:a", device="cpu", lease_s=LEASE_S)
            found.extend([claim] if claim else [])
            return bool(found)

        until(claimed, 10, "a run was queued")
        run = found[0].run
        return Teller(self.store, run.id, found[0].attempt, epochs=run.epochs, top=0.9)


@pytest.fixture
def served(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "tuneboard.db")
    listening = socket.create_server(("127.0.0.1", 0))
    settings = Settings(data_dir=folder, port=listening.getsockname()[1])
    store = open_store(settings)
    add_digits(store, settings)
    app = create_app(settings, store=store, bell=NoBell())
    config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started, 20, "the server started")
    url = f"http://127.0.0.1:{settings.port}"
    monkeypatch.setenv("TUNEBOARD_URL", url)
    yield Served(url, store, settings)
    server.should_exit = True
    thread.join(15)
    listening.close()


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], Any]], Future[Any]]]:
    """Run something beside the test; what it raises fails the test at its end."""
    with ThreadPoolExecutor() as pool:
        begun: list[Future[Any]] = []

        def begin(call: Callable[[], Any]) -> Future[Any]:
            begun.append(pool.submit(call))
            return begun[-1]

        yield begin
        for future in begun:
            future.result(20)
