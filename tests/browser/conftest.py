"""A server on a seeded database, and a Chromium that can reach nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from app.dependencies import Rings
from app.main import create_app
from store.database import Store, open_store
from store.runs import create_run
from store.settings import Settings
from tests.seeding import Seeded, Teller, claim, run_spec, seed
from tests.tuneboard.upped import Upped

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Every name and address but the server's leads nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

expect.set_options(timeout=20_000)  # the browser shares two cores with everything else


class NoBell:
    """Nobody is there to hear: these tests tell the runs' stories themselves."""

    def ring_train(self) -> None: ...

    def ring_interactive(self) -> None: ...

    def close(self) -> None: ...


class StreamCounter:
    """ASGI middleware that counts the streams that are open."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counts = scope["type"] == "http" and scope["path"] == "/api/v1/stream"
        self.open += counts
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= counts


@dataclass
class Server:
    """A running Tuneboard, with its store at hand."""

    address: str
    store: Store
    settings: Settings
    seeded: Any
    streams: StreamCounter
    _names: Counter[str] = field(default_factory=Counter)

    def started_run(self, epochs: int = 6, **changes: Any) -> Teller:
        """Queue a run, take it, and begin its story."""
        run, _ = create_run(
            self.store,
            run_spec("a live run", training={"epochs": epochs}, **changes),
            owner="local",
            priority=900,
        )
        teller = Teller(
            self.store, run.id, claim(self.store, run.id), epochs=epochs, top=0.9, speed=0.5
        )
        teller.start()
        return teller


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings, listening = settings_and_listener(tmp_path_factory.mktemp("served"))
    store = open_store(settings)
    store.migrate()
    with served(settings, store, listening, seed(store, settings), NoBell()) as running:
        yield running


def settings_and_listener(folder: Path, **values: Any) -> tuple[Settings, socket.socket]:
    """Return the settings of a server to be, and the socket it will listen on."""
    listening = socket.create_server(("127.0.0.1", 0))
    return Settings(data_dir=folder, port=listening.getsockname()[1], **values), listening


@contextmanager
def served(
    settings: Settings, store: Store, listening: socket.socket, seeded: Seeded | None, bell: Rings
) -> Iterator[Server]:
    """Run the web server from a thread while the block runs."""
    streams = StreamCounter(create_app(settings, store=store, bell=bell))
    running = uvicorn.Server(
        uvicorn.Config(streams, log_level="warning", ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.started, "the server did not start"
    yield Server(f"http://127.0.0.1:{settings.port}", store, settings, seeded, streams)
    running.should_exit = True
    thread.join(15)
    listening.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "chromium is not installed; run .ci/run, or apt-get install it"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield opened
        opened.close()


def watched(context: BrowserContext, address: str) -> list[str]:
    """Note what no page may do: ask another host for anything, or write an error."""
    faults: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # A form sent back with mistakes is a page with status 422, which Chromium reports.
        if message.type == "error" and "status of 4" not in message.text:
            faults.append(f"console: {message.text}")

    context.on(
        "request",
        lambda request: (
            request.url.startswith((address, "data:", "blob:"))
            or faults.append(f"asked for {request.url}")
        ),
    )
    context.on("console", on_console)
    context.on("weberror", lambda error: faults.append(f"error: {error.error}"))
    return faults


@pytest.fixture
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=server.address, viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(15_000)
    faults = watched(opened, server.address)
    yield opened
    opened.close()
    assert faults == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def traces(page: Page, plot: str) -> Any:
    """Return the traces of a drawn figure: {meta, x, y, colour, dash} each."""
    page.wait_for_function("id => document.getElementById(id)?.data !== undefined", arg=plot)
    return page.evaluate(
        """id => document.getElementById(id).data.map(trace => ({
            name: trace.name, meta: trace.meta, x: Array.from(trace.x ?? []),
            y: Array.from(trace.y ?? []), colour: trace.line?.color, dash: trace.line?.dash}))""",
        plot,
    )


def wait_for_points(page: Page, plot: str, series: str, count: int, run: int | None = None) -> None:
    """Wait until the trace of a series has that many points."""
    page.wait_for_function(
        """([id, series, count, run]) => document.getElementById(id)?.data?.some(trace =>
            trace.meta?.series === series && (run === null || trace.meta.run === run)
            && trace.x.length === count)""",
        arg=[plot, series, count, run],
        timeout=120_000,  # the points may come from real training
    )


def scroll_to_part(page: Page, name: str) -> None:
    """Scroll to a part, which the parts before it may push away as they come, until it is there."""
    page.wait_for_function(
        """id => {
            const part = document.getElementById(id);
            if (part.dataset.loaded && !part.hasAttribute("aria-busy")) return true;
            part.scrollIntoView();
            return false;
        }""",
        arg=name,
        polling=200,
    )


@pytest.fixture
def upped(tmp_path: Path) -> Iterator[Upped]:
    made = Upped(tmp_path / "data")
    made.start()
    yield made
    made.end()


@pytest.fixture
def visit(browser: Browser, upped: Upped) -> Iterator[Page]:
    """A page of a whole Tuneboard, which may not complain of anything."""
    context = browser.new_context(base_url=upped.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    faults = watched(context, upped.url)
    yield context.new_page()
    context.close()
    assert faults == []
