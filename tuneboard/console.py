"""What the commands say: messages on standard error, data on standard output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.errors import TuneboardError


def say(text: str) -> None:
    """Tell the person at the console something."""
    typer.echo(text, err=True)


def complain(error: TuneboardError) -> None:
    """Say what went wrong, a line for each field."""
    if "\n" in error.detail:  # it draws the place that is wrong
        typer.secho(error.detail, err=True, fg=typer.colors.RED)
    elif error.errors:
        for item in error.errors:
            typer.secho(str(item), err=True, fg=typer.colors.RED)
    else:
        typer.secho(error.detail, err=True, fg=typer.colors.RED)
        if error.remedy:
            say(error.remedy)


def put_json(data: Any) -> None:
    """Write data as JSON, for another program to read."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def put_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table: framed on a terminal, with tabs between the cells elsewhere.

    A column whose title begins with ">" is aligned to the right.
    """
    console = Console()
    titles = [column.removeprefix(">") for column in columns]
    if not console.is_terminal:
        for row in (titles, *rows):
            typer.echo("\t".join(row))
        return
    table = Table(header_style="bold")
    for column, title in zip(columns, titles, strict=True):
        table.add_column(title, justify="right" if column.startswith(">") else "left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def percent(fraction: float | None) -> str:
    """Return a fraction in [0, 1] as percent with one decimal, or a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"


def seconds(value: float | None) -> str:
    """Return seconds as a person reads them, or a dash."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
