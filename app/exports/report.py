"""Everything that an exported comparison shows, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from app.exports.curves import curve_figures
from app.figures.bars import wall_clock_figure, wall_clock_info
from app.figures.compare import CompareInfo, compare_info
from app.figures.confusion import Cells, confusion_figure, confusion_infos
from app.figures.families import FIRST, Family, families
from app.figures.packed import XAxis
from app.figures.parallel import ParallelInfo, compared_settings, parallel_figure
from app.figures.results import accuracy_intervals
from app.figures.specs import SpecGroup, spec_groups
from app.figures.style import Figure
from store.database import Store
from store.settings import Settings
from trainer.errors import FieldError, InvalidInput, NotFound

if TYPE_CHECKING:
    from app.verdict.view import Verdict

CELLS_LIMIT = 200_000
"""Of all matrices of a page together, some 15 MB; beyond, the tables have them."""
SPLITS = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class Asked:
    """Which comparison, and how it is to be shown."""

    run_ids: tuple[int, ...]
    baseline: int | None = None
    metrics: tuple[str, ...] = ()
    """Keys of families of series; empty: accuracy and loss."""
    x: XAxis = "epoch"
    is_log: bool = False
    cells: Cells = "counts"
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Matrix:
    """A run's confusion matrix on a split."""

    label: str
    split: str
    figure: Figure


@dataclass(frozen=True)
class Report:
    """What `export/comparison.html` and the Markdown hold."""

    info: CompareInfo
    title: str
    note: str
    made_at: float
    verdict: Verdict | None
    """None for a single run."""
    intervals: Mapping[tuple[int, str], tuple[float, float]]
    """Of each accuracy, by run and split: Wilson's, 95 %."""
    curves: tuple[tuple[Family, Figure], ...]
    wall_clock: Figure
    settings: ParallelInfo
    settings_figure: Figure
    matrices: tuple[Matrix, ...]
    has_more_matrices: bool
    groups: tuple[SpecGroup, ...]
    reference: int
    """Place of the run whose spec the others are held against."""
    specs: Mapping[int, str]
    """YAML by run."""


def gather_report(store: Store, settings: Settings, asked: Asked, now: float) -> Report:
    """Read the comparison.

    Raises:
        InvalidInput: If no run is named, or the baseline is none of them.
        NotFound: If one of the runs does not exist.
    """
    info = checked_info(store, asked)
    ids = [run.id for run in info.runs]
    matrices, has_more = _matrices(info, asked.cells)
    shown = _families(info, asked.metrics)
    reference = ids.index(asked.baseline) if asked.baseline in ids else 0
    settings_info = compared_settings(info)
    figures = curve_figures(store, info.labels, shown, asked.x, is_log=asked.is_log)
    return Report(
        info=info,
        title=asked.title or f"Comparison of {len(ids)} run{'s' if len(ids) > 1 else ''}",
        note=asked.note,
        made_at=now,
        verdict=judged(store, settings, ids, asked.baseline),
        intervals=accuracy_intervals(info.table, info.evaluations),
        curves=tuple(zip(shown, figures, strict=True)),
        wall_clock=wall_clock_figure(
            wall_clock_info(
                [(info.labels[run.id], info.phases[run.id], run.elapsed_s) for run in info.runs]
            )
        ),
        settings=settings_info,
        settings_figure=parallel_figure(settings_info, info.labels),
        matrices=matrices,
        has_more_matrices=has_more,
        groups=spec_groups(info.differences, reference),
        reference=reference,
        specs={run.id: spec_yaml(run.spec) for run in info.runs},
    )


def checked_info(store: Store, asked: Asked) -> CompareInfo:
    """Return the comparison's rows; see `gather_report` for the errors."""
    if not asked.run_ids:
        raise InvalidInput.of(
            FieldError("run", None, "the number of a run", "Choose the runs to compare first.")
        )
    info = compare_info(store, asked.run_ids)
    if info.missing:
        raise NotFound(
            f"There is no run {', '.join(map(str, info.missing))}.", "Leave it out of the address."
        )
    return info


def judged(
    store: Store, settings: Settings, run_ids: Sequence[int], baseline: int | None
) -> Verdict | None:
    """Return the verdict on the runs; None for a single one."""
    from app.verdict.view import verdict  # the statistics come with it

    return verdict(store, settings, run_ids, baseline) if len(run_ids) > 1 else None


def spec_yaml(spec: Mapping[str, object]) -> str:
    """Return a spec as the YAML that launches it again."""
    text: str = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True)
    return text


def _families(info: CompareInfo, metrics: Sequence[str]) -> tuple[Family, ...]:
    known = {
        family.key: family
        for family in families({name for run in info.runs for name in run.metrics})
    }
    chosen = [known[key] for key in metrics if key in known]
    return tuple(chosen or (known[key] for key in FIRST))


def _matrices(info: CompareInfo, cells: Cells) -> tuple[tuple[Matrix, ...], bool]:
    """Return the matrices that a page can hold, and whether there are more."""
    place = {run.id: index for index, run in enumerate(info.runs)}
    rows, size = [], 0
    for row in sorted(info.evaluations, key=lambda row: (row.split != "test", place[row.run_id])):
        size += len(row.classes) ** 2
        if size > CELLS_LIMIT:
            break
        rows.append(row)
    infos = confusion_infos(
        [
            (
                f"{info.labels[row.run_id]}, {SPLITS[row.split]} images",
                [one["name"] for one in row.classes],
                row.confusion,
            )
            for row in rows
        ],
        cells,
    )
    matrices = tuple(
        Matrix(info.labels[row.run_id], SPLITS[row.split], confusion_figure(matrix))
        for row, matrix in zip(rows, infos, strict=True)
    )
    return matrices, len(rows) < len(info.evaluations)
