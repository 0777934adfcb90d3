"""What a spec would come to, told before it is launched."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field

from app.forms import spec_data
from store.database import Store
from store.settings import Settings
from trainer.errors import InvalidInput
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec


class SpecSummary(BaseModel):
    """What is known of a run before it begins."""

    name: str = Field(description="What the run will be called.", examples=["resnet18 frozen"])


def summarize(store: Store, settings: Settings, spec: ExperimentSpec, priority: int) -> SpecSummary:
    """Return what a valid spec would come to on this installation."""
    del store, settings, priority
    return SpecSummary(name=spec.display_name())


def summary_of(
    store: Store, settings: Settings, values: Mapping[str, str], priority: str
) -> SpecSummary | None:
    """Return what the typed values would come to; None where they make no spec yet."""
    try:
        spec = parse_spec(spec_data(values))
    except InvalidInput:
        return None
    number = int(priority) if priority.strip().lstrip("-").isdecimal() else 0
    return summarize(store, settings, spec, number)
