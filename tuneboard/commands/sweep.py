"""The command that launches many runs out of one spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneboard.commands.options import AcknowledgeLeaks, Json, Url, Webhook, WebhookRuns

NAMES_SHOWN = 100


def sweep(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.yaml", help="A sweep, or a spec to be swept with --set."),
    ],
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUES",
            help="Values of a field: optimizer.lr=0.1,0.01 or a range "
            "'optimizer.lr={low: 0.001, high: 0.1, log: true}'. May be given several times.",
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="grid, random, search or ladder; by what is given.")
    ] = None,
    runs: Annotated[
        int | None, typer.Option(help="Draw so many combinations at random.", min=1)
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of each run.", min=1)] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of what is drawn at random, and of a search.", min=0)
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Budget of a search by Optuna.", min=1)] = None,
    sampler: Annotated[str | None, typer.Option(help="Of a search: tpe or random.")] = None,
    pruner: Annotated[
        str | None, typer.Option(help="Of a search: none, median or hyperband.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(help="Trials of a search under way at a time.", min=1)
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="What a search or a ladder chooses by.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(help="Probes of a ladder that are promoted.", min=1)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study.")] = None,
    note: Annotated[str, typer.Option(help="Markdown, shown on the study's page.")] = "",
    priority: Annotated[int | None, typer.Option(help="Higher is claimed earlier.")] = None,
    webhook: Webhook = "",
    webhook_runs: WebhookRuns = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many runs it makes, and their names.")
    ] = False,
    acknowledge_leaks: AcknowledgeLeaks = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the study to its end.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Launch many runs out of one spec as a study: a grid, a draw, a search, or a ladder.

    Exits 2 if something is wrong with the sweep, and with --watch 1 if a run did not succeed; of a
    search, if no trial did.
    """
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, say
    from tuneboard.recipe import load_yaml
    from tuneboard.report import result_table, search_lines, waiting_lines
    from tuneboard.sweep import sweep_document, with_options
    from tuneboard.watch import watch_study, went_well

    ladder = "ladder.metric" if keep is not None or kind == "ladder" else "search.metric"
    options = {
        "kind": kind,
        "runs": runs,
        "seeds": seeds,
        "seed": seed,
        "search.trials": trials,
        "search.sampler": sampler,
        "search.pruner": pruner,
        "search.at_once": at_once,
        ladder: metric,
        "ladder.keep": keep,
    }
    document = with_options(sweep_document(load_yaml(file)), values or (), options)
    document |= {k: v for k, v in (("name", name), ("priority", priority)) if v is not None}
    with Client(url) as client:
        told = client.sweep(
            document,
            note=note,
            webhook=webhook,
            webhook_runs=webhook_runs,
            dry_run=dry_run,
            acknowledge_leaks=acknowledge_leaks,
        )
        if as_json:
            put_json(told)
        if dry_run and not as_json:
            say(f"{told['name']}: {told['summary']}")
            for one in told["names"][:NAMES_SHOWN]:
                typer.echo(one)
            if len(told["names"]) > NAMES_SHOWN:
                say(f"… and {len(told['names']) - NAMES_SHOWN} more.")
        if dry_run:
            return
        if not as_json:
            say(f"Study {told['id']}: {client.study_address(told['id'])}")
            for launched in told["runs"]:
                typer.echo(f"{launched['id']}\t{client.run_address(launched['id'])}")
            for line in [*waiting_lines(told), *search_lines(told)]:
                say(line)
        if watch:
            ended = watch_study(client, told["id"])
            put_table(*result_table(ended["runs"]))
            for line in search_lines(ended):
                typer.echo(line)
            if not went_well(ended):
                raise typer.Exit(1)
