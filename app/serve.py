"""`python -m app.serve --fd N`: serve on a socket that is already listening, given as descriptor N.

Behind a process manager that opens no socket, `uvicorn --factory app.main:create_app` does as well.
"""

from __future__ import annotations

import argparse
import socket

import uvicorn

GRACEFUL_SHUTDOWN_S = 2


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m app.serve", description="Serve the web.")
    parser.add_argument("--fd", required=True, type=int, help="the listening socket's descriptor")
    listener = socket.socket(fileno=parser.parse_args().fd)
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
