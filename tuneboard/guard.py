"""A small process between `tuneboard up` and each program it runs, so that none outlives it.

`python -m tuneboard.guard [--linger SECONDS] [--fd N]… -- COMMAND…` runs the command in a process
group of its own, with the descriptors N, and ends as the command ended. `TUNEBOARD_PARENT_FD` is a
pipe that only `tuneboard up` holds open for writing: at its end-of-file, after a kill -9 too, the
guard waits `--linger` seconds, sends SIGTERM to the group and, `GRACE_S` later, SIGKILL. The
command gets a pipe of the same kind from the guard under the same name, so it can watch the guard
in turn.

Only the standard library is imported: there is one guard beside every process.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

PARENT_FD = "TUNEBOARD_PARENT_FD"
GRACE_S = 7.0  # a worker hands its runs back in about 2 s
_LOOK_S = 0.5  # how often the command is looked at where no signal wakes us


def main(arguments: list[str]) -> int:
    """Run the command of `arguments` and return its exit status, 128 + N after signal N."""
    linger_s, fds, command = _parse(arguments)
    parent_fd = int(os.environ[PARENT_FD])
    os.set_inheritable(parent_fd, False)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # the group is ours to end, and nobody else's
    wake_fd = _wake_on_signals()
    watched_fd, _held_open_fd = os.pipe()
    environment = {**os.environ, PARENT_FD: str(watched_fd)}
    child = subprocess.Popen(
        command, env=environment, pass_fds=(watched_fd, *fds), stdin=subprocess.DEVNULL
    )
    for fd in (watched_fd, *fds):
        os.close(fd)
    orphaned = _wait(child, parent_fd, wake_fd, linger_s)
    if orphaned:  # nobody is left to end what the command may have left in the group
        os.killpg(0, signal.SIGKILL)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _parse(arguments: list[str]) -> tuple[float, list[int], list[str]]:
    """Return the seconds to linger, the descriptors to pass on and the command."""
    linger_s, fds = 0.0, []
    while arguments[:1] in (["--linger"], ["--fd"]) and len(arguments) > 1:
        if arguments[0] == "--linger":
            linger_s = float(arguments[1])
        else:
            fds.append(int(arguments[1]))
        arguments = arguments[2:]
    if arguments[:1] != ["--"] or len(arguments) < 2 or PARENT_FD not in os.environ:
        raise SystemExit(
            f"Expected {PARENT_FD} set and: "
            "python -m tuneboard.guard [--linger SECONDS] [--fd N]… -- COMMAND"
        )
    return linger_s, fds, arguments[1:]


def _wake_on_signals() -> int:
    """Make SIGTERM, SIGINT and SIGCHLD readable, a byte each, on the returned descriptor."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return read_fd


def _wait(child: subprocess.Popen[bytes], parent_fd: int, wake_fd: int, linger_s: float) -> bool:
    """Return, when the command has ended, whether the parent had ended before it."""
    while child.poll() is None:
        readable = select.select([parent_fd, wake_fd], [], [], _LOOK_S)[0]
        if parent_fd in readable:
            _end(child, linger_s)
            return True
        if wake_fd in readable:
            for number in os.read(wake_fd, 64):
                if number != signal.SIGCHLD and child.poll() is None:
                    child.send_signal(number)
    return bool(select.select([parent_fd], [], [], 0)[0])


def _end(child: subprocess.Popen[bytes], linger_s: float) -> None:
    """End the group: SIGTERM, which our own handler lets us live through, then SIGKILL."""
    time.sleep(linger_s)
    os.killpg(0, signal.SIGTERM)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
