"""The commands about datasets on a server: list, add, upload, change, cut, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url

app = typer.Typer(help="List, register, upload and change datasets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Short name that specs will use.")]
Known = Annotated[str, typer.Argument(help="Name of a dataset.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it is ready.")]
Unlabelled = Annotated[
    bool,
    typer.Option("--unlabelled", help="Images without classes, to be classified by trained runs."),
]


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
    archive: Annotated[
        Path | None,
        typer.Option(
            "--upload", exists=True, dir_okay=False, help="Zip from here, as `upload` takes it."
        ),
    ] = None,
    unlabelled: Unlabelled = False,
    wait: Wait = False,
    url: Url = None,
) -> None:
    """Register a dataset: of the catalogue by its name, a folder on the server, or a zip."""
    from tuneboard.client import Client

    if folder is not None and archive is not None:
        raise typer.BadParameter("Give either --folder or --upload.")
    with Client(url) as client:
        if archive is not None:
            found = _upload(client, name, archive, unlabelled)
        elif folder is not None:
            found = client.add_dataset(
                name, "folder", str(folder.absolute()), labelled=not unlabelled
            )
        else:
            found = client.add_dataset(name, "catalogue", name, labelled=not unlabelled)
        _report(client, found, wait)


@app.command()
def upload(
    name: Name,
    archive: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="Zip of images, with a folder per class."),
    ],
    unlabelled: Unlabelled = False,
    wait: Wait = False,
    url: Url = None,
) -> None:
    """Upload a zip of images as a dataset; one that was cut off goes on where it ended."""
    from tuneboard.client import Client

    with Client(url) as client:
        _report(client, _upload(client, name, archive, unlabelled), wait)


@app.command()
def change(
    name: Known,
    rename: Annotated[str | None, typer.Option(help="Its new name; its runs go with it.")] = None,
    title: Annotated[str | None, typer.Option(help="What pages call it.")] = None,
    description: Annotated[str | None, typer.Option(help="What there is to know of it.")] = None,
    url: Url = None,
) -> None:
    """Rename or describe a dataset."""
    from tuneboard.client import Client

    if rename is None and title is None and description is None:
        raise typer.BadParameter("Give --rename, --title or --description.")
    with Client(url) as client:
        found = client.change_dataset(name, new_name=rename, title=title, description=description)
    typer.echo(found["name"])


@app.command()
def cut(
    name: Known,
    validation: Annotated[
        float | None, typer.Option(help="Share of the images held out for validation.")
    ] = None,
    test: Annotated[float | None, typer.Option(help="Share held out for the test.")] = None,
    seed: Annotated[int | None, typer.Option(help="Split seed.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Say how many images of each class a cut gives; nothing is copied or changed."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table

    given = {"validation_fraction": validation, "test_fraction": test, "split_seed": seed}
    with Client(url) as client:
        found = client.dataset_cut(
            name, **{key: value for key, value in given.items() if value is not None}
        )
    if as_json:
        put_json(found)
        return
    rows = [
        (label, *(str(numbers[place]) for numbers in found["counts"].values()))
        for place, label in enumerate(found["classes"])
    ]
    totals = ("all classes", *(str(total) for total in found["totals"].values()))
    put_table(("class", *(f">{split}" for split in found["counts"])), [totals, *rows])


@app.command()
def delete(
    name: Known,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
) -> None:
    """Delete a dataset and the server's copy of its images; first say what that frees."""
    from tuneboard.client import Client
    from tuneboard.console import say

    with Client(url) as client:
        use = client.dataset_use(name)
        used = f"{use['runs']} runs used it" if use["runs"] else "no run used it"
        say(f"Deleting {name} frees {use['freed_bytes'] / 1e6:,.1f} MB; {used}.")
        if not yes:
            typer.confirm("Delete it?", abort=True, err=True)
        client.delete_dataset(name)


def _upload(client: Any, name: str, archive: Path, unlabelled: bool) -> dict[str, Any]:
    """Upload with a bar where somebody looks on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("")

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        found: dict[str, Any] = client.upload_dataset(
            name, archive, labelled=not unlabelled, on_progress=tell
        )
    return found


@app.command()
def duplicates(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    kind: Annotated[
        str, typer.Option(help="all, or only groups across splits or across classes.")
    ] = "all",
    look: Annotated[
        bool, typer.Option("--look", help="Look through all images again first.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List images that a dataset holds more than once, the same or nearly.

    Exits 1 if looking for them failed.
    """
    from tuneboard.aftermath import error_of
    from tuneboard.client import Client
    from tuneboard.console import complain, put_json, put_table, say
    from tuneboard.report import DUPLICATE_COLUMNS, duplicate_rows

    with Client(url) as client:
        if look:
            ended = client.wait_for_job(client.look_for_duplicates(name)["id"])
            if ended["state"] != "succeeded":
                complain(error_of(ended["error"]))
                raise typer.Exit(1)
        found = client.duplicates(name, kind=kind)
    if as_json:
        put_json(found)
        return
    if not found["looked"]:
        say("Nobody has looked yet; --look does.")
        return
    put_table(DUPLICATE_COLUMNS, duplicate_rows(found))
    say(f"{found['total']} groups. {found['near']}")


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
