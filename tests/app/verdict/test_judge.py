from __future__ import annotations

import pytest

from app.verdict.judge import Counts, compare, count, judge
from app.verdict.seeds import missing_seeds
from app.verdict.view import described
from tests.app.verdict.cases import candidate, evidence, shared


def test_the_four_counts_of_two_models() -> None:
    first, second = shared(80, 34, 19, 20)
    assert count(first, second) == Counts(both_right=80, fixed=34, broken=19, both_wrong=20)


def test_the_sentence_a_student_understands() -> None:
    first, second = shared(80, 34, 19, 20)
    found = described(evidence(candidate(1, [first]), candidate(2, [second])))
    (line,) = found.lines
    assert line.found.finding == "undecided"
    assert line.sentence == (
        "34 fixed, 19 broken, p = 0.053: not enough evidence on 153 images that either of these "
        "two trained models is better."
    )
    assert line.found.difference == pytest.approx(15 / 153)
    assert line.found.interval is not None
    assert line.found.interval[0] == 0.0
    assert "Not enough evidence does not mean equal." in line.explanation
    assert line.missing == (3, 3)
    assert "settings" in line.seeds_note
    assert "also chose the epoch" in found.notes[0]


def test_two_models_that_differ_are_called_so_and_never_their_settings() -> None:
    first, second = shared(80, 40, 12, 21)
    (line,) = described(evidence(candidate(1, [first]), candidate(2, [second]))).lines
    assert line.found.finding == "better"
    assert line.sentence.endswith(
        "of these two trained models, “run 2” is better than “run 1”; 153 images are enough to "
        "say so."
    )
    assert "settings" not in line.sentence
    (line,) = described(evidence(candidate(2, [second]), candidate(1, [first]))).lines
    assert line.found.finding == "worse"
    assert "“run 2” is better than “run 1”" in line.sentence


def test_a_test_split_has_no_warning_about_the_epoch() -> None:
    first, second = shared(80, 40, 12, 21)
    sides = (candidate(1, [first]), candidate(2, [second]))
    assert not described(evidence(*sides, split="test", split_chose_epoch=False)).notes


def test_models_that_agree_everywhere() -> None:
    first, second = shared(150, 0, 0, 3)
    (line,) = described(evidence(candidate(1, [first]), candidate(2, [second]))).lines
    assert (line.found.p_value, line.found.finding) == (1.0, "undecided")
    assert "no test could tell them apart" in line.explanation


def four(right_counts: tuple[int, ...], samples: int = 200, start: int = 0) -> list[bytes]:
    """Return one run a count; `start` moves which images are right."""
    return [
        bytes(((index - start) % samples) < count for index in range(samples))
        for count in right_counts
    ]


def test_four_seeds_a_side_speak_of_the_settings() -> None:
    first, second = four((120, 121, 119, 120)), four((150, 152, 149, 151))
    (line,) = described(evidence(candidate(1, first), candidate(2, second))).lines
    assert line.found.about == "settings"
    assert line.found.p_value == pytest.approx(2 / 70)
    assert line.found.finding == "better"
    assert "Over 4 seeds of “run 2” and 4 of “run 1”" in line.sentence
    assert "the settings of “run 2” are better" in line.sentence
    assert "on average 15.2 points more accurate on 200 images" in line.sentence
    assert line.seeds_note == ""
    assert line.missing == (0, 0)


def test_seeds_that_agree_on_too_few_images_speak_of_these_images_only() -> None:
    # Every seed of the second is right on three images more, of forty that change.
    first = four((100, 100, 100, 101), start=0)
    second = four((104, 103, 103, 103), start=20)
    (line,) = described(evidence(candidate(1, first), candidate(2, second))).lines
    assert line.found.p_value == pytest.approx(2 / 70)
    assert line.found.finding == "better_here"
    assert "on these images" in line.sentence
    assert "more images, not more seeds" in line.explanation


def test_seeds_without_predictions_are_judged_by_their_accuracy_alone() -> None:
    first, second = four((120, 121, 119, 120)), four((150, 152, 149, 151))
    baseline, other = candidate(1, first), candidate(2, second, right=None, missing="gone")
    seeds = tuple(type(one)(one.run_id, one.seed, one.right_count, None) for one in other.seeds)
    other = candidate(2, second, right=None, missing="gone", seeds=seeds)
    (line,) = described(evidence(baseline, other)).lines
    assert (line.found.finding, line.found.interval) == ("better_here", None)
    assert line.found.counts is None
    assert "is not known" in line.explanation


def test_three_seeds_are_not_enough() -> None:
    first, second = four((120, 121, 119)), four((150, 152, 149, 151))
    found = compare(candidate(1, first), candidate(2, second), 200)
    assert found.about == "models"
    assert found.seeds == (3, 4)


def test_missing_seeds_are_the_smallest_that_no_run_had() -> None:
    right = bytes(10)
    assert missing_seeds(candidate(1, [right])) == (1, 2, 3)
    assert missing_seeds(candidate(1, [right], coming=(9,), taken=frozenset({0, 2, 3}))) == (1, 4)
    assert missing_seeds(candidate(1, [right] * 5)) == ()


def test_several_runs_are_corrected_together() -> None:
    first, second = shared(80, 34, 17, 22)  # p = 0.024
    third = bytes(first)
    found = judge(evidence(candidate(1, [first]), candidate(2, [second]), candidate(3, [third])))
    assert [one.p_adjusted for one in found.comparisons] == [
        pytest.approx(2 * (found.comparisons[0].p_value or 0)),
        1.0,
    ]
    assert found.comparisons[0].finding == "better"
    more = [candidate(run_id, [third]) for run_id in (3, 4, 5)]
    found = judge(evidence(candidate(1, [first]), candidate(2, [second]), *more))
    assert found.comparisons[0].finding == "undecided"
    lines = described(evidence(candidate(1, [first]), candidate(2, [second]), *more)).lines
    assert "after correction" in lines[0].sentence


def test_settings_are_compared_once_and_the_baselines_own_seeds_never() -> None:
    first, second = four((120, 121, 119, 120)), four((150, 152, 149, 151))
    found = described(
        evidence(
            candidate(1, first, 100),
            candidate(2, second, 200),
            candidate(3, first[1:] + first[:1], 100),
            candidate(4, second, 200),
        )
    )
    assert [line.found.run_id for line in found.lines] == [2]
    assert "#3" in found.notes[1]


def test_with_many_comparisons_few_seeds_cannot_decide_and_the_verdict_says_so() -> None:
    first, second = four((120, 121, 119, 120)), four((150, 152, 149, 151))
    third = four((121, 120, 119, 122))
    found = described(evidence(candidate(1, first), candidate(2, second), candidate(3, third)))
    assert found.lines[0].found.finding == "undecided"
    assert "train more seeds, or compare fewer runs" in found.lines[0].explanation


def test_two_seeds_of_one_setting_are_no_news_of_settings() -> None:
    first, second = shared(80, 40, 12, 21)
    found = described(evidence(candidate(1, [first], 100), candidate(2, [second], 100)))
    (line,) = found.lines
    assert line.found.about == "seeds"
    assert line.seeds_note == ""
    assert not line.can_launch


def test_a_refusal_says_why_and_takes_no_part_in_the_correction() -> None:
    first, second = shared(80, 34, 17, 22)
    found = described(
        evidence(
            candidate(1, [first]),
            candidate(2, [second]),
            candidate(3, [second]),
            candidate(4, [second], right=None, missing="Their file was removed."),
            refusals={3: "Other images."},
        )
    )
    assert [line.sentence for line in found.lines[1:]] == [
        "Other images.",
        "Their file was removed.",
    ]
    assert found.lines[0].found.p_adjusted == found.lines[0].found.p_value
    assert not found.lines[1].can_launch
