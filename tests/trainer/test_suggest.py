"""What Optuna is asked and answers: the same question has the same answer."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

from trainer.suggest import suggest

AXES = [
    {"choices": 0, "low": 1e-4, "high": 1.0, "log": True, "step": None, "whole": False},
    {"choices": 3, "low": 0, "high": 0, "log": False, "step": None, "whole": False},
    {"choices": 0, "low": 8, "high": 64, "log": False, "step": 8, "whole": True},
]


def question(**changes: Any) -> dict[str, Any]:
    asked = {
        "axes": AXES,
        "sampler": "tpe",
        "pruner": "none",
        "seed": 0,
        "highest": True,
        "epochs": 5,
        "budget": 40,
        "trials": [],
        "wanted": 1,
        "judge": [],
    }
    return {**asked, **changes}


def trial(*drawn: float, **changes: Any) -> dict[str, Any]:
    return {"drawn": list(drawn), "state": "complete", "value": 0.5, "reports": [], **changes}


def test_the_answer_depends_on_the_question_alone_and_stays_within_the_space() -> None:
    trials: list[dict[str, Any]] = []
    while len(trials) < 30:
        asked = question(trials=trials, wanted=2)
        answer = suggest(asked)
        assert answer == suggest(asked)
        for rate, place, size in answer["drawn"]:
            assert 1e-4 <= rate <= 1
            assert place in {0, 1, 2}
            assert size in range(8, 65, 8)
            trials.append(trial(rate, place, size, value=1 - abs(math.log10(rate) + 2) / 4))
    early, late = (
        sum(one["value"] for one in part) / len(part) for part in (trials[:8], trials[-8:])
    )
    assert late > early  # it has learnt where the best rates are


def test_the_median_pruner_gives_up_what_is_below_the_median() -> None:
    told = [[1, 0.5], [2, 0.6], [3, 0.7]]
    ended = [trial(0.1, 0, 8, reports=told) for _ in range(5)]
    bad = trial(0.2, 0, 8, state="running", value=None, reports=[[1, 0.1], [2, 0.2]])
    good = trial(0.3, 0, 8, state="running", value=None, reports=[[1, 0.6], [2, 0.9]])
    asked = question(trials=[*ended, bad, good], pruner="median", wanted=0, judge=[6, 7])
    assert suggest(asked) == {"drawn": [], "pruned": [6]}
    assert suggest({**asked, "trials": [*ended[:4], bad, good], "judge": [5, 6]})["pruned"] == []
    assert suggest({**asked, "pruner": "none"})["pruned"] == []
    assert 7 not in suggest({**asked, "pruner": "hyperband"})["pruned"]


def test_the_program_answers_line_by_line() -> None:
    lines = "".join(json.dumps(question(wanted=number)) + "\n" for number in (1, 2))
    done = subprocess.run(
        [sys.executable, "-m", "trainer.suggest"],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [len(json.loads(line)["drawn"]) for line in done.stdout.splitlines()] == [1, 2]
