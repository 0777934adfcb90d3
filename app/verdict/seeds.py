"""The seeds that a verdict on settings still lacks, and the runs that bring them."""

from __future__ import annotations

from app.dependencies import Rings
from app.splits import Split
from app.statistics.replicates import MIN_RUNS
from app.submit import submit_study
from app.verdict.evidence import Candidate
from app.verdict.gather import gather
from store.database import Store
from store.rows import RunRow, StudyRow
from store.settings import Settings
from trainer.errors import Conflict
from trainer.published import Published


def missing_seeds(candidate: Candidate) -> tuple[int, ...]:
    """Return the seeds to train so that a setting has `MIN_RUNS` of them, smallest first.

    Runs on their way count; seeds that failed once are not tried again.
    """
    count = MIN_RUNS - len(candidate.seeds) - len(candidate.coming)
    unused = (
        seed for seed in range(MIN_RUNS + len(candidate.taken)) if seed not in candidate.taken
    )
    return tuple(seed for seed, _ in zip(unused, range(count), strict=False))


def launch_missing(
    store: Store,
    settings: Settings,
    bell: Rings,
    baseline: RunRow,
    other: RunRow,
    split: Split | None,
    *,
    owner: str,
) -> StudyRow:
    """Queue the seeds that both runs' settings lack, as one study, all or none.

    Raises:
        Conflict: If none is missing, or if a script outside Tuneboard trained one of the runs.
        InvalidInput: If the server can no longer run one of the specs.
    """
    evidence = gather(store, settings, baseline, [other], split)
    specs, published = [], []
    sides = [(baseline, evidence.baseline), (other, evidence.others[0])]
    if evidence.baseline.family == evidence.others[0].family:
        raise Conflict(
            f"Runs {baseline.id} and {other.id} have the same settings.",
            "Choose two runs that differ in more than seed and name.",
        )
    for row, candidate in sides:
        if not candidate.can_launch:
            raise Conflict(
                f"Run {row.id} was trained by a script outside Tuneboard.",
                "Let the script report runs of the same spec with other seeds.",
            )
        for seed in missing_seeds(candidate):
            training = {**row.spec["training"], "seed": seed}
            specs.append({**row.spec, "training": training})
            known = row.published
            published.append(Published.model_validate(known) if known else None)
    if not specs:
        raise Conflict(
            f"Runs {baseline.id} and {other.id} have all the seeds they need, or they are on "
            "their way.",
            "Wait for those that are queued or running.",
        )
    return submit_study(
        store,
        settings,
        bell,
        f"Seeds for #{baseline.id} and #{other.id}",
        specs,
        owner=owner,
        note=f"To tell the settings of run {baseline.id} from those of run {other.id}.",
        published=published,
        # They continue what was launched so before.
        acknowledge_leaks=baseline.leaks_acknowledged and other.leaks_acknowledged,
    )
