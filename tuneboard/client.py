"""The Python client: `from tuneboard import Client`.

Everything goes through the REST API; answers are its JSON as plain dicts and lists, and problems
are raised as the classes of `trainer.errors` that the server itself raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from trainer.parsing import yaml_data
from tuneboard.after_calls import JobCalls
from tuneboard.care_calls import CareCalls
from tuneboard.compare_calls import CompareCalls
from tuneboard.dataset_calls import DatasetCalls
from tuneboard.list_calls import ListCalls
from tuneboard.recipe import as_mapping, load_yaml
from tuneboard.run_calls import RunCalls
from tuneboard.study_calls import StudyCalls
from tuneboard.try_calls import TryCalls


class Client(
    CareCalls, CompareCalls, DatasetCalls, JobCalls, ListCalls, RunCalls, StudyCalls, TryCalls
):
    """A connection to one Tuneboard; also a context manager.

    Every method raises:
        Unreachable: If nothing answers at the address.
        InvalidInput, NotFound, Conflict: As the server found.
        Refused: On any other answer that is an error.
    """

    def submit(
        self,
        spec: Mapping[str, Any] | str | Path,
        *,
        name: str | None = None,
        priority: int = 0,
        study: int | None = None,
        external: bool = False,
        idempotency_key: str | None = None,
        acknowledge_leaks: bool = False,
    ) -> dict[str, Any]:
        """Launch a run and return it.

        Args:
            spec: A spec as a mapping, as YAML text, or the path of a YAML file.
            name: Replaces the spec's own name.
            priority: Higher is claimed earlier.
            study: Id of the study the run belongs to.
            external: A script of yours trains it and says so with `report`; no worker does.
            idempotency_key: Sending the same one again returns the run launched the first time;
                None: a fresh one, so that the request can be repeated on a broken connection.
            acknowledge_leaks: Launch it though images that it is judged by are among its training
                images, the same or nearly.
        """
        data = _as_mapping(spec)
        if name is not None:
            data = {**data, "name": name}
        params: dict[str, Any] = {"priority": priority, "external": external}
        if study is not None:
            params["study"] = study
        if acknowledge_leaks:
            params["acknowledge_leaks"] = True
        return self._launched("runs", idempotency_key, json=data, params=params)

    def validate(self, spec: Mapping[str, Any] | str | Path) -> dict[str, Any]:
        """Return the spec with its defaults filled in, without launching anything."""
        return self._object("POST", "spec/validate", json=_as_mapping(spec))

    def estimate(
        self, spec: Mapping[str, Any] | str | Path, *, priority: int = 0
    ) -> dict[str, Any]:
        """Return what a spec would come to: images, parameters, steps, time, the queue."""
        return self._object(
            "POST", "spec/summary", json=_as_mapping(spec), params={"priority": priority}
        )

    def annotate(self, run_id: int, note: str) -> dict[str, Any]:
        """Replace a run's note, and return the run."""
        return self._object("PATCH", f"runs/{run_id}", json={"note": note})

    def compare(self, run_ids: Sequence[int]) -> dict[str, Any]:
        """Return the comparison of some runs: `runs`, `figures` (Plotly JSON) and `table`."""
        return self._object("GET", "compare", params={"run": list(run_ids)})

    def verdict(
        self,
        run_ids: Sequence[int],
        *,
        baseline: int | None = None,
        split: Literal["val", "test"] | None = None,
    ) -> dict[str, Any]:
        """Return which of some runs is better, image by image: `comparisons`, `notes`, `methods`.

        Args:
            baseline: What the others are compared with; the first run where left out.
            split: Where left out, test if all were tested on the same images, else validation.
        """
        query = {"run": list(run_ids), "baseline": baseline, "split": split}
        known = {name: value for name, value in query.items() if value is not None}
        return self._object("GET", "compare/verdict", params=known)

    def compare_address(self, run_ids: Sequence[int]) -> str:
        """Return the address of the page that compares some runs."""
        return f"{self.url}/compare?" + "&".join(f"run={run_id}" for run_id in run_ids)

    def study_address(self, study_id: int) -> str:
        """Return the address of a study's page."""
        return f"{self.url}/studies/{study_id}"

    def run_address(self, run_id: int) -> str:
        """Return the address of a run's page."""
        return f"{self.url}/runs/{run_id}"

    def report(self, run_id: int, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Say what an external run of yours did, in the trainer's events, and return the run.

        `run_finished` and `run_failed` end it. All of the events are taken, or none.
        """
        answer = self._object("POST", f"runs/{run_id}/events", json=[dict(e) for e in events])
        run: dict[str, Any] = answer["run"]
        return run

    def series(self, run_id: int, *names: str) -> dict[str, Any]:
        """Return a run's metric series by name; all of them where no name is given."""
        return self._object("GET", f"runs/{run_id}/series", params={"name": list(names)})

    def evaluations(self, run_id: int) -> list[dict[str, Any]]:
        """Return a run's evaluated splits, with their confusion matrices."""
        return _items(self._object("GET", f"runs/{run_id}/evaluations"), "evaluations")

    def looks(
        self,
        run_id: int,
        show: Literal["mistakes", "hits", "random"] = "mistakes",
        *,
        split: Literal["val", "test"] = "val",
        seed: int = 0,
        page: int = 1,
    ) -> dict[str, Any]:
        """Return a page of images that are worth a look: `images`, `total`, `page`, `pages`.

        Args:
            run_id: Whose evaluation.
            show: mistakes: the most confident first; hits: right, the least certain first;
                random: one page, drawn by `seed`.
            split: Which evaluation.
            seed: The same one draws the same images.
            page: From 1.
        """
        query = {"show": show, "seed": seed, "page": page}
        return self._object("GET", f"runs/{run_id}/evaluations/{split}/looks", params=query)

    def calibration(self, run_id: int, *, split: Literal["val", "test"] = "val") -> dict[str, Any]:
        """Return how far a run's confidence can be believed: `bins`, `error` and the rest."""
        return self._object("GET", f"runs/{run_id}/evaluations/{split}/calibration")


def _items(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = answer[key]
    return items


def _as_mapping(spec: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(spec, Path):
        return load_yaml(spec)
    if isinstance(spec, str):
        return as_mapping(yaml_data(spec), "the text")
    return dict(spec)
