"""What a person tries on a trained model: its classes for one image, Grad-CAM, feature maps.

Each request says which run (`attempt`, the folder of its last attempt), which image (see
`tried_images`) and where files go (`out`); the answer is plain JSON and names the files.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from trainer.cells import harmless
from trainer.errors import FieldError, InvalidInput, nearest
from trainer.files import write_whole
from trainer.gradcam import grad_cam
from trainer.maps import feature_maps, modules
from trainer.paint import heat_image, maps_image, overlay_image, save_png, seen_image
from trainer.shelf import Shelf
from trainer.trained import Trained
from trainer.tried_images import TriedImage, find_image

MAPS_A_PAGE = 64

Request = Mapping[str, Any]


class Tryout:
    """Does one request after another with the models of a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __call__(self, request: Request) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            InvalidInput, NotFound, RunFailure: If it cannot be done.
        """
        began = time.monotonic()
        model, was_at_hand = self._shelf.model(Path(request["attempt"]))
        loaded = time.monotonic()
        answer = _DOES[request["do"]](model, request)
        return {
            **answer,
            "classes": list(model.classes),
            "device": model.choices.device_name,
            "size_px": model.network.form.size_px,
            "seconds": {
                "loading": 0.0 if was_at_hand else loaded - began,
                "work": time.monotonic() - loaded,
            },
        }


def _classify(model: Trained, request: Request) -> dict[str, Any]:
    image, square = _image(model, request)
    return _said(model, request, image, square, model.probabilities([square])[0])


def _explain(model: Trained, request: Request) -> dict[str, Any]:
    image, square = _image(model, request)
    target = _class_index(model, request.get("class"))
    heat = grad_cam(model, square, target)
    out, name = Path(request["out"]), model.classes[heat.target]
    save_png(out / "heat.png", heat_image(heat.values))
    save_png(out / "overlay.png", overlay_image(square, heat.values, f"spoke for {name}"))
    said = _said(model, request, image, square, heat.probabilities)
    said["files"] |= {"heat": "heat.png", "overlay": "overlay.png"}
    return {
        **said,
        "class": name,
        "layer": heat.layer,
        "grid": list(heat.grid),
        "nothing": not bool(heat.values.any()),
    }


def _show_maps(model: Trained, request: Request) -> dict[str, Any]:
    image, square = _image(model, request)
    maps = feature_maps(model, square, request["module"])
    pages = math.ceil(len(maps) / MAPS_A_PAGE)
    page = request.get("page", 1)
    if not 1 <= page <= pages:
        raise InvalidInput.of(FieldError("page", page, f"1 to {pages}, as there are so many"))
    first = (page - 1) * MAPS_A_PAGE
    shown = maps[first : first + MAPS_A_PAGE]
    out = Path(request["out"])
    save_png(out / "maps.png", maps_image(shown, first, request.get("columns", 8)))
    save_png(out / "seen.png", seen_image(square))
    return {
        "image": image.about,
        "files": {"seen": "seen.png", "maps": "maps.png"},
        "module": request["module"],
        "maps": len(maps),
        "height": maps.shape[1],
        "width": maps.shape[2],
        "page": page,
        "pages": pages,
        "first": first,
        "shown": len(shown),
        "least": float(maps.nan_to_num().min()),
        "most": float(maps.nan_to_num().max()),
    }


def _list_modules(model: Trained, _request: Request) -> dict[str, Any]:
    return {"modules": modules(model)}


_DOES: Mapping[str, Callable[[Trained, Request], dict[str, Any]]] = {
    "classify": _classify,
    "gradcam": _explain,
    "features": _show_maps,
    "modules": _list_modules,
}


def _image(model: Trained, request: Request) -> tuple[TriedImage, Tensor]:
    """Return the image that a request names, and what the network sees of it."""
    manifest = request.get("manifest")
    found = find_image(
        request["image"], Path(request["attempt"]), Path(manifest) if manifest else None
    )
    if "label" in found.about:
        found.about["label"] = model.classes[found.about["label"]]
    return found, model.prepare(found.file)


def _said(
    model: Trained, request: Request, image: TriedImage, square: Tensor, shares: Tensor
) -> dict[str, Any]:
    """Return what the model says of an image; the picture and the table are written."""
    out, values = Path(request["out"]), shares.tolist()
    save_png(out / "seen.png", seen_image(square))
    predicted = model.classes[max(range(len(values)), key=values.__getitem__)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "predicted", *(harmless(f"{name} %") for name in model.classes)])
    table.writerow(
        [
            harmless(image.about["name"]),
            harmless(predicted),
            *(f"{100 * value:.4f}" for value in values),
        ]
    )
    write_whole(out / request["file"], lambda file: file.write(text.getvalue().encode()))
    return {
        "image": image.about,
        "predicted": predicted,
        "probabilities": values,
        "files": {"seen": "seen.png"},
    }


def _class_index(model: Trained, name: str | None) -> int | None:
    """Return a class's place.

    Raises:
        InvalidInput: If the run has no such class.
    """
    if name is None:
        return None
    if name in model.classes:
        return model.classes.index(name)
    some = ", ".join(model.classes[:20])
    remedy = nearest(name, model.classes) or f"Its classes are {some}."
    raise InvalidInput.of(FieldError("class", name, "one of the run's classes", remedy))
