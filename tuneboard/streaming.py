"""The client's live stream: events of runs as they happen, and waiting for their ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import SSEError, connect_sse

from tuneboard.connection import Connection
from tuneboard.problems import problem_of

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
_RECONNECT_S = 1.0
_SILENCE_S = 40.0  # the server's stream says something at least every 15 s
_LOOK_AT_CLOCK_S = 2.0  # a stream with a deadline that is silent so long is connected anew


@dataclass(frozen=True)
class StreamedEvent:
    """One event of a run as live pages get it."""

    run_id: int
    seq: int
    """Its number within the run, from 1 and without gaps but for outdated progress."""
    kind: str
    """`epoch_finished`, `progress`, `state`, …"""
    payload: dict[str, Any]


class StreamCalls(Connection):
    """The part of `tuneboard.Client` that listens to runs."""

    def run(self, run_id: int) -> dict[str, Any]:
        """Return a run: its spec, state, progress and newest metrics."""
        return self._object("GET", f"runs/{run_id}")

    def wait(
        self,
        *run_ids: int,
        on_event: Callable[[StreamedEvent], None] | None = None,
        timeout_s: float | None = None,
    ) -> list[dict[str, Any]]:
        """Return the runs once all have ended, telling `on_event` of everything on the way.

        Raises:
            TimeoutError: If they have not ended within `timeout_s`.
        """
        waiting = set(run_ids)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with closing(self.stream(*run_ids, deadline=deadline)) as events:
            for event in events:
                if on_event is not None:
                    on_event(event)
                if event.kind == "state" and event.payload["status"] in TERMINAL:
                    waiting.discard(event.run_id)
                if not waiting:
                    return [self.run(run_id) for run_id in run_ids]
        raise TimeoutError(f"Runs {sorted(waiting)} had not ended after {timeout_s} s.")

    def stream(
        self,
        *run_ids: int,
        deadline: float | None = None,
        after: Mapping[int, int] | None = None,
    ) -> Generator[StreamedEvent, None, None]:
        """Yield the runs' events from their first on, then as they happen.

        A broken connection is taken up again where it broke. Ends at `deadline` (monotonic
        seconds), or when the caller stops asking.

        Args:
            after: The newest event heard, by run; what comes after it is yielded.
        """
        heard = after or {}
        cursor = ",".join(f"{one}:{heard[one]}" for one in run_ids if one in heard)
        connected = False
        while deadline is None or time.monotonic() < deadline:
            params: dict[str, Any] = {"run": list(run_ids)} | ({"cursor": cursor} if cursor else {})
            patience_s = _SILENCE_S
            if deadline is not None:
                patience_s = min(_LOOK_AT_CLOCK_S, max(0.1, deadline - time.monotonic()))
            timeout = httpx.Timeout(_SILENCE_S, read=patience_s)
            try:
                with connect_sse(
                    self._http, "GET", "/api/v1/stream", params=params, timeout=timeout
                ) as source:
                    if source.response.is_error:
                        raise problem_of(source.response)
                    connected = True
                    for message in source.iter_sse():
                        cursor = message.id or cursor
                        if message.event == "run":
                            item = message.json()
                            yield StreamedEvent(
                                item["run"], item["seq"], item["kind"], item["payload"]
                            )
                        if deadline is not None and time.monotonic() > deadline:
                            return
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if not connected:
                    raise self._unreachable() from error
                time.sleep(_RECONNECT_S)
            except httpx.ReadTimeout:
                continue
            except (httpx.TransportError, SSEError):
                time.sleep(_RECONNECT_S)
