"""`python -m tuneboard.health web|train|interactive`: the health checks of the containers.

Exits 0 if this machine's service of that kind works: the web answers, or a worker of this host
has renewed its row lately. Says why and exits 1 otherwise.
"""

from __future__ import annotations

import socket
import sys

from store.settings import Settings
from trainer.errors import TuneboardError
from tuneboard.place import load_settings

MISSED_HEARTBEATS = 4


def check(kind: str, settings: Settings) -> str:
    """Return what is wrong with this host's service of that kind; empty where nothing is."""
    if kind == "web":
        from tuneboard.up import is_answering

        return "" if is_answering(settings) else "The web does not answer."
    from store.database import open_store
    from store.workers import list_workers

    store = open_store(settings)
    try:
        alive = list_workers(store, alive_within_s=MISSED_HEARTBEATS * settings.heartbeat_s)
    finally:
        store.dispose()
    here = socket.gethostname()
    if any(worker.kind == kind and worker.hostname == here for worker in alive):
        return ""
    return f"No {kind} worker of {here} has been heard of lately."


def main(arguments: list[str]) -> int:
    """Check the service that the one argument names."""
    if len(arguments) != 1 or arguments[0] not in {"web", "train", "interactive"}:
        sys.stderr.write("Expected: python -m tuneboard.health web|train|interactive\n")
        return 2
    try:
        problem = check(arguments[0], load_settings())
    except TuneboardError as error:
        problem = str(error)
    if problem:
        sys.stderr.write(problem + "\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
