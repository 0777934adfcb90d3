"""Specs and other documents in request bodies, as JSON or as YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from app.dependencies import accepts
from app.errors import HttpProblem, field_error
from app.security import CSRF_FIELD
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import SPEC_TEXT_LIMIT_BYTES, parse_spec, yaml_data
from trainer.spec import ExperimentSpec

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
DOCUMENT_TYPES = ("application/json", *YAML_TYPES)
STUDY_LIMIT_BYTES = 1024 * 1024

M = TypeVar("M", bound=BaseModel)

_check_type = accepts(*DOCUMENT_TYPES)


async def read_document(request: Request, limit_bytes: int = STUDY_LIMIT_BYTES) -> object:
    """Return what the body holds.

    Raises:
        HttpProblem: With 415 if the media type is neither, 413 if it is too long.
        InvalidInput: If the text is not what its type says.
    """
    media_type = _check_type(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise HttpProblem(
                413, f"Expected at most {limit_bytes // 1024} KiB; the body is longer."
            )
    return await run_in_threadpool(_parsed, bytes(body), media_type, limit_bytes)


async def _read_spec(request: Request) -> ExperimentSpec:
    document = await read_document(request, SPEC_TEXT_LIMIT_BYTES)
    return await run_in_threadpool(parse_spec, document)


SpecBody = Annotated[ExperimentSpec, Depends(_read_spec)]
"""The spec in the body; 415, 413 or 422 where there is none."""


def described_as(schema: dict[str, Any], example: object) -> dict[str, Any]:
    """Return what OpenAPI says of a body that `read_document` reads."""
    content = {name: {"schema": schema, "example": example} for name in DOCUMENT_TYPES[:3]}
    return {"requestBody": {"required": True, "content": content}}


def form_model(model: type[M], form: Mapping[str, Any]) -> M:
    """Return what a posted form says; fields that were left empty count as left out.

    Raises:
        InvalidInput: With an error for each field that is wrong.
    """
    given = {
        name: value.strip()
        for name, value in form.items()
        if name != CSRF_FIELD and isinstance(value, str) and value.strip()
    }
    return model_of(model, given)


def model_of(model: type[M], document: object) -> M:
    """Return what a document says.

    Raises:
        InvalidInput: With an error for each field that is wrong.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise InvalidInput.of(
            *(field_error(item, [str(part) for part in item["loc"]]) for item in found)
        ) from error


def _parsed(body: bytes, media_type: str, limit_bytes: int) -> object:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput.of(FieldError("", None, f"UTF-8 text ({error})")) from error
    if media_type != "application/json":
        return yaml_data(text, limit_bytes)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= 120 else text[:117] + "…"
        raise InvalidInput.of(FieldError("", shown, f"JSON ({error})")) from error
