"""The Run page's downloads: files of the run, exports of its model, and code that loads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.answers import JobOut
from app.api.jobs import ExportIn, queue_export
from app.bodies import form_model
from app.dependencies import BellDep, Owner, RunDep, SettingsDep, StoreDep
from app.outputs import job_out
from app.pages.templating import render
from app.run_files import RunFile, run_files
from app.security import CheckedForm
from app.tryit import check_trained
from store.database import Store
from store.jobs import exports
from store.rows import RunRow
from store.settings import Settings

FORMATS = {"safetensors": "safetensors", "torchscript": "TorchScript", "onnx": "ONNX"}
FOR_WHAT = {
    "safetensors": "for Tuneboard's own Python: tensors, classes, preprocessing and spec in a file",
    "torchscript": "for PyTorch or LibTorch without Tuneboard",
    "onnx": "for ONNX Runtime and others, without PyTorch",
}
_PICTURE = """
image = Image.open("photo.jpg").convert("RGB")
size, resize = how["input_size_px"], how["resize_px"]
filter = Image.Resampling[how["interpolation"].upper()]
if how["resize_mode"] == "squash":
    image = image.resize((resize, resize), filter)
else:  # the shorter side
    scale = resize / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], filter)
left, top = (image.width - size) // 2, (image.height - size) // 2
image = image.crop((left, top, left + size, top + size))
pixels = (np.asarray(image, np.float32) / 255 - how["mean"]) / how["std"]
batch = pixels.transpose(2, 0, 1)[None].astype(np.float32)
""".strip()
SNIPPETS: Mapping[str, str] = {
    "safetensors": """
from pathlib import Path

from trainer.trained import load_exported

model = load_exported(Path("{file}"), device="cpu")
for row in next(model.of_files([Path("photo.jpg")])):
    best = int(row.argmax())
    print(model.classes[best], f"{{float(row[best]):.1%}}")
""".strip(),
    "torchscript": """
import json

import numpy as np
import torch
from PIL import Image

files = {{"tuneboard.json": ""}}
model = torch.jit.load("{file}", map_location="cpu", _extra_files=files).eval()
about = json.loads(files["tuneboard.json"])
classes, how = json.loads(about["classes"]), json.loads(about["preprocessing"])
{picture}
with torch.inference_mode():
    shares = model(torch.from_numpy(batch)).softmax(dim=1)[0]
best = int(shares.argmax())
print(classes[best], f"{{float(shares[best]):.1%}}")
""".strip(),
    "onnx": """
import json

import numpy as np
import onnxruntime
from PIL import Image

model = onnxruntime.InferenceSession("{file}")
about = model.get_modelmeta().custom_metadata_map
classes, how = json.loads(about["classes"]), json.loads(about["preprocessing"])
{picture}
(logits,) = model.run(None, {{"images": batch}})
shares = np.exp(logits[0] - logits[0].max())
shares /= shares.sum()
best = int(shares.argmax())
print(classes[best], f"{{shares[best]:.1%}}")
""".strip(),
}
SUFFIXES = {"safetensors": "safetensors", "torchscript": "pt", "onnx": "onnx"}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Downloads:
    """What `partials/run_downloads.html` shows."""

    run: RunRow
    files: tuple[RunFile, ...]
    exports: tuple[JobOut, ...]
    snippets: Mapping[str, str]
    """By format; empty where there is no trained model."""
    formats: Mapping[str, str]
    for_what: Mapping[str, str]

    @property
    def goes_on(self) -> bool:
        """Whether an export is still made."""
        return any(one.state in {"queued", "running"} for one in self.exports)


def snippet(form: str, run_id: int) -> str:
    """Return Python that loads an exported file and classifies a picture with it."""
    return SNIPPETS[form].format(file=f"run-{run_id}.{SUFFIXES[form]}", picture=_PICTURE)


def downloads(store: Store, settings: Settings, run: RunRow) -> Downloads:
    """Gather the files of a run and the exports of its model."""
    has_model = run.status == "succeeded" and not run.external
    return Downloads(
        run,
        tuple(run_files(settings, run)),
        tuple(job_out(job) for job in exports(store, run.id)) if has_model else (),
        {form: snippet(form, run.id) for form in FORMATS} if has_model else {},
        FORMATS,
        FOR_WHAT,
    )


@router.get("/parts/runs/{run_id}/downloads", name="run_downloads")
def downloads_part(
    request: Request, store: StoreDep, settings: SettingsDep, row: RunDep
) -> HTMLResponse:
    """Show the downloads alone, for a page that is already open."""
    page = downloads(store, settings, row)
    return render(request, "partials/run_downloads_live.html", page)


@router.post("/runs/{run_id}/export", name="run_export")
def export(
    request: Request, store: StoreDep, bell: BellDep, owner: Owner, row: RunDep, form: CheckedForm
) -> RedirectResponse:
    """Queue an export of the run's model and show the run."""
    check_trained(row)
    queue_export(store, row, form_model(ExportIn, form), owner)
    bell.ring_interactive()
    path = request.app.url_path_for("run_page", run_id=row.id)
    return RedirectResponse(f"{path}#downloads", 303)
