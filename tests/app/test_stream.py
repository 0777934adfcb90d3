from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from httpx_sse import ServerSentEvent, connect_sse

import app.stream as stream
from app.api import stream as stream_route
from store.database import Unavailable, open_store
from store.datasets import delete_dataset, register_dataset
from store.events import events_after
from store.rows import WorkerRow
from store.runs import create_run, report_external, update_note
from store.workers import beat
from tests.app.conftest import SPEC, assert_problem
from trainer.events import Logged
from trainer.parsing import parse_spec

PATIENCE_S = 10


class Server:
    def __init__(self, app) -> None:
        self.app = app
        config = uvicorn.Config(
            app, port=0, log_level="error", timeout_graceful_shutdown=2, ws="none"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    @contextmanager
    def events(self, query: str, **headers: str) -> Iterator[Iterator[ServerSentEvent]]:
        """Yield the events of a stream as they come, through a thread that reads them."""
        received: queue.Queue[ServerSentEvent | None] = queue.Queue()

        def following() -> Iterator[ServerSentEvent]:
            while True:
                event = received.get(timeout=PATIENCE_S)
                if event is None:
                    return
                yield event

        url = f"{self.url}/api/v1/stream?{query}"
        with (
            httpx.Client(timeout=PATIENCE_S) as client,
            connect_sse(client, "GET", url, headers=headers) as source,
        ):
            assert source.response.status_code == 200
            closing = threading.Event()

            def read() -> None:
                try:
                    for event in source.iter_sse():
                        received.put(event)
                except (httpx.HTTPError, OSError, RuntimeError):
                    assert closing.is_set()
                received.put(None)

            thread = threading.Thread(target=read)
            thread.start()
            try:
                yield following()
            finally:
                closing.set()
                stop_reading(source.response)
                thread.join(PATIENCE_S)
                assert not thread.is_alive()


def stop_reading(response: httpx.Response) -> None:
    """Wake a thread that reads the response: its socket says that it has ended."""
    raw = response.extensions["network_stream"].get_extra_info("socket")
    raw.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(app) -> Iterator[Server]:
    running = Server(app)
    running.thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not running.server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield running
    running.server.should_exit = True
    running.thread.join(PATIENCE_S)
    assert not running.thread.is_alive()


@pytest.fixture
def external(store) -> int:
    return create_run(store, parse_spec(SPEC), owner="local", external=True)[0].id


def log_line(message: str) -> Logged:
    return Logged(time=1.0, message=message)


def take(events: Iterator[ServerSentEvent], count: int) -> list[ServerSentEvent]:
    return [next(events) for _ in range(count)]


def test_a_runs_events_come_from_the_beginning_and_then_live(server, store, external):
    report_external(store, external, [log_line("before")])
    with server.events(f"run={external}") as events:
        state, before = take(events, 2)
        assert (state.event, state.id) == ("run", f"{external}:1")
        assert json.loads(state.data)["payload"]["status"] == "running"
        listed = httpx.get(f"{server.url}/api/v1/runs/{external}/events").json()["events"]
        assert [json.loads(event.data) for event in (state, before)] == listed
        report_external(store, external, [log_line("live")])
        live = next(events)
        assert json.loads(live.data)["payload"]["message"] == "live"
        assert live.id == f"{external}:3"


def test_the_cursor_covers_every_run_of_a_stream(server, store):
    first, second = (
        create_run(store, parse_spec(SPEC), owner="local", external=True)[0].id for _ in range(2)
    )
    with server.events(f"run={second}&run={first}") as events:
        assert [event.id for event in take(events, 2)] == [
            f"{second}:1,{first}:0",
            f"{second}:1,{first}:1",
        ]
        report_external(store, first, [log_line("one")])
        assert next(events).id == f"{second}:1,{first}:2"


def test_a_stream_resumes_after_its_cursor(server, store, external):
    report_external(store, external, [log_line(str(number)) for number in range(5)])
    with server.events(f"run={external}&cursor={external}:4") as events:
        assert [json.loads(event.data)["seq"] for event in take(events, 2)] == [5, 6]
    with server.events(
        f"run={external}&cursor={external}:1", **{"last-event-id": f"{external}:5,99:3"}
    ) as events:
        assert json.loads(next(events).data)["seq"] == 6


def test_a_cursor_of_another_database_starts_anew(server, external):
    with server.events(f"run={external}&cursor={external}:500") as events:
        assert json.loads(next(events).data)["seq"] == 1


def test_nothing_is_lost_or_doubled_however_often_a_client_reconnects(server, store, external):
    total = 400

    def write() -> None:
        for number in range(0, total, 4):
            report_external(store, external, [log_line(str(number + k)) for k in range(4)])
            time.sleep(0.004)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    cursor = ""
    with server.events(f"run={external}") as watcher:
        while len(seen) < total + 1:
            with server.events(f"run={external}", **{"last-event-id": cursor}) as events:
                for event in events:
                    seen.append(json.loads(event.data)["seq"])
                    cursor = event.id
                    if len(seen) == total + 1 or len(seen) % 37 == 0:
                        break
        steady = [json.loads(event.data)["seq"] for event in take(watcher, total + 1)]
    writer.join()
    assert seen == steady == list(range(1, total + 2))
    assert len(events_after(store, external, 0, 1000)) == total + 1


def test_the_tailer_follows_either_database(tmp_path, store_url):
    store = open_store(store_url)
    run_id = create_run(store, parse_spec(SPEC), owner="local", external=True)[0].id

    async def follow() -> list[bytes]:
        tailer = stream.Tailer(store)
        newest = await tailer.heads([run_id])
        received: list[bytes] = []
        with tailer.listen({run_id: 0}, newest, ["runs"]) as client:
            while b"live" not in b"".join(received) or b"event: runs" not in b"".join(received):
                received.append(await asyncio.wait_for(client.frames(), PATIENCE_S))
                if len(received) == 1:
                    await asyncio.to_thread(report_external, store, run_id, [log_line("live")])
        await tailer.close()
        return received

    frames = b"".join(asyncio.run(follow())).decode()
    store.dispose()
    ids = [line for line in frames.splitlines() if line.startswith("id:")]
    assert ids == [f"id: {run_id}:1", f"id: {run_id}:2"]


def test_more_than_is_kept_is_read_from_the_database(server, store, external, monkeypatch):
    monkeypatch.setattr(stream, "RECENT_EVENTS", 10)
    monkeypatch.setattr(stream, "PAGE", 7)
    with server.events(f"run={external}") as events:
        next(events)
        report_external(store, external, [log_line(str(number)) for number in range(100)])
        live = [json.loads(event.data)["seq"] for event in take(events, 100)]
        with server.events(f"run={external}") as late:
            assert [json.loads(event.data)["seq"] for event in take(late, 101)][1:] == live
    assert live == list(range(2, 102))


def test_lists_send_all_rows_first_and_then_those_that_changed(server, store, external):
    other = create_run(store, parse_spec(SPEC), owner="local", external=True)[0].id
    with server.events("topic=runs") as events:
        first = next(events)
        assert first.event == "runs"
        rows = json.loads(first.data)["runs"]
        assert {row["id"] for row in rows} == {external, other}
        assert "spec" not in rows[0]
        update_note(store, other, "changed")
        changed = json.loads(next(events).data)
        assert [(row["id"], row["note"]) for row in changed["runs"]] == [(other, "changed")]
        assert changed["gone"] == []


def test_lists_say_what_is_gone(server, store):
    register_dataset(store, "mine", "folder", "/mine", "local")
    with server.events("topic=datasets&topic=workers") as events:
        both = {event.event: json.loads(event.data) for event in take(events, 2)}
        assert [row["name"] for row in both["datasets"]["datasets"]] == ["mine"]
        assert both["workers"] == {"workers": [], "gone": []}
        delete_dataset(store, "mine")
        assert json.loads(next(events).data) == {"datasets": [], "gone": ["mine"]}
        beat(store, WorkerRow("w", "train", "here", 1, "cpu", 1, 1.0))
        event = next(events)
        assert (event.event, json.loads(event.data)["workers"][0]["id"]) == ("workers", "w")


def test_comments_keep_a_quiet_stream_alive(server, external, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.2)
    url = f"{server.url}/api/v1/stream?run={external}"
    headers = {"accept-encoding": "gzip"}
    with httpx.stream("GET", url, headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert "content-encoding" not in answer.headers
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        deadline = time.monotonic() + PATIENCE_S
        beats = 0
        while beats < 2:
            assert time.monotonic() < deadline
            beats += next(lines) == ": still here"


def test_a_client_that_reads_nothing_is_dropped(server, store, external, monkeypatch):
    monkeypatch.setattr(stream_route, "SEND_TIMEOUT_S", 0.5)
    report_external(store, external, [log_line("x" * 200_000) for _ in range(100)])
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((host, int(port)))
        request = f"GET /api/v1/stream?run={external} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        deaf.sendall(request.encode())
        clients = server.app.state.tailer._clients
        wait_until(lambda: len(clients) == 1)
        wait_until(lambda: len(clients) == 0)


def test_a_client_that_leaves_is_forgotten_at_once(server, external):
    with server.events(f"run={external}") as events:
        next(events)
        assert len(server.app.state.tailer._clients) == 1
    wait_until(lambda: not server.app.state.tailer._clients)
    assert server.app.state.tailer._recent == {}


def test_an_outage_of_the_database_only_pauses_the_stream(server, store, external, monkeypatch):
    with server.events(f"run={external}") as events:
        next(events)
        with monkeypatch.context() as patch:
            called = threading.Event()

            def down() -> None:
                called.set()
                raise Unavailable("The database did not answer.")

            patch.setattr(store, "data_version", down)
            assert called.wait(PATIENCE_S)
            report_external(store, external, [log_line("meanwhile")])
        assert json.loads(next(events).data)["payload"]["message"] == "meanwhile"


def test_wrong_questions_are_answered_with_a_problem(client, external):
    url = "/api/v1/stream"
    assert_problem(client.get(url), 422)
    assert_problem(client.get(url, params={"run": 999}), 404)
    assert_problem(client.get(url, params={"run": "x"}), 422)
    assert_problem(client.get(url, params={"topic": "weather"}), 422)
    assert_problem(
        client.get(url, params={"run": list(range(1, stream_route.RUNS_LIMIT + 2))}), 422
    )
    for cursor in ("1", "1:x", "1:2;3:4", "1:2,", ":"):
        assert_problem(client.get(url, params={"run": external, "cursor": cursor}), 422)
    assert_problem(client.post(url), 405)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_at_once_with_streams_open(settings, external, number):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app"),
            *("--port", str(port), "--timeout-graceful-shutdown", "600", "--log-level", "error"),
        ],
        env={
            **os.environ,
            "TUNEBOARD_DATA_DIR": str(settings.data_dir),
            "TUNEBOARD_PORT": str(port),
        },
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_ready(url), 30)
        with httpx.stream(
            "GET", f"{url}/api/v1/stream?run={external}", timeout=PATIENCE_S
        ) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "retry: 1000"
            process.send_signal(number)
            assert list(lines)[-1] == ""
            process.wait(PATIENCE_S)  # far less than the server would wait for its connections
    finally:
        process.kill()
        process.wait()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(is_so, limit_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
