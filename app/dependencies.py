"""What routes ask for by type: the store, the settings, the bell, the owner, a run or 404."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, cast

from fastapi import Depends, Header, Path, Request

from app.errors import HttpProblem
from store.database import Store
from store.rows import DatasetRow, JobRow, RunRow
from store.settings import Settings
from store.values import ID_LIMIT


class Rings(Protocol):
    """The part of `worker.bell.Bell` that the web process uses."""

    def ring_train(self) -> None:
        """Tell the training workers that a run may be waiting."""

    def ring_interactive(self) -> None:
        """Tell the interactive workers that a dataset or a job may be waiting."""

    def close(self) -> None:
        """Let the connections go."""


# What does not wait is a coroutine: FastAPI sends everything else through a thread.
async def _store(request: Request) -> Store:
    return cast(Store, request.app.state.store)


async def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def _bell(request: Request) -> Rings:
    return cast(Rings, request.app.state.bell)


async def _owner(request: Request) -> str:
    return cast(str, request.state.owner)


StoreDep = Annotated[Store, Depends(_store)]
SettingsDep = Annotated[Settings, Depends(_settings)]
BellDep = Annotated[Rings, Depends(_bell)]
Owner = Annotated[str, Depends(_owner)]
"""The name of the access token's owner, or "local"."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="Sent again with the same body, answers with what it made the first time; with "
        "another one, with 409.",
    ),
]
RunId = Annotated[int, Path(ge=1, le=ID_LIMIT, description="The run's number.", examples=[1])]
DatasetName = Annotated[
    str, Path(min_length=1, max_length=100, description="The dataset's name.", examples=["digits"])
]


def _run(store: StoreDep, run_id: RunId) -> RunRow:
    from store.runs import get_run

    return get_run(store, run_id)


def _dataset(store: StoreDep, name: DatasetName) -> DatasetRow:
    from store.datasets import get_dataset

    return get_dataset(store, name)


JobId = Annotated[int, Path(ge=1, le=ID_LIMIT, description="The job's number.", examples=[1])]


def _job(store: StoreDep, job_id: JobId) -> JobRow:
    from store.jobs import get_job

    return get_job(store, job_id)


JobDep = Annotated[JobRow, Depends(_job)]
RunDep = Annotated[RunRow, Depends(_run)]
DatasetDep = Annotated[DatasetRow, Depends(_dataset)]


def content_type(request: Request) -> str:
    """Return the media type of the body, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def accepts(*media_types: str) -> Callable[[Request], str]:
    """Return a dependency that refuses bodies of any other media type with 415."""

    def check(request: Request) -> str:
        given = content_type(request)
        if given in media_types:
            return given
        raise HttpProblem(
            415,
            f"Expected the body as {' or '.join(media_types)}, got {given or 'no content type'}.",
            "Set the Content-Type header.",
            {"accept-post": ", ".join(media_types)},
        )

    return check


JsonBody = Depends(accepts("application/json"))
"""For `dependencies=[JsonBody]` of routes whose body FastAPI parses."""
