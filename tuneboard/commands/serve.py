"""`tuneboard up` and `tuneboard demo`: everything on one machine."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneboard.commands.options import DataDir, Port


def up(
    port: Port = None,
    data_dir: DataDir = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to serve on (TUNEBOARD_HOST); beyond 127.0.0.1 it needs an access token.",
            show_default=False,
        ),
    ] = None,
    slots: Annotated[
        int, typer.Option(min=1, max=64, help="Runs each training worker takes at a time.")
    ] = 1,
    worker: Annotated[
        bool, typer.Option(help="Run workers too, or the web and the broker alone.")
    ] = True,
) -> None:
    """Serve Tuneboard on this machine until Ctrl-C."""
    from tuneboard.console import say
    from tuneboard.place import load_settings
    from tuneboard.up import serving, stopped_by_signals, wait_for_ever

    settings = load_settings(port=port, data_dir=data_dir, host=host)
    with (
        stopped_by_signals(),
        serving(settings, slots=slots, workers=worker, say=say) as address,
    ):
        say(f"Tuneboard answers at {address} (data: {settings.data_dir}). Ctrl-C stops it.")
        wait_for_ever()


def demo(
    dataset: Annotated[
        str, typer.Option(help="digits, or hymenoptera (ants and bees: a download).")
    ] = "digits",
    once: Annotated[bool, typer.Option("--once", help="End after the table of results.")] = False,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Launch a study of three runs on real images and serve the results."""
    from tuneboard.demo import run_demo

    raise typer.Exit(run_demo(dataset, once=once, port=port, data_dir=data_dir))
