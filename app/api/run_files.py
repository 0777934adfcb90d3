"""The files of a run: weights, checkpoint, predictions, events, spec."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import FileResponse

from app.dependencies import RunDep, SettingsDep
from app.run_files import run_file, run_files

router = APIRouter(prefix="/runs", tags=["runs"])


class RunFileOut(BaseModel):
    """A file to download."""

    name: str = Field(examples=["best.safetensors"])
    what: str
    size_bytes: int
    url: str


class RunFilesOut(BaseModel):
    """The files of a run's newest attempt."""

    files: list[RunFileOut]


@router.get("/{run_id}/files")
def index(settings: SettingsDep, run: RunDep) -> RunFilesOut:
    """List the files of a run that can be downloaded."""
    return RunFilesOut(
        files=[
            RunFileOut(
                name=one.name,
                what=one.what,
                size_bytes=one.size_bytes,
                url=f"/api/v1/runs/{run.id}/files/{one.name}",
            )
            for one in run_files(settings, run)
        ]
    )


@router.get("/{run_id}/files/{name}", response_class=FileResponse)
def download(
    settings: SettingsDep,
    run: RunDep,
    name: Annotated[str, Path(max_length=100, description="One of those listed.")],
) -> FileResponse:
    """Return one of a run's files."""
    path = run_file(settings, run, name)
    return FileResponse(
        path,
        filename=f"run-{run.id}-{name}",
        media_type="application/octet-stream",
        headers={"content-encoding": "identity"},  # tensors hardly shrink
    )
