"""From evidence to findings: pure, and the one place that says what counts as different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.statistics.paired import ALPHA, detectable_difference, difference_interval, mcnemar
from app.statistics.replicates import MIN_RUNS, crossed_interval, permutation_test, smallest_p
from app.statistics.several import holm
from app.verdict.evidence import Candidate, Evidence, Seed

Finding = Literal["better", "better_here", "worse", "worse_here", "undecided", "refused"]
About = Literal["models", "settings", "seeds"]


@dataclass(frozen=True)
class Counts:
    """How two trained models share the images."""

    both_right: int
    fixed: int
    """Only the run gets them right, the baseline not."""
    broken: int
    """Only the baseline gets them right."""
    both_wrong: int

    @property
    def total(self) -> int:
        """All images of the split."""
        return self.both_right + self.fixed + self.broken + self.both_wrong


@dataclass(frozen=True)
class Comparison:
    """A run against the baseline; shares of images are in [0, 1]."""

    run_id: int
    baseline_id: int
    about: About
    """models: these two trained models. settings: their settings, over several seeds. seeds: two
    trained models of one setting."""
    finding: Finding
    refusal: str = ""
    counts: Counts | None = None
    """Of the two trained models, in a comparison of settings too."""
    difference: float | None = None
    """Accuracy of the run less that of the baseline; of settings, the means over their seeds."""
    interval: tuple[float, float] | None = None
    """95 % interval of the difference; of settings one for other seeds and other images."""
    p_value: float | None = None
    p_adjusted: float | None = None
    """By Holm's method over all comparisons with this baseline."""
    seeds: tuple[int, int] = (1, 1)
    """Runs of the baseline's settings and of the run's."""
    detectable: float | None = None
    """Smallest true difference of two models that 4 of 5 such samples of images would show."""
    p_smallest: float | None = None
    """Of settings: what so many seeds can give at best, adjusted for as many comparisons."""


@dataclass(frozen=True)
class Judged:
    """All comparisons with the baseline."""

    comparisons: tuple[Comparison, ...]
    same_settings: tuple[int, ...]
    """Runs left out because they are among the baseline's own seeds."""


def judge(evidence: Evidence, alpha: float = ALPHA) -> Judged:
    """Compare every run with the baseline; the order of the runs stays.

    Two runs are compared as trained models unless both their settings have `MIN_RUNS` seeds.
    Runs of settings that were compared already, or of the baseline's own where that has enough
    seeds, are not compared once more.
    """
    compared: list[Comparison] = []
    same, seen = [], set()
    baseline = evidence.baseline
    for other in evidence.others:
        if other.run_id in evidence.refusals:
            compared.append(_refused(baseline, other, evidence.refusals[other.run_id]))
        elif other.family == baseline.family and len(baseline.seeds) >= MIN_RUNS:
            same.append(other.run_id)
        elif other.family not in seen:
            found = compare(baseline, other, evidence.samples)
            compared.append(found)
            if found.about == "settings":
                seen.add(other.family)
    tested = [index for index, one in enumerate(compared) if one.p_value is not None]
    adjusted = holm([compared[index].p_value or 0.0 for index in tested])
    for index, p_adjusted in zip(tested, adjusted, strict=True):
        compared[index] = _decided(compared[index], p_adjusted, len(tested), alpha)
    return Judged(tuple(compared), tuple(same))


def compare(baseline: Candidate, other: Candidate, samples: int) -> Comparison:
    """Compare a run with the baseline, undecided as yet: that takes the other p-values.

    Args:
        samples: Images of the split.
    """
    counts = None
    if baseline.right is not None and other.right is not None:
        counts = count(baseline.right, other.right)
    enough = min(len(baseline.seeds), len(other.seeds)) >= MIN_RUNS
    if enough and baseline.family != other.family:
        return _of_settings(baseline, other, counts, samples)
    if counts is None:
        return _refused(baseline, other, baseline.missing or other.missing)
    changed = counts.fixed + counts.broken
    return Comparison(
        other.run_id,
        baseline.run_id,
        "seeds" if baseline.family == other.family else "models",
        "undecided",
        counts=counts,
        difference=(counts.fixed - counts.broken) / samples,
        interval=difference_interval(counts.fixed, counts.broken, samples),
        p_value=mcnemar(counts.fixed, counts.broken),
        seeds=(max(1, len(baseline.seeds)), max(1, len(other.seeds))),
        detectable=detectable_difference(samples, changed / samples),
    )


def count(first: bytes, second: bytes) -> Counts:
    """Return how two models share the images.

    Args:
        first: The baseline's: 1 for each image that is right, else 0.
        second: The run's, of the same images in the same order.
    """
    both = sum(map(int.__and__, first, second))
    only_first, only_second = sum(first) - both, sum(second) - both
    return Counts(both, only_second, only_first, len(first) - both - only_first - only_second)


def _of_settings(
    baseline: Candidate, other: Candidate, counts: Counts | None, samples: int
) -> Comparison:
    sides = [baseline.seeds, other.seeds]
    rights = [[one.right_count for one in side] for side in sides]
    means = [sum(side) / len(side) for side in rights]
    images = [_images(side) for side in sides]
    interval = None
    if images[0] and images[1]:
        interval = crossed_interval(images[0], images[1])
    return Comparison(
        other.run_id,
        baseline.run_id,
        "settings",
        "undecided",
        counts=counts,
        difference=(means[1] - means[0]) / samples,
        interval=interval,
        p_value=permutation_test(rights[0], rights[1]),
        seeds=(len(rights[0]), len(rights[1])),
    )


def _images(seeds: Sequence[Seed]) -> list[bytes]:
    """Return what each seed got right, or nothing where one's predictions are missing."""
    found = [one.right for one in seeds if one.right is not None]
    return found if len(found) == len(seeds) else []


def _refused(baseline: Candidate, other: Candidate, why: str) -> Comparison:
    return Comparison(other.run_id, baseline.run_id, "models", "refused", refusal=why)


def _decided(found: Comparison, p_adjusted: float, tests: int, alpha: float) -> Comparison:
    """Return the comparison with its finding.

    Settings are better as such only if the interval that counts other images too excludes 0;
    where the seeds alone tell them apart they are better on these images.
    """
    finding: Finding = "undecided"
    if p_adjusted <= alpha and found.difference:
        low, high = found.interval or (0.0, 0.0)
        clear = found.about != "settings" or low > 0 or high < 0
        if found.difference > 0:
            finding = "better" if clear else "better_here"
        else:
            finding = "worse" if clear else "worse_here"
    smallest = None
    if found.about == "settings":
        smallest = min(1.0, tests * smallest_p(*found.seeds))
    return replace(found, finding=finding, p_adjusted=p_adjusted, p_smallest=smallest)
