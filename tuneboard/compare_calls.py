"""The client's calls about comparisons: their files, and saved ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from trainer.errors import FieldError, InvalidInput
from tuneboard.connection import Connection

EXPORTS = (".html", ".md", ".zip")


class CompareCalls(Connection):
    """The part of `tuneboard.Client` that is about comparisons kept and taken away."""

    def export_comparison(
        self, run_ids: Sequence[int], path: Path, *, baseline: int | None = None
    ) -> None:
        """Write a comparison to `path`.

        Args:
            path: Its ending says what it becomes: .html, one page that opens without a network;
                .md, a report; .zip, every table and point as CSV files.
            baseline: The run that the others are held against; the first where left out.

        Raises:
            InvalidInput: If the path ends in nothing of these.
        """
        ending = path.suffix.lower()
        if ending not in EXPORTS:
            raise InvalidInput.of(
                FieldError("out", str(path), f"a name that ends in {', '.join(EXPORTS)}")
            )
        self._write(f"compare/export{ending}?{_query(run_ids, baseline)}", path)

    def comparisons(self) -> list[dict[str, Any]]:
        """Return the saved comparisons, the one changed last first."""
        found: list[dict[str, Any]] = self._object("GET", "comparisons")["comparisons"]
        return found

    def save_comparison(
        self, name: str, run_ids: Sequence[int], *, baseline: int | None = None, note: str = ""
    ) -> dict[str, Any]:
        """Save a comparison under a name, and return it; its `url` is the page's address."""
        body = {"name": name, "note": note, "query": _query(run_ids, baseline)}
        return self._object("POST", "comparisons", json=body)


def _query(run_ids: Sequence[int], baseline: int | None) -> str:
    pairs = [("run", run_id) for run_id in run_ids]
    return urlencode(pairs + ([("baseline", baseline)] if baseline is not None else []))
