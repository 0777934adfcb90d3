"""Searches: trial after trial, each asked for when those before have ended or said how they do.

What is due is decided, and an answer taken, under the lock of the study's row: so every trial
begins exactly once however many workers ask. Nothing of a search lives anywhere but in its rows;
who answers (`trainer.suggest`) is told all of it each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from store import series
from store.choices import values_of
from store.database import Store
from store.rows import SEARCHING, TERMINAL_STATUSES, SweepRow, TrialRow
from store.runs import add_run
from store.states import Status
from store.steps import dataset_problem
from store.study_tables import STUDIES, SWEEPS, TRIALS
from store.sweeps import sweep_of, sweeps_of
from store.tables import RUNS
from store.wishes import cancel
from trainer.errors import Conflict, InvalidInput, NotFound
from trainer.steps import MEASURES
from trainer.sweeps.expand import search_axes, trial_spec
from trainer.sweeps.file import Search, Sweep

FAILURES_LIMIT = 5
"""Trials that may fail one after the other before a search is given up."""
PRUNED = {
    "median": "its best epoch so far is below the median of the earlier trials there.",
    "hyperband": "it is not among the best third of its group there.",
}


@dataclass(frozen=True)
class Question:
    """What is to be known for a search to go on."""

    study_id: int
    asked: int
    """Trials that there are; an answer to an older question is not taken."""
    wanted: int
    """Trials that may begin now."""
    judge: Mapping[int, int]
    """Numbers of trials to be pruned or not → the epoch that they have reached."""
    payload: dict[str, Any]
    """For `trainer.suggest`."""


@dataclass(frozen=True)
class Answered:
    """What an answer led to."""

    run_ids: tuple[int, ...] = ()
    """Runs that began."""
    pruned: tuple[int, ...] = ()
    """Runs that are to end."""


@dataclass(frozen=True)
class _View:
    """A search as it is."""

    row: SweepRow
    sweep: Sweep
    plan: Search
    runs: Mapping[int, Any]
    """Of trials that have not ended: status, epochs, and whether they are to be cancelled."""

    @property
    def live(self) -> list[TrialRow]:
        """Trials that have not ended, as far as the trials know."""
        return [trial for trial in self.row.trials if trial.state == "running"]

    def has_ended(self, trial: TrialRow) -> bool:
        """Return whether a trial's run has ended, or is gone."""
        run = self.runs.get(trial.run_id or 0)
        return run is None or run.status in TERMINAL_STATUSES

    @property
    def wanted(self) -> int:
        """How many trials may begin, once those that have ended are settled."""
        live = sum(not self.has_ended(trial) for trial in self.live)
        left = self.plan.trials - len(self.row.trials)
        if self.row.state != "searching":
            return 0
        return max(0, min(self.plan.at_once - live, left))

    @property
    def judge(self) -> dict[int, int]:
        """Trials that have ended an epoch which the pruner has not seen; never the last one."""
        if self.plan.pruner == "none":
            return {}
        found = {}
        for trial in self.live:
            run = self.runs.get(trial.run_id or 0)
            if run is None or run.status != Status.RUNNING or run.cancel_requested:
                continue
            if trial.judged_epoch < run.epoch < run.epochs:
                found[trial.number] = run.epoch
        return found

    @property
    def is_due(self) -> bool:
        """Whether anything is to be done."""
        return bool(
            self.wanted or self.judge or any(map(self.has_ended, self.live)) or self.is_over
        )

    @property
    def is_over(self) -> bool:
        """Whether no trial is under way, and none will be."""
        asks = self.row.state == "searching" and len(self.row.trials) < self.plan.trials
        return not asks and not self.live


def searching(store: Store) -> list[int]:
    """Return the studies whose searches have not ended."""
    query = select(SWEEPS.c.study_id).where(SWEEPS.c.state.in_(SEARCHING))
    with store.read() as conn:
        return sorted(conn.scalars(query))


def searches_due(store: Store) -> list[int]:
    """Return the studies whose searches have something to be done now."""
    found = searching(store)
    with store.read() as conn:
        return [study_id for study_id in found if (v := _load(conn, study_id)) and v.is_due]


def look(store: Store, study_id: int) -> Question | None:
    """Settle what has ended in a search; return what is to be asked, None if nothing is."""
    with store.write() as conn:
        view = _locked(conn, study_id)
        if view is None:
            return None
        view = _settled(conn, view)
        reason = _hopeless(view)
        if reason and view.row.state == "searching":
            view = _stopped(conn, view, reason)
        if view.is_over:
            _change(conn, study_id, state="ended")
            return None
        wanted, judge = view.wanted, view.judge
    if not wanted and not judge:
        return None
    payload = _payload(store, view, wanted, list(judge))
    return Question(study_id, len(view.row.trials), wanted, judge, payload)


def take(
    store: Store,
    question: Question,
    drawn: Sequence[Sequence[float]],
    pruned: Sequence[int],
) -> Answered:
    """Begin the trials of an answer, and end those that it prunes.

    Args:
        question: What was asked; an answer that comes too late changes nothing.
        drawn: For each new trial the place or number of each field.
        pruned: Numbers of trials.
    """
    with store.write() as conn:
        view = _locked(conn, question.study_id)
        if view is None or len(view.row.trials) != question.asked:
            return Answered()
        ended = _prune(conn, store, view, question, pruned)
        begun: list[int] = []
        for place, values in enumerate(drawn[: view.wanted]):
            number = question.asked + place + 1
            try:
                run_id = _begin(conn, store, view, values, number)
            except InvalidInput as problem:
                _add(conn, view, number, values, None, "failed", str(problem))
                continue
            _add(conn, view, number, values, run_id, "running", "")
            begun.append(run_id)
        return Answered(tuple(begun), ended)


def stop_search(store: Store, study_id: int, reason: str = "Stopped by its user.") -> None:
    """Let a search ask for no more trials; those under way go on.

    Raises:
        NotFound: If the study has no search.
        Conflict: If it has ended.
    """
    with store.write() as conn:
        conn.execute(select(STUDIES.c.id).where(STUDIES.c.id == study_id).with_for_update())
        row = sweeps_of(conn, [study_id]).get(study_id)
        if row is None or row.kind != "search":
            raise NotFound(f"Study {study_id} has no search.")
        if row.state != "searching":
            raise Conflict(f"The search of study {study_id} has ended.")
        view = _load(conn, study_id)
        assert view is not None  # noqa: S101 - it is searching
        if _stopped(conn, _settled(conn, view), reason).is_over:
            _change(conn, study_id, state="ended")


def best_trial(row: SweepRow) -> TrialRow | None:
    """Return the best trial that has a value, pruned ones left out; the earlier of equal ones."""
    sign = -1 if MEASURES[sweep_of(row).searching.metric].highest else 1
    known = [trial for trial in row.trials if trial.state == "complete"]
    return min(known, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)


def _load(conn: Connection, study_id: int) -> _View | None:
    row = sweeps_of(conn, [study_id]).get(study_id)
    if row is None or row.state not in SEARCHING:
        return None
    live = [trial.run_id for trial in row.trials if trial.state == "running"]
    columns = [RUNS.c[name] for name in ("id", "status", "epoch", "epochs", "cancel_requested")]
    runs = conn.execute(select(*columns, RUNS.c.error).where(RUNS.c.id.in_(live))).all()
    sweep = sweep_of(row)
    return _View(row, sweep, sweep.searching, {run.id: run for run in runs})


def _locked(conn: Connection, study_id: int) -> _View | None:
    conn.execute(select(STUDIES.c.id).where(STUDIES.c.id == study_id).with_for_update())
    return _load(conn, study_id)


def _settled(conn: Connection, view: _View) -> _View:
    """Write down how trials ended; return the search as it is then."""
    ended = [trial for trial in view.live if view.has_ended(trial)]
    if not ended:
        return view
    measure = MEASURES[view.plan.metric]
    values = values_of(conn, measure, [trial.run_id for trial in ended if trial.run_id])
    for trial in ended:
        run = view.runs.get(trial.run_id or 0)
        value = values.get(trial.run_id or 0)
        state, reason = _outcome(trial, run, value, view.plan.metric)
        conn.execute(
            update(TRIALS)
            .where(TRIALS.c.study_id == trial.study_id, TRIALS.c.number == trial.number)
            .values(state=state, value=value, reason=reason)
        )
    now = _load(conn, view.row.study_id)
    assert now is not None  # noqa: S101 - its row is locked
    return now


def _outcome(trial: TrialRow, run: Any, value: float | None, metric: str) -> tuple[str, str]:
    if run is None:
        return "failed", "Its run is gone."
    if run.status == Status.SUCCEEDED:
        if value is None:
            return "failed", f"Its run has no value of {metric}."
        return "complete", ""
    if run.status == Status.CANCELLED and trial.reason:
        return "pruned", trial.reason
    if run.status == Status.CANCELLED:
        return "failed", "Its run was cancelled."
    return "failed", (run.error or {}).get("title") or "Its run failed."


def _hopeless(view: _View) -> str:
    """Return why a search is given up; empty if it is not."""
    ended = [trial for trial in view.row.trials if trial.state != "running"]
    last = ended[-FAILURES_LIMIT:]
    if len(last) == FAILURES_LIMIT and all(trial.state == "failed" for trial in last):
        return f"{FAILURES_LIMIT} trials failed one after the other. The last: {last[-1].reason}"
    return ""


def _stopped(conn: Connection, view: _View, reason: str) -> _View:
    """Let a search ask no more; return it as it is then."""
    _change(conn, view.row.study_id, state="stopping", reason=reason)
    return replace(view, row=replace(view.row, state="stopping", reason=reason))


def _change(conn: Connection, study_id: int, **values: Any) -> None:
    conn.execute(update(SWEEPS).where(SWEEPS.c.study_id == study_id).values(**values))


def _payload(store: Store, view: _View, wanted: int, judge: list[int]) -> dict[str, Any]:
    measure = MEASURES[view.plan.metric]
    reports: dict[int, list[tuple[int, float]]] = {}
    if view.plan.pruner != "none":
        by_run = {trial.run_id: trial.number for trial in view.row.trials if trial.run_id}
        name = measure.series or "val_accuracy"
        for (run_id, _), points in series.series(store, list(by_run), [name]).items():
            pairs = zip(points.epochs, points.values, strict=True)
            reports[by_run[run_id]] = [(round(epoch), value) for epoch, value in pairs]
    epochs = view.sweep.base.get("training", {}).get("epochs")
    return {
        "axes": [
            {
                "choices": len(axis.values),
                "low": axis.low,
                "high": axis.high,
                "log": axis.log,
                "step": axis.step,
                "whole": axis.whole,
            }
            for axis in search_axes(view.sweep)
        ],
        "budget": view.plan.trials,
        "sampler": view.plan.sampler,
        "pruner": view.plan.pruner,
        "seed": view.sweep.seed,
        "highest": measure.highest,
        "epochs": max([run.epochs for run in view.runs.values()], default=epochs),
        "trials": [
            {
                "drawn": trial.drawn,
                "state": trial.state,
                "value": trial.value,
                "reports": reports.get(trial.number, []),
            }
            for trial in view.row.trials
        ],
        "wanted": wanted,
        "judge": judge,
    }


def _prune(
    conn: Connection, store: Store, view: _View, question: Question, pruned: Sequence[int]
) -> tuple[int, ...]:
    """Ask the runs of pruned trials to end; note what the pruner has seen of the others."""
    ended = []
    waiting = view.judge
    for trial in view.live:
        epoch = question.judge.get(trial.number)
        if epoch is None or trial.number not in waiting:
            continue
        reason = ""
        if trial.number in pruned:
            reason = f"Pruned after epoch {epoch}: {PRUNED[view.plan.pruner]}"
            error = {
                "title": "Given up by its search",
                "detail": reason,
                "remedy": "Clone the run to train it to its end.",
            }
            try:
                cancel(conn, store, trial.run_id or 0, error)
            except (Conflict, NotFound):
                continue  # it has ended by itself
            ended.append(trial.run_id or 0)
        conn.execute(
            update(TRIALS)
            .where(TRIALS.c.study_id == trial.study_id, TRIALS.c.number == trial.number)
            .values(judged_epoch=epoch, reason=reason)
        )
    return tuple(ended)


def _begin(conn: Connection, store: Store, view: _View, drawn: Sequence[float], number: int) -> int:
    """Launch a trial's run and return its id.

    Raises:
        InvalidInput: If its values do not go together, or its dataset is of no use any more.
    """
    spec = trial_spec(view.sweep, search_axes(view.sweep), drawn, number)
    problem = dataset_problem(conn, spec.dataset.name)
    if problem is not None:
        raise InvalidInput.of(problem)
    run = add_run(
        conn,
        store,
        spec,
        owner=view.row.owner,
        study_id=view.row.study_id,
        priority=view.row.priority,
    )
    return run.id


def _add(
    conn: Connection,
    view: _View,
    number: int,
    drawn: Sequence[float],
    run_id: int | None,
    state: str,
    reason: str,
) -> None:
    conn.execute(
        insert(TRIALS).values(
            study_id=view.row.study_id,
            number=number,
            run_id=run_id,
            drawn=list(drawn),
            state=state,
            judged_epoch=0,
            reason=reason,
        )
    )
