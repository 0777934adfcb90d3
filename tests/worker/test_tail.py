from __future__ import annotations

import logging
from pathlib import Path

import pytest

from trainer.events import Evaluated, Logged, event_line
from worker import tail as tail_module
from worker.tail import EventTail


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt-002"
    folder.mkdir()
    return folder / "events.jsonl"


def _line(text: str) -> bytes:
    return event_line(Logged(time=0, message=text))


def _append(file: Path, *parts: bytes) -> None:
    with file.open("ab") as opened:
        opened.writelines(parts)


def _messages(tail: EventTail) -> list[str]:
    return [event.message for event, _ in tail.read() if isinstance(event, Logged)]


def test_lines_are_read_once_and_only_when_whole(file: Path) -> None:
    tail = EventTail(file)
    assert tail.read() == []
    _append(file, _line("one"), _line("two")[:10])
    assert _messages(tail) == ["one"]
    assert tail.offset == len(_line("one"))
    assert _messages(tail) == []
    _append(file, _line("two")[10:])
    assert _messages(tail) == ["two"]
    assert tail.offset == file.stat().st_size
    tail.close()


def test_each_event_comes_with_the_length_of_the_file_up_to_its_end(file: Path) -> None:
    _append(file, _line("one"), _line("longer"), _line("three"))
    tail = EventTail(file)
    offsets = [offset for _, offset in tail.read()]
    whole = file.read_bytes()
    assert [whole[:offset].count(b"\n") for offset in offsets] == [1, 2, 3]
    assert all(whole[offset - 1 : offset] == b"\n" for offset in offsets)
    tail.close()


def test_reading_goes_on_from_an_offset(file: Path) -> None:
    _append(file, _line("one"), _line("two"))
    tail = EventTail(file)
    tail.offset = len(_line("one"))
    assert _messages(tail) == ["two"]
    tail.close()


def test_a_long_file_is_read_in_portions(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "READ_LIMIT_BYTES", 100)
    expected = [f"number {number}" for number in range(50)]
    _append(file, *map(_line, expected))
    tail = EventTail(file)
    found: list[str] = []
    looks = 0
    while len(found) < 50:
        found += _messages(tail)
        looks += 1
        assert looks < 500
    assert found == expected
    assert looks > 10
    tail.close()


def test_a_line_that_is_no_event_is_skipped_and_logged(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _append(file, _line("one"), b'{"kind": "unheard-of"}\n', b"\xff\n", _line("two"))
    tail = EventTail(file)
    with caplog.at_level(logging.ERROR):
        assert _messages(tail) == ["one", "two"]
    assert caplog.text.count("no event") == 2
    tail.close()


def test_the_file_of_predictions_is_named_below_the_runs_folder(file: Path) -> None:
    said = Evaluated(
        time=0,
        split="val",
        epoch=1,
        accuracy=1,
        loss=0,
        samples=1,
        samples_fingerprint="f",
        confusion=[[1]],
        classes=[],
        predictions_file="predictions/val.npz",
    )
    _append(file, event_line(said))
    tail = EventTail(file)
    ((event, _),) = tail.read()
    assert isinstance(event, Evaluated)
    assert event.predictions_file == "attempt-002/predictions/val.npz"
    tail.close()
