"""The commands about recipes, published studies ready to launch: list, show, run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuneboard.commands.options import AcknowledgeLeaks, Json, Url, Webhook, WebhookRuns

app = typer.Typer(help="List, show and launch published studies.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="Name of the recipe, as in the list.")]


@app.callback(invoke_without_command=True)
def list_recipes(context: typer.Context) -> None:
    """List, show and launch published studies; without a command, list them."""
    if context.invoked_subcommand is not None:
        return
    from trainer.recipes import load_recipes
    from tuneboard.console import put_table

    put_table(
        ("name", "study", ">runs", "dataset"),
        [
            (one.key, one.name, str(len(one.runs)), one.dataset or _datasets(one.specs))
            for one in load_recipes()
        ],
    )


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a recipe: its note, its runs and what its authors reported."""
    from trainer.planning import SMALL_RULE
    from trainer.recipes import load_recipe
    from tuneboard.console import put_json

    recipe = load_recipe(name)
    if as_json:
        runs = [
            {
                "step": step.name,
                "name": run.name,
                "begins_with": run.origin.words() if run.origin else "",
                "spec": run.spec,
                "reported": [one.model_dump() for one in run.reported],
            }
            for step in recipe.steps
            for run in step.runs
        ]
        put_json({"name": name, "title": recipe.name, "note": recipe.note, "runs": runs})
        return
    typer.echo(f"{recipe.name}\n{recipe.note}\n{SMALL_RULE}")
    for step in recipe.steps:
        indent = "  " if recipe.has_steps else ""
        if recipe.has_steps:
            waits = f", after {', '.join(step.after)}" if step.after else ""
            failing = "; a failed run ends the study" if step.when_failed == "stop" else ""
            typer.echo(f"Step {step.name}{waits}{failing}")
        for run in step.runs:
            typer.echo(f"{indent}- {run.name or 'a run named after its origin'}")
            if run.origin:
                typer.echo(f"{indent}    begins with {run.origin.words()}")
            for one in run.reported:
                typer.echo(f"{indent}    {one.words()}")
        if step.vote:
            typer.echo(f"{indent}- vote of {', '.join(recipe.voters(step))}")
            typer.echo(
                f"{indent}    {step.vote.given.method}, ties to "
                f"{recipe.voters(step)[step.vote.preferred]}"
            )
            for one in step.vote.given.reported:
                typer.echo(f"{indent}    {one.words()}")


@app.command()
def run(
    name: Name,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset in place of the recipe's.", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs in place of each run's.", show_default=False)
    ] = None,
    scale: Annotated[
        str, typer.Option(help="full, or small: minutes on a laptop, to see it work.")
    ] = "full",
    substitute: Annotated[
        bool,
        typer.Option(
            "--substitute",
            help="Networks whose weights come with a package, in place of downloaded ones.",
        ),
    ] = False,
    seeds: Annotated[
        int, typer.Option(min=1, help="How often each run is repeated, with the next seeds.")
    ] = 1,
    note: Annotated[str, typer.Option(help="Of the study, in place of the recipe's.")] = "",
    webhook: Webhook = "",
    webhook_runs: WebhookRuns = False,
    acknowledge_leaks: AcknowledgeLeaks = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the runs to their end.")] = False,
    url: Url = None,
) -> None:
    """Launch a recipe's runs as a study and print their numbers and addresses.

    With --watch, follows the study to the end of its last step, prints the results and exits 1 if
    a run did not succeed or a step was skipped.
    """
    from tuneboard.client import Client
    from tuneboard.console import put_table, say
    from tuneboard.report import result_table, vote_lines, waiting_lines
    from tuneboard.watch import watch_study, went_well

    with Client(url) as client:
        study = client.launch_recipe(
            name,
            dataset=dataset,
            epochs=epochs,
            scale=scale,
            substitute=substitute,
            seeds=seeds,
            note=note,
            webhook=webhook,
            webhook_runs=webhook_runs,
            acknowledge_leaks=acknowledge_leaks,
        )
        for launched in study["runs"]:
            typer.echo(f"{launched['id']}\t{client.run_address(launched['id'])}")
        for line in waiting_lines(study):
            say(line)
        if watch:
            ended = watch_study(client, study["id"])
            put_table(*result_table(ended["runs"]))
            for line in vote_lines(ended):
                typer.echo(line)
            say(client.compare_address([one["id"] for one in ended["runs"]]))
            if not went_well(ended):
                raise typer.Exit(1)


def _datasets(specs: tuple[dict[str, Any], ...]) -> str:
    return ", ".join(dict.fromkeys(spec["dataset"]["name"] for spec in specs))
