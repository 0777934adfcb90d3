"""The supervisor starts programs in order, restarts what dies, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tuneboard.processes import end_all, processes_of, until
from trainer.errors import TuneboardError
from tuneboard.children import Program, Supervisor

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
NOTE_END = (
    "import signal, sys, time\n"
    "def note(*_):\n"
    "    open(sys.argv[1], 'a').write(sys.argv[2] + ' ')\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, note)\n"
    "print('up', flush=True)\n"
    "time.sleep(60)"
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_all(tmp_path)


def python(place: Path, name: str, code: str, *arguments: str, stage: int = 0) -> Program:
    return Program(
        name,
        (sys.executable, "-c", code, *arguments),
        stage=stage,
        stop_s=1.0,
        environment={"TUNEBOARD_DATA_DIR": str(place)},
    )


def supervised(place: Path, said: list[str], *programs: Program) -> Supervisor:
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT)
    return Supervisor(programs, logs_dir=place, inherited_fd=lock, say=said.append)


def test_a_program_that_dies_is_started_again_and_said_so(place: Path) -> None:
    said: list[str] = []
    supervisor = supervised(place, said, python(place, "sleeper", SLEEP))
    supervisor.start()
    try:
        log = place / "sleeper.log"
        until(lambda: log.read_text().count("up") == 1, 10, "started")
        for process in processes_of(place):
            if "guard" not in " ".join(process.cmdline()):
                process.kill()
        until(lambda: log.read_text().count("up") == 2, 10, "started again")
        assert supervisor.deaths("sleeper") == 1
        assert "sleeper ended with status 137" in said[0]
    finally:
        supervisor.stop()
    assert processes_of(place) == []


def test_a_guard_that_is_killed_takes_its_program_along_and_both_come_again(place: Path) -> None:
    supervisor = supervised(place, [], python(place, "sleeper", SLEEP))
    supervisor.start()
    try:
        log = place / "sleeper.log"
        until(lambda: log.read_text().count("up") == 1, 10, "started")
        for process in processes_of(place):
            if "tuneboard.guard" in process.cmdline():
                process.kill()
        until(lambda: log.read_text().count("up") == 2, 10, "started again")
        assert len(processes_of(place)) == 2
    finally:
        supervisor.stop()
    assert processes_of(place) == []


def test_a_program_that_keeps_dying_is_started_ever_more_slowly(place: Path) -> None:
    said: list[str] = []
    supervisor = supervised(place, said, python(place, "crasher", "raise SystemExit(3)"))
    supervisor.start()
    try:
        until(lambda: len(said) == 3, 15, "three deaths")
    finally:
        supervisor.stop()
    assert ["in 0.5 s" in said[0], "in 1.0 s" in said[1], "in 2.0 s" in said[2]] == [True] * 3


def test_programs_are_stopped_stage_by_stage(place: Path) -> None:
    ends = place / "ends"
    programs = [
        python(place, name, NOTE_END, str(ends), name, stage=stage)
        for name, stage in (("broker", 2), ("web", 0), ("worker", 1))
    ]
    supervisor = supervised(place, [], *programs)
    supervisor.start()
    for name in ("broker", "web", "worker"):
        until(lambda name=name: "up" in (place / f"{name}.log").read_text(), 10, f"{name} started")
    supervisor.stop()
    assert ends.read_text().split() == ["web", "worker", "broker"]


def test_a_program_that_ignores_sigterm_is_killed_in_its_time(place: Path) -> None:
    supervisor = supervised(place, [], python(place, "deaf", DEAF))
    supervisor.start()
    until(lambda: "up" in (place / "deaf.log").read_text(), 10, "started")
    begun = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun < 3
    assert processes_of(place) == []


def test_a_program_that_never_becomes_ready_ends_the_start_with_its_log(place: Path) -> None:
    code = "print('no disk left'); raise SystemExit(1)"
    program = Program(
        "broker", (sys.executable, "-c", code), stage=0, stop_s=1.0, ready=lambda: False
    )
    supervisor = supervised(place, [], program)
    with pytest.raises(TuneboardError, match=r"broker did not start(.|\n)*no disk left"):
        supervisor.start()
    supervisor.stop()


def test_logs_of_earlier_times_are_put_aside(place: Path) -> None:
    for _ in range(6):
        supervisor = supervised(place, [], python(place, "quiet", "pass"))
        supervisor.start()
        supervisor.stop()
    names = sorted(path.name for path in place.glob("quiet*"))
    assert names == ["quiet.log", "quiet.log.1", "quiet.log.2", "quiet.log.3"]


def test_nothing_outlives_a_supervisor_that_is_killed(place: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from tuneboard.children import Program, Supervisor\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "lock = os.open(place / 'lock', os.O_RDWR | os.O_CREAT)\n"
        "programs = [Program('sleeper', (sys.executable, '-c', sys.argv[2]), stage=0, stop_s=1,\n"
        "    environment={'TUNEBOARD_DATA_DIR': str(place)})]\n"
        "Supervisor(programs, logs_dir=place, inherited_fd=lock, say=print).start()\n"
        "time.sleep(60)\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code, str(place), SLEEP])
    log = place / "sleeper.log"
    until(lambda: log.exists() and "up" in log.read_text(), 10, "started")
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    until(lambda: processes_of(place) == [], 3, "everything ended")
