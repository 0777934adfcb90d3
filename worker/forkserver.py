"""The warm server process: imports a library once, then forks a child for each request.

Runs as ``python -m worker.forkserver FD MODULE``, where FD is one end of a socket pair held by
`worker.forks`. It speaks lines of JSON. In: ``{"call": "module:function", "arguments": {…},
"log": path}`` with one descriptor attached, which the function gets as `control_fd`. Out:
``{"ready": seconds}``, ``{"started": pid}`` for each request, and ``{"exited": pid, "code": n}``
(negative: the signal that ended it).

multiprocessing's own fork server was tried first: it leaves a folder behind when its owner is
killed, loses a child's exit code to a race when two threads poll, and dies of the SIGTERM that a
service manager sends to everybody. Here the end of the socket ends the server, nothing else does,
and a child keeps no descriptor but its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import select
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

REQUEST_LIMIT_BYTES = 64 * 1024


def main(channel_fd: int, preload: str) -> None:
    """Serve until the owner's end of the channel is closed; in a child, do its work and exit."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    began = time.monotonic()
    with _ending_with_owner(channel_fd):
        try:
            importlib.import_module(preload)
        except Exception:  # each child will try again and say so in its run's log
            traceback.print_exc()
    gc.collect()
    gc.freeze()  # keeps the shared pages shared
    with socket.socket(fileno=channel_fd) as channel:
        channel.set_inheritable(False)
        _say(channel, ready=time.monotonic() - began)
        work = _serve(channel)
    if work is not None:
        _exit_with(work)


@contextlib.contextmanager
def _ending_with_owner(channel_fd: int) -> Iterator[None]:
    """End the process when its owner ends, from a thread, for as long as the block is busy.

    The import takes seconds, and nobody reads the channel meanwhile. No thread is left to fork.
    """
    done_r, done_w = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(channel_fd, 0)  # a hang-up is always reported
        poll.register(done_r, select.POLLIN)
        if channel_fd in dict(poll.poll()):
            os._exit(0)

    watcher = threading.Thread(target=watch, name="owner-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        os.close(done_w)
        watcher.join()
        os.close(done_r)


def _serve(channel: socket.socket) -> Callable[[], int] | None:
    """Fork children on request; return None at the end, and in each child what it has to do."""
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_r, False)
    os.set_blocking(wake_w, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(wake_r, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if wake_r in ready:
                _drain(wake_r)
                _report_exits(channel)
            if channel in ready:
                line, fds, _, _ = socket.recv_fds(channel, REQUEST_LIMIT_BYTES, 1)
                if not line:
                    return None
                request = json.loads(line)
                pid = _fork()
                if pid == 0:
                    selector.close()
                    signal.set_wakeup_fd(-1)
                    for fd in (wake_r, wake_w, channel.detach()):
                        os.close(fd)
                    return lambda: _work(request, fds)
                for fd in fds:
                    os.close(fd)
                _say(channel, started=pid)


def _fork() -> int:
    """Fork, and return in the parent only when the child leads a session of its own."""
    led_r, led_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(led_r)
    os.close(led_w)
    if pid:
        os.read(led_r, 1)  # the end of the pipe: the child has closed it, or has died
        os.close(led_r)
    return pid


def _work(request: dict[str, Any], fds: list[int]) -> int:
    """Call what the request names, in a child that looks like a process of its own."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    random.seed()
    module, _, function = request["call"].partition(":")
    call = getattr(importlib.import_module(module), function)
    return int(call(**request["arguments"], control_fd=fds[0]))


def _exit_with(work: Callable[[], int]) -> None:
    """End the process with the work's result, without taking the libraries apart first.

    An orderly end of an interpreter with torch in it takes half a second, and gives nothing back
    that the system does not take anyway.
    """
    code = 1
    try:
        code = work()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _report_exits(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(channel, exited=pid, code=os.waitstatus_to_exitcode(status))


def _say(channel: socket.socket, **message: Any) -> None:
    try:
        channel.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return  # the owner is gone; the next read says so too


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
