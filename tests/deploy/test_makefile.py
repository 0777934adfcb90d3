"""`make` on a machine that has Python and make only: prepares once, and says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.composed import ROOT

# Stands for python3: makes a venv that holds copies of itself, and notes what pip is asked.
PYTHON = """#!/bin/sh
echo "$@" >> "$NOTES"
case "$*" in
    "-c import sys"*) exec python3 "$@" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
esac
"""
NO_VENV = PYTHON.replace(
    'mkdir -p "$3/bin" && cp "$0" "$3/bin/python"', "echo no ensurepip; exit 1"
)
OLD = PYTHON.replace('exec python3 "$@"', "echo 'Tuneboard needs Python 3.11 or newer' >&2; exit 1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(checkout: Path, python: str, *targets: str) -> subprocess.CompletedProcess[str]:
    program = checkout / "fake-python"
    program.write_text(python)
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", f"PYTHON={program}", *targets],
        cwd=checkout,
        env={**kept, "NOTES": str(checkout / "notes")},
        capture_output=True,
        text=True,
        check=False,
    )


def pip_calls(checkout: Path) -> int:
    return (checkout / "notes").read_text().count("-m pip install")


def test_it_prepares_once_and_again_when_the_pins_are_newer(checkout: Path) -> None:
    assert make(checkout, PYTHON, "setup").returncode == 0
    assert make(checkout, PYTHON, "setup").returncode == 0
    assert pip_calls(checkout) == 1
    assert "-c constraints.txt -e .[dev]" in (checkout / "notes").read_text()
    stamp = (checkout / ".venv" / ".ready").stat().st_mtime
    os.utime(checkout / "constraints.txt", (stamp + 5, stamp + 5))
    assert make(checkout, PYTHON, "setup").returncode == 0
    assert pip_calls(checkout) == 2


def test_without_the_venv_module_it_says_what_to_install_and_leaves_nothing(
    checkout: Path,
) -> None:
    ran = make(checkout, NO_VENV, "demo")
    assert ran.returncode != 0
    assert "apt-get install python3-venv" in ran.stderr
    assert "no ensurepip" in ran.stderr
    assert not (checkout / ".venv").exists()


def test_without_python_it_says_so(checkout: Path) -> None:
    ran = subprocess.run(
        ["make", "PYTHON=python3-that-is-not-there", "setup"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "Python 3.11 or newer" in ran.stderr


def test_a_python_that_is_too_old_is_refused(checkout: Path) -> None:
    ran = make(checkout, OLD, "setup")
    assert ran.returncode != 0
    assert "Python 3.11 or newer" in ran.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("demo",), "demo --dataset digits"),
        (("demo", "ONCE=1"), "demo --dataset digits --once"),
        (("demo", "ONCE=0"), "demo --dataset digits"),
        (("demo", "DATASET=hymenoptera", "PORT=9000"), "demo --dataset hymenoptera --port 9000"),
        (("up", "PORT=9000", "DATA_DIR=/a b"), "up --port 9000 --data-dir '/a b'"),
    ],
)
def test_variables_become_options(checkout: Path, words: tuple[str, ...], command: str) -> None:
    shown = make(checkout, PYTHON, "--dry-run", *words).stdout.splitlines()[-1]
    assert " ".join(shown.split()) == f".venv/bin/tuneboard {command}"
