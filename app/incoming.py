"""A request's body on its way in: in pieces worth a thread each, or a form's files to disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.errors import HttpProblem

BATCH_BYTES = 1024 * 1024  # handed to a thread at a time
FIELDS_LIMIT = 20
FIELD_LIMIT_BYTES = 4096

OnFields = Callable[[dict[str, str]], None]
OpenFile = Callable[[str], BinaryIO]


async def read_form(
    request: Request, open_file: OpenFile, on_fields: OnFields | None = None
) -> dict[str, str]:
    """Return the fields of a multipart form, its files written as they come.

    Args:
        open_file: Told each file's name; returns where it is to be written.
        on_fields: Called with the fields that came before a file.

    Raises:
        HttpProblem: With 400 if the form is broken, or `open_file` raises a MultipartParseError.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        form = _Form(options.get(b"boundary", b""), open_file, on_fields)
        async for batch in batches(request):
            await run_in_threadpool(form.feed, batch)
        form.finish()
    except MultipartParseError as error:
        raise HttpProblem(400, f"The form could not be read: {error}.") from error
    return form.fields


async def batches(request: Request) -> AsyncIterator[bytes]:
    """Yield the request's body in pieces worth a thread each; what came before a cut too.

    Raises:
        ClientDisconnect: If the body was cut off.
    """
    batch = bytearray()
    try:
        async for chunk in request.stream():
            batch += chunk
            if len(batch) >= BATCH_BYTES:
                yield bytes(batch)
                batch.clear()
    except ClientDisconnect:
        yield bytes(batch)
        raise
    yield bytes(batch)


class _Form:
    """A multipart form whose files go to disk as they come."""

    def __init__(self, boundary: bytes, open_file: OpenFile, on_fields: OnFields | None) -> None:
        self.fields: dict[str, str] = {}
        self._open_file = open_file
        self._file: BinaryIO | None = None
        self._on_fields = on_fields
        self._header = bytearray()
        self._header_value = bytearray()
        self._options: dict[bytes, bytes] = {}
        self._value: bytearray | None = None
        self._ended = False
        if not boundary:
            raise MultipartParseError("its content type names no boundary")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_field,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_value,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._parser.write(data)

    def finish(self) -> None:
        """Check that the form is complete."""
        self._parser.finalize()
        if not self._ended:
            raise MultipartParseError("it ends in the middle")

    def _begin_part(self) -> None:
        self._options = {}

    def _add_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._options = parse_options_header(bytes(self._header_value))
        self._header.clear()
        self._header_value.clear()

    def _begin_value(self) -> None:
        if b"filename" not in self._options:
            self._value = bytearray()
            if len(self.fields) >= FIELDS_LIMIT:
                raise MultipartParseError("it has too many fields")
            return
        self._value = None
        if self._on_fields is not None:
            self._on_fields(self.fields)
        self._file = self._open_file(self._options[b"filename"].decode(errors="replace"))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._value is None:
            if self._file is not None:
                self._file.write(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_LIMIT_BYTES:
            raise MultipartParseError("one of its fields is too long")

    def _end_part(self) -> None:
        if self._value is not None:
            name = self._options.get(b"name", b"").decode(errors="replace")
            self.fields[name] = self._value.decode(errors="replace")

    def _end(self) -> None:
        self._ended = True
