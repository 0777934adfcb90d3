"""What a spec may say: its schema, a check without launching, and the architectures."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.answers import ArchitectureOut, ArchitecturesOut, ValidSpecOut
from app.api.runs import EXAMPLE_SPEC
from app.bodies import SpecBody, described_as
from app.dependencies import SettingsDep, StoreDep
from app.launch_checks import check_spec
from app.spec_summary import SpecSummary, summarize
from trainer import catalogue
from trainer.spec import ExperimentSpec, spec_yaml

router = APIRouter(tags=["specs"])


@router.get("/spec/schema")
def schema() -> dict[str, Any]:
    """Return the JSON schema of a spec, with titles, help, bounds, units and defaults."""
    return _schema()


@router.post(
    "/spec/validate",
    openapi_extra=described_as({"$ref": "#/components/schemas/ExperimentSpec"}, EXAMPLE_SPEC),
)
def validate(spec: SpecBody, store: StoreDep, settings: SettingsDep) -> ValidSpecOut:
    """Check a spec as `POST /runs` would, and return it with every default filled in."""
    check_spec(store, settings, spec)
    return ValidSpecOut(
        name=spec.display_name(), spec=spec.model_dump(mode="json"), yaml=spec_yaml(spec)
    )


@router.post(
    "/spec/summary",
    openapi_extra=described_as({"$ref": "#/components/schemas/ExperimentSpec"}, EXAMPLE_SPEC),
)
def summary(
    spec: SpecBody,
    store: StoreDep,
    settings: SettingsDep,
    priority: Annotated[int, Query(ge=-1000, le=1000, description="Higher runs first.")] = 0,
) -> SpecSummary:
    """Say what a spec would come to: images, parameters, steps, what is kept, time, the queue."""
    check_spec(store, settings, spec)
    return summarize(store, settings, spec, priority)


@router.get("/architectures")
def architectures(
    q: Annotated[str, Query(max_length=120, description="Words that the name contains.")] = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 50,
) -> ArchitecturesOut:
    """Find architectures by name; those that begin with the words come first."""
    words = q.lower().split()
    found = [name for name in catalogue.names() if all(word in name.lower() for word in words)]
    if words:
        found.sort(key=lambda name: not name.lower().rpartition("/")[2].startswith(words[0]))
    shown = [ArchitectureOut(**vars(catalogue.entry(name))) for name in found[:limit]]
    return ArchitecturesOut(architectures=shown, total=len(found))


@cache
def _schema() -> dict[str, Any]:
    return ExperimentSpec.model_json_schema()
