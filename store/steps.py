"""The steps of studies: `waiting → running → ended`, or `waiting → skipped` with the reason.

Everything that a study's steps come to is decided under the lock of the study's row, in one
transaction: so a step begins exactly once, however many workers look at the same time. A step's
runs begin all or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from store.choices import NoneLeft, Skip, cast_votes, choose
from store.columns import fresh
from store.database import Store
from store.datasets import current_name
from store.jobs import add_job
from store.rows import TERMINAL_STATUSES, StepRow
from store.runs import add_run
from store.states import Status
from store.study_tables import STEP_RUNS, STUDIES, STUDY_STEPS, StudyStep
from store.tables import DATASETS, JOBS, RUNS
from store.values import plain_json
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.published import Published
from trainer.steps import BestOf, PlannedStep

_ROW = [column for column in STUDY_STEPS.c if column.key not in {"options", "owner", "priority"}]
_ALIVE = STUDY_STEPS.c.state.in_(("waiting", "running"))


@dataclass(frozen=True)
class Begun:
    """What is to be rung for."""

    run_ids: tuple[int, ...] = ()
    job_ids: tuple[int, ...] = ()

    def __add__(self, other: Begun) -> Begun:
        return Begun(self.run_ids + other.run_ids, self.job_ids + other.job_ids)


def add_steps(
    conn: Connection,
    store: Store,
    study_id: int,
    steps: Sequence[PlannedStep],
    *,
    owner: str,
    priority: int,
) -> Begun:
    """Give a new study its steps, and begin those that wait for none."""
    conn.execute(
        insert(STUDY_STEPS),
        [
            fresh(
                StudyStep,
                study_id=study_id,
                position=position,
                name=step.name,
                after=list(step.after),
                when_failed=step.when_failed,
                owner=owner,
                priority=priority,
                plan=plain_json(_plan(step)),
                options=plain_json([_option(one) for one in step.options]),
                state="waiting",
            )
            for position, step in enumerate(steps)
        ],
    )
    return _go_on(conn, store, study_id)


def advance(store: Store, study_id: int | None = None) -> Begun:
    """Do what is due in a study's steps, by default in every study's: end, begin and skip them.

    Raises:
        Unavailable: If the database does not answer.
    """
    query = select(STUDY_STEPS.c.study_id).where(_ALIVE).distinct()
    if study_id is not None:
        query = query.where(STUDY_STEPS.c.study_id == study_id)
    with store.read() as conn:
        due = [found for found in conn.scalars(query) if _due(_load(conn, found))]
    begun = Begun()
    for found in sorted(due):
        with store.write() as conn:
            conn.execute(select(STUDIES.c.id).where(STUDIES.c.id == found).with_for_update())
            begun += _go_on(conn, store, found)
    return begun


def steps_of(conn: Connection, study_ids: Sequence[int]) -> dict[int, list[StepRow]]:
    """Return the steps of those studies that have any, in order."""
    steps: dict[int, list[StepRow]] = {}
    runs: dict[int, list[tuple[int, int]]] = {}
    of_studies = STUDY_STEPS.c.study_id.in_(study_ids)
    for step_id, *run in conn.execute(
        select(STEP_RUNS.c.step_id, STEP_RUNS.c.run_id, STEP_RUNS.c.place)
        .join(STUDY_STEPS, STUDY_STEPS.c.id == STEP_RUNS.c.step_id)
        .where(of_studies)
        .order_by(STEP_RUNS.c.run_id)
    ):
        runs.setdefault(step_id, []).append((run[0], run[1]))
    query = select(*_ROW).where(of_studies).order_by(STUDY_STEPS.c.position)
    for row in conn.execute(query):
        own = runs.get(row.id, ())
        step = StepRow(
            **row._mapping,
            run_ids=tuple(run_id for run_id, _ in own),
            places=tuple(place for _, place in own),
        )
        steps.setdefault(row.study_id, []).append(step)
    return steps


@dataclass(frozen=True)
class _View:
    """A study's steps as they are, and what became of their runs and votes."""

    steps: Mapping[str, StepRow]
    statuses: Mapping[int, str]
    """Of the steps' runs."""
    places: Mapping[int, int]
    """Which of its step's options a run is."""
    jobs: Mapping[int, Any]
    """Of the steps' votes."""

    def bad_end(self, step: StepRow) -> str:
        """Return what went wrong in a step that has ended; empty if nothing did."""
        wrong = [
            f"run {run_id} {'was cancelled' if self.statuses[run_id] == 'cancelled' else 'failed'}"
            for run_id in step.run_ids
            if self.statuses[run_id] != Status.SUCCEEDED
        ]
        if step.vote_job_id is not None and step.vote is None:
            wrong.append("its vote failed")
        return ", ".join(wrong)


@dataclass(frozen=True)
class _Due:
    """What is to be done with a step."""

    act: str
    """end, begin or skip."""
    step: StepRow
    reason: str = ""


def _load(conn: Connection, study_id: int) -> _View:
    steps = steps_of(conn, [study_id]).get(study_id, [])
    runs = conn.execute(
        select(RUNS.c.id, RUNS.c.status, STEP_RUNS.c.place)
        .join(STEP_RUNS, STEP_RUNS.c.run_id == RUNS.c.id)
        .where(STEP_RUNS.c.step_id.in_([step.id for step in steps]))
    ).all()
    voting = [step.vote_job_id for step in steps if step.state == "running" and step.vote_job_id]
    jobs = conn.execute(select(JOBS).where(JOBS.c.id.in_(voting))).all() if voting else []
    return _View(
        {step.name: step for step in steps},
        {row.id: row.status for row in runs},
        {row.id: row.place for row in runs},
        {row.id: row for row in jobs},
    )


def _due(view: _View) -> _Due | None:
    """Return the first thing that is to be done; None while everything waits or is over."""
    for step in view.steps.values():
        if step.state == "running" and _has_ended(view, step):
            return _Due("end", step)
        if step.state == "waiting":
            before = [view.steps[name] for name in step.after]
            reason = _obstacle(view, before)
            if reason:
                return _Due("skip", step, reason)
            if all(one.is_over for one in before):
                return _Due("begin", step)
    return None


def _has_ended(view: _View, step: StepRow) -> bool:
    if step.vote_job_id is None:
        return all(view.statuses[run_id] in TERMINAL_STATUSES for run_id in step.run_ids)
    job = view.jobs.get(step.vote_job_id)
    return job is None or job.state in {"succeeded", "failed", "cancelled"}


def _obstacle(view: _View, before: Sequence[StepRow]) -> str:
    """Return why a step that waits for those will never begin; empty if it may."""
    for step in before:
        if step.state == "skipped":
            return f"Step {step.name} was skipped."
        if step.state == "ended" and step.when_failed == "stop":
            wrong = view.bad_end(step)
            if wrong:
                return f"In step {step.name}, {wrong}; it says to stop then."
    return ""


def _go_on(conn: Connection, store: Store, study_id: int) -> Begun:
    begun = Begun()
    while due := _due(view := _load(conn, study_id)):
        if due.act == "end":
            _end(conn, view, due.step)
        elif due.act == "skip":
            _change(conn, due.step, state="skipped", reason=due.reason)
        else:
            begun += _begin(conn, store, view, due.step)
    return begun


def _end(conn: Connection, view: _View, step: StepRow) -> None:
    if step.vote_job_id is None:
        _change(conn, step, state="ended")
        return
    job = view.jobs.get(step.vote_job_id)
    if job is not None and job.state == "succeeded":
        _change(conn, step, state="ended", vote=job.result)
        return
    error = (job.error if job is not None else None) or {"detail": "Its job is gone."}
    said = " ".join(filter(None, (error.get("detail"), error.get("remedy"))))
    _change(conn, step, state="ended", reason=f"The vote failed: {said}")


def _begin(conn: Connection, store: Store, view: _View, step: StepRow) -> Begun:
    row = conn.execute(
        select(STUDY_STEPS.c.options, STUDY_STEPS.c.owner, STUDY_STEPS.c.priority).where(
            STUDY_STEPS.c.id == step.id
        )
    ).one()
    try:
        if "vote" in step.plan:
            return _begin_vote(conn, store, view, step, row.owner)
        chosen = _places(conn, view, step)
        options = [row.options[place] for place, _ in chosen]
        specs = _specs(conn, options)
    except Skip as why:
        _change(conn, step, state="skipped", reason=str(why))
        return Begun()
    except InvalidInput as problem:
        errors = [error.as_dict() for error in problem.errors]
        reason = "Its runs cannot be launched any more."
        _change(conn, step, state="skipped", reason=reason, errors=plain_json(errors))
        return Begun()
    run_ids, choices = [], []
    for (place, choice), option, spec in zip(chosen, options, specs, strict=True):
        known = option["published"]
        run = add_run(
            conn,
            store,
            spec,
            owner=row.owner,
            study_id=step.study_id,
            priority=row.priority,
            published=Published.model_validate(known) if known else None,
        )
        conn.execute(insert(STEP_RUNS).values(run_id=run.id, step_id=step.id, place=place))
        run_ids.append(run.id)
        if choice is not None:
            choices.append({"run": run.id, **choice})
    _change(conn, step, state="running", choices=plain_json(choices))
    return Begun(run_ids=tuple(run_ids))


def _places(
    conn: Connection, view: _View, step: StepRow
) -> list[tuple[int, dict[str, Any] | None]]:
    """Return the options of a step's runs; fewer than were planned where fewer can be chosen.

    Raises:
        Skip: If there is nothing to choose from.
    """
    found, lacking = [], None
    for run in step.plan["runs"]:
        try:
            found.append(_place(conn, view, run))
        except NoneLeft as why:
            lacking = why
    if not found and lacking is not None:
        raise lacking
    return found


def _place(
    conn: Connection, view: _View, run: Mapping[str, Any]
) -> tuple[int, dict[str, Any] | None]:
    """Return which option of its step a run is, and what was chosen for that.

    Raises:
        Skip: If there is nothing to choose from.
    """
    if run["from"] is None:
        return run["first"], None
    origin = BestOf(**run["from"])
    before = view.steps[origin.step]
    choice = choose(conn, origin, before, view.statuses)
    return run["first"] + view.places[choice["chosen"]], {**run["from"], **choice}


def _specs(conn: Connection, options: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the specs of runs to launch; their datasets stay as they are until the end of `conn`.

    Raises:
        InvalidInput: If a spec is not valid any more, or its dataset is of no use any more.
    """
    specs, errors = [], []
    for index, option in enumerate(options):
        try:
            spec = parse_spec(option["spec"])
        except InvalidInput as problem:
            errors += [error.below(f"runs.{index}") for error in problem.errors]
            continue
        specs.append(spec)
        wrong = dataset_problem(conn, spec.dataset.name)
        if wrong is not None:
            errors.append(wrong.below(f"runs.{index}"))
    if errors:
        raise InvalidInput.of(*errors)
    return specs


def dataset_problem(conn: Connection, name: str) -> FieldError | None:
    """Return why no run can be launched on a dataset now; it stays so until the end of `conn`."""
    status = conn.scalar(
        select(DATASETS.c.status)
        .where(DATASETS.c.name == current_name(conn, name))
        .with_for_update(read=True)
    )
    if status in {"ready", "preparing"}:
        return None
    expected = "a dataset that is there and whose preparation did not fail"
    remedy = "Add it again, then launch the runs by themselves."
    return FieldError("dataset.name", name, expected, remedy)


def _begin_vote(conn: Connection, store: Store, view: _View, step: StepRow, owner: str) -> Begun:
    wanted = step.plan["vote"]
    voters = [view.steps[name].run_of(number) for name, number in wanted["voters"]]
    asked, vote = cast_votes(conn, wanted, voters, view.statuses)
    job = add_job(conn, store, "vote", owner, asked)
    _change(conn, step, state="running", vote_job_id=job.id, choices=[plain_json(vote)])
    return Begun(job_ids=(job.id,))


def _change(conn: Connection, step: StepRow, **values: Any) -> None:
    conn.execute(update(STUDY_STEPS).where(STUDY_STEPS.c.id == step.id).values(**values))


def _plan(step: PlannedStep) -> dict[str, Any]:
    """Return what is to be known of a step without its options."""
    if step.vote is not None:
        vote = step.vote
        known = vote.published
        return {
            "vote": {
                **asdict(vote),
                "published": None if known is None else known.model_dump(mode="json"),
            }
        }
    runs, first = [], 0
    for run in step.runs:
        runs.append(
            {
                "name": run.name,
                "from": asdict(run.origin) if run.origin else None,
                "changes": list(run.changes),
                "first": first,
                "options": len(run.options),
            }
        )
        first += len(run.options)
    return {"runs": runs}


def _option(option: Any) -> dict[str, Any]:
    known = option.published
    return {
        "spec": option.spec.model_dump(mode="json"),
        "published": None if known is None else known.model_dump(mode="json"),
    }
