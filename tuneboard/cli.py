"""The `tuneboard` command: its subcommands, and how errors end it.

Nothing heavy is imported here or at the top of the command modules, so `--help` is quick.
"""

from __future__ import annotations

import typer
from typer.core import TyperGroup

from tuneboard.commands import (
    after,
    datasets,
    estimate,
    jobs,
    local,
    preflight,
    recipes,
    runs,
    serve,
    shelf,
    studies,
    sweep,
    tryit,
    wishes,
    workers,
)


class _Group(TyperGroup):
    """Prints our errors as sentences and exits 2, whichever command they come from."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own alias
        from trainer.errors import TuneboardError
        from tuneboard.console import complain

        try:
            return super().invoke(ctx)
        except TuneboardError as error:
            complain(error)
            raise typer.Exit(2) from error


app = typer.Typer(
    name="tuneboard",
    cls=_Group,
    help="Launch transfer-learning runs on image data and compare them honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.up)
app.command()(serve.demo)
app.command()(runs.submit)
app.command()(preflight.preflight)
app.command()(sweep.sweep)
app.command()(estimate.estimate)
app.command(name="runs")(runs.list_runs)
app.command()(runs.show)
app.command()(runs.compare)
app.command()(runs.comparisons)
app.command()(wishes.cancel)
app.command()(wishes.pause)
app.command()(wishes.resume)
app.command()(wishes.priority)
app.command(name="continue")(wishes.continue_run)
app.command()(wishes.seeds)
app.command()(shelf.tag)
app.command()(shelf.archive)
app.command()(shelf.delete)
app.command()(after.predict)
app.command()(tryit.explain)
app.command()(tryit.features)
app.command()(after.export)
app.command()(after.vote)
app.command()(local.train)
app.add_typer(datasets.app, name="datasets")
app.add_typer(jobs.app, name="jobs")
app.add_typer(recipes.app, name="recipes")
app.add_typer(studies.app, name="studies")
app.add_typer(workers.app, name="workers")
app.add_typer(workers.queue, name="queue")


@app.command()
def version() -> None:
    """Print the version."""
    from tuneboard import __version__

    typer.echo(__version__)


def main() -> None:
    """Run the command of this process's arguments."""
    app()
