"""The commands that look into a trained model: explain, features."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from tuneboard.commands.after import Run, here, result_of
from tuneboard.commands.options import Json, Url

Image = Annotated[
    str, typer.Argument(help="An image file, or val:3 or test:3 for one the run was evaluated on.")
]
Out = Annotated[Path, typer.Option(help="PNG file to write.", dir_okay=False)]


def explain(
    run: Run,
    image: Image,
    out: Out,
    class_name: Annotated[
        str | None,
        typer.Option("--class", help="Class to explain; by default the predicted one."),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show which parts of an image spoke for a class, by Grad-CAM.

    Writes the image with heat over it and a legend below. Exits 1 if it cannot be done.
    """
    from tuneboard.console import percent, put_json, say

    asked = {"class": class_name} if class_name is not None else {}
    result = _asked(run, "gradcam", image, asked, {"overlay": out}, url)
    if as_json:
        put_json(result)
        return
    typer.echo(out)
    chance = result["probabilities"][result["classes"].index(result["predicted"])]
    nothing = " Nothing in it spoke for that class." if result["nothing"] else ""
    say(
        f"Predicted: {result['predicted']} ({percent(chance)}). Bright is what spoke for "
        f"{result['class']}, in layer {result['layer']}.{nothing}"
    )
    _say_turned(result)


def features(
    run: Run,
    image: Annotated[
        str | None,
        typer.Argument(help="An image file, or val:3 or test:3; leave out to list the modules."),
    ] = None,
    module: Annotated[
        str | None, typer.Option(help="Dotted name of a module, such as layer1.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="PNG file to write.", dir_okay=False)] = None,
    page: Annotated[int, typer.Option(help="Of 64 maps each.", min=1)] = 1,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show the feature maps that a module makes of an image, or list the modules.

    Exits 1 if it cannot be done.
    """
    from tuneboard.console import put_json, put_table, say

    if image is None:
        result = _asked(run, "modules", None, {}, {}, url)
        if as_json:
            put_json(result)
            return
        rows = [
            (one["name"], one["type"], _shape(one["shape"]), str(one["maps"] or "–"))
            for one in result["modules"]
        ]
        put_table(("module", "type", "output", ">maps"), rows)
        return
    if module is None or out is None:
        raise typer.BadParameter("with an image, give --module NAME and --out FILE.png as well")
    result = _asked(run, "features", image, {"module": module, "page": page}, {"maps": out}, url)
    if as_json:
        put_json(result)
        return
    typer.echo(out)
    last = result["first"] + result["shown"] - 1
    say(
        f"Maps {result['first']} to {last} of {result['maps']}, {result['height']} × "
        f"{result['width']} each; page {result['page']} of {result['pages']}."
    )
    _say_turned(result)


def _asked(
    run: str,
    what: str,
    image: str | None,
    fields: dict[str, Any],
    pictures: dict[str, Path],
    url: str | None,
) -> dict[str, Any]:
    """Return the answer, its pictures written, from a server or from a folder here.

    Raises:
        InvalidInput: If the run or the image cannot be had.
        typer.Exit: With 1 where it failed, after saying why.
    """
    from tuneboard.aftermath import run_number
    from tuneboard.client import Client

    number, given = run_number(run), None if image is None else _image(image)
    if number is None:
        return _asked_here(Path(run), what, given, fields, pictures)
    with Client(url) as client:
        if given is None:
            job = client.modules(number)
        elif what == "gradcam":
            job = client.gradcam(number, given, class_name=fields.get("class"))
        else:
            job = client.features(number, given, fields["module"], page=fields["page"])
        result = result_of(client, job)
        for name, path in pictures.items():
            client.picture(job["id"], name, path)
    return result


def _asked_here(
    run: Path,
    what: str,
    image: Path | dict[str, Any] | None,
    fields: dict[str, Any],
    pictures: dict[str, Path],
) -> dict[str, Any]:
    with TemporaryDirectory(prefix="tuneboard-") as folder:
        request: dict[str, Any] = {
            "do": what,
            "attempt": str(run.absolute()),
            "manifest": str((run / "dataset" / "manifest.json").absolute()),
            "out": folder,
            "file": "classes.csv",
            **fields,
        }
        if isinstance(image, Path):
            request["image"] = {"file": str(image.absolute()), "name": image.name}
        elif image is not None:
            request["image"] = image
        result = here("trainer.serve", "--once", json.dumps(request))
        for name, path in pictures.items():
            shutil.copyfile(Path(folder) / result["files"][name], path)
    return result


def _image(text: str) -> Path | dict[str, Any]:
    """Return the image that an argument names.

    Raises:
        InvalidInput: If there is no such file.
    """
    from trainer.errors import FieldError, InvalidInput

    found = re.fullmatch(r"(val|test):(\d+)", text)
    if found is not None:
        return {"split": found[1], "index": int(found[2])}
    if not Path(text).is_file():
        expected = "an image file that exists, or val:N or test:N"
        raise InvalidInput.of(FieldError("IMAGE", text, expected))
    return Path(text)


def _shape(shape: list[int] | None) -> str:
    return "does not run" if shape is None else " × ".join(map(str, shape))


def _say_turned(result: dict[str, Any]) -> None:
    from tuneboard.console import say

    if result["image"]["turned"]:
        say("Viewers turn this photo (EXIF orientation); the network sees it as it is stored.")
