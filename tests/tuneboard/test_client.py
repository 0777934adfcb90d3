"""The Python client against a live server: what it returns, and what it raises."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compared import answers, digits, finished_run
from tests.tuneboard.conftest import Served
from tests.tuneboard.processes import free_port
from trainer.errors import Conflict, InvalidInput, NotFound
from tuneboard.client import Client
from tuneboard.problems import Refused, Unanswered, Unreachable
from tuneboard.streaming import StreamedEvent

SPEC = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2},
}
Begin = Callable[[Callable[[], Any]], "Future[Any]"]


def test_it_is_what_the_package_offers() -> None:
    import tuneboard

    assert tuneboard.Client is Client
    with pytest.raises(AttributeError):
        _ = tuneboard.Klient


@pytest.mark.parametrize("as_what", ["mapping", "text", "file"])
def test_a_spec_is_submitted_however_it_is_given(
    served: Served, tmp_path: Path, as_what: str
) -> None:
    text = "{dataset: {name: digits}, training: {epochs: 2}, model: {weights: none}}"
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    given: Any = {"mapping": SPEC, "text": text, "file": path}[as_what]
    with Client() as client:
        run = client.submit(given, name="mine", priority=3)
        assert client.run(run["id"]) == run
    assert (run["name"], run["priority"], run["status"]) == ("mine", 3, "queued")
    assert run["spec"]["training"]["epochs"] == 2


def test_the_same_key_launches_once_and_another_spec_under_it_is_a_conflict(
    served: Served,
) -> None:
    with Client() as client:
        first = client.submit(SPEC, idempotency_key="k")
        assert client.submit(SPEC, idempotency_key="k")["id"] == first["id"]
        with pytest.raises(Conflict):
            client.submit({**SPEC, "training": {"epochs": 3}}, idempotency_key="k")


SWEEP = {"base": SPEC, "seeds": 2}
LAUNCHES = {
    "a run": lambda client: client.submit(SPEC),
    "a study": lambda client: client.launch_study("both", [SPEC]),
    "a sweep": lambda client: client.sweep(SWEEP),
    "a recipe": lambda client: client.launch_recipe("s1-ants-and-bees"),
}


def test_the_same_key_launches_one_study(served: Served) -> None:
    with Client() as client:
        first = client.launch_study("both", [SPEC, SPEC], idempotency_key="k")
        again = client.launch_study("both", [SPEC, SPEC], idempotency_key="k")
        assert again["id"] == first["id"]
        with pytest.raises(Conflict, match="another study"):
            client.sweep(SWEEP, idempotency_key="k")
        swept = client.sweep(SWEEP, idempotency_key="s")
        assert client.sweep(SWEEP, idempotency_key="s")["id"] == swept["id"] != first["id"]
        assert len(client.studies()) == 2


@pytest.mark.parametrize("what", LAUNCHES)
def test_a_launch_is_repeated_once_where_the_connection_broke(what: str) -> None:
    keys = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.RemoteProtocolError("gone")
        return httpx.Response(201, json={"id": 1})

    with Client("http://there", transport=httpx.MockTransport(answer)) as client:
        assert LAUNCHES[what](client) == {"id": 1}
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_what_is_wrong_with_a_spec_is_raised_field_by_field(served: Served) -> None:
    wrong = {**SPEC, "optimizer": {"lr": 30}, "model": {"architecture": "resnet81"}}
    with Client() as client, pytest.raises(InvalidInput) as caught:
        client.submit(wrong)
    assert {error.field for error in caught.value.errors} == {
        "optimizer.lr",
        "model.architecture",
    }
    assert "resnet18" in str(caught.value)


def test_an_unknown_run_is_not_found(served: Served) -> None:
    with Client() as client, pytest.raises(NotFound, match="999"):
        client.run(999)


def test_cancelling_an_ended_run_is_a_conflict(served: Served) -> None:
    with Client() as client:
        run = client.submit(SPEC)
        assert client.cancel(run["id"])["status"] == "cancelled"
        with pytest.raises(Conflict):
            client.cancel(run["id"])


def test_nothing_at_the_address_says_how_to_start_one() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client:
        for call in (client.runs, lambda: client.submit(SPEC), lambda: client.wait(1)):
            with pytest.raises(Unreachable, match="make up"):
                call()


def test_an_answer_that_does_not_come_is_an_error_of_ours() -> None:
    def late(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out", request=request)

    with Client("http://there", transport=httpx.MockTransport(late)) as client:
        for call in (client.runs, lambda: client.submit(SPEC)):
            with pytest.raises(Unanswered, match=r"http://there did not answer.*timed out"):
                call()


@pytest.mark.parametrize(
    "body", ["<html>", '"text"', "[]", '{"detail": 3}', '{"title": "x", "detail": "y"}']
)
def test_an_answer_that_is_not_ours_is_refused_as_such(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text=body))
    with Client("http://there", transport=transport) as client, pytest.raises(Refused) as caught:
        client.runs()
    assert caught.value.status == 502


def test_the_token_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"runs": [], "next_cursor": None})

    monkeypatch.setenv("TUNEBOARD_TOKEN", "of-the-environment")
    for token in (None, "given"):
        with Client("http://there", token, transport=httpx.MockTransport(answer)) as client:
            client.runs()
    assert sent == ["Bearer of-the-environment", "Bearer given"]


def test_all_runs_are_fetched_page_after_page(served: Served) -> None:
    with Client() as client:
        ids = [client.submit(SPEC, name=f"run {n}")["id"] for n in range(60)]
        assert [run["id"] for run in client.runs()] == ids[::-1]
        assert [run["id"] for run in client.runs(limit=3)] == ids[:-4:-1]
        assert [run["id"] for run in client.runs(text="run 17")] == [ids[17]]
        assert client.runs(status="failed") == []


def test_waiting_returns_the_ended_runs_and_tells_every_event_on_the_way(
    served: Served, meanwhile: Begin
) -> None:
    told: list[StreamedEvent] = []
    with Client() as client:
        run = client.submit(SPEC)
        meanwhile(lambda: served.take_next().whole())
        (ended,) = client.wait(run["id"], on_event=told.append, timeout_s=30)
        assert ended["status"] == "succeeded"
        assert len(client.evaluations(run["id"])) == 1
        assert len(client.series(run["id"], "val_accuracy")["series"]["val_accuracy"]["value"]) == 2
    kinds = [event.kind for event in told]
    assert kinds.count("epoch_finished") == 2
    assert kinds[-1] == "state"
    assert [event.seq for event in told] == sorted({event.seq for event in told})


def test_waiting_has_an_end(served: Served) -> None:
    with Client() as client:
        run = client.submit(SPEC)
        with pytest.raises(TimeoutError, match=str(run["id"])):
            client.wait(run["id"], timeout_s=0.2)


def test_a_stream_that_breaks_is_taken_up_where_it_broke(served: Served) -> None:
    """The first connection is cut after three events; the rest come over a second one."""
    real = httpx.HTTPTransport()
    cursors: list[str | None] = []

    class Cut(httpx.SyncByteStream):
        def __init__(self, stream: httpx.SyncByteStream) -> None:
            self.stream = stream

        def __iter__(self) -> Any:
            text = b""
            for part in self.stream:
                text += part
                if text.count(b"\n\n") >= 4:
                    events = text.split(b"\n\n")
                    yield b"\n\n".join(events[:3]) + b"\n\n" + events[3][:5]
                    raise httpx.ReadError("cut")

        def close(self) -> None:
            self.stream.close()

    class Breaking(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = real.handle_request(request)
            if request.url.path.endswith("/stream"):
                cursors.append(request.url.params.get("cursor"))
                if len(cursors) == 1:
                    assert isinstance(response.stream, httpx.SyncByteStream)
                    response.stream = Cut(response.stream)
            return response

    with Client(transport=Breaking()) as client:
        run = client.submit(SPEC)
        served.take_next().whole()
        told: list[int] = []
        client.wait(run["id"], on_event=lambda event: told.append(event.seq), timeout_s=30)
    assert len(cursors) == 2
    assert cursors[0] is None
    assert told == sorted(set(told))
    assert told[-1] == client_seq(served, run["id"])
    real.close()


def client_seq(served: Served, run_id: int) -> int:
    with Client() as client:
        return int(client.run(run_id)["event_seq"])


def test_a_script_can_report_a_run_of_its_own(served: Served) -> None:
    started = {
        "kind": "run_started",
        "time": 1.0,
        "device": "cpu",
        "versions": {},
        "parameters_total": 10,
        "parameters_trained": 10,
        "classes": ["a", "b"],
        "split_sizes": {"train": 8, "val": 2},
        "epochs": 2,
        "steps_per_epoch": 4,
        "resolved": {},
    }
    failed = {"kind": "run_failed", "time": 2.0, "title": "Out of luck", "detail": "No more."}
    with Client() as client:
        run = client.submit(SPEC, external=True)
        assert client.report(run["id"], [started])["status"] == "running"
        ended = client.report(run["id"], [failed])
    assert ended["status"] == "failed"
    assert ended["error"]["title"] == "Out of luck"


def test_a_comparison_holds_the_runs_in_the_order_asked_for(served: Served) -> None:
    with Client() as client:
        ids = [client.submit(SPEC)["id"] for _ in range(2)]
        compared = client.compare(ids[::-1])
        assert [run["id"] for run in compared["runs"]] == ids[::-1]
        assert client.compare_address(ids) == f"{served.url}/compare?run={ids[0]}&run={ids[1]}"
        assert httpx.get(client.compare_address(ids)).status_code == 200
        assert httpx.get(client.run_address(ids[0])).status_code == 200


def test_a_note_is_kept(served: Served) -> None:
    with Client() as client:
        run = client.submit(SPEC)
        assert client.annotate(run["id"], "look again")["note"] == "look again"


def test_many_threads_may_share_one(served: Served) -> None:
    with Client() as client:
        threads = [threading.Thread(target=client.submit, args=(SPEC,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(client.runs()) == 8


def test_what_an_evaluation_shows_is_there_for_scripts(served: Served) -> None:
    items = digits(served.settings, served.store)
    run = finished_run(served.store, served.settings, "told", answers(items, range(30)))
    with Client() as client:
        wrong = client.looks(run.id, page=2)
        assert ([one["index"] for one in wrong["images"]], wrong["total"]) == ([*range(24, 30)], 30)
        drawn = [client.looks(run.id, "random", seed=seed)["images"] for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]
        assert client.calibration(run.id)["accuracy"] == pytest.approx(60 / 90)
        with pytest.raises(NotFound):
            client.calibration(run.id, split="test")
