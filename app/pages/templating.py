"""Jinja's environment: strict about names, escaping everything, with our words for numbers."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse
from starlette.templating import Jinja2Templates

from app.figures.style import run_style
from app.pages.assets import asset, modules, plotly_url
from app.security import csrf_token

TEMPLATES = Path(__file__).parents[2] / "templates"


def render(request: Request, template: str, page: object, status: int = 200) -> HTMLResponse:
    """Return the page that `template` makes of its context object `page`."""
    return templates().TemplateResponse(
        request, template, {"page": page}, status, {"Cache-Control": "no-store"}
    )


def render_login(
    request: Request,
    next: str,  # noqa: A002 - the form's field
    error: str = "",
    status: int = 200,
) -> HTMLResponse:
    """Return the page that asks for an access token; `next` is where to go afterwards."""
    return templates().TemplateResponse(
        request, "login.html", {"next": next, "error": error}, status, {"Cache-Control": "no-store"}
    )


@cache
def templates() -> Jinja2Templates:
    """Return the templates with what every page knows: the CSRF token and the routes' addresses."""
    return Jinja2Templates(env=environment(), context_processors=[_everywhere])


def _everywhere(request: Request) -> dict[str, Any]:
    return {
        "csrf_token": csrf_token(request),
        "url": lambda route, /, **parts: str(request.app.url_path_for(route, **parts)),
    }


@cache
def environment() -> Environment:
    """Return the one environment, made when first needed."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "asset": asset,
        "modules": modules,
        "plotly_url": plotly_url,
        "run_style": run_style,
    }
    made.filters |= {
        "ago": ago,
        "bytes": byte_count,
        "compact": compact,
        "count": count,
        "duration": duration,
        "number": number,
        "p_value": p_value,
        "percent": percent,
        "points": points,
        "script_json": script_json,
        "tag_filter": tag_filter,
        "timestamp": timestamp,
    }
    return made


def script_json(value: object) -> Markup:
    """Return JSON that is safe inside a script element: no `<`, `>` or `&` in it at all."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - every character that HTML reads was replaced above


def duration(seconds: float | None) -> str:
    """Return seconds as a person would say them: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 04 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def ago(seconds: float | None) -> str:
    """Return how long ago something was."""
    if seconds is None:
        return "–"
    return "just now" if seconds < 2 else f"{duration(max(0.0, math.floor(seconds)))} ago"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage; a dash for none or what is not a number."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    return f"{fraction * 100:.{digits}f} %"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}"


def points(share: float | None, unit: str = " points") -> str:
    """Return a difference of two shares in percentage points."""
    if share is None or not math.isfinite(share):
        return "–"
    return f"{share * 100:.1f}{unit}".replace("-", "−")


def p_value(value: float | None) -> str:
    """Return a p-value with two digits that count."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def count(value: int | None) -> str:
    """Return a whole number with narrow spaces between thousands."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def compact(value: int | None) -> str:
    """Return a whole number in three digits or so: `12.8 k`, `3.40 M`."""
    if value is None:
        return "–"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def byte_count(value: float | None) -> str:
    """Return bytes in the unit that leaves few digits."""
    if value is None:
        return "–"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def tag_filter(tag: str) -> str:
    """Return the filter that finds the runs with a tag."""
    quoted = tag.replace("\\", "\\\\").replace('"', '\\"')
    return f'tag = "{quoted}"'


def timestamp(seconds: float | None) -> str:
    """Return Unix seconds as ISO 8601 in UTC, for a `<time>` that the browser makes local."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
