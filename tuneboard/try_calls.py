"""The client's calls that try a trained model on one image, and the pictures they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneboard.connection import Connection
from tuneboard.latefile import LateFile

Image = Path | dict[str, Any]
"""A file to send, or what names one that is there: `{"split": "val", "index": 3}` or `{"job": 12}`.
"""


class TryCalls(Connection):
    """The part of `tuneboard.Client` that tries a model on one image; each call returns a job.

    `wait_s`, at most 30, waits for its end; see also `wait_for_job`.
    """

    def classify(self, run_id: int, image: Image, *, wait_s: float = 0) -> dict[str, Any]:
        """Ask for the probability of each class."""
        return self._try(run_id, "classify", image, {}, wait_s)

    def gradcam(
        self, run_id: int, image: Image, *, class_name: str | None = None, wait_s: float = 0
    ) -> dict[str, Any]:
        """Ask which parts of the image spoke for a class; None: for the predicted one."""
        fields = {} if class_name is None else {"class": class_name}
        return self._try(run_id, "gradcam", image, fields, wait_s)

    def features(
        self, run_id: int, image: Image, module: str, *, page: int = 1, wait_s: float = 0
    ) -> dict[str, Any]:
        """Ask for the feature maps that a module makes of the image."""
        return self._try(run_id, "features", image, {"module": module, "page": page}, wait_s)

    def modules(self, run_id: int, *, wait_s: float = 0) -> dict[str, Any]:
        """Ask for the modules of the run's network."""
        return self._object("GET", f"runs/{run_id}/modules", params={"wait_s": wait_s})

    def picture(self, job_id: int, name: str, path: Path) -> None:
        """Write a picture that a job made to `path`, as PNG; its result's `files` names them."""
        self._write(f"jobs/{job_id}/images/{name}.png", path)

    def _try(
        self, run_id: int, what: str, image: Image, fields: dict[str, Any], wait_s: float
    ) -> dict[str, Any]:
        path, waits = f"runs/{run_id}/{what}", {"wait_s": wait_s}
        if isinstance(image, dict):
            return self._object("POST", path, json={**fields, "image": image}, params=waits)
        with LateFile(image) as file:
            sent = {"file": (image.name, file)}
            return self._object("POST", path, files=sent, data=fields, params=waits)
