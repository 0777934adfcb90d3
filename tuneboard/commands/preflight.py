"""The command that tries a spec before it is launched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneboard.commands.options import Json, Url


def preflight(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The spec to try.")],
    out: Annotated[
        Path | None,
        typer.Option(help="PNG of augmented training images to write.", dir_okay=False),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Take two real steps of a spec on a training worker, and say what a run would be like.

    Exits 1 if the run would fail.
    """
    from tuneboard.aftermath import error_of
    from tuneboard.client import Client
    from tuneboard.console import complain, put_json, say
    from tuneboard.recipe import load_yaml
    from tuneboard.report import preflight_lines

    with Client(url) as client:
        job = client.wait_for_job(client.preflight(load_yaml(spec))["id"])
        if job["state"] != "succeeded":
            complain(error_of(job["error"]))
            raise typer.Exit(1)
        if out is not None:
            client.download(job["id"], out)
    if as_json:
        put_json(job["result"])
        return
    for line in preflight_lines(job["result"]):
        typer.echo(line)
    for one in job["result"]["warnings"]:
        say(f"{one['title']}: {one['detail']} {one['remedy']}")
