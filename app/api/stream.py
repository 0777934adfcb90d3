"""The live stream: server-sent events of runs and topics, resumed by a cursor."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.stream import Client, Tailer
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput, TuneboardError

RUNS_LIMIT = 500
RETRY_MS = 1_000
SEND_TIMEOUT_S = 20.0  # a client whose connection takes nothing for so long is dropped

_CURSOR = re.compile(r"[0-9]{1,10}:[0-9]{1,10}(,[0-9]{1,10}:[0-9]{1,10})*")

log = logging.getLogger(__name__)
router = APIRouter(tags=["stream"])


class EventStream(Response):
    """Sends what a client of the tailer gets, until one of the two ends."""

    media_type = "text/event-stream"

    def __init__(
        self, tailer: Tailer, cursor: dict[int, int], newest: dict[int, int], topics: list[str]
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        self._tailer = tailer
        self._cursor = cursor
        self._newest = newest
        self._topics = topics

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        with self._tailer.listen(self._cursor, self._newest, self._topics) as client:
            watch = asyncio.create_task(_leave_on_disconnect(client, receive))
            try:
                # No empty line: it would be an event, if an empty one, to some readers.
                frames = b"retry: %d\n" % RETRY_MS
                while frames:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await send(_body(frames, more=True))
                    frames = await client.frames()
            except TimeoutError:
                log.info("dropped a stream whose client read nothing for %s s", SEND_TIMEOUT_S)
                return
            except TuneboardError as error:
                log.warning("a stream ends: %s", error)
            finally:
                watch.cancel()
        await send(_body(b"", more=False))


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
)
async def stream(
    request: Request,
    run: Annotated[list[int] | None, Query(description="Runs whose events to send.")] = None,
    topic: Annotated[
        list[Literal["runs", "datasets", "workers", "notices"]] | None,
        Query(description="Lists of which to send changed rows."),
    ] = None,
    cursor: Annotated[
        str, Query(max_length=12_000, description="`run:seq,…`: where to go on.")
    ] = "",
    last_event_id: Annotated[
        str, Header(max_length=12_000, description="The `id` last received; before `cursor`.")
    ] = "",
) -> Response:
    """Send events of runs (`event: run`) and changed rows of lists (`event: runs`, …).

    Each `id` is the whole cursor, so that a browser that reconnects loses nothing. Without a
    cursor, a run's events come from its beginning.
    """
    run_ids = list(dict.fromkeys(run or ()))
    topics = list(dict.fromkeys(topic or ()))
    if not run_ids and not topics:
        raise InvalidInput.of(FieldError("run", None, "given, or `topic`"))
    if len(run_ids) > RUNS_LIMIT:
        raise InvalidInput.of(FieldError("run", len(run_ids), f"at most {RUNS_LIMIT} runs"))
    known = _positions(last_event_id or cursor)
    tailer = cast(Tailer, request.app.state.tailer)
    newest = await tailer.heads(run_ids)
    start = {run_id: known.get(run_id, 0) for run_id in run_ids}
    return EventStream(tailer, start, newest, [str(name) for name in topics])


async def _leave_on_disconnect(client: Client, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    client.leave()


def _body(data: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _positions(cursor: str) -> dict[int, int]:
    """Return the sequence number by run of a cursor.

    Raises:
        InvalidInput: If it is none of ours.
    """
    if not cursor:
        return {}
    if not _CURSOR.fullmatch(cursor):
        raise InvalidInput.of(FieldError("cursor", cursor[:80], "like 1:45,2:17"))
    pairs = (part.split(":") for part in cursor.split(","))
    return {int(run): min(int(seq), ID_LIMIT) for run, seq in pairs}
