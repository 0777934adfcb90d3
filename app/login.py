"""Logging in with an access token, for browsers; a plain form."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from app.pages.templating import render_login
from app.security import CheckedForm, login, logout

router = APIRouter(include_in_schema=False)


@router.get("/login")
def show(request: Request, next: Annotated[str, Query(max_length=2000)] = "/") -> Response:  # noqa: A002 - the form's field
    """Show the form."""
    return render_login(request, _own_address(next))


@router.post("/login")
async def enter(request: Request, form: CheckedForm) -> Response:
    """Check the token; go on to the page that was wanted, or show the form again."""
    target = _own_address(str(form.get("next", "/")))
    response = RedirectResponse(target, 303)
    if login(request, response, str(form.get("token", "")).strip()):
        return response
    return render_login(request, target, "That is no access token of this server.", 401)


@router.post("/logout")
async def leave(request: Request, _form: CheckedForm) -> Response:
    """End the session."""
    response = RedirectResponse("/login", 303)
    logout(request, response)
    return response


def _own_address(target: str) -> str:
    """Return the address if it is one of this server's, else the first page."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_ours and target.isprintable() and "\\" not in target else "/"
