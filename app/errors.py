"""One shape for everything that goes wrong, as JSON below /api and as a page elsewhere.

`Problem` is RFC 9457's object with our remedy and field errors. Exceptions become responses here
and nowhere else; an unforeseen one is logged once, with the number its user is shown.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainer.errors import FieldError, TuneboardError

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)

# Answers to what the framework finds wrong before any code of ours runs.
_REMEDIES = {
    401: "Send `Authorization: Bearer TOKEN`, or log in with a browser.",
    404: "Check the address; the API is described at /api/v1/openapi.json.",
    413: "Send less at once; TUNEBOARD_UPLOAD_LIMIT_BYTES is the limit of archives.",
    405: "The `Allow` header names the methods this address takes.",
}


class FieldProblem(BaseModel):
    """One field that was wrong."""

    field: str = Field(examples=["optimizer.lr"], description="Dotted path; empty: everything.")
    value: Any = Field(None, examples=[30], description="What came.")
    expected: str = Field(examples=["less than or equal to 10"])
    remedy: str = Field("", examples=["Try 1e-3."])
    message: str = Field(description="The same as one sentence.")


class Problem(BaseModel):
    """What went wrong, and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not found",
                "status": 404,
                "detail": "There is no run 12.",
                "remedy": "The Runs page lists those there are.",
                "errors": [],
            }
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    remedy: str = ""
    errors: list[FieldProblem] = Field(default_factory=list)
    id: str | None = Field(None, description="Of an internal error: the number in the log.")


class HttpProblem(TuneboardError):
    """An error of the HTTP layer itself: a status, a title, and perhaps headers."""

    def __init__(
        self,
        status: int,
        detail: str,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, remedy)
        self.status = status
        self.title = HTTPStatus(status).phrase
        self.headers = dict(headers or {})


def problem_of(error: TuneboardError) -> Problem:
    """Return the problem that one of our errors describes."""
    return Problem(
        title=error.title,
        status=error.status,
        detail=error.detail,
        remedy=error.remedy,
        errors=[FieldProblem(**item.as_dict()) for item in error.errors],
    )


def problem_response(
    request: Request, problem: Problem, headers: Mapping[str, str] | None = None
) -> Response:
    """Render the problem as this client reads it: JSON below /api, else a page."""
    content = problem.model_dump(mode="json", exclude_none=True)
    for item, source in zip(content["errors"], problem.errors, strict=True):
        item.setdefault("value", source.value)  # a value of null was still a value
    if not _wants_page(request):
        body = json.dumps(content, ensure_ascii=False, allow_nan=False)
        encoded = body.encode(errors="replace")  # what came may hold halves of characters
        return Response(encoded, problem.status, headers, MEDIA_TYPE)
    page: Response = request.app.state.render_problem(request, content, problem.status)
    page.headers.update(headers or {})
    return page


def install(
    app: FastAPI, render_problem: Callable[[Request, dict[str, Any], int], Response]
) -> None:
    """Make every exception of a route come out as a problem; `render_problem` makes the page."""
    app.state.render_problem = render_problem
    app.add_exception_handler(TuneboardError, _ours)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _validation)  # type: ignore[arg-type]


class ErrorBoundary:
    """ASGI middleware: an unforeseen exception is logged with an id and answered with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer where nobody else could."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            log.info("the client of %s %s went away", scope["method"], scope["path"])
        except Exception as error:
            request = Request(scope, receive)
            if isinstance(error, TuneboardError) and not started:
                response = await _ours(request, error)
            else:
                number = secrets.token_hex(4)
                log.exception("error %s: %s %s", number, scope["method"], scope["path"])
                if started:  # too late for an answer; the server cuts the connection
                    raise
                response = _last_resort(request, _internal(number))
            await response(scope, receive, send)


def _last_resort(request: Request, problem: Problem) -> Response:
    """Render the problem, plainly where rendering is what went wrong."""
    try:
        return problem_response(request, problem)
    except Exception:
        log.exception("error %s: its page could not be rendered", problem.id)
        return PlainTextResponse(f"{problem.detail} {problem.remedy}", problem.status)


def _internal(number: str) -> Problem:
    return Problem(
        title="Internal error",
        status=500,
        detail=f"Something unforeseen went wrong in the server (error {number}).",
        remedy=f"The web process's log has the details under {number}.",
        id=number,
    )


async def _ours(request: Request, error: TuneboardError) -> Response:
    headers = error.headers if isinstance(error, HttpProblem) else None
    return problem_response(request, problem_of(error), headers)


async def _http(request: Request, error: HTTPException) -> Response:
    if error.status_code < 400 or error.status_code in {204, 304}:
        return Response(status_code=error.status_code, headers=error.headers)
    phrase = HTTPStatus(error.status_code).phrase
    detail = str(error.detail or phrase)
    if error.status_code == 404 and detail == phrase:
        detail = f"There is nothing at {request.url.path}."
    if error.status_code == 405:
        detail = f"{request.url.path} does not take {request.method}."
    problem = Problem(
        title=phrase,
        status=error.status_code,
        detail=detail,
        remedy=_REMEDIES.get(error.status_code, ""),
    )
    return problem_response(request, problem, error.headers)


async def _validation(request: Request, error: RequestValidationError) -> Response:
    errors = [_parameter_error(item) for item in error.errors()]
    problem = Problem(
        title="Invalid input",
        status=422,
        detail=" ".join(str(item) for item in errors),
        errors=[FieldProblem(**item.as_dict()) for item in errors],
    )
    return problem_response(request, problem)


def field_error(item: Mapping[str, Any], path: Sequence[str]) -> FieldError:
    """Return one of pydantic's findings in our words, about the field at `path`."""
    field = ".".join(path)
    if item["type"] == "json_invalid":
        reason = str(item.get("ctx", {}).get("error", ""))
        return FieldError(field, None, f"JSON ({reason})")
    if item["type"] == "missing":
        return FieldError(field, None, "given", "It has no default.")
    if item["type"] == "extra_forbidden":
        return FieldError(field, _plain(item["input"]), "left out", "There is no such key here.")
    message = str(item["msg"]).removeprefix("Value error, ")
    for opening in ("Input should be ", "Value should be "):
        message = message.removeprefix(opening)
    message = message[:1].lower() + message[1:]
    subject, should, rest = message.partition(" should ")
    if should and subject in {"string", "list", "value", "data"}:
        message = f"such that it should {rest}"
    return FieldError(field, _plain(item["input"]), message)


def _parameter_error(item: Mapping[str, Any]) -> FieldError:
    place, *path = (str(part) for part in item["loc"])
    if item["type"] == "json_invalid":
        path = []  # the place in the text is in the message
    return field_error(item, path or ([] if place == "body" else [place]))


def _plain(value: object) -> object:
    if isinstance(value, bool | int) or value is None:
        return value
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 120 else text[:117] + "…"


def _wants_page(request: Request) -> bool:
    path = request.url.path
    if path == "/api" or path.startswith("/api/"):
        return False
    accept = request.headers.get("accept", "")
    return "json" not in accept or "text/html" in accept
