"""The demo from its start to its table, with runs of a second instead of a minute."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tuneboard.processes import end_all, logs_of, processes_of, until
from trainer.errors import InvalidInput
from trainer.recipes import Recipe, as_recipe
from tuneboard import demo
from tuneboard.listening import port_of

QUICK: dict[str, Any] = {
    "dataset": {"name": "digits", "input_size_px": 8},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 1, "batch_size": 256},
}


def recipe(*runs: dict[str, Any]) -> Recipe:
    named = [{**run, "name": f"run {n}"} for n, run in enumerate(runs)]
    return as_recipe({"name": "Quick", "runs": named})


@pytest.mark.slow
@pytest.mark.xdist_group("whole")
def test_it_prints_a_table_and_exits_by_whether_all_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "demo"
    monkeypatch.delenv("TUNEBOARD_PORT", raising=False)
    monkeypatch.setattr(demo, "load_recipe", lambda _: recipe(QUICK, QUICK))
    assert demo.run_demo("digits", once=True, port=None, data_dir=data_dir) == 0
    said = capsys.readouterr()
    header, *rows = (line.split("\t") for line in said.out.splitlines())
    assert header[:3] == ["id", "name", "status"]
    assert [row[:3] for row in rows] == [["1", "run 0", "succeeded"], ["2", "run 1", "succeeded"]]
    assert "/compare?run=1&run=2" in said.err
    assert processes_of(data_dir) == []

    broken = tmp_path / "weights" / "broken.pth"
    broken.parent.mkdir()
    broken.write_bytes(b"no weights")
    monkeypatch.setenv("TUNEBOARD_DATA_ROOTS", str(broken.parent))
    failing = {**QUICK, "model": {"architecture": "resnet18", "weights": str(broken)}}
    monkeypatch.setattr(demo, "load_recipe", lambda _: recipe(QUICK, failing))
    assert demo.run_demo("digits", once=True, port=None, data_dir=data_dir) == 1
    said = capsys.readouterr()
    assert [line.split("\t")[0] for line in said.out.splitlines()[1:]] == ["3", "4"]
    assert "broken.pth" in said.err


@pytest.mark.slow
@pytest.mark.xdist_group("whole")
def test_it_serves_on_until_it_is_interrupted(tmp_path: Path) -> None:
    data_dir, console = tmp_path / "demo", tmp_path / "console"
    code = (
        "import json, sys; from pathlib import Path; from tuneboard import demo; "
        "from trainer.recipes import as_recipe; recipe = as_recipe(json.loads(sys.argv[1])); "
        "demo.load_recipe = lambda _: recipe; "
        "sys.exit(demo.run_demo('digits', once=False, port=None, data_dir=Path(sys.argv[2])))"
    )
    with console.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                code,
                json.dumps({"name": "Quick", "runs": [QUICK]}),
                str(data_dir),
            ],
            stderr=output,
            stdout=output,
            env={**os.environ, "TUNEBOARD_DATA_DIR": str(data_dir)},
        )
    try:
        until(
            lambda: "until Ctrl-C" in console.read_text() or process.poll() is not None,
            240,
            "the results are there",
            told_by=lambda: logs_of(data_dir, console),
        )
        assert process.poll() is None, logs_of(data_dir, console)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert processes_of(data_dir) == []
    finally:
        process.kill()
        process.wait()
        end_all(data_dir)


def test_it_takes_the_next_free_port_unless_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEBOARD_PORT", raising=False)
    settings, listener = demo._place(None, tmp_path)
    assert listener is not None
    with listener:
        assert port_of(listener) == settings.port
        other, others = demo._place(None, tmp_path)
        assert others is not None
        others.close()
        assert other.port > settings.port
        chosen, nothing = demo._place(settings.port, tmp_path)
        assert (chosen.port, nothing) == (settings.port, None)
        monkeypatch.setenv("TUNEBOARD_PORT", str(settings.port))
        assert demo._place(None, tmp_path)[0].port == settings.port


def test_its_data_lies_in_the_checkout_unless_another_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOARD_PORT", "8765")
    monkeypatch.delenv("TUNEBOARD_DATA_DIR", raising=False)
    assert demo._place(None, None)[0].data_dir == demo.DATA_DIR
    assert demo._place(None, tmp_path)[0].data_dir == tmp_path
    monkeypatch.setenv("TUNEBOARD_DATA_DIR", str(tmp_path / "named"))
    assert demo._place(None, None)[0].data_dir == tmp_path / "named"


def test_an_unknown_dataset_is_refused() -> None:
    with pytest.raises(InvalidInput, match="hymenoptera"):
        demo.run_demo("hymenopter", once=True, port=None, data_dir=None)
