"""What a search tries next, and what it gives up: Optuna's samplers and pruners, asked by line.

A question is one line of JSON, as `store.searches` makes it, and holds the whole search; the
answer is one line. Optuna's study is built anew in memory for each question, so nothing is kept
between two of them, and the same question gets the same answer.

As a program it answers until the end of its input.
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.process import log_to_stderr

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

WARM_UP_TRIALS = 5
"""Trials that the median pruner lets end before it judges: Optuna's own default."""
WARM_UP_EPOCHS = 1
"""Epochs of each trial on which it does not judge."""
START_UP_TRIALS = 8
"""Trials that TPE draws at random at most; a quarter of the budget where that is less."""
STUDY_NAME = "search"
"""Hyperband deals trials to its brackets by the study's name and the trial's number."""


def suggest(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return `drawn`, a list of numbers for each trial wanted, and `pruned`, trials' numbers."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {str(i): _distribution(axis) for i, axis in enumerate(question["axes"])}
    study = optuna.create_study(
        study_name=STUDY_NAME,
        direction="maximize" if question["highest"] else "minimize",
        sampler=_sampler(question),
        pruner=_pruner(question),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for trial in question["trials"]:
            study.add_trial(_known(trial, distributions))
        pruned = [number for number in question["judge"] if _is_pruned(study, number)]
        drawn = []
        for _ in range(question["wanted"]):
            asked = study.ask(fixed_distributions=distributions)
            numbers = [asked.params[str(i)] for i in range(len(distributions))]
            drawn.append(list(map(_short, numbers, question["axes"])))
    return {"drawn": drawn, "pruned": pruned}


def _distribution(axis: Mapping[str, Any]) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if axis["choices"]:
        return CategoricalDistribution(list(range(axis["choices"])))
    if axis["whole"]:
        return IntDistribution(
            int(axis["low"]), int(axis["high"]), log=axis["log"], step=int(axis["step"] or 1)
        )
    return FloatDistribution(axis["low"], axis["high"], log=axis["log"], step=axis["step"])


def _sampler(question: Mapping[str, Any]) -> BaseSampler:
    from optuna.samplers import RandomSampler, TPESampler

    seed = (question["seed"] + 7919 * len(question["trials"])) % 2**32
    if question["sampler"] == "random":
        return RandomSampler(seed=seed)
    start_up = max(1, min(START_UP_TRIALS, question["budget"] // 4))
    return TPESampler(seed=seed, n_startup_trials=start_up)


def _pruner(question: Mapping[str, Any]) -> BasePruner:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if question["pruner"] == "median":
        return MedianPruner(n_startup_trials=WARM_UP_TRIALS, n_warmup_steps=WARM_UP_EPOCHS)
    if question["pruner"] == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(2, question["epochs"]))
    return NopPruner()


def _known(trial: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    states = {
        "running": TrialState.RUNNING,
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    params = {
        name: int(one) if one == int(one) and not _is_float(distributions[name]) else one
        for name, one in zip(distributions, trial["drawn"], strict=True)
    }
    return create_trial(
        state=states[trial["state"]],
        value=trial["value"] if trial["state"] == "complete" else None,
        params=params,
        distributions=dict(distributions),
        intermediate_values={
            epoch: value for epoch, value in trial["reports"] if math.isfinite(value)
        },
    )


def _is_float(distribution: BaseDistribution) -> bool:
    from optuna.distributions import FloatDistribution

    return isinstance(distribution, FloatDistribution)


def _is_pruned(study: Study, number: int) -> bool:
    return study.pruner.prune(study, study.trials[number - 1])


def _short(value: float, axis: Mapping[str, Any]) -> float:
    """Return a drawn number with as many digits as are of use, within the range."""
    if axis["choices"] or axis["whole"]:
        return int(value)
    digits = 10 if axis["step"] else 4
    low, high = float(axis["low"]), float(axis["high"])
    return min(max(float(f"{value:.{digits}g}"), low), high)


def main(_arguments: Sequence[str] | None = None) -> int:
    """Answer each line of standard input; return the exit status."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library's print must not be taken for an answer
    log_to_stderr()
    with said:
        for line in sys.stdin:
            said.write(json.dumps(suggest(json.loads(line))) + "\n")
            said.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
