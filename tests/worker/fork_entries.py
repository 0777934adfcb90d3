"""What the fork server's children are asked to call in its tests."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def describe(
    spec_path: str, manifest_path: str, out_dir: str, resume_from: str | None, control_fd: int
) -> int:
    """Write down what a child finds; then wait for the end of the control socket."""
    links = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            links[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    others = [link for name, link in links.items() if int(name) > 2 and int(name) != control_fd]
    sys.stdout.write(f"arguments {spec_path} {manifest_path} {resume_from}\n")
    sys.stdout.write(f"leader {os.getpid() == os.getpgrp() == os.getsid(0)}\n")
    sys.stdout.write(f"term {signal.getsignal(signal.SIGTERM) is signal.SIG_DFL}\n")
    sys.stdout.write(f"others {others}\n")
    sys.stdout.flush()
    Path(out_dir, "written").touch()
    os.read(control_fd, 1)
    return 7


def raise_error(**_: object) -> int:
    raise ValueError("the last words")


def leave(**_: object) -> int:
    sys.exit(5)


def work(control_fd: int, **_: object) -> int:
    """Stay until killed; end with the supervisor, as a trainer does."""
    os.read(control_fd, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return 0
