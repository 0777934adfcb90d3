"""All pages' routes in one router."""

from __future__ import annotations

from fastapi import APIRouter

from app.pages.compare import router as compare
from app.pages.compare_classes import router as compare_classes
from app.pages.compare_confusion import router as compare_confusion
from app.pages.compare_flips import router as compare_flips
from app.pages.compare_results import router as compare_results
from app.pages.compare_share import router as compare_share
from app.pages.compare_specs import router as compare_specs
from app.pages.compare_time import router as compare_time
from app.pages.compare_verdict import router as compare_verdict
from app.pages.compare_vote import router as compare_vote
from app.pages.dataset import router as dataset
from app.pages.datasets import router as datasets
from app.pages.duplicates import router as duplicates
from app.pages.exports import router as exports
from app.pages.launch import router as launch
from app.pages.launch_many import router as launch_many
from app.pages.launch_recipe import router as launch_recipe
from app.pages.preflights import router as preflights
from app.pages.run import router as run
from app.pages.run_downloads import router as run_downloads
from app.pages.run_parts import router as run_parts
from app.pages.run_wishes import router as run_wishes
from app.pages.runs import router as runs
from app.pages.runs_selected import router as runs_selected
from app.pages.studies import router as studies
from app.pages.study import router as study
from app.pages.study_analysis import router as study_analysis
from app.pages.study_forms import router as study_forms
from app.pages.tryit import router as tryit
from app.pages.workers import router as workers

router = APIRouter()
for part in (
    runs,
    runs_selected,
    launch,
    launch_many,
    launch_recipe,
    run,
    run_downloads,
    run_parts,
    run_wishes,
    compare,
    compare_share,
    compare_specs,
    compare_time,
    compare_classes,
    compare_confusion,
    compare_flips,
    compare_results,
    compare_verdict,
    compare_vote,
    datasets,
    dataset,
    duplicates,
    exports,
    preflights,
    studies,
    study,
    study_analysis,
    study_forms,
    tryit,
    workers,
):
    router.include_router(part)
