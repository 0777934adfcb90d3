"""How our small programs answer the worker that started them: JSON lines on standard output.

The last line is `{"ready": …}` or `{"failed": {title, detail, remedy, errors}}`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any, TextIO

from trainer.errors import TuneboardError
from trainer.process import log_to_stderr

log = logging.getLogger(__name__)


Say = Callable[[dict[str, Any]], None]
"""Takes what a program says of how far it is: what, done and total."""


def answer(work: Callable[[], dict[str, Any]]) -> int:
    """Do `work`, say what it returns or why it cannot be done, and return the exit status."""
    return answer_telling(lambda _: work())


def answer_telling(work: Callable[[Say], dict[str, Any]]) -> int:
    """Do what `answer` does; `work` can say on the way how far it is."""
    with answers() as said:

        def say(told: dict[str, Any]) -> None:
            said.write(json.dumps(told) + "\n")
            said.flush()

        message = outcome(lambda: work(say))
        say(message)
    return 0 if "ready" in message else 1


def answers() -> TextIO:
    """Return where answers go; whatever else is printed goes to standard error from here on."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library's print must not be taken for an answer
    log_to_stderr()
    return said


def outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return `{"ready": …}` with what `work` returns, or `{"failed": …}` with why it cannot."""
    try:
        return {"ready": work()}
    except TuneboardError as error:
        return {"failed": failure(error)}
    except Exception as error:
        log.exception("The program failed")
        return {
            "failed": {
                "title": "Something went wrong",
                "detail": f"{type(error).__name__}: {error}",
                "remedy": "The worker's log holds more.",
                "errors": [],
            }
        }


def failure(error: TuneboardError) -> dict[str, Any]:
    """Return an error as one JSON object."""
    return {
        "title": error.title,
        "detail": error.detail,
        "remedy": error.remedy,
        "errors": [problem.as_dict() for problem in error.errors],
    }
