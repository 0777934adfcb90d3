"""The commands about jobs on a server: list, cancel."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneboard.commands.options import Json, Url

app = typer.Typer(
    help="List and cancel jobs: predictions, exports, duplicates, …", no_args_is_help=True
)


@app.command(name="list")
def list_jobs(as_json: Json = False, url: Url = None) -> None:
    """List the newest jobs; they are kept for a day after their end."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table
    from tuneboard.report import JOB_COLUMNS, job_row

    with Client(url) as client:
        found = client.jobs()
    if as_json:
        put_json(found)
    else:
        put_table(JOB_COLUMNS, [job_row(item) for item in found])


@app.command()
def cancel(
    numbers: Annotated[
        list[int], typer.Argument(metavar="JOB…", help="Numbers of the jobs.", min=1)
    ],
    url: Url = None,
) -> None:
    """Cancel jobs that have not ended."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        for number in numbers:
            say(f"Job {number} is {client.cancel_job(number)['state']}.")
