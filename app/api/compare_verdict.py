"""Which of several runs is better, and whether that is real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.dependencies import SettingsDep, StoreDep
from app.figures.compare import RUNS_LIMIT
from store.values import ID_LIMIT

if TYPE_CHECKING:
    from app.verdict.view import Line, Verdict

router = APIRouter(tags=["compare"])

RunIds = Annotated[
    list[Annotated[int, Query(ge=1, le=ID_LIMIT)]],
    Query(min_length=2, max_length=RUNS_LIMIT, description="Runs, in order."),
]
Baseline = Annotated[
    int | None,
    Query(ge=1, le=ID_LIMIT, description="The run the others are compared with; the first."),
]
SplitQuery = Annotated[
    Literal["val", "test"] | None,
    Query(description="Left out: test if all were tested on the same images, else validation."),
]


class CountsOut(BaseModel):
    """How two trained models share the images."""

    both_right: int
    fixed: int = Field(description="Only the run gets them right, the baseline not.")
    broken: int = Field(description="Only the baseline gets them right.")
    both_wrong: int


class ComparisonOut(BaseModel):
    """A run against the baseline; differences are shares of the images."""

    run: int
    baseline: int
    about: Literal["models", "settings", "seeds"] = Field(
        description="models: these two trained models. settings: their settings, over several "
        "seeds. seeds: two trained models of one setting."
    )
    finding: Literal["better", "better_here", "worse", "worse_here", "undecided", "refused"] = (
        Field(
            description="Of the run. better_here: on these images, whatever the seed, but the "
            "images are too few to say so of others."
        )
    )
    sentence: str
    explanation: str
    counts: CountsOut | None
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    p_adjusted: float | None = Field(description="By Holm's method over all comparisons.")
    seeds: tuple[int, int] = Field(description="Of the baseline's settings and of the run's.")
    seeds_missing: tuple[int, int] = Field(description="Until the settings can be judged.")
    runs_coming: list[int] = Field(description="Runs with such seeds that have not ended.")


class VerdictOut(BaseModel):
    """Every run against the baseline."""

    baseline: int
    split: Literal["val", "test"]
    samples: int
    split_chose_epoch: bool = Field(description="Whether these images chose the weights too.")
    comparisons: list[ComparisonOut]
    notes: list[str]
    methods: list[str]


@router.get("/compare/verdict")
def show(
    store: StoreDep,
    settings: SettingsDep,
    run: RunIds,
    baseline: Baseline = None,
    split: SplitQuery = None,
) -> VerdictOut:
    """Return how the runs compare with the baseline, image by image, in figures and in words."""
    from app.verdict.view import verdict  # the statistics come with it

    return _verdict_out(verdict(store, settings, run, baseline, split))


def _verdict_out(found: Verdict) -> VerdictOut:
    evidence = found.evidence
    return VerdictOut(
        baseline=evidence.baseline.run_id,
        split=evidence.split,
        samples=evidence.samples,
        split_chose_epoch=evidence.split_chose_epoch,
        comparisons=[_comparison_out(line) for line in found.lines],
        notes=list(found.notes),
        methods=list(found.methods),
    )


def _comparison_out(line: Line) -> ComparisonOut:
    found = line.found
    counts = found.counts
    return ComparisonOut(
        run=found.run_id,
        baseline=found.baseline_id,
        about=found.about,
        finding=found.finding,
        sentence=line.sentence,
        explanation=" ".join(filter(None, (line.explanation, line.seeds_note))),
        counts=CountsOut(
            both_right=counts.both_right,
            fixed=counts.fixed,
            broken=counts.broken,
            both_wrong=counts.both_wrong,
        )
        if counts
        else None,
        difference=found.difference,
        interval=found.interval,
        p_value=found.p_value,
        p_adjusted=found.p_adjusted,
        seeds=found.seeds,
        seeds_missing=line.missing,
        runs_coming=list(line.coming),
    )
