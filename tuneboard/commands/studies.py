"""The commands about studies: list, show, note, stop, seeds, members, webhook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url

app = typer.Typer(help="List, show, note and stop studies.", invoke_without_command=True)

StudyId = Annotated[int, typer.Argument(help="Number of the study.", min=1)]
STUDY_COLUMNS = (">id", "name", "state", "runs", ">best val accuracy", "owner")


@app.callback(invoke_without_command=True)
def list_studies(
    context: typer.Context,
    text: Annotated[str, typer.Option(help="Part of the name or note, or the number.")] = "",
    state: Annotated[str, typer.Option(help="Only those: active, ended or stopped.")] = "",
    owner: Annotated[str, typer.Option(help="Only those of this person.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List, show, note and stop studies; without a command, list them."""
    if context.invoked_subcommand is not None:
        return
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table

    with Client(url) as client:
        found = client.studies(text=text, state=state, owner=owner, limit=limit)
    if as_json:
        put_json(found)
    else:
        put_table(STUDY_COLUMNS, [_row(study) for study in found])


@app.command()
def show(study_id: StudyId, as_json: Json = False, url: Url = None) -> None:
    """Show a study: state, note, steps and runs, best first."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, say
    from tuneboard.report import RESULT_COLUMNS, result_row, vote_lines, waiting_lines

    with Client(url) as client:
        study = client.study(study_id)
        if as_json:
            put_json(study)
            return
        typer.echo(f"Study {study_id}: {study['name']}, {_state(study)}, {_counts(study)}")
        if study["note"]:
            typer.echo(study["note"])
        runs = sorted(study["runs"], key=lambda run: (-_accuracy(run), run["id"]))
        put_table(RESULT_COLUMNS, [result_row(run) for run in runs])
        for line in (*waiting_lines(study), *vote_lines(study)):
            typer.echo(line)
        say(client.study_address(study_id))


@app.command()
def note(
    study_id: StudyId,
    text: Annotated[
        str | None, typer.Argument(help="Markdown in place of the note; - reads it from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Read the note from a file.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Another name for the study.")] = None,
    url: Url = None,
) -> None:
    """Write a study's note or name; without any, print the note."""
    from tuneboard.client import Client
    from tuneboard.console import say

    if file is not None:
        text = file.read_text(encoding="utf-8")
    elif text == "-":
        text = typer.get_text_stream("stdin").read()
    with Client(url) as client:
        if text is None and name is None:
            typer.echo(client.study(study_id)["note"])
            return
        client.change_study(study_id, note=text, name=name)
    say(f"Study {study_id} is changed.")


@app.command()
def stop(
    study_id: StudyId,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only what has not begun; running runs go on.")
    ] = False,
    url: Url = None,
) -> None:
    """Stop a study: nothing more of it begins, and its running runs are cancelled."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        study = client.stop_study(study_id, waiting_only=waiting)
    say(f"Study {study_id} is stopped: {_counts(study)}.")


@app.command()
def seeds(
    study_id: StudyId,
    count: Annotated[int, typer.Argument(min=1, max=20, help="Further seeds of each setting.")] = 1,
    url: Url = None,
) -> None:
    """Repeat each setting of a study with the seeds that follow its own."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        added = client.add_seeds(study_id, count)
    say(f"{added['added']} run{'s' if added['added'] != 1 else ''} joined study {study_id}.")


@app.command()
def add(
    study_id: StudyId,
    run_ids: Annotated[list[int], typer.Argument(metavar="RUN…", min=1, help="Runs to add.")],
    url: Url = None,
) -> None:
    """Take runs into a study that used the same dataset and belong to no other study."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        study = client.add_members(study_id, run_ids)
    say(f"Study {study_id} has {len(study['runs'])} runs.")


@app.command()
def webhook(
    study_id: StudyId,
    address: Annotated[
        str | None, typer.Argument(help="Told when the study ends; an empty one: nobody is.")
    ] = None,
    each_run: Annotated[
        bool, typer.Option("--each-run", help="Tell of the end of each run as well.")
    ] = False,
    test: Annotated[bool, typer.Option("--test", help="Send a test.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Set whom a study tells, send a test, or show what was told and what came of it."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, say

    with Client(url) as client:
        if address is not None:
            client.change_study(study_id, webhook=address, webhook_runs=each_run)
        hook = client.test_webhook(study_id) if test else client.webhook(study_id)
    if as_json:
        put_json(hook)
        return
    say(
        f"Study {study_id} tells {hook['url']}."
        if hook["url"]
        else f"Study {study_id} tells nobody."
    )
    if hook["url"]:
        say(f"Its secret: {hook['secret']}")
    if hook["deliveries"]:
        put_table(
            (">id", "event", "state", ">tries", "last outcome"),
            [_delivery(one) for one in hook["deliveries"]],
        )


def _row(study: dict[str, Any]) -> tuple[str, ...]:
    from tuneboard.console import percent

    best = study["best"]
    accuracy = percent(best["best_val_accuracy"] if best else None)
    return (
        str(study["id"]),
        study["name"],
        _state(study),
        _counts(study),
        accuracy,
        study["owner"],
    )


def _state(study: dict[str, Any]) -> str:
    if study["is_over"]:
        return "stopped" if study["stopped_at"] is not None else "ended"
    return "stopping" if study["stopped_at"] is not None else "going on"


def _counts(study: dict[str, Any]) -> str:
    found = [f"{count} {status}" for status, count in sorted(study["counts"].items()) if count]
    return ", ".join(found) or "no runs"


def _accuracy(run: dict[str, Any]) -> float:
    metric = run["metrics"].get("val_accuracy")
    return float((metric or {}).get("best") or -1.0)


def _delivery(one: dict[str, Any]) -> tuple[str, ...]:
    last = one["outcomes"][-1] if one["outcomes"] else {}
    said = " ".join(str(last[key]) for key in ("status", "error") if key in last)
    return str(one["id"]), one["event"], one["state"], str(len(one["outcomes"])), said
