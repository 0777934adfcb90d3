"""The page that says what went wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse

from app.pages.templating import render


@dataclass(frozen=True)
class ProblemPage:
    """What `errors/problem.html` shows."""

    title: str
    status: int
    detail: str
    remedy: str
    errors: tuple[Mapping[str, Any], ...]


def render_problem(request: Request, problem: Mapping[str, Any], status: int) -> HTMLResponse:
    """Return the problem, shaped as the API's problem JSON, as a page."""
    page = ProblemPage(
        title=str(problem.get("title") or "Something went wrong"),
        status=status,
        detail=str(problem.get("detail") or ""),
        remedy=str(problem.get("remedy") or ""),
        errors=tuple(problem.get("errors") or ()),
    )
    return render(request, "errors/problem.html", page, status)
