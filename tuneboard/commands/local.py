"""`tuneboard train`: the trainer alone, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="What to train.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images, with a folder per class; without it, the dataset that the "
            "spec names is taken from the catalogue.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results; by default one made from the run's name. A run that "
            "was interrupted there is carried on.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train here and now, without a server, and print the result.

    Exits 1 if the run failed and 2 if something is wrong with the spec or the data.
    """
    from tuneboard.train import train_here

    raise typer.Exit(train_here(spec, data, out))
