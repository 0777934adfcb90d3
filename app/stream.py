"""Live updates: one tailer per process watches the database, every open page hears it.

The tailer looks for news a few times a second while somebody listens, encodes each event once and
wakes the clients it concerns. A client pulls: from the tailer's recent events where they reach
back to its cursor, else from the database. So nothing is lost or doubled, whatever the order of
subscribing and committing, and a slow client costs no memory: it lags, is dropped when a write to
it takes too long, and comes back with its cursor.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from app.topics import Board
from store.database import Store
from store.events import events_after, heads
from store.rows import EventRow
from trainer.errors import NotFound, TuneboardError

POLL_S = 0.25
BOARD_POLL_S = 1.0
WORKERS_POLL_S = 5.0  # a worker that died writes nothing; its silence must be noticed too
HEARTBEAT_S = 15.0
RECENT_EVENTS = 1_000  # kept per watched run; older ones are read from the database
PAGE = 500
BATCH_BYTES = 256 * 1024  # handed to a connection at a time; more waits for it to be ready again

log = logging.getLogger(__name__)

T = TypeVar("T")
Frame = tuple[int, bytes]
"""A sequence number, and the server-sent event without its `id:` line."""


@dataclass
class _Recent:
    """The newest events of a watched run, complete from after `floor` to `head`."""

    floor: int
    head: int
    clients: int = 0
    frames: deque[Frame] = field(default_factory=deque)

    def add(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self.frames.append(frame)
            self.head = frame[0]
        while len(self.frames) > RECENT_EVENTS:
            self.floor = self.frames.popleft()[0]

    def after(self, seq: int) -> list[Frame]:
        newer = []
        for frame in reversed(self.frames):
            if frame[0] <= seq:
                break
            newer.append(frame)
        return newer[::-1]


class Tailer:
    """Watches one database for all the streams of this process."""

    def __init__(self, store: Store) -> None:
        self.is_stopped = False
        self._store = store
        self._recent: dict[int, _Recent] = {}
        self._boards: dict[str, Board] = {}
        self._clients: set[Client] = set()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "tailer")
        self._version: int | None = None
        self._is_unsure = True
        """Whether to look even if the database says that nothing changed."""
        self._stale_boards: set[str] = set()
        self._looked_at: dict[str, float] = {}

    async def heads(self, run_ids: Iterable[int]) -> dict[int, int]:
        """Return the number of each run's newest event.

        Raises:
            NotFound: If there is no such run.
        """
        wanted = list(run_ids)
        found = await run_in_threadpool(heads, self._store, wanted)
        for run_id in wanted:
            if run_id not in found:
                raise NotFound(f"There is no run {run_id}.", "The Runs page lists those there are.")
        return {run_id: seq for run_id, (_, seq) in found.items()}

    @contextmanager
    def listen(
        self, cursor: Mapping[int, int], newest: Mapping[int, int], topics: Iterable[str]
    ) -> Iterator[Client]:
        """Yield a client of these runs and topics; the tailer runs while there is one.

        Args:
            cursor: Run to the last event that the client has. One beyond the run's newest comes
                from another database: it starts anew.
            newest: What `heads` returned for the same runs.
        """
        cursor = {run: seq if seq <= newest[run] else 0 for run, seq in cursor.items()}
        client = Client(self, cursor, topics)
        for run_id, head in newest.items():
            self._recent.setdefault(run_id, _Recent(head, head)).clients += 1
        for topic in client.topics:
            self._boards.setdefault(topic, Board(topic))
        self._clients.add(client)
        self._is_unsure = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())
        try:
            yield client
        finally:
            self._clients.discard(client)
            for run_id in cursor:
                self._recent[run_id].clients -= 1
                if not self._recent[run_id].clients:
                    del self._recent[run_id]

    def recent(self, run_id: int) -> _Recent:
        """Return what is known of a watched run's newest events."""
        return self._recent[run_id]

    def board(self, topic: str) -> Board:
        """Return the rows of a topic that somebody watches."""
        return self._boards[topic]

    async def stored(self, run_id: int, seq: int) -> list[Frame]:
        """Return a page of events after `seq` from the database."""
        return await run_in_threadpool(self._frames_after, run_id, seq)

    def stop(self) -> None:
        """End every stream at once."""
        self.is_stopped = True
        self._wake(self._clients)

    async def close(self) -> None:
        """End every stream and the thread."""
        self.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True)

    async def _watch(self) -> None:
        beat_at = time.monotonic() + HEARTBEAT_S
        while self._clients and not self.is_stopped:
            try:
                await self._look()
            except TuneboardError as error:
                log.warning("Live updates pause: %s", error)
                self._is_unsure = True
            except Exception:
                log.exception("Live updates pause")
                self._is_unsure = True
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + HEARTBEAT_S
                for client in self._clients:
                    client.beat()
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        """Look for news once: of runs whenever the database changed, of boards less often."""
        version = await self._in_thread(self._store.data_version)
        if version is None or self._is_unsure or version != self._version:
            self._version = version
            self._is_unsure = False
            self._stale_boards.update(self._boards)
            known = {run: recent.head for run, recent in self._recent.items()}
            self._publish(known, await self._in_thread(self._news, known))
        now = time.monotonic()
        if now - self._looked_at.get("workers", 0.0) > WORKERS_POLL_S:
            self._stale_boards.add("workers")
        for topic in self._stale_boards & self._boards.keys():
            if now - self._looked_at.get(topic, 0.0) < BOARD_POLL_S:
                continue
            self._looked_at[topic] = now
            if await self._in_thread(self._boards[topic].look, self._store):
                self._wake(client for client in self._clients if topic in client.topics)
            self._stale_boards.discard(topic)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _news(self, known: Mapping[int, int]) -> dict[int, list[Frame]]:
        """Read what came after the known heads, complete."""
        news: dict[int, list[Frame]] = {}
        for run_id, (_, head) in heads(self._store, list(known)).items():
            seq = known[run_id]
            while seq < head:
                frames = self._frames_after(run_id, seq)
                if not frames:
                    break  # deleted since: the run has ended
                news.setdefault(run_id, []).extend(frames)
                seq = frames[-1][0]
        return news

    def _publish(self, known: Mapping[int, int], news: Mapping[int, list[Frame]]) -> None:
        for run_id, frames in news.items():
            recent = self._recent.get(run_id)
            if recent is not None and recent.head == known[run_id]:
                recent.add(frames)
            else:
                self._is_unsure = True  # watched anew since we looked
        self._wake(c for c in self._clients if not news.keys().isdisjoint(c.run_ids))

    def _frames_after(self, run_id: int, seq: int) -> list[Frame]:
        rows = events_after(self._store, run_id, seq, PAGE)
        return [(row.seq, event_frame(row)) for row in rows]

    @staticmethod
    def _wake(clients: Iterable[Client]) -> None:
        for client in clients:
            client.wake()


class Client:
    """One open stream: what it watches, how far it is, and its alarm clock."""

    def __init__(self, tailer: Tailer, cursor: Mapping[int, int], topics: Iterable[str]) -> None:
        self.is_gone = False
        self._tailer = tailer
        self._cursor = dict(cursor)
        self._topics = dict.fromkeys(topics, 0)
        self._alarm = asyncio.Event()
        self._alarm.set()
        self._beat_due = False

    @property
    def run_ids(self) -> Iterable[int]:
        """The runs it watches."""
        return self._cursor.keys()

    @property
    def topics(self) -> Iterable[str]:
        """The topics it watches."""
        return self._topics.keys()

    def wake(self) -> None:
        """Make `frames` look again."""
        self._alarm.set()

    def beat(self) -> None:
        """Make `frames` send a comment, so that a dead connection is noticed."""
        self._beat_due = True
        self._alarm.set()

    def leave(self) -> None:
        """Make `frames` end: nobody listens any more."""
        self.is_gone = True
        self._alarm.set()

    async def frames(self) -> bytes:
        """Wait for news and return it as server-sent events; empty once the stream must end."""
        while True:
            await self._alarm.wait()
            self._alarm.clear()
            if self.is_gone or self._tailer.is_stopped:
                return b""
            frames: list[bytes] = []
            for run_id in self._cursor:
                frames += await self._run_frames(run_id, BATCH_BYTES - sum(map(len, frames)))
            for topic in self._topics:
                frames += self._topic_frames(topic)
            if self._beat_due:
                self._beat_due = False
                frames.append(b": still here\n")
            if frames:
                return b"".join(frames)

    async def _run_frames(self, run_id: int, room_bytes: int) -> list[bytes]:
        seq = self._cursor[run_id]
        recent = self._tailer.recent(run_id)
        if seq < recent.floor:
            news = await self._tailer.stored(run_id, seq)
            if news:
                self._alarm.set()  # perhaps there is another page
            else:
                news = recent.after(seq)  # what came first has been deleted since
        else:
            news = recent.after(seq)
        frames = []
        for new_seq, frame in news:
            if room_bytes <= 0:
                self._alarm.set()  # the rest goes out once this is on its way
                break
            room_bytes -= len(frame)
            self._cursor[run_id] = new_seq
            frames.append(b"id: %s\n%s" % (self._position(), frame))
        return frames

    def _topic_frames(self, topic: str) -> list[bytes]:
        board = self._tailer.board(topic)
        since = self._topics[topic]
        if board.version == since:
            return []
        self._topics[topic] = board.version
        return [board.frame_since(since)]

    def _position(self) -> bytes:
        return ",".join(f"{run}:{seq}" for run, seq in self._cursor.items()).encode()


def event_frame(row: EventRow) -> bytes:
    """Return an event as a server-sent event, without its `id:` line."""
    data = {
        "run": row.run_id,
        "seq": row.seq,
        "kind": row.kind,
        "time": row.time,
        "step": row.step,
        "payload": row.payload,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return b"event: run\ndata: %s\n\n" % text.encode()
