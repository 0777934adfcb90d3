"""The commands that ask something of a run: cancel, pause, resume, priority, continue, seeds."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tuneboard.commands.options import Url
from tuneboard.commands.runs import RunId


def cancel(run_id: RunId, url: Url = None) -> None:
    """Stop a run."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        run = client.cancel(run_id)
    if run["status"] == "cancelled":
        say(f"Run {run_id} is cancelled.")
    else:
        say(f"Run {run_id} will be stopped within seconds.")


def pause(run_id: RunId, url: Url = None) -> None:
    """Stop a run at a checkpoint, from which `tuneboard resume` lets it go on."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        run = client.pause(run_id)
    if run["status"] == "paused":
        say(f"Run {run_id} is paused.")
    else:
        say(f"Run {run_id} will be paused once it has written a checkpoint.")


def resume(run_id: RunId, url: Url = None) -> None:
    """Queue a paused run again."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        run = client.resume(run_id)
    if run["status"] == "queued":
        say(f"Run {run_id} is queued and goes on when its turn comes.")
    else:
        say(f"Run {run_id} will not be paused for long.")


def priority(
    run_id: RunId,
    priority: Annotated[
        int, typer.Argument(help="Higher goes first; 0 is usual.", min=-1000, max=1000)
    ],
    url: Url = None,
) -> None:
    """Let a waiting run go sooner or later; a negative number comes after `--`."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        run = client.set_priority(run_id, priority)
    place = run["queue"]
    where = f", number {place['position']} in the queue" if place else ""
    say(f"Run {run_id} has priority {priority}{where}.")


def continue_run(
    run_id: RunId,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to add to those done.")],
    schedule: Annotated[
        Literal["go_on", "restart"] | None,
        typer.Option(help="What the learning rate does; restart where its schedule has ended."),
    ] = None,
    url: Url = None,
) -> None:
    """Train a run that has succeeded for more epochs, as a new run."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        run = client.continue_run(run_id, epochs, schedule=schedule)
        typer.echo(f"{run['id']}\t{client.run_address(run['id'])}")
    say(f"Run {run['id']} goes on from epoch {run['continues']['epoch']} to {run['epochs']}.")


def seeds(
    run_id: RunId,
    count: Annotated[
        int | None, typer.Option(min=1, help="So many seeds that have not been used.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="This seed; may be given several times.")
    ] = None,
    url: Url = None,
) -> None:
    """Launch runs that differ from one in nothing but the seed."""
    from tuneboard.client import Client

    with Client(url) as client:
        made = client.repeat(run_id, count=count, seeds=seed)
        for run in made:
            typer.echo(f"{run['id']}\t{client.run_address(run['id'])}")
