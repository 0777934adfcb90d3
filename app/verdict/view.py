"""A whole verdict as the page, the API and the command line show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.splits import Split
from app.verdict import words
from app.verdict.evidence import Candidate, Evidence
from app.verdict.gather import chosen_runs, gather
from app.verdict.judge import Comparison, judge
from app.verdict.seeds import missing_seeds
from store.database import Store
from store.settings import Settings


@dataclass(frozen=True)
class Line:
    """A comparison with its words."""

    found: Comparison
    label: str
    sentence: str
    explanation: str
    seeds_note: str
    missing: tuple[int, int]
    """Seeds to train of the baseline's settings and of the run's."""
    coming: tuple[int, ...]
    """Runs with such seeds that have not ended."""
    can_launch: bool


@dataclass(frozen=True)
class Verdict:
    """Every run against the baseline."""

    evidence: Evidence
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    methods: tuple[str, ...]

    @property
    def images(self) -> str:
        """Which images it is about."""
        return words.split_words(self.evidence)

    @property
    def labels(self) -> Mapping[int, str]:
        """The runs' labels."""
        return {one.run_id: one.label for one in (self.evidence.baseline, *self.evidence.others)}


def verdict(
    store: Store,
    settings: Settings,
    run_ids: Sequence[int],
    baseline_id: int | None = None,
    split: Split | None = None,
) -> Verdict:
    """Judge the runs; see `chosen_runs` and `gather` for the arguments and errors."""
    baseline, others = chosen_runs(store, run_ids, baseline_id)
    return described(gather(store, settings, baseline, others, split))


def described(evidence: Evidence) -> Verdict:
    """Return the verdict on that evidence, in words."""
    judged = judge(evidence)
    by_id = {one.run_id: one for one in (evidence.baseline, *evidence.others)}
    labels = {run_id: one.label for run_id, one in by_id.items()}
    return Verdict(
        evidence=evidence,
        lines=tuple(_line(found, labels, by_id, evidence.samples) for found in judged.comparisons),
        notes=tuple(words.notes(evidence, judged)),
        methods=tuple(words.methods(judged)),
    )


def _line(
    found: Comparison, labels: Mapping[int, str], by_id: Mapping[int, Candidate], samples: int
) -> Line:
    sides = [by_id[found.baseline_id], by_id[found.run_id]]
    wants_seeds = found.about == "models" and found.finding != "refused"
    missing = [len(missing_seeds(side)) if wants_seeds else 0 for side in sides]
    coming = [run_id for side in sides for run_id in side.coming] if wants_seeds else []
    return Line(
        found=found,
        label=labels[found.run_id],
        sentence=words.sentence(found, labels, samples),
        explanation=words.explanation(found),
        seeds_note=words.seeds_note(found),
        missing=(missing[0], missing[1]),
        coming=tuple(dict.fromkeys(coming)),
        can_launch=sum(missing) > 0 and all(side.can_launch for side in sides),
    )
