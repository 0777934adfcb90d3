"""How large a request's body may be: by its address, as it is announced and as it comes."""

from __future__ import annotations

from fastapi import HTTPException, Request
from starlette.types import Message, Receive

from store.settings import Settings

PICTURE_LIMIT_BYTES = 64 * 1024**2  # a photo has 5 to 20 MB
BODY_LIMIT_BYTES = 4 * 1024**2  # a study of hundreds of specs is far below; archives have their own
UPLOAD_SLACK_BYTES = 64 * 1024  # what a form adds around its file


def limited(request: Request, receive: Receive, settings: Settings) -> Receive:
    """Return `receive` for a body of at most the size that the request's address takes."""
    limit_bytes = _limit_bytes(request.url.path, settings)
    received_bytes = 0
    declared = request.headers.get("content-length", "")

    async def receive_limited() -> Message:
        nonlocal received_bytes
        if declared.isdigit() and int(declared) > limit_bytes:
            raise _size_problem(limit_bytes)
        message = await receive()
        if message["type"] == "http.request":
            received_bytes += len(message.get("body", b""))
            if received_bytes > limit_bytes:
                raise _size_problem(limit_bytes)
        return message

    return receive_limited


def _limit_bytes(path: str, settings: Settings) -> int:
    if _takes_archive(path):
        return settings.upload_limit_bytes + UPLOAD_SLACK_BYTES
    if _takes_picture(path):
        return PICTURE_LIMIT_BYTES + UPLOAD_SLACK_BYTES
    return BODY_LIMIT_BYTES


def _takes_archive(path: str) -> bool:
    """Return whether an address takes an uploaded archive or images, and so a large body."""
    if path in {"/datasets/upload", "/api/v1/datasets/upload"}:
        return True
    if path.startswith("/api/v1/uploads/") and not path.endswith("/finish"):
        return True
    if path.startswith("/api/v1/runs/") and path.endswith("/predictions"):
        return True
    if path.startswith(("/runs/", "/parts/runs/")) and path.endswith("/try"):
        return True
    return path.startswith("/api/v1/datasets/") and path.endswith("/archive")


def _takes_picture(path: str) -> bool:
    """Return whether an address takes one uploaded image."""
    return path.startswith("/api/v1/runs/") and path.endswith(
        ("/classify", "/gradcam", "/features")
    )


def _size_problem(limit_bytes: int) -> HTTPException:
    # The framework lets its own exceptions alone pass while it parses a body.
    return HTTPException(413, f"The request's body is larger than {limit_bytes:,} bytes.")
