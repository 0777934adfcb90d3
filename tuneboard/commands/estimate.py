"""The command that says what a spec would come to, without launching it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url


def estimate(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The spec of one run.")],
    priority: Annotated[int, typer.Option(help="Higher is claimed earlier.")] = 0,
    json: Json = False,
    url: Url = None,
) -> None:
    """Say what a run would come to: images, parameters, steps, time, the queue."""
    from tuneboard.client import Client
    from tuneboard.console import put_json

    with Client(url) as client:
        told = client.estimate(spec, priority=priority)
    if json:
        put_json(told)
        return
    for name, text in estimate_lines(told):
        typer.echo(f"{name}\t{text}")


def estimate_lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what `Client.estimate` gave as names and sentences."""
    images, counts = told["images"], told["parameters"]
    steps, time = told["steps"], told["time"]
    lines = [("name", told["name"])]
    if counts:
        about = "" if counts["exact"] else "about "
        lines.append(("parameters", f"{about}{counts['trained']:,} trained of {counts['total']:,}"))
    if images:
        about = "" if images["exact"] else "about "
        tested = f", {images['test']} tested" if images["test"] else ""
        lines.append(
            (
                "images",
                f"{about}{images['train']} trained on, {images['val']} validated{tested}, "
                f"{images['classes']} classes",
            )
        )
    if steps:
        lines.append(
            ("steps", f"{steps['total']}: {steps['per_epoch']} an epoch, {steps['images']} images")
        )
    lines.append(("kept", told["cached"]["text"]))
    if time:
        runs = ", ".join(str(run) for run in time["runs"])
        lines.append(
            (
                "time",
                f"about {time['epoch_s']:.1f} s an epoch, {time['total_s']:.0f} s in all. "
                f"{time['text']} ({runs})",
            )
        )
    else:
        lines.append(("time", f"not known. {told['time_unknown']}"))
    if told["preflight"]:
        lines.append(("preflight", f"{told['preflight']} See `tuneboard preflight`."))
    lines.append(("queue", told["queue"]["text"]))
    return lines
