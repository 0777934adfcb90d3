"""How our small programs answer the worker that started them: JSON lines on standard output.

The last line is `{"ready": …}` or `{"failed": {title, detail, remedy, errors}}`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from trainer.errors import TuneboardError
from trainer.process import log_to_stderr

log = logging.getLogger(__name__)


def answer(work: Callable[[], dict[str, Any]]) -> int:
    """Do `work`, say what it returns or why it cannot be done, and return the exit status."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library's print must not be taken for an answer
    log_to_stderr()
    status = 0
    try:
        message = {"ready": work()}
    except TuneboardError as error:
        message, status = {"failed": failure(error)}, 1
    except Exception as error:
        log.exception("The program failed")
        message = {
            "failed": {
                "title": "Something went wrong",
                "detail": f"{type(error).__name__}: {error}",
                "remedy": "The worker's log holds more.",
                "errors": [],
            }
        }
        status = 1
    with said:
        said.write(json.dumps(message) + "\n")
    return status


def failure(error: TuneboardError) -> dict[str, Any]:
    """Return an error as one JSON object."""
    return {
        "title": error.title,
        "detail": error.detail,
        "remedy": error.remedy,
        "errors": [problem.as_dict() for problem in error.errors],
    }
