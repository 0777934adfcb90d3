"""The trainer as a process of its own: command line, supervisor's socket, process group."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.trainer.runs import of_kind, spec_with, write_spec
from trainer import __main__ as command

SECONDS_TO_START = 60


def test_a_supervisor_that_goes_away_takes_the_trainer_along(pictures, tmp_path):
    spec = write_spec(tmp_path, spec_with(training__epochs=10_000))
    ours, theirs = socket.socketpair()
    arguments = ["--spec", spec, "--data", pictures, "--out", tmp_path / "run"]
    arguments += ["--control-fd", theirs.fileno()]
    with ours, theirs:
        ours.settimeout(SECONDS_TO_START)
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", *map(str, arguments)],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            theirs.close()
            with ours.makefile() as lines:
                assert json.loads(lines.readline()) == {"events_offset": 0, "step": 0, "epochs": 0}
            assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
            deadline = time.monotonic() + SECONDS_TO_START
            while not of_kind(tmp_path / "run", "epoch_finished"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            ours.close()
            assert process.wait(10) == -signal.SIGKILL
            assert process.stdout.read() == b""
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.parametrize("broken", ["spec", "missing", "manifest", "resume"])
def test_bad_usage_is_told_in_one_line_before_anything_heavy(
    pictures, tmp_path, capsys, monkeypatch, broken
):
    monkeypatch.setattr("trainer.run.main", lambda *_: pytest.fail("it must not come to this"))
    spec = write_spec(tmp_path, spec_with())
    arguments = {"--spec": spec, "--data": pictures, "--out": tmp_path / "run"}
    expected = {
        "spec": "optimizer.lr",
        "missing": "nowhere.json",
        "manifest": "no manifest at",
        "resume": "there is no such folder",
    }[broken]
    match broken:
        case "spec":
            write_spec(tmp_path, spec_with(optimizer__lr=30))
        case "missing":
            arguments["--spec"] = tmp_path / "nowhere.json"
        case "manifest":
            arguments["--data"] = tmp_path / "manifest.json"
        case "resume":
            arguments["--resume-from"] = tmp_path / "nowhere"
    flat = [str(word) for pair in arguments.items() for word in pair]
    assert command.main(flat) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_the_command_line_is_read_without_torch(tmp_path):
    code = (
        "import sys; from trainer.__main__ import main; "
        "code = main(['--spec', 'x', '--data', 'y', '--out', 'z']); "
        "sys.exit(10 * ('torch' in sys.modules) + code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, check=False
    )
    assert done.returncode == 2, done.stderr
