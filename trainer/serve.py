"""The model server: keeps trained models loaded and answers what is tried on them.

Runs as ``python -m trainer.serve`` beside the worker that started it and speaks lines of JSON on
its standard streams. In: ``{"id": n, "do": "classify", …}`` (see `tryout`). Out: ``{"warm":
seconds}`` once its libraries are there, then ``{"id": n, "ready": …}`` or ``{"id": n, "failed":
…}`` for each request in turn. The end of its input ends it, whatever it is at. With ``--once`` it
answers a single request and ends, as the trainer's other programs do.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from trainer.process import wait_passively
from trainer.program import answer, answers, outcome

MEMORY_BYTES = 1024**3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.serve", description="Answer what is tried on trained models."
    )
    parser.add_argument(
        "--memory-bytes", type=int, default=MEMORY_BYTES, help="of the models that are kept"
    )
    parser.add_argument("--once", metavar="JSON", help="a request to answer alone")
    options = parser.parse_args(arguments)
    if options.once is not None:
        request = json.loads(options.once)
        return answer(lambda: _tryout(options.memory_bytes)(request))
    serve(options.memory_bytes)
    return 0


def serve(memory_bytes: int) -> None:
    """Answer requests until the input ends, which ends the process."""
    said = answers()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), name="requests", daemon=True).start()
    began = time.monotonic()
    tryout = _tryout(memory_bytes)
    _say(said, {"warm": time.monotonic() - began})
    while True:
        request = requests.get()
        _say(said, {"id": request["id"], **outcome(partial(tryout, request))})


def _tryout(memory_bytes: int) -> Any:
    wait_passively()
    from trainer.shelf import Shelf  # takes seconds: torch comes with it
    from trainer.tryout import Tryout

    return Tryout(Shelf(memory_bytes))


def _read(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hand the requests on; at the end of the input end the process, even within a request."""
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    os._exit(0)


def _say(said: Any, message: dict[str, Any]) -> None:
    said.write(json.dumps(message) + "\n")
    said.flush()


if __name__ == "__main__":
    sys.exit(main())
