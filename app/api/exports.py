"""A comparison as files, for scripts: what the page's export buttons give."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, StreamingResponse

from app.pages.exports import export_html, export_md, export_zip

router = APIRouter(prefix="/compare", tags=["compare"])

for _name, _handler, _answer, _media_type in (
    ("export.html", export_html, StreamingResponse, "text/html"),
    ("export.md", export_md, PlainTextResponse, "text/markdown"),
    ("export.zip", export_zip, StreamingResponse, "application/zip"),
):
    router.add_api_route(
        f"/{_name}",
        _handler,
        name=f"api_{_name}",
        response_class=_answer,
        responses={200: {"content": {_media_type: {}}, "description": "The file."}},
    )
