"""Runs and datasets as the API gives them, as rows and text of the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneboard.console import percent, seconds

RUN_COLUMNS = (">id", "name", "dataset", "status", ">epoch", ">best val accuracy", ">time")
RESULT_COLUMNS = (
    ">id",
    "name",
    "status",
    ">best val accuracy",
    ">at epoch",
    ">last val accuracy",
    ">parameters trained",
    ">time",
)
DATASET_COLUMNS = ("name", "kind", "status", ">classes", ">train", ">val", ">test")


DUPLICATE_COLUMNS = (">group", "same", "split", "class", "image")
JOB_COLUMNS = (">id", "kind", "of", "state", ">done")


def run_row(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of RUN_COLUMNS."""
    return (
        str(run["id"]),
        run["name"],
        run["dataset"],
        run["status"],
        f"{run['epoch']}/{run['epochs']}",
        percent(_accuracy(run, "best")),
        seconds(run["elapsed_s"]),
    )


def value_text(value: Any) -> str:
    """Return a value of the run list's table as text."""
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def result_row(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of RESULT_COLUMNS."""
    trained = run["parameters_trained"]
    best_epoch = _accuracy(run, "best_epoch")
    return (
        str(run["id"]),
        run["name"],
        run["status"],
        percent(_accuracy(run, "best")),
        "–" if best_epoch is None else str(best_epoch),
        percent(_accuracy(run, "last")),
        "–" if trained is None else f"{trained:,}",
        seconds(run["elapsed_s"]),
    )


def result_table(
    runs: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows of results; with what was reported, where a run has that."""
    from trainer.published import Published

    rows = [result_row(run) for run in runs]
    known = [run.get("published") for run in runs]
    if not any(known):
        return RESULT_COLUMNS, rows
    said = [" · ".join(Published.model_validate(one).lines()) if one else "–" for one in known]
    return (*RESULT_COLUMNS, "reported"), [
        (*row, text) for row, text in zip(rows, said, strict=True)
    ]


def verdict_lines(verdict: Mapping[str, Any]) -> list[str]:
    """Return a verdict as sentences, one comparison a line."""
    lines = [
        f"#{one['run']} against #{one['baseline']}: {one['sentence']}"
        for one in verdict["comparisons"]
    ]
    return lines + list(verdict["notes"])


def waiting_lines(study: Mapping[str, Any]) -> list[str]:
    """Return a line for each step of a study that is not under way yet, and for a skipped one."""
    lines = []
    for step in study["steps"]:
        if step["state"] == "waiting":
            lines.append(f"Step {step['name']} begins after {', '.join(step['after'])}.")
        elif step["state"] == "skipped":
            lines.append(f"Step {step['name']} was skipped. {step['reason']}")
    return lines


def search_lines(study: Mapping[str, Any]) -> list[str]:
    """Return how far a study's search is, and its best trial; nothing of another study."""
    search = study["sweep"]["search"] if study["sweep"] else None
    if search is None:
        return []
    how = f"{search['sampler']}, {search['metric']}"
    lines = [f"Search ({how}): {search['ended']} of {search['budget']} trials have ended."]
    if search["reason"]:
        lines.append(f"It ended early: {search['reason']}")
    best = search["best"]
    if best is not None:
        name = next((run["name"] for run in study["runs"] if run["id"] == best["run"]), "")
        lines.append(f"Best: {best['value']:.4g}, run {best['run']}, {name}.")
    return lines


def vote_lines(study: Mapping[str, Any]) -> list[str]:
    """Return a line for what came of each vote of a study, with what was reported of it."""
    from trainer.published import Published

    lines = []
    for step in study["steps"]:
        vote = step["vote"]
        if vote is None or vote["result"] is None:
            continue
        known = vote["published"]
        said = Published.model_validate(known).lines() if known else ()
        accuracy = f"accuracy {percent(vote['result']['accuracy'])}"
        voters = "runs " + ", ".join(map(str, vote["voted"]))
        result = f"{step['name']}: {vote['method']} of {voters}, {accuracy}"
        lines.append(" · ".join([result, *said]))
    return lines


def run_text(run: Mapping[str, Any], address: str) -> str:
    """Return what there is to know of a run, line by line."""
    from trainer.spec import flat_fields

    lines = [
        f"run {run['id']}: {run['name']}",
        f"status: {run['status']}",
        f"epoch: {run['epoch']}/{run['epochs']}",
        f"time: {seconds(run['elapsed_s'])}",
    ]
    for name, figures in sorted(run["metrics"].items()):
        best, last = figures["best"], figures["last"]
        lines.append(f"{name}: last {_number(last)}, best {_number(best)}")
    if run["queue"]:
        lines.append(f"queue: place {run['queue']['position']}")
    if run["error"]:
        error = run["error"]
        lines.append(
            f"error: {error['title']}: {error['detail']} {error.get('remedy', '')}".rstrip()
        )
    lines += [f"{path}: {value}" for path, value in flat_fields(run["spec"]).items()]
    lines.append(address)
    return "\n".join(lines)


def dataset_row(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of DATASET_COLUMNS."""
    ready = dataset["status"] == "ready"
    splits = dataset["splits"] if ready else {}
    return (
        dataset["name"],
        dataset["kind"],
        dataset["status"],
        str(len(dataset["classes"])) if ready else "–",
        *(str(splits.get(split, "–")) for split in ("train", "val", "test")),
    )


def dataset_text(dataset: Mapping[str, Any]) -> str:
    """Return a sentence on how far a dataset is."""
    if dataset["status"] != "ready":
        return f"{dataset['name']} is {dataset['status']}."
    text = f"{dataset['name']} is ready: {dataset['samples']} images, "
    text += f"{len(dataset['classes'])} classes" if dataset["labelled"] else "without classes"
    skipped = dataset["skipped"]
    if skipped:
        text += f"; left out {len(skipped)} files, the first {skipped[0]['file']}: "
        text += skipped[0]["reason"]
    return text + "."


def _accuracy(run: Mapping[str, Any], figure: str) -> Any:
    return (run["metrics"].get("val_accuracy") or {}).get(figure)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def job_row(job: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of JOB_COLUMNS."""
    told = job["progress"]
    return (
        str(job["id"]),
        job["kind"],
        job["dataset"] or (f"run {job['run']}" if job["run"] else "–"),
        job["state"],
        f"{told['done']:,} of {told['total']:,}" if told else "–",
    )


def duplicate_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of DUPLICATE_COLUMNS, a line for each image."""
    return [
        (
            str(number),
            "pixels" if group["exact"] else "nearly",
            image["split"],
            image["class_name"],
            image["path"],
        )
        for number, group in enumerate(found["groups"], 1)
        for image in group["images"]
    ]


def preflight_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what a preflight has measured, in sentences."""
    parts = f"fits, {found['images_at_once']} images at once"
    peak, memory = (found[key] / 1e9 for key in ("peak_memory_bytes", "memory_bytes"))
    first, total = seconds(found["seconds_first_epoch"]), seconds(found["seconds_total"])
    if found["cached_features"]:
        time = f"The first epoch takes about {first}; the others only train the head."
    else:
        time = f"An epoch takes about {seconds(found['seconds_per_epoch'])}, the first {first}"
        time = f"{time}; all about {total}."
    return [f"Memory: {parts}; peak {peak:.1f} of {memory:.1f} GB on {found['device']}.", time]
