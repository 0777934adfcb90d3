"""The Python client: `from tuneboard import Client`.

Everything goes through the REST API; answers are its JSON as plain dicts and lists, and problems
are raised as the classes of `trainer.errors` that the server itself raised.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
from httpx_sse import SSEError, connect_sse

from trainer.errors import TuneboardError
from trainer.parsing import yaml_data
from tuneboard.after_calls import JobCalls
from tuneboard.problems import field_errors_of, problem_of
from tuneboard.recipe import as_mapping, load_yaml

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
_RECONNECT_S = 1.0
_LOOK_S = 0.3
_SILENCE_S = 40.0  # the server's stream says something at least every 15 s
_LOOK_AT_CLOCK_S = 2.0  # a stream with a deadline that is silent so long is connected anew


@dataclass(frozen=True)
class StreamedEvent:
    """One event of a run as live pages get it."""

    run_id: int
    seq: int
    """Its number within the run, from 1 and without gaps but for outdated progress."""
    kind: str
    """`epoch_finished`, `progress`, `state`, …"""
    payload: dict[str, Any]


class Client(JobCalls):
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
        """
        data = _as_mapping(spec)
        if name is not None:
            data = {**data, "name": name}
        params: dict[str, Any] = {"priority": priority, "external": external}
        if study is not None:
            params["study"] = study
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        for last_try in (False, True):
            try:
                return self._object("POST", "runs", json=data, params=params, headers=headers)
            except httpx.TransportError:
                if last_try:
                    raise
        raise AssertionError

    def validate(self, spec: Mapping[str, Any] | str | Path) -> dict[str, Any]:
        """Return the spec with its defaults filled in, without launching anything."""
        return self._object("POST", "spec/validate", json=_as_mapping(spec))

    def run(self, run_id: int) -> dict[str, Any]:
        """Return a run: its spec, state, progress and newest metrics."""
        return self._object("GET", f"runs/{run_id}")

    def runs(
        self,
        *,
        status: str | None = None,
        study: int | None = None,
        dataset: str | None = None,
        text: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return runs, newest first, fetching page after page.

        Args:
            status: Only those in this state.
            study: Only those of the study of this id.
            dataset: Only those on the dataset of this name.
            text: Only those whose name or spec contains it.
            limit: At most so many; None: all.
        """
        filters = {"status": status, "study": study, "dataset": dataset, "q": text}
        params = {key: value for key, value in filters.items() if value is not None}
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self._object(
                "GET", "runs", params=params | ({"cursor": cursor} if cursor else {})
            )
            found += _items(page, "runs")
            cursor = page["next_cursor"]
            if limit is not None and len(found) >= limit:
                return found[:limit]
            if cursor is None:
                return found

    def cancel(self, run_id: int) -> dict[str, Any]:
        """Ask for a run to be stopped, and return it."""
        return self._object("POST", f"runs/{run_id}/cancel")

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

    def launch_study(
        self,
        name: str,
        runs: Sequence[Mapping[str, Any]],
        *,
        note: str = "",
        priority: int = 0,
        published: Sequence[Mapping[str, Any] | None] = (),
    ) -> dict[str, Any]:
        """Launch runs that belong together, and return the study with its runs.

        Args:
            name: Of the study.
            runs: Specs.
            note: Of the study.
            priority: Of every run; higher is claimed earlier.
            published: What was reported of each run elsewhere; empty: of none.
        """
        body: dict[str, Any] = {"name": name, "note": note, "priority": priority}
        body["runs"] = [dict(run) for run in runs]
        if any(published):
            body["published"] = [one and dict(one) for one in published]
        return self._object("POST", "studies", json=body)

    def recipes(self) -> list[dict[str, Any]]:
        """Return the recipes: published studies, ready to launch."""
        return _items(self._object("GET", "recipes"), "recipes")

    def recipe(self, name: str) -> dict[str, Any]:
        """Return a recipe with its specs and what its authors reported."""
        return self._object("GET", f"recipes/{quote(name, safe='')}")

    def launch_recipe(
        self,
        name: str,
        *,
        dataset: str | None = None,
        epochs: int | None = None,
        scale: str = "full",
        substitute: bool = False,
        seeds: int = 1,
    ) -> dict[str, Any]:
        """Launch a recipe's runs, and return their study.

        Args:
            name: Of the recipe.
            dataset: In place of the recipe's.
            epochs: In place of each run's.
            scale: full, or small: few and small images and two epochs.
            substitute: Networks whose weights come with a package in place of those whose weights
                are downloaded.
            seeds: How often each run is repeated, with the seeds after its own.
        """
        body = {
            "dataset": dataset,
            "epochs": epochs,
            "scale": scale,
            "substitute": substitute,
            "seeds": seeds,
        }
        return self._object("POST", f"recipes/{quote(name, safe='')}/launch", json=body)

    def datasets(self) -> list[dict[str, Any]]:
        """Return the registered datasets."""
        return _items(self._object("GET", "datasets"), "datasets")

    def dataset(self, name: str) -> dict[str, Any]:
        """Return a dataset: its state, classes, counts and skipped files."""
        return self._object("GET", f"datasets/{name}")

    def add_dataset(self, name: str, kind: str, source: str) -> dict[str, Any]:
        """Register a dataset, whose preparation begins.

        Args:
            name: Short name that specs will use.
            kind: catalogue or folder.
            source: The catalogue's name for it, or a folder on the server.
        """
        return self._object("POST", "datasets", json={"name": name, "kind": kind, "source": source})

    def upload_dataset(self, name: str, archive: Path) -> dict[str, Any]:
        """Upload a zip of images laid out in a folder per class, and return the dataset."""
        with archive.open("rb") as file:
            return self._object(
                "POST",
                "datasets/upload",
                data={"name": name},
                files={"file": (archive.name, file, "application/zip")},
            )

    def wait(
        self,
        *run_ids: int,
        on_event: Callable[[StreamedEvent], None] | None = None,
        timeout_s: float | None = None,
    ) -> list[dict[str, Any]]:
        """Return the runs once all have ended, telling `on_event` of everything on the way.

        Raises:
            TimeoutError: If they have not ended within `timeout_s`.
        """
        waiting = set(run_ids)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with closing(self.stream(*run_ids, deadline=deadline)) as events:
            for event in events:
                if on_event is not None:
                    on_event(event)
                if event.kind == "state" and event.payload["status"] in TERMINAL:
                    waiting.discard(event.run_id)
                if not waiting:
                    return [self.run(run_id) for run_id in run_ids]
        raise TimeoutError(f"Runs {sorted(waiting)} had not ended after {timeout_s} s.")

    def wait_for_dataset(self, name: str, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Return a dataset once its preparation has ended, well or not.

        Raises:
            TimeoutError: If it has not ended within `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.dataset(name)
            if found["status"] != "preparing":
                return found
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Dataset {name} was not ready after {timeout_s} s.")
            time.sleep(_LOOK_S)

    def stream(
        self, *run_ids: int, deadline: float | None = None
    ) -> Generator[StreamedEvent, None, None]:
        """Yield the runs' events from their first on, then as they happen.

        A broken connection is taken up again where it broke. Ends at `deadline` (monotonic
        seconds), or when the caller stops asking.
        """
        cursor = ""
        while deadline is None or time.monotonic() < deadline:
            params: dict[str, Any] = {"run": list(run_ids)} | ({"cursor": cursor} if cursor else {})
            patience_s = _SILENCE_S
            if deadline is not None:
                patience_s = min(_LOOK_AT_CLOCK_S, max(0.1, deadline - time.monotonic()))
            timeout = httpx.Timeout(_SILENCE_S, read=patience_s)
            try:
                with connect_sse(
                    self._http, "GET", "/api/v1/stream", params=params, timeout=timeout
                ) as source:
                    if source.response.is_error:
                        raise problem_of(source.response)
                    for message in source.iter_sse():
                        cursor = message.id or cursor
                        if message.event == "run":
                            item = message.json()
                            yield StreamedEvent(
                                item["run"], item["seq"], item["kind"], item["payload"]
                            )
                        if deadline is not None and time.monotonic() > deadline:
                            return
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if not cursor:
                    raise self._unreachable() from error
                time.sleep(_RECONNECT_S)
            except httpx.ReadTimeout:
                continue
            except (httpx.TransportError, SSEError):
                time.sleep(_RECONNECT_S)

    @staticmethod
    def dataset_error(dataset: Mapping[str, Any]) -> TuneboardError:
        """Return why a dataset's preparation failed."""
        error = dataset["error"]
        return TuneboardError(error["detail"], error.get("remedy", ""), field_errors_of(error))


def _items(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = answer[key]
    return items


def _as_mapping(spec: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(spec, Path):
        return load_yaml(spec)
    if isinstance(spec, str):
        return as_mapping(yaml_data(spec), "the text")
    return dict(spec)
