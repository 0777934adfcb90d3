"""The curves of the Compare page: what its address asks for, and what the script is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query

from app.figures.compare import CompareInfo
from app.figures.families import FIRST, Family, families
from app.figures.groups import BY_SETTINGS, NOT_GROUPED
from app.figures.packed import XAxis
from app.figures.style import run_style
from trainer.errors import FieldError, InvalidInput

SMOOTH_LIMIT = 0.99
X_WORDS: Mapping[XAxis, str] = {
    "epoch": "Epochs",
    "step": "Steps",
    "seconds": "Training seconds",
    "wall": "Wall clock",
}


@dataclass(frozen=True)
class CurvesView:
    """What the curves show; every field is a parameter of the page's address."""

    x: XAxis
    y: Literal["linear", "log"]
    lines: Literal["both", "val", "train"]
    band: Literal["minmax", "sd"]
    metrics: tuple[str, ...]
    smooth: float
    group: str


@dataclass(frozen=True)
class CurvesPart:
    """What `partials/compare_curves.html` shows."""

    view: CurvesView
    families: tuple[Family, ...]
    chosen: tuple[str, ...]
    """Keys of the families whose figures are shown."""
    group_fields: tuple[str, ...]
    """Fields of the spec that differ, by which runs can be grouped."""
    told: Mapping[str, Any]
    """For the script: the runs' looks and the families."""


async def _view(
    x: XAxis = "epoch",
    y: Literal["linear", "log"] = "linear",
    lines: Literal["both", "val", "train"] = "both",
    band: Literal["minmax", "sd"] = "minmax",
    metric: Annotated[list[Annotated[str, Query(max_length=100)]], Query(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
    smooth: Annotated[float, Query(ge=0, le=SMOOTH_LIMIT)] = 0.0,
    group: Annotated[str, Query(max_length=200)] = "",
    start: Annotated[float | None, Query(alias="from")] = None,
    end: Annotated[float | None, Query(alias="to")] = None,
) -> CurvesView:
    for name, value in (("from", start), ("to", end)):
        if value is not None and not math.isfinite(value):
            raise InvalidInput.of(FieldError(name, str(value), "a finite number"))
    return CurvesView(x, y, lines, band, tuple(dict.fromkeys(metric)), smooth, group)


CurvesViewDep = Annotated[CurvesView, Depends(_view)]


def first_query(part: CurvesPart, run_ids: Sequence[int], address: Mapping[str, str]) -> str:
    """Return the query by which `curves.js` asks for the first figure, to be sent for at once.

    Empty where the address names a part of the axis: how a script writes numbers is not known here.
    """
    shown = next((family for family in part.families if family.key in part.chosen), None)
    if shown is None or not run_ids or {"from", "to"} & address.keys():
        return ""
    train, validation = shown.train, shown.validation
    metrics = {
        "both": (train, validation),
        "val": (validation or train,),
        "train": (train or validation,),
    }[part.view.lines]
    query = [("run", str(run_id)) for run_id in run_ids]
    query += [("metric", metric) for metric in metrics if metric]
    query += [("x", part.view.x)] if part.view.x != "epoch" else []
    if part.view.group:
        query += [("group", part.view.group), ("band", part.view.band)]
    return urlencode(query)


def curves_part(info: CompareInfo, view: CurvesView) -> CurvesPart:
    """Return what the page says of its curves; the points themselves are fetched."""
    recorded = {name for run in info.runs for name in run.metrics}
    known = families([*recorded, *(name for name in view.metrics if name not in FIRST)])
    keys = {family.key for family in known}
    chosen = tuple(key for key in view.metrics if key in keys) or FIRST
    fields = [found.path for found in info.differences if found.path not in NOT_GROUPED]
    if view.group not in ("", BY_SETTINGS, *fields):
        fields.append(view.group)
    live = {"queued", "running", "paused"}
    return CurvesPart(
        view=view,
        families=known,
        chosen=chosen,
        group_fields=tuple(fields),
        told={
            "runs": [
                {
                    "id": run.id,
                    "label": info.labels[run.id],
                    "colour": run_style(run.id).colour,
                    "symbol": run_style(run.id).symbol,
                    "is_live": run.status in live,
                }
                for run in info.runs
            ],
            "families": [
                {
                    "key": family.key,
                    "title": family.title,
                    "train": family.train,
                    "val": family.validation,
                    "percent": family.is_percent,
                }
                for family in known
            ],
            "chosen": list(chosen),
        },
    )
