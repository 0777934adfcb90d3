"""From a problem's JSON back to the error that the server raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from trainer.errors import Conflict, FieldError, InvalidInput, NotFound, TuneboardError

_CLASSES: dict[int, type[TuneboardError]] = {404: NotFound, 409: Conflict, 422: InvalidInput}


class Unreachable(TuneboardError):
    """No Tuneboard answers at the address."""

    title = "No Tuneboard answers"
    status = 503


class Unanswered(TuneboardError):
    """The connection broke off, or the answer took too long, after a request was sent."""

    title = "Tuneboard did not answer"
    status = 504


class Refused(TuneboardError):
    """The server answered with an error that has no class of its own."""

    def __init__(self, title: str, status: int, detail: str, remedy: str = "") -> None:
        super().__init__(detail, remedy)
        self.title = title
        self.status = status


def problem_of(response: httpx.Response) -> TuneboardError:
    """Return the error that a response describes, as the server raised it."""
    response.read()
    try:
        problem = response.json()
        detail, remedy = problem["detail"], problem.get("remedy", "")
        errors = field_errors_of(problem)
        title = problem["title"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(
            "Unexpected answer",
            response.status_code,
            f"{response.url} answered {response.status_code} {response.reason_phrase}, "
            "and not as a Tuneboard does.",
            "Check that the address is a Tuneboard's.",
        )
    kind = _CLASSES.get(response.status_code)
    if kind is None:
        return Refused(title, response.status_code, detail, remedy)
    return kind(detail, remedy, errors)


def field_errors_of(problem: Mapping[str, Any]) -> list[FieldError]:
    """Return the field errors in a problem's JSON."""
    return [
        FieldError(item["field"], item.get("value"), item["expected"], item.get("remedy", ""))
        for item in problem.get("errors", [])
    ]
