"""Comparisons as files, and what of them is asked for by itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import PlainTextResponse, StreamingResponse

from app.dependencies import RunDep, SettingsDep, StoreDep
from app.exports.report import Asked, gather_report, spec_yaml
from app.figures.compare import RUNS_LIMIT
from app.figures.confusion import Cells
from app.figures.packed import XAxis
from store.comparisons import get_comparison
from store.values import ID_LIMIT

CHUNK_BYTES = 256 * 1024

router = APIRouter(include_in_schema=False)

Id = Annotated[int, Query(ge=1, le=ID_LIMIT)]


async def _asked(
    store: StoreDep,
    run: Annotated[list[Id], Query(max_length=RUNS_LIMIT)] = [],  # noqa: B006 - FastAPI copies it
    baseline: Id | None = None,
    metric: Annotated[list[str], Query(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
    x: XAxis = "epoch",
    y: Annotated[str, Query(pattern="^(linear|log)$")] = "linear",
    cm: Cells = "counts",
    saved: Id | None = None,
) -> Asked:
    """Return what the address asks for; `saved` names a saved comparison, for its title."""
    named = get_comparison(store, saved) if saved else None
    return Asked(
        run_ids=tuple(dict.fromkeys(run)),
        baseline=baseline,
        metrics=tuple(dict.fromkeys(metric)),
        x=x,
        is_log=y == "log",
        cells=cm,
        title=named.name if named else "",
        note=named.note if named else "",
    )


AskedDep = Annotated[Asked, Depends(_asked)]


@router.get("/compare/export.html", name="export_html")
def export_html(store: StoreDep, settings: SettingsDep, asked: AskedDep) -> StreamingResponse:
    """Return the comparison as one file that opens without a network."""
    from app.exports.page import export_page

    report = gather_report(store, settings, asked, time.time())
    return StreamingResponse(
        export_page(report), media_type="text/html", headers=_attached(asked, "html")
    )


@router.get("/compare/export.md", name="export_markdown")
def export_md(store: StoreDep, settings: SettingsDep, asked: AskedDep) -> PlainTextResponse:
    """Return the comparison as Markdown."""
    from app.exports.markdown import export_markdown

    report = gather_report(store, settings, asked, time.time())
    return PlainTextResponse(
        export_markdown(report), media_type="text/markdown", headers=_attached(asked, "md")
    )


@router.get("/compare/export.zip", name="export_tables")
def export_zip(store: StoreDep, settings: SettingsDep, asked: AskedDep) -> StreamingResponse:
    """Return every table and point of the comparison as CSV files in a zip."""
    from app.exports.tables import export_tables

    out: Any = tempfile.SpooledTemporaryFile(max_size=4 * CHUNK_BYTES)  # noqa: SIM115 - sent later
    try:
        export_tables(store, settings, asked, out)
        out.seek(0)
    except BaseException:
        out.close()
        raise
    headers = {**_attached(asked, "zip"), "content-encoding": "identity"}
    return StreamingResponse(_chunks(out), media_type="application/zip", headers=headers)


@router.get("/runs/{run_id}/spec.yaml", name="spec_yaml")
def show_spec(run: RunDep) -> PlainTextResponse:
    """Return a run's whole spec as YAML, as it can be launched again."""
    return PlainTextResponse(spec_yaml(run.spec), headers={"cache-control": "no-store"})


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _attached(asked: Asked, suffix: str) -> dict[str, str]:
    """Return headers that make a browser keep the file under a name that says what it is."""
    ids = "-".join(map(str, asked.run_ids[:8])) + ("-more" if len(asked.run_ids) > 8 else "")
    name = f"tuneboard-runs-{ids}.{suffix}" if ids else f"tuneboard.{suffix}"
    return {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }
