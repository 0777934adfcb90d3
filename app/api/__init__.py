"""The REST API under /api/v1: everything a page can do, a script can do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI

from app.api import (
    compare,
    compare_curves,
    compare_flips,
    compare_verdict,
    comparisons,
    datasets,
    duplicates,
    evaluated_images,
    exports,
    jobs,
    leaderboard,
    preflights,
    queue,
    recipes,
    run_files,
    run_looks,
    run_wishes,
    runs,
    specs,
    stream,
    studies,
    study_changes,
    tryit,
    uploads,
    views,
    workers,
)
from app.errors import MEDIA_TYPE, FieldProblem, Problem
from app.tryit import ImageIn
from trainer.spec import ExperimentSpec

PREFIX = "/api/v1"

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {
    "description": "What went wrong.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
}

router = APIRouter(prefix=PREFIX, responses={"4XX": _PROBLEM, "5XX": _PROBLEM})
for _module in (
    leaderboard,  # before the runs: their numbers would take its names
    runs,
    run_files,
    run_looks,
    run_wishes,
    views,
    jobs,
    preflights,
    tryit,
    studies,
    study_changes,
    recipes,
    compare,
    compare_curves,
    compare_flips,
    compare_verdict,
    comparisons,
    datasets,
    duplicates,
    uploads,
    evaluated_images,
    exports,
    workers,
    queue,
    specs,
    stream,
):
    router.include_router(_module.router)


def describe(app: FastAPI) -> None:
    """Make the OpenAPI document say what we do: bodies that we parse, problems in our shape."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = make()
        schemas = document["components"]["schemas"]
        for model in (ExperimentSpec, Problem, FieldProblem, ImageIn):
            schema = model.model_json_schema(ref_template=_REFERENCE)
            schemas.update({**schema.pop("$defs", {}), model.__name__: schema})
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own shape
            schemas.pop(name, None)
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
