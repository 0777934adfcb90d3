"""The commands about recipes, published studies ready to launch: list, show, run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuneboard.commands.options import Json, Url

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
    from trainer.parsing import parse_spec
    from trainer.planning import SMALL_RULE
    from trainer.recipes import load_recipe
    from tuneboard.console import put_json

    recipe = load_recipe(name)
    if as_json:
        runs = [
            {"spec": run.spec, "reported": [one.model_dump() for one in run.reported]}
            for run in recipe.runs
        ]
        put_json({"name": name, "title": recipe.name, "note": recipe.note, "runs": runs})
        return
    typer.echo(f"{recipe.name}\n{recipe.note}\n{SMALL_RULE}")
    for run in recipe.runs:
        typer.echo(f"- {parse_spec(run.spec).display_name()}")
        for one in run.reported:
            typer.echo(f"    {one.words()}")


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
    watch: Annotated[bool, typer.Option("--watch", help="Follow the runs to their end.")] = False,
    url: Url = None,
) -> None:
    """Launch a recipe's runs as a study and print their numbers and addresses.

    With --watch, prints the results and exits 1 if a run did not succeed.
    """
    from tuneboard.client import Client
    from tuneboard.console import put_table, say
    from tuneboard.report import result_table
    from tuneboard.watch import watch_runs

    with Client(url) as client:
        study = client.launch_recipe(
            name, dataset=dataset, epochs=epochs, scale=scale, substitute=substitute, seeds=seeds
        )
        for launched in study["runs"]:
            typer.echo(f"{launched['id']}\t{client.run_address(launched['id'])}")
        if watch:
            ended = watch_runs(client, study["runs"])
            put_table(*result_table(ended))
            say(client.compare_address([one["id"] for one in ended]))
            if any(one["status"] != "succeeded" for one in ended):
                raise typer.Exit(1)


def _datasets(specs: tuple[dict[str, Any], ...]) -> str:
    return ", ".join(dict.fromkeys(spec["dataset"]["name"] for spec in specs))
