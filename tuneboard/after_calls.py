"""The client's calls for after training: predictions, exports, votes, and their jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuneboard.connection import Connection
from tuneboard.latefile import LateFile

_GROUPS = 1000
_JOB_LOOK_S = 10.0  # the server answers as soon as the job has ended


class JobCalls(Connection):
    """The part of `tuneboard.Client` that is about jobs after training."""

    def predict(
        self, run_id: int, images: Sequence[tuple[str, Path]], *, wait_s: float = 0
    ) -> dict[str, Any]:
        """Send images to be classified by a run's model, and return the job that does it.

        Args:
            images: Names to be shown, and files.
            wait_s: Seconds, at most 30, to wait for its end; see also `wait_for_job`.
        """
        with ExitStack() as opened:
            files = [
                ("file", (name, opened.enter_context(LateFile(path)))) for name, path in images
            ]
            path = f"runs/{run_id}/predictions"
            return self._object("POST", path, files=files, params={"wait_s": wait_s})

    def predict_folder(self, run_id: int, folder: str) -> dict[str, Any]:
        """Have a folder on the server classified by a run's model, and return the job."""
        return self._object("POST", f"runs/{run_id}/predictions", json={"folder": folder})

    def predict_dataset(self, run_id: int, name: str) -> dict[str, Any]:
        """Have a dataset or a collection classified by a run's model, and return the job."""
        return self._object("POST", f"runs/{run_id}/predictions", json={"dataset": name})

    def export(self, run_id: int, form: str) -> dict[str, Any]:
        """Have a run's model written as safetensors, torchscript or onnx; return the job."""
        return self._object("POST", f"runs/{run_id}/exports", json={"format": str(form)})

    def vote(
        self,
        run_ids: Sequence[int],
        *,
        method: str = "majority",
        prefer: int | None = None,
        split: str = "val",
    ) -> dict[str, Any]:
        """Let runs vote on the images they were all evaluated on, and return the job.

        Args:
            run_ids: Two or more.
            method: majority or mean.
            prefer: The run that decides ties; None: the first.
            split: val or test.
        """
        body: dict[str, Any] = {"runs": list(run_ids), "method": str(method), "split": str(split)}
        if prefer is not None:
            body["prefer"] = prefer
        return self._object("POST", "votes", json=body)

    def job(self, job_id: int, *, wait_s: float = 0) -> dict[str, Any]:
        """Return a job; with `wait_s`, at most 30, once it has ended or after that time."""
        return self._object("GET", f"jobs/{job_id}", params={"wait_s": wait_s})

    def preflight(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Have a spec tried on a training worker without launching it, and return the job."""
        return self._object("POST", "preflights", json=dict(spec))

    def jobs(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest jobs, newest first."""
        found: list[dict[str, Any]] = self._object("GET", "jobs", params={"limit": limit})["jobs"]
        return found

    def cancel_job(self, job_id: int) -> dict[str, Any]:
        """End a job that has not ended, and return it."""
        return self._object("POST", f"jobs/{job_id}/cancel")

    def duplicates(self, dataset: str, *, kind: str = "all") -> dict[str, Any]:
        """Return a dataset's groups of duplicates; see `GET /datasets/NAME/duplicates`.

        Args:
            dataset: Name of the dataset.
            kind: all, or only those across splits or across classes.
        """
        path = f"datasets/{quote(dataset, safe='')}/duplicates"
        found = self._object("GET", path, params={"kind": kind, "limit": _GROUPS})
        while len(found["groups"]) < found["total"]:
            params = {"kind": kind, "limit": _GROUPS, "offset": len(found["groups"])}
            more = self._object("GET", path, params=params)["groups"]
            if not more:
                break
            found["groups"] += more
        return found

    def look_for_duplicates(self, dataset: str) -> dict[str, Any]:
        """Have a dataset looked through again, and return the job that does it."""
        return self._object("POST", f"datasets/{quote(dataset, safe='')}/duplicates")

    def wait_for_job(self, job_id: int, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Return a job once it has ended, well or not.

        Raises:
            TimeoutError: If it has not ended within `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = _JOB_LOOK_S if deadline is None else deadline - time.monotonic()
            found = self.job(job_id, wait_s=max(0.0, min(_JOB_LOOK_S, left_s)))
            if found["state"] in {"succeeded", "failed", "cancelled"}:
                return found
            if left_s <= 0:
                raise TimeoutError(f"Job {job_id} had not ended after {timeout_s} s.")

    def download(self, job_id: int, path: Path) -> None:
        """Write the file that a job made to `path`."""
        self._write(f"jobs/{job_id}/file", path)
