"""The commands that put runs in order: tag, archive, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneboard.commands.options import Url

if TYPE_CHECKING:
    from tuneboard.client import Client

RunIds = Annotated[
    list[int] | None, typer.Argument(metavar="RUN…", help="Numbers of the runs.", min=1)
]
Filter = Annotated[
    str | None, typer.Option("--filter", help="In place of numbers: all runs that match.")
]


def tag(
    run_ids: RunIds = None,
    add: Annotated[list[str] | None, typer.Option("--add", "-a", help="Tag to put on.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", "-r", help="Tag to take off.")
    ] = None,
    matching: Filter = None,
    url: Url = None,
) -> None:
    """Put tags on runs, or take them off: `tuneboard tag 3 4 --add paper`."""
    from tuneboard.client import Client
    from tuneboard.console import say

    if not add and not remove:
        raise typer.BadParameter("Name a tag: --add paper, or --remove paper.")
    with Client(url) as client:
        for action, tags in (("untag", remove), ("tag", add)):
            if tags:
                done = _bulk(client, action, run_ids, matching, tags=tags)
                word = "on" if action == "tag" else "off"
                say(f"{', '.join(tags)}: {word} {_count(done)}.")
                _tell_refused(done)


def archive(
    run_ids: RunIds = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take them out of the archive.")] = False,
    matching: Filter = None,
    url: Url = None,
) -> None:
    """Leave runs out of the lists, without deleting anything."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        action = "unarchive" if undo else "archive"
        done = _bulk(client, action, run_ids, matching, archived="yes" if undo else "no")
    say(f"{_count(done)} {'taken out of the archive' if undo else 'archived'}.")
    _tell_refused(done)


def delete(
    run_ids: RunIds = None,
    matching: Filter = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    url: Url = None,
) -> None:
    """Delete ended runs and their files for good; say what goes, and ask, first.

    Exits 1 where a run is left.
    """
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        plan = _bulk(client, "delete", run_ids, matching, dry_run=True)
        _tell_refused(plan)
        if not plan["runs"]:
            say("There is nothing to delete.")
            raise typer.Exit(1 if plan["refused"] else 0)
        say(f"{_count(plan)} and {_size(plan['freed_bytes'])} of files.")
        for line in _also(plan):
            say(line)
        if not yes:
            typer.confirm("Delete them for good?", abort=True, err=True)
        done = client.bulk("delete", plan["runs"])
    say(f"Deleted {_count(done)}; {_size(done['freed_bytes'])} freed.")
    if plan["refused"] or done["refused"]:
        raise typer.Exit(1)


def _bulk(
    client: Client, action: str, run_ids: list[int] | None, matching: str | None, **how: Any
) -> dict[str, Any]:
    if bool(run_ids) == bool(matching):
        raise typer.BadParameter("Give numbers of runs, or --filter; one of the two.")
    if matching is None:
        how.pop("archived", None)
    return client.bulk(action, run_ids or None, filter=matching, **how)


def _tell_refused(done: dict[str, Any]) -> None:
    from tuneboard.console import say

    for item in done["refused"]:
        say(f"Run {item['run']} is left as it is: {item['reason']}")


def _also(plan: dict[str, Any]) -> list[str]:
    """Return what else a deletion touches, in sentences."""
    lines = []
    if plan["studies"]:
        lines.append("Studies with fewer runs then: " + ", ".join(plan["studies"]) + ".")
    if plan["comparisons"]:
        lines.append("Taken out of saved comparisons: " + ", ".join(plan["comparisons"]) + ".")
    if plan["jobs"]:
        lines.append(f"Predictions, exports and the like that go too: {plan['jobs']}.")
    if plan["children"]:
        named = ", ".join(map(str, plan["children"]))
        lines.append(f"Runs that continued them stay as they are: {named}.")
    return lines


def _count(done: dict[str, Any]) -> str:
    count = len(done["runs"])
    return f"{count} run{'' if count == 1 else 's'}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
