"""The port of the web server.

`tuneboard up` takes it itself and hands it to the web process, so that nobody else can take it
between a look and the start, or while the web process is started again.
"""

from __future__ import annotations

import errno
import socket

from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput

BACKLOG = 2048  # uvicorn's own
PORTS_TRIED = 200


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens at the settings' address.

    Raises:
        InvalidInput: If the address is not this machine's, or its port cannot be had.
    """
    try:
        return _listening(settings.host, settings.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            expected = "free on this machine, but something listens there already"
            with listen_from(settings.host, min(settings.port + 1, 65535)) as other:
                free = port_of(other)
            remedy = f"Choose another with --port or TUNEBOARD_PORT; {free} is free."
        elif error.errno == errno.EACCES:
            expected = "one that this user may listen on"
            remedy = "Choose one above 1023 with --port or TUNEBOARD_PORT."
        else:
            problem = FieldError(
                "TUNEBOARD_HOST",
                settings.host,
                f"an address of this machine ({error.strerror})",
                "Choose another with --host; 127.0.0.1 serves this machine alone.",
            )
            raise InvalidInput.of(problem) from error
        field = FieldError("TUNEBOARD_PORT", settings.port, expected, remedy)
        raise InvalidInput.of(field) from error


def listen_from(host: str, first: int) -> socket.socket:
    """Return a socket that listens on the first port from `first` on that can be had.

    Raises:
        Conflict: If there is none.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        try:
            return _listening(host, port)
        except OSError:
            continue
    raise Conflict(
        f"No port from {first} on is free on {host}.", "Choose one with --port or TUNEBOARD_PORT."
    )


def port_of(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
