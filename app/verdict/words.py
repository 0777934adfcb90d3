"""A verdict in plain words: one sentence a comparison, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping

from app.splits import SPLIT_NAMES
from app.statistics.paired import ALPHA
from app.statistics.replicates import MIN_RUNS
from app.verdict.evidence import Evidence
from app.verdict.judge import Comparison, Judged

METHODS = {
    "models": "Exact McNemar test on the images that one of the two gets right and the other "
    "does not; Tango's score interval of the difference, widened where it would contradict the "
    "exact test.",
    "settings": "Permutation test of the seeds' accuracies; the interval adds the variance over "
    "seeds to that over images.",
    "holm": "p-values are corrected by Holm's method for the number of comparisons.",
}


def sentence(found: Comparison, labels: Mapping[int, str], samples: int) -> str:
    """Return what was found, as one would say it to a student."""
    if found.finding == "refused":
        return found.refusal
    run, baseline = f"“{labels[found.run_id]}”", f"“{labels[found.baseline_id]}”"
    if found.about == "settings":
        return _of_settings(found, run, baseline, samples)
    if found.counts is None:
        raise AssertionError("a comparison of models has counts")
    told = f"{found.counts.fixed} fixed, {found.counts.broken} broken, {_p(found)}: "
    if found.finding == "undecided":
        which = (
            "that either of these two trained models is better"
            if found.about == "models"
            else "that the seed made either of these two trained models better"
        )
        return f"{told}not enough evidence on {_images(samples)} {which}."
    better, worse = (run, baseline) if found.finding == "better" else (baseline, run)
    return (
        f"{told}of these two trained models, {better} is better than {worse}; {_images(samples)} "
        "are enough to say so."
    )


def explanation(found: Comparison) -> str:
    """Return what to make of a finding, and what would settle it; empty where nothing is left."""
    if found.about == "settings":
        return _about_settings(found)
    if found.finding != "undecided":
        return ""
    if found.detectable is None:
        return (
            "The two are right on nearly the same images; with so few that differ, no test could "
            "tell them apart."
        )
    return (
        "With as many images and as much disagreement, a true difference of "
        f"{points(found.detectable)} would be found four times in five; smaller ones are mostly "
        "missed. Not enough evidence does not mean equal."
    )


def seeds_note(found: Comparison) -> str:
    """Return why a comparison does not speak of the settings; empty where it does."""
    if found.about != "models" or found.finding == "refused":
        return ""
    have = f"{found.seeds[0]} and {found.seeds[1]}"
    return (
        "This is about two trained models, not about their settings: training again with another "
        f"seed may turn it round. Of their settings {have} seeds are here; from {MIN_RUNS} on "
        "each side on, the verdict speaks of the settings."
    )


def notes(evidence: Evidence, judged: Judged) -> list[str]:
    """Return what holds for all comparisons."""
    found = [evidence.split_reason] if evidence.split_reason else []
    compared = [one for one in judged.comparisons if one.p_value is not None]
    if evidence.split_chose_epoch and compared:
        found.append(
            "These validation images also chose the epoch of every model's weights, which makes "
            "all accuracies look a little too good, most for runs with many epochs. A test split "
            "does not have this fault."
        )
    if judged.same_settings:
        numbers = ", ".join(f"#{run_id}" for run_id in judged.same_settings)
        found.append(
            f"Not compared, because they are further seeds of the baseline's settings: {numbers}."
        )
    return found


def methods(judged: Judged) -> list[str]:
    """Return the names of the tests and intervals that were used."""
    kinds = {
        "settings" if one.about == "settings" else "models"
        for one in judged.comparisons
        if one.p_value is not None
    }
    found = [METHODS[kind] for kind in ("models", "settings") if kind in kinds]
    if sum(one.p_value is not None for one in judged.comparisons) > 1:
        found.append(METHODS["holm"])
    return found


def split_words(evidence: Evidence) -> str:
    """Return which images the verdict is about."""
    return f"{evidence.samples} {SPLIT_NAMES[evidence.split]} images"


def points(share: float) -> str:
    """Return a difference of two shares in percentage points."""
    return f"{share * 100:.1f} points".replace("-", "−")


def p_text(p_value: float) -> str:
    """Return a p-value with two digits that count."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def _p(found: Comparison) -> str:
    text = p_text(found.p_value or 0.0)
    if found.p_adjusted is not None and found.p_adjusted != found.p_value:
        text += f" ({p_text(found.p_adjusted)} after correction)"
    return text


def _images(samples: int) -> str:
    return f"{samples} image" if samples == 1 else f"{samples} images"


def _of_settings(found: Comparison, run: str, baseline: str, samples: int) -> str:
    gap = found.difference or 0.0
    direction = "more" if gap >= 0 else "less"
    told = (
        f"Over {found.seeds[1]} seeds of {run} and {found.seeds[0]} of {baseline}, {run} is on "
        f"average {points(abs(gap))} {direction} accurate on {_images(samples)}, {_p(found)}: "
    )
    if found.finding == "undecided":
        return f"{told}not enough evidence that either of the settings is better."
    better, worse = (run, baseline) if gap > 0 else (baseline, run)
    if found.finding in {"better", "worse"}:
        return f"{told}the settings of {better} are better than those of {worse}."
    return (
        f"{told}on these images the settings of {better} are better than those of {worse}, "
        "whatever the seed."
    )


def _about_settings(found: Comparison) -> str:
    if found.finding in {"better_here", "worse_here"}:
        if found.interval is None:
            return (
                "Whether that holds for other images is not known: the predictions of some seeds "
                "are not here."
            )
        return (
            "The interval that counts other images too still contains no difference: more "
            "images, not more seeds, would settle that."
        )
    if found.finding == "undecided" and (found.p_smallest or 0.0) > ALPHA:
        return (
            f"With {found.seeds[0]} and {found.seeds[1]} seeds and this many comparisons, p cannot "
            f"become smaller than {found.p_smallest:.2g}: train more seeds, or compare fewer runs."
        )
    return ""
