"""The client's calls about studies that are there, workers and the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from tuneboard.connection import Connection


class CareCalls(Connection):
    """The part of `tuneboard.Client` that looks after studies, workers and the queue."""

    def studies(
        self, *, text: str = "", owner: str = "", state: str = "", limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return studies without their runs, newest first, fetching page after page.

        Args:
            text: Part of the name or the note, or the number.
            owner: Only those of this person.
            state: Only those that are active, ended or stopped.
            limit: At most so many; None: all.
        """
        filters = {"q": text, "owner": owner, "state": state}
        params = {key: value for key, value in filters.items() if value}
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None and (limit is None or len(found) < limit):
            more = {"cursor": cursor} if cursor else {}
            page = self._object("GET", "studies", params=params | more)
            found += page["studies"]
            cursor = page["next_cursor"]
        return found[:limit]

    def change_study(
        self,
        study_id: int,
        *,
        name: str | None = None,
        note: str | None = None,
        webhook: str | None = None,
        webhook_runs: bool = False,
    ) -> dict[str, Any]:
        """Change what is given of a study, and return it.

        Args:
            study_id: Of the study.
            name: Another name.
            note: Markdown.
            webhook: Told when the study ends; an empty address: nobody is.
            webhook_runs: Tell it of the end of each run as well.
        """
        body: dict[str, Any] = {"name": name, "note": note, "webhook": webhook}
        body = {key: value for key, value in body.items() if value is not None}
        if webhook is not None:
            body["webhook_runs"] = webhook_runs
        return self._object("PATCH", f"studies/{study_id}", json=body)

    def stop_study(self, study_id: int, *, waiting_only: bool = False) -> dict[str, Any]:
        """Stop a study, and return it.

        Args:
            study_id: Of the study.
            waiting_only: Let the runs that have begun go on.
        """
        what = "waiting" if waiting_only else "all"
        return self._object("POST", f"studies/{study_id}/stop", json={"what": what})

    def add_members(self, study_id: int, run_ids: Sequence[int]) -> dict[str, Any]:
        """Take runs into a study, all or none, and return it."""
        body = {"runs": list(run_ids)}
        return self._object("POST", f"studies/{study_id}/members", json=body)

    def add_seeds(self, study_id: int, count: int = 1, *, priority: int = 0) -> dict[str, Any]:
        """Repeat each setting of a study with further seeds; return `added` and the `study`."""
        body = {"count": count, "priority": priority}
        return self._object("POST", f"studies/{study_id}/seeds", json=body)

    def webhook(self, study_id: int) -> dict[str, Any]:
        """Return whom a study tells, the secret that signs it, and the newest deliveries."""
        return self._object("GET", f"studies/{study_id}/webhook")

    def test_webhook(self, study_id: int) -> dict[str, Any]:
        """Have a test sent to a study's webhook, and return what `webhook` does."""
        return self._object("POST", f"studies/{study_id}/webhook/test")

    def workers(self) -> list[dict[str, Any]]:
        """Return the workers heard of lately."""
        return list(self._object("GET", "workers")["workers"])

    def drain(self, worker_id: str) -> dict[str, Any]:
        """Let a worker finish what it is at and take nothing new; return it."""
        return self._object("POST", f"workers/{quote(worker_id, safe='')}/drain")

    def resume_worker(self, worker_id: str) -> dict[str, Any]:
        """Let a worker take runs again, and return it."""
        return self._object("POST", f"workers/{quote(worker_id, safe='')}/resume")

    def queue(self) -> list[dict[str, Any]]:
        """Return the runs that wait, next first."""
        return list(self._object("GET", "queue")["runs"])

    def move_run(
        self, run_id: int, *, before: int | None = None, after: int | None = None
    ) -> dict[str, Any]:
        """Put a waiting run ahead of or behind another one, or last; return it."""
        return self._object(
            "POST", "queue/move", json={"run": run_id, "before": before, "after": after}
        )

    def study_address(self, study_id: int) -> str:
        """Return the address of a study's page."""
        return f"{self.url}/studies/{study_id}"
