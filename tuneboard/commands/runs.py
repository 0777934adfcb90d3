"""The commands about runs on a server: submit, runs, show, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneboard.commands.options import AcknowledgeLeaks, Json, Url, Webhook, WebhookRuns

if TYPE_CHECKING:
    from tuneboard.client import Client

RunId = Annotated[int, typer.Argument(help="Number of the run.", min=1)]


def submit(
    specs: Annotated[
        list[Path], typer.Argument(metavar="SPEC.yaml…", help="Specs, or recipes of several runs.")
    ],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the runs to their end.")] = False,
    priority: Annotated[int, typer.Option(help="Higher is claimed earlier.")] = 0,
    name: Annotated[
        str | None, typer.Option(help="Name of the run, in place of the spec's.")
    ] = None,
    webhook: Webhook = "",
    webhook_runs: WebhookRuns = False,
    acknowledge_leaks: AcknowledgeLeaks = False,
    url: Url = None,
) -> None:
    """Launch the runs of spec files and print their numbers and addresses.

    Exits 2 if something is wrong with a spec, and with --watch 1 if a run did not succeed or a
    study's step was skipped.
    """
    from tuneboard.client import Client
    from tuneboard.console import say
    from tuneboard.recipe import load_yaml
    from tuneboard.report import vote_lines, waiting_lines
    from tuneboard.watch import watch_runs, watch_study, went_well

    documents = [load_yaml(path) for path in specs]
    if webhook and not any({"runs", "steps"} & document.keys() for document in documents):
        raise typer.BadParameter("only a study tells a webhook; none of the files is one")
    hook = {"webhook": webhook, "webhook_runs": webhook_runs}
    with Client(url) as client:
        launched: list[dict[str, Any]] = []
        studies: list[dict[str, Any]] = []
        for path, document in zip(specs, documents, strict=True):
            if {"runs", "steps"} & document.keys():
                study = _launch_study(
                    client, document, name, priority, path.stem, hook, acknowledge_leaks
                )
                studies.append(study)
            else:
                launched.append(
                    client.submit(
                        document,
                        name=name,
                        priority=priority,
                        acknowledge_leaks=acknowledge_leaks,
                    )
                )
        for run in [*launched, *(run for study in studies for run in study["runs"])]:
            typer.echo(f"{run['id']}\t{client.run_address(run['id'])}")
        for study in studies:
            for line in waiting_lines(study):
                say(line)
        if watch:
            ended = watch_runs(client, launched) if launched else []
            followed = [watch_study(client, study["id"]) for study in studies]
            for study in followed:
                for line in vote_lines(study):
                    typer.echo(line)
            if any(run["status"] != "succeeded" for run in ended) or not all(
                map(went_well, followed)
            ):
                raise typer.Exit(1)


def _launch_study(
    client: Client,
    document: dict[str, Any],
    name: str | None,
    priority: int,
    stem: str,
    hook: dict[str, Any],
    acknowledge_leaks: bool,
) -> dict[str, Any]:
    from trainer.planning import launchable, plan
    from trainer.recipes import as_recipe
    from tuneboard.recipe import steps_to_send

    recipe = as_recipe(document)
    title = name or recipe.name or stem
    if recipe.has_steps:
        return client.launch_study(
            title,
            steps=steps_to_send(recipe),
            note=recipe.note,
            priority=priority,
            study_data=recipe.study_data,
            **hook,
            acknowledge_leaks=acknowledge_leaks,
        )
    planned = launchable(plan(recipe))
    return client.launch_study(
        title,
        [run.spec.model_dump(mode="json") for run in planned],
        note=recipe.note,
        priority=priority,
        published=[
            run.published.model_dump(mode="json") if run.published else None for run in planned
        ],
        **hook,
        acknowledge_leaks=acknowledge_leaks,
    )


def list_runs(
    matching: Annotated[
        str | None,
        typer.Option(
            "--filter", help="Only runs that match, such as 'optimizer.lr < 0.01 and tag = paper'."
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="A field or metric; -best_val_accuracy: the greatest first."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Fields and metrics to print, with commas between.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    archived: Annotated[
        str | None, typer.Option(help="no, yes (archived ones alone) or all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List runs, newest first or sorted by any field or metric."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table
    from tuneboard.report import RUN_COLUMNS, run_row, value_text

    asked: dict[str, Any] = {
        "filter": matching,
        "sort": sort,
        "status": status,
        "dataset": dataset,
        "archived": archived,
        "limit": limit,
    }
    with Client(url) as client:
        if columns is not None:
            names = ["id", *dict.fromkeys(name.strip() for name in columns.split(","))]
            rows = client.table(names, **asked)
            if as_json:
                put_json(rows)
            else:
                put_table(names, [[value_text(value) for value in row.values()] for row in rows])
            return
        found = client.runs(**asked)
    if as_json:
        put_json(found)
    else:
        put_table(RUN_COLUMNS, [run_row(run) for run in found])


def show(run_id: RunId, as_json: Json = False, url: Url = None) -> None:
    """Show a run: state, figures, error and spec."""
    from tuneboard.client import Client
    from tuneboard.console import put_json
    from tuneboard.report import run_text

    with Client(url) as client:
        run = client.run(run_id)
        if as_json:
            put_json(run)
        else:
            typer.echo(run_text(run, client.run_address(run_id)))


def compare(
    run_ids: Annotated[
        list[int], typer.Argument(metavar="RUN RUN…", help="Numbers of the runs.", min=1)
    ],
    baseline: Annotated[
        int | None, typer.Option(help="The run to compare the others with; the first.", min=1)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the comparison as one page (.html), a report (.md) or CSV tables (.zip).",
            dir_okay=False,
        ),
    ] = None,
    save: Annotated[str | None, typer.Option(help="Save the comparison under this name.")] = None,
    note: Annotated[str, typer.Option(help="A note to the saved comparison.")] = "",
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Compare runs: results, whether the differences are real, and the comparison's address."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table, say
    from tuneboard.report import result_table, verdict_lines

    with Client(url) as client:
        compared = client.compare(run_ids)
        verdict = None
        if len(set(run_ids)) > 1:
            verdict = client.verdict(run_ids, baseline=baseline)
        address = client.compare_address(run_ids)
        if out is not None:
            client.export_comparison(run_ids, out, baseline=baseline)
        if save is not None:
            saved = client.save_comparison(save, run_ids, baseline=baseline, note=note)
            address = f"{client.url}{saved['url']}"
        if as_json:
            put_json({**compared, "verdict": verdict})
            return
        put_table(*result_table(compared["runs"]))
        for line in verdict_lines(verdict) if verdict else ():
            say(line)
        say(address)


def comparisons(as_json: Json = False, url: Url = None) -> None:
    """List the saved comparisons, the one changed last first."""
    from tuneboard.client import Client
    from tuneboard.console import put_json, put_table

    with Client(url) as client:
        found = client.comparisons()
        if as_json:
            put_json(found)
            return
        rows = [[one["name"], one["owner"], f"{client.url}{one['url']}"] for one in found]
        put_table(("name", "owner", "address"), rows)
