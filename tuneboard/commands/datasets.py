"""The commands about datasets on a server: list, add, upload."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url

app = typer.Typer(help="List, register and upload datasets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Short name that specs will use.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it is ready.")]


@app.command(name="list")
def list_datasets(as_json: Json = False, url: Url = None) -> None:
    """List the datasets."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table
    from tuneboard.report import DATASET_COLUMNS, dataset_row

    with Client(url) as client:
        found = client.datasets()
    if as_json:
        put_json(found)
    else:
        put_table(DATASET_COLUMNS, [dataset_row(item) for item in found])


@app.command()
def add(
    name: Name,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder on the server, with a folder of images per class."),
    ] = None,
    wait: Wait = False,
    url: Url = None,
) -> None:
    """Register a dataset of the catalogue by its name, or a folder on the server."""
    from tuneboard.client import Client

    with Client(url) as client:
        if folder is None:
            found = client.add_dataset(name, "catalogue", name)
        else:
            found = client.add_dataset(name, "folder", str(folder.absolute()))
        _report(client, found, wait)


@app.command()
def upload(
    name: Name,
    archive: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="Zip of images, with a folder per class."),
    ],
    wait: Wait = False,
    url: Url = None,
) -> None:
    """Upload a zip of images as a dataset."""
    from tuneboard.client import Client

    with Client(url) as client:
        _report(client, client.upload_dataset(name, archive), wait)


def _report(client: Any, dataset: dict[str, Any], wait: bool) -> None:
    from tuneboard.console import complain, say
    from tuneboard.report import dataset_text

    if wait:
        dataset = client.wait_for_dataset(dataset["name"])
    if dataset["status"] == "failed":
        complain(client.dataset_error(dataset))
        raise typer.Exit(1)
    typer.echo(dataset["name"])
    say(dataset_text(dataset))
