"""The client's calls about studies and recipes: launched, looked at, waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuneboard.recipe import load_yaml
from tuneboard.streaming import TERMINAL, StreamCalls, StreamedEvent
from tuneboard.sweep import sweep_document

_LOOK_S = 0.3
_LOOK_AT_STUDY_S = 2.0  # a run of a later step may have begun beside those that are listened to


class StudyCalls(StreamCalls):
    """The part of `tuneboard.Client` that is about studies."""

    def launch_study(
        self,
        name: str,
        runs: Sequence[Mapping[str, Any]] = (),
        *,
        steps: Sequence[Mapping[str, Any]] = (),
        note: str = "",
        priority: int = 0,
        published: Sequence[Mapping[str, Any] | None] = (),
        study_data: str = "",
        webhook: str = "",
        webhook_runs: bool = False,
        acknowledge_leaks: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Launch runs that belong together, and return the study with its runs.

        Args:
            name: Of the study.
            runs: Specs.
            steps: In place of `runs`: steps as in a recipe's file.
            note: Of the study.
            priority: Of every run; higher is claimed earlier.
            published: What was reported of each run elsewhere; empty: of none.
            study_data: What the reported numbers of `steps` were measured on.
            webhook: Address that is told when the study ends.
            webhook_runs: Tell it of the end of each run as well.
            acknowledge_leaks: See `Client.submit`.
            idempotency_key: See `Client.submit`.
        """
        body: dict[str, Any] = {"name": name, "note": note, "priority": priority}
        if steps:
            body |= {"steps": [dict(step) for step in steps], "study_data": study_data}
        else:
            body["runs"] = [dict(run) for run in runs]
        if webhook:
            body |= {"webhook": webhook, "webhook_runs": webhook_runs}
        if acknowledge_leaks:
            body["acknowledge_leaks"] = True
        if any(published):
            body["published"] = [one and dict(one) for one in published]
        return self._launched("studies", idempotency_key, json=body)

    def sweep(
        self,
        sweep: Mapping[str, Any] | Path,
        *,
        name: str = "",
        note: str = "",
        priority: int = 0,
        webhook: str = "",
        webhook_runs: bool = False,
        dry_run: bool = False,
        acknowledge_leaks: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Launch many runs out of one spec, and return their study.

        Args:
            sweep: `base`, `space`, `kind` and so on, by itself or as a file of the command line
                holds it; or the path of such a file.
            name: Of the study; made from what is swept where left out.
            note: Of the study.
            priority: Of every run; higher is claimed earlier.
            webhook: Address that is told when the study ends.
            webhook_runs: Tell it of the end of each run as well.
            dry_run: Launch nothing; return `runs_total`, `names` and `summary` instead.
            acknowledge_leaks: See `Client.submit`.
            idempotency_key: See `Client.submit`.
        """
        given = load_yaml(sweep) if isinstance(sweep, Path) else sweep
        around = {
            "name": name,
            "note": note,
            "priority": priority,
            "webhook": webhook,
            "webhook_runs": webhook_runs,
            "acknowledge_leaks": acknowledge_leaks,
        }
        body = {**sweep_document(given), **{key: one for key, one in around.items() if one}}
        params = {"dry_run": True} if dry_run else {}
        return self._launched("studies", idempotency_key, json=body, params=params)

    def recipes(self) -> list[dict[str, Any]]:
        """Return the recipes: published studies, ready to launch."""
        return list(self._object("GET", "recipes")["recipes"])

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
        note: str = "",
        webhook: str = "",
        webhook_runs: bool = False,
        acknowledge_leaks: bool = False,
        idempotency_key: str | None = None,
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
            note: In place of the recipe's.
            webhook: Address that is told when the study ends.
            webhook_runs: Tell it of the end of each run as well.
            acknowledge_leaks: See `Client.submit`.
            idempotency_key: See `Client.submit`.
        """
        body = {
            "dataset": dataset,
            "epochs": epochs,
            "scale": scale,
            "substitute": substitute,
            "seeds": seeds,
            "note": note,
            "webhook": webhook,
            "webhook_runs": webhook_runs,
            "acknowledge_leaks": acknowledge_leaks,
        }
        return self._launched(f"recipes/{quote(name, safe='')}/launch", idempotency_key, json=body)

    def study(self, study_id: int) -> dict[str, Any]:
        """Return a study with its steps and its runs."""
        return self._object("GET", f"studies/{study_id}")

    def wait_study(
        self,
        study_id: int,
        *,
        on_runs: Callable[[Sequence[Mapping[str, Any]]], None] | None = None,
        on_event: Callable[[StreamedEvent], None] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Return a study once its last step has ended.

        Args:
            study_id: Of the study.
            on_runs: Told of the runs that there are, and of later steps' when they begin.
            on_event: Told of everything that the runs say.
            timeout_s: None: as long as it takes.

        Raises:
            TimeoutError: If it has not ended within `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        heard: dict[int, int] = {}
        waiting: set[int] = set()
        while True:
            study = self.study(study_id)
            new = [run for run in study["runs"] if run["id"] not in heard]
            heard |= {run["id"]: 0 for run in new}
            waiting |= {run["id"] for run in new}
            if new and on_runs is not None:
                on_runs(new)
            if study["is_over"] and not waiting:
                return study
            now = time.monotonic()
            if deadline is not None and now > deadline:
                raise TimeoutError(f"Study {study_id} had not ended after {timeout_s} s.")
            if not waiting:
                time.sleep(_LOOK_S)
                continue
            until = min(now + _LOOK_AT_STUDY_S, deadline or float("inf"))
            with closing(self.stream(*sorted(waiting), deadline=until, after=heard)) as events:
                for event in events:
                    heard[event.run_id] = event.seq
                    if on_event is not None:
                        on_event(event)
                    if event.kind == "state" and event.payload["status"] in TERMINAL:
                        waiting.discard(event.run_id)
                        break
