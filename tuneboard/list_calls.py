"""The client's calls about the run list: filtered and sorted, tagged, archived, deleted, viewed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tuneboard.connection import Connection


class ListCalls(Connection):
    """The part of `tuneboard.Client` that is about many runs."""

    def runs(
        self,
        *,
        filter: str | None = None,  # noqa: A002 - the parameter's name everywhere
        sort: str | None = None,
        status: str | None = None,
        study: int | None = None,
        dataset: str | None = None,
        text: str | None = None,
        archived: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return runs, newest first or sorted otherwise, fetching page after page.

        Args:
            filter: Such as `optimizer.lr < 0.01 and best_val_accuracy > 90%`.
            sort: A field or metric; with - before it, the greatest first.
            status: Only those in this state.
            study: Only those of the study of this id.
            dataset: Only those on the dataset of this name.
            text: Only those whose name, note or tag contains it.
            archived: no, yes (them alone) or all; by default no.
            limit: At most so many; None: all.
        """
        asked = {
            "filter": filter,
            "sort": sort,
            "status": status,
            "study": study,
            "dataset": dataset,
            "q": text,
            "archived": archived,
        }
        return [run for page in self._run_pages(asked, limit) for run in page["runs"]][:limit]

    def table(
        self,
        columns: Sequence[str],
        *,
        filter: str | None = None,  # noqa: A002 - the parameter's name everywhere
        sort: str | None = None,
        status: str | None = None,
        dataset: str | None = None,
        archived: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the runs' values in some columns: fields of the spec, metrics, facts.

        Args:
            columns: Names as `run_fields` lists them, such as optimizer.lr and best_val_accuracy.
            filter, sort, status, dataset, archived, limit: As of `runs`.
        """
        asked = {
            "columns": ",".join(columns),
            "filter": filter,
            "sort": sort,
            "status": status,
            "dataset": dataset,
            "archived": archived,
        }
        return [row for page in self._run_pages(asked, limit) for row in page["table"]][:limit]

    def run_fields(self) -> list[dict[str, Any]]:
        """Return what runs can be filtered, sorted and shown by."""
        fields: list[dict[str, Any]] = self._object("GET", "runs/fields")["fields"]
        return fields

    def tag(
        self, run_ids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        """Put tags on runs, and take others off."""
        for action, tags in (("untag", remove), ("tag", add)):
            if tags:
                self.bulk(action, run_ids, tags=tags)

    def pin(self, run_id: int, *, pinned: bool = True) -> dict[str, Any]:
        """Make a run its dataset's baseline, or no longer, and return it."""
        return self._object("PATCH", f"runs/{run_id}", json={"pinned": pinned})

    def bulk(
        self,
        action: str,
        run_ids: Sequence[int] | None = None,
        *,
        filter: str | None = None,  # noqa: A002 - the parameter's name everywhere
        archived: str | None = None,
        tags: Sequence[str] = (),
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Do something to many runs; return `runs`, `refused` with reasons, and `freed_bytes`.

        Args:
            action: cancel, tag, untag, archive, unarchive or delete.
            run_ids: Which runs; or else
            filter: those that match, archived ones only where `archived` is yes or all.
            tags: For tag and untag.
            dry_run: Say what would be done, and do nothing.
        """
        body: dict[str, Any] = {"action": action, "tags": list(tags), "dry_run": dry_run}
        body |= {} if run_ids is None else {"ids": list(run_ids)}
        body |= {} if filter is None else {"filter": filter}
        body |= {} if archived is None else {"archived": archived}
        return self._object("POST", "runs/bulk", json=body)

    def delete_run(self, run_id: int) -> dict[str, Any]:
        """Remove an ended run and its files for good, and return what that freed."""
        return self._object("DELETE", f"runs/{run_id}")

    def views(self) -> list[dict[str, Any]]:
        """Return the saved views of the Runs page."""
        views: list[dict[str, Any]] = self._object("GET", "views")["views"]
        return views

    def save_view(self, name: str, query: str) -> dict[str, Any]:
        """Save a view: a name for the part of a Runs page's address after the question mark."""
        return self._object("POST", "views", json={"name": name, "query": query})

    def rename_view(self, view_id: int, name: str) -> dict[str, Any]:
        """Give a view another name, and return it."""
        return self._object("PATCH", f"views/{view_id}", json={"name": name})

    def delete_view(self, view_id: int) -> None:
        """Forget a view; its runs stay."""
        self._request("DELETE", f"views/{view_id}")

    def _run_pages(self, asked: dict[str, Any], limit: int | None) -> Iterator[dict[str, Any]]:
        params = {key: value for key, value in asked.items() if value is not None}
        seen, cursor = 0, None
        while True:
            page = self._object(
                "GET", "runs", params=params | ({"cursor": cursor} if cursor else {})
            )
            yield page
            seen += len(page["runs"])
            cursor = page["next_cursor"]
            if cursor is None or (limit is not None and seen >= limit):
                return
