"""The commands about workers and the queue: list, drain, resume, move."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url

app = typer.Typer(help="List workers; drain and resume them.", invoke_without_command=True)
queue = typer.Typer(help="List the runs that wait, and move them.", invoke_without_command=True)

WorkerId = Annotated[str, typer.Argument(help="The worker's id, as in the list, or its beginning.")]
RunId = Annotated[int, typer.Argument(help="Number of the run.", min=1)]
SILENT_S = 30.0  # as the Workers page counts


@app.callback(invoke_without_command=True)
def list_workers(context: typer.Context, as_json: Json = False, url: Url = None) -> None:
    """List workers; drain and resume them; without a command, list them."""
    if context.invoked_subcommand is not None:
        return
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, seconds

    with Client(url) as client:
        found = client.workers()
    if as_json:
        put_json(found)
        return
    put_table(
        ("id", "kind", "device", ">slots", "state", "runs", ">heard of"),
        [
            (
                one["id"],
                one["kind"],
                one["device"],
                str(one["slots"]),
                _state(one),
                ", ".join(str(run) for run in one["details"].get("runs", ())),
                f"{seconds(one['age_s'])} ago",
            )
            for one in found
        ],
    )


@app.command()
def drain(worker_id: WorkerId, url: Url = None) -> None:
    """Let a worker finish what it is at and take nothing new."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        found = client.drain(_whole_id(client, worker_id))
    say(f"Worker {found['id']} takes nothing new.")


@app.command()
def resume(worker_id: WorkerId, url: Url = None) -> None:
    """Let a worker take runs again."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        found = client.resume_worker(_whole_id(client, worker_id))
    say(f"Worker {found['id']} takes runs again.")


@queue.callback(invoke_without_command=True)
def list_queue(context: typer.Context, as_json: Json = False, url: Url = None) -> None:
    """List the runs that wait, and move them; without a command, list them."""
    if context.invoked_subcommand is not None:
        return
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table

    with Client(url) as client:
        found = client.queue()
    if as_json:
        put_json(found)
        return
    put_table(
        (">place", ">id", "name", ">priority", "waits for", "owner"),
        [
            (
                str(place),
                str(run["id"]),
                run["name"],
                str(run["priority"]),
                (run["queue"] or {}).get("waiting_for") or "its turn",
                run["owner"],
            )
            for place, run in enumerate(found, 1)
        ],
    )


@queue.command()
def move(
    run_id: RunId,
    before: Annotated[int | None, typer.Option(min=1, help="Waiting run to go ahead of.")] = None,
    after: Annotated[int | None, typer.Option(min=1, help="Waiting run to follow.")] = None,
    top: Annotated[bool, typer.Option("--top", help="To the very front.")] = False,
    url: Url = None,
) -> None:
    """Put a waiting run elsewhere in the queue; without an option, last.

    It takes the nearest priority that fits its new place.
    """
    from tuneboard.client import Client
    from tuneboard.console import say

    if sum((before is not None, after is not None, top)) > 1:
        raise typer.BadParameter("give one of --before, --after and --top")
    with Client(url) as client:
        if top:
            first = client.queue()[:1]
            if first and first[0]["id"] != run_id:
                before = first[0]["id"]
            elif first:
                say(f"Run {run_id} is first already.")
                return
        run = client.move_run(run_id, before=before, after=after)
    place = run["queue"]["position"] if run["queue"] else "–"
    say(f"Run {run_id} is number {place} in the queue, with priority {run['priority']}.")


def _whole_id(client: Any, beginning: str) -> str:
    """Return the id of the one worker that begins so; what was given where that names none."""
    ids = [str(one["id"]) for one in client.workers()]
    found = [one for one in ids if one.startswith(beginning)]
    return found[0] if len(found) == 1 and beginning not in ids else beginning


def _state(worker: dict[str, Any]) -> str:
    if worker["age_s"] > SILENT_S:
        return "silent"
    if worker["draining"] or worker["drain_requested"]:
        return "draining"
    return "busy" if worker["details"].get("runs") else "idle"
