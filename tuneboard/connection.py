"""A connection to one server: address, token, and its problems as our errors."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from trainer.errors import TuneboardError
from tuneboard.place import server_url
from tuneboard.problems import Unanswered, Unreachable, problem_of

TOKEN_VARIABLE = "TUNEBOARD_TOKEN"  # noqa: S105 — the name of a variable


class Connection:
    """What every part of the client sends its requests through."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare to talk to a server; nothing is sent yet.

        Args:
            url: Its address; None: `TUNEBOARD_URL`, else the server of the data directory.
            token: Access token; None: `TUNEBOARD_TOKEN`, where it is set.
            timeout_s: Seconds to wait for an answer.
            transport: Another way to carry the requests, for tests.
        """
        self.url = server_url(url)
        token = token or os.environ.get(TOKEN_VARIABLE, "")
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            trust_env=False,  # a proxy has no business between us and our own server
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _object(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._request(method, path, **how).json()
        return answer

    def _launched(self, path: str, key: str | None = None, **how: Any) -> dict[str, Any]:
        """Post what launches something; on a broken connection once more, under the same key."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        try:
            return self._object("POST", path, headers=headers, **how)
        except Unanswered:
            return self._object("POST", path, headers=headers, **how)

    def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = self._http.request(method, f"/api/v1/{path}", **how)
        except httpx.TransportError as error:
            raise self._problem(error) from error
        if response.is_error:
            raise problem_of(response)
        return response

    def _write(self, address: str, path: Path) -> None:
        """Write what an address of the API answers to a file, which is whole or not there."""
        partial = path.with_name(f"{path.name}.part")
        try:
            with self._http.stream("GET", f"/api/v1/{address}") as response:
                if response.is_error:
                    raise problem_of(response)
                with partial.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
            partial.replace(path)
        except httpx.TransportError as error:
            raise self._problem(error) from error
        finally:
            partial.unlink(missing_ok=True)

    def _problem(self, error: httpx.TransportError) -> TuneboardError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return self._unreachable()
        return Unanswered(
            f"{self.url} did not answer what it was asked ({error or type(error).__name__}).",
            "It may have done it all the same: look before you ask again. A busy machine answers "
            "later.",
        )

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            f"No Tuneboard answers at {self.url}.",
            "Start one with `make up` or `tuneboard up`, or name another with --url or "
            "TUNEBOARD_URL.",
        )
