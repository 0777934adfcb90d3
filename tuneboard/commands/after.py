"""The commands for after training: predict, export, vote."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url

Run = Annotated[
    str,
    typer.Argument(help="Number of the run, or a folder in which `tuneboard train` left one."),
]


class Format(StrEnum):
    """What a model can be exported as."""

    SAFETENSORS = "safetensors"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"


class Method(StrEnum):
    """How votes are counted."""

    MAJORITY = "majority"
    MEAN = "mean"


class Split(StrEnum):
    """Which evaluation votes."""

    VAL = "val"
    TEST = "test"


def predict(
    run: Run,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH…]", help="Images, or folders of images.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Instead of paths: a dataset or collection on the server, by name."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write, with a percentage for every class.", dir_okay=False),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Classify new images with a trained run.

    The images are read here; a run on a server gets them sent, unless --dataset names some that
    are there. Prints the most likely class of each; --out has the percentages of all classes.
    Exits 1 if it cannot be done.
    """
    from tuneboard.aftermath import (
        PREDICTION_COLUMNS,
        image_files,
        prediction_rows,
        run_number,
        say_skipped,
    )
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, say

    number = run_number(run)
    _check_source(paths, dataset, number)
    images = image_files(paths or [])
    if number is None:
        with TemporaryDirectory(prefix="tuneboard-") as name:
            folder = Path(name)
            listing = folder / "listing.json"
            _write_listing(listing, images)
            table = (out or folder / "predictions.csv").absolute()
            result = here(
                "trainer.predict", f"--run-dir={run}", f"--listing={listing}", f"--out={table}"
            )
    else:
        with Client(url) as client:
            if dataset is None:
                job = client.predict(number, images)
            else:
                job = client.predict_dataset(number, dataset)
            result = result_of(client, job)
            if out is not None:
                client.download(job["id"], out)
    if as_json:
        put_json(result)
    else:
        put_table(PREDICTION_COLUMNS, prediction_rows(result))
        if result["total"] > len(result["predictions"]):
            say(f"{result['total']} images; --out FILE.csv has all of them.")
    say_skipped(result)


def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="File to write.", dir_okay=False)],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.SAFETENSORS,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Write a trained run's model to a file, with its class names and preprocessing.

    The file is read back and compared with the run on real validation images first. Exits 1 if
    it cannot be done.
    """
    from tuneboard.aftermath import export_text, run_number
    from tuneboard.client import Client
    from tuneboard.console import put_json, say

    number = run_number(run)
    if number is None:
        manifest = Path(run) / "dataset" / "manifest.json"
        result = here(
            "trainer.export",
            f"--run-dir={run}",
            f"--data={manifest}",
            f"--format={form}",
            f"--out={out.absolute()}",
        )
    else:
        with Client(url) as client:
            job = client.export(number, form)
            result = result_of(client, job)
            client.download(job["id"], out)
    if as_json:
        put_json(result)
    else:
        typer.echo(out)
        say(export_text(result, out))


def vote(
    runs: Annotated[
        list[int], typer.Argument(metavar="RUN RUN…", help="Numbers of the runs.", min=1)
    ],
    method: Annotated[
        Method, typer.Option(help="majority of the classes chosen, or mean of the probabilities.")
    ] = Method.MAJORITY,
    prefer: Annotated[
        int | None,
        typer.Option(
            help="The run whose class is taken where several have as many votes; by default the "
            "first.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Which evaluation votes.")] = Split.VAL,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write, a line for each image.", dir_okay=False),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Let runs vote on the images they were all evaluated on.

    Exits 2 if they were evaluated on different ones.
    """
    from tuneboard.aftermath import VOTER_COLUMNS, voter_rows
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, say

    with Client(url) as client:
        job = client.vote(runs, method=method, prefer=prefer, split=split)
        result = result_of(client, job)
        if out is not None:
            client.download(job["id"], out)
    if as_json:
        put_json(result)
        return
    put_table(VOTER_COLUMNS, voter_rows(result))
    say("The vote's confusion matrix: rows are true classes, columns voted ones.")
    classes = result["classes"]
    put_table(
        ("", *(f">{name}" for name in classes)),
        [
            (name, *map(str, cells))
            for name, cells in zip(classes, result["confusion"], strict=True)
        ],
    )


def _check_source(paths: list[Path] | None, dataset: str | None, number: int | None) -> None:
    """Check that it is said which images are meant, once."""
    if bool(paths) == (dataset is not None):
        raise typer.BadParameter("Give either PATHs of images, or --dataset NAME.")
    if dataset is not None and number is None:
        raise typer.BadParameter(
            "A dataset is on the server, as its runs are: give the run's number.",
            param_hint="--dataset",
        )


def result_of(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a job once it has ended.

    Raises:
        typer.Exit: With 1 where it failed, after saying why.
    """
    from tuneboard.aftermath import error_of
    from tuneboard.console import complain

    ended = client.wait_for_job(job["id"])
    if ended["state"] != "succeeded":
        complain(error_of(ended["error"]))
        raise typer.Exit(1)
    result: dict[str, Any] = ended["result"]
    return result


def here(module: str, *arguments: str) -> dict[str, Any]:
    """Return what one of the trainer's programs on this machine answers.

    Raises:
        typer.Exit: With 1 where it failed, after saying why.
    """
    from trainer.errors import TuneboardError
    from tuneboard.aftermath import run_here
    from tuneboard.console import complain

    try:
        return run_here(module, *arguments)
    except TuneboardError as error:
        complain(error)
        raise typer.Exit(1) from error


def _write_listing(path: Path, images: list[tuple[str, Path]]) -> None:
    path.write_text(json.dumps([[name, str(file.absolute())] for name, file in images]))
