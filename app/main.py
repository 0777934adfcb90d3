"""Puts the web process together: `create_app` from settings, and what lives as long as it does."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from types import FrameType

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.middleware.gzip import GZipMiddleware

from app import api, errors, login, pages
from app.dependencies import Rings, SettingsDep
from app.latebell import LateBell
from app.pages.routes import router as pages_router
from app.resumable import remove_left_alone
from app.security import Guard, access_tokens
from app.signing import signer
from app.stream import Tailer
from app.uploads import remove_stale
from store.database import Store, open_store
from store.deletion import remove_leftovers
from store.settings import Settings

GZIP_FROM_BYTES = 1024
GZIP_LEVEL = 5  # twice as fast as 9 for 2 % more bytes, measured on a run list of 200 KB


class Health(BaseModel):
    """The web process is ready."""

    status: str = Field(examples=["ok"])
    version: str = Field(examples=["0.1.0"])
    installation: str = Field(description="Tells one installation's server from another's.")


def create_app(
    settings: Settings | None = None, *, store: Store | None = None, bell: Rings | None = None
) -> FastAPI:
    """Return the application.

    Args:
        settings: Read from the environment where left out.
        store: Opened from the settings where left out.
        bell: Rings the settings' queues where left out.

    Raises:
        InvalidInput: If an access token of the settings cannot be used.
    """
    settings = settings or Settings()
    tokens = access_tokens(settings)
    app = FastAPI(
        title="Tuneboard",
        version=version("tuneboard"),
        description="Launch transfer-learning runs and compare them. Errors come as "
        "`application/problem+json`; times are Unix seconds.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # FastAPI's page of documentation loads scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.store = store or open_store(settings)
    app.state.bell = bell or LateBell(settings)
    app.state.tailer = Tailer(app.state.store)
    errors.install(app, pages.render_problem)
    # The last added is the outermost: every answer, of an error too, passes through the guard.
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(errors.ErrorBoundary)
    app.add_middleware(Guard, settings=settings, signer=signer(settings), tokens=tokens)
    app.add_api_route("/healthz", _health, response_model=Health, tags=["health"])
    app.include_router(api.router)
    api.describe(app)
    app.include_router(login.router)
    app.include_router(pages_router)
    pages.mount_static(app)
    return app


def _health(settings: SettingsDep) -> Health:
    """Answer as soon as the server is ready."""
    return Health(status="ok", version=version("tuneboard"), installation=settings.queue_prefix)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.store.migrate()
    _settle_memory()
    remove_stale(app.state.settings)
    remove_left_alone(app.state.settings)
    remove_leftovers(app.state.store, app.state.settings)
    try:
        with _streams_end_on_signals(app.state.tailer):
            yield
    finally:
        await app.state.tailer.close()
        app.state.bell.close()
        app.state.store.dispose()


def _settle_memory() -> None:
    """Keep what was loaded at the start out of garbage collections, which took 0.1 s with it."""
    if threading.current_thread() is threading.main_thread():  # a server's process, not a test's
        gc.freeze()


@contextmanager
def _streams_end_on_signals(tailer: Tailer) -> Iterator[None]:
    """End the open streams when the server is told to stop.

    uvicorn waits for open connections before it tells the application anything, so a page left
    open would hold the process up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may listen to signals
        return
    loop = asyncio.get_running_loop()
    servers: dict[int, Callable[[int, FrameType | None], object]] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tailer.stop)
        servers[number](number, frame)

    for watched in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(watched)
        if callable(handler):  # otherwise this server listens in its own way
            servers[watched] = handler
            signal.signal(watched, stop)
    try:
        yield
    finally:
        for number, server in servers.items():
            signal.signal(number, server)
