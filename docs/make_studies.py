"""Prints the tables of docs/studies.md from a running Tuneboard: `python` this file.

    python docs/make_studies.py STUDY… [--url ADDRESS]

A line a row of each study, its seeds together: what was run, what came out, what was reported.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

from trainer.published import METRIC_WORDS, Published
from tuneboard import Client

_MARKS = re.compile(r", (substitute|on |small scale|seed )")
COLUMNS = ("row", "network, weights", "scale", "measured here", "reported by the authors")


def main() -> None:
    """Print every study's table."""
    parser = argparse.ArgumentParser(description="Print the tables of docs/studies.md.")
    parser.add_argument("study", nargs="+", type=int)
    parser.add_argument("--url", help="address of the server; by default the usual one")
    options = parser.parse_args()
    with Client(options.url) as client:
        for number in options.study:
            sys.stdout.write("\n".join(_table(client, client.study(number))) + "\n")


def _table(client: Client, study: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {study['name']}\n"
    yield _line(COLUMNS)
    yield _line("---" for _ in COLUMNS)
    for runs in _rows(study["runs"]):
        yield _line(_cells(runs, [_test_accuracy(client, run) for run in runs]))
    for step in study.get("steps", []):
        if step["vote"] is not None:
            yield _line(_vote_cells(step["vote"]))


def _rows(runs: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the runs, those that differ in their seed alone together."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        spec = json.loads(json.dumps(run["spec"]))
        spec["name"] = spec["name"].removesuffix(f", seed {spec['training']['seed']}")
        spec["training"]["seed"] = 0
        rows.setdefault(json.dumps(spec, sort_keys=True), []).append(run)
    return list(rows.values())


def _cells(runs: list[dict[str, Any]], tests: list[float | None]) -> tuple[str, ...]:
    spec = runs[0]["spec"]
    images, training = spec["dataset"], spec["training"]
    scale = f"{images['name']}, {training['epochs']} epochs, batch {training['batch_size']}"
    if images["input_size_px"]:
        scale += f", {images['input_size_px']} px"
    if images["train_count"]:
        scale += f", {images['train_count']} training images"
    ended = [run for run in runs if run["status"] == "succeeded"]
    best = [run["metrics"]["val_accuracy"]["best"] for run in ended]
    said = [_several("best validation", best)] if best else []
    found = [test for test in tests if test is not None]
    said += [_several("test", found)] if found else []
    lacking = [run["status"] for run in runs if run["status"] != "succeeded"]
    return (
        _bare(spec["name"]),
        f"{spec['model']['architecture']}, {spec['model']['weights']}",
        scale,
        "; ".join([*said, *lacking]),
        _reported(runs[0]["published"]),
    )


def _vote_cells(vote: Mapping[str, Any]) -> tuple[str, ...]:
    found = vote["result"]
    measured = f"{vote['split']} {found['accuracy']:.4f}" if found else "not yet"
    voters = " + ".join(_bare(voter) for voter in vote["voters"])
    return (f"{vote['method']} vote", voters, "", measured, _reported(vote["published"]))


def _several(name: str, accuracies: list[float]) -> str:
    each = " ".join(f"{accuracy:.4f}" for accuracy in accuracies)
    return f"{name} {each}" + (f", mean **{fmean(accuracies):.4f}**" if len(accuracies) > 1 else "")


def _reported(published: Mapping[str, Any] | None) -> str:
    if published is None:
        return "–"
    known = Published.model_validate(published)
    numbers = ", ".join(
        f"{METRIC_WORDS[one.metric]} {one.value:g} ({one.kind})" for one in known.reported
    )
    if known.comparable or not numbers:
        return numbers or "–"
    return f"{numbers}; {'a substitute' if known.substitute else 'not comparable'} here"


def _bare(name: str) -> str:
    """Return a run's name without what launching it in another way has put behind it."""
    return _MARKS.split(name, maxsplit=1)[0]


def _test_accuracy(client: Client, run: Mapping[str, Any]) -> float | None:
    for one in client.evaluations(run["id"]):
        if one["split"] == "test":
            accuracy: float = one["accuracy"]
            return accuracy
    return None


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
