"""Writes a run's trained model for use elsewhere: `python -m trainer.export --help`.

safetensors: the tensors, with class names, preprocessing and spec in the file's metadata;
`trainer.trained.load_exported` reads it. torchscript: a program for `torch.jit.load` that maps
normalised images, float32 [B, 3, S, S], to logits [B, C], with the same description beside it as
the extra file `tuneboard.json`. onnx: the same for ONNX Runtime and others, see
`trainer.onnx_export`. Each is read back and compared with the original on real images
of the run's validation split before it gets its name.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from trainer.datasets.manifest import load_manifest
from trainer.errors import RunFailure
from trainer.files import sync_folder
from trainer.onnx_export import check_packages, in_fp32, run_onnx, write_onnx
from trainer.program import answer
from trainer.sources import Forward
from trainer.trained import Device, Trained, load_exported, load_trained

Format = Literal["safetensors", "torchscript", "onnx"]
FORMATS: tuple[Format, ...] = ("safetensors", "torchscript", "onnx")
EXTRA_FILE = "tuneboard.json"
_trace: Any = torch.jit.trace  # torch leaves both untyped
_load: Any = torch.jit.load
TOLERANCE = 1e-3
"""Largest difference of a probability that a check forgives: a compiled program may add up in
another order, and in bf16 (8 bits of mantissa) that shows. A safetensors file is forgiven none."""


@dataclass(frozen=True)
class Samples:
    """Real images of the validation split, and what the run recorded of them."""

    files: tuple[Path, ...]
    recorded: Tensor
    """[N, C] float32."""


def export(
    attempt: Path, manifest: Path, out: Path, form: Format, *, device: Device = "recorded"
) -> dict[str, Any]:
    """Write the model to `out` and return what its check found.

    Raises:
        RunFailure: If the run's files or images are gone, a package is missing, or the written
            file does not do what the original does; then nothing is left at `out`.
    """
    if form == "onnx":
        check_packages()
        model = in_fp32(load_trained(attempt, "cpu"))
    else:
        model = load_trained(attempt, device)
    samples = validation_samples(attempt, manifest, model.choices.evaluation_batch_size)
    squares = [model.prepare(file) for file in samples.files]
    original = model.probabilities(squares)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        if form == "safetensors":
            _write_safetensors(model, temporary)
            again = load_exported(temporary, device).probabilities(squares)
        elif form == "torchscript":
            _write_torchscript(model, temporary, squares)
            again = _run_torchscript(model, temporary, squares)
        else:
            write_onnx(model, temporary, squares)
            again = run_onnx(model, temporary, squares)
        difference = float((again - original).abs().max())
        if difference > (0 if form == "safetensors" else TOLERANCE):
            raise RunFailure(
                "The exported model does not agree with the original",
                f"On {len(squares)} validation images its probabilities differ by up to "
                f"{difference:.2g}.",
                "Export it in another format.",
            )
        size_bytes = temporary.stat().st_size
        temporary.replace(out)
        sync_folder(out.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return {
        "format": form,
        "file": out.name,
        "size_bytes": size_bytes,
        "checked_images": len(squares),
        "largest_difference": difference,
        "largest_difference_from_recorded": float((original - samples.recorded).abs().max()),
        "device": model.choices.device_name,
        "precision": model.choices.precision,
    }


def validation_samples(attempt: Path, manifest: Path, limit: int) -> Samples:
    """Return the first images of the run's validation split.

    Raises:
        RunFailure: If they are gone.
    """
    root = Path(load_manifest(manifest).root)
    with np.load(attempt / "predictions" / "val.npz", allow_pickle=False) as found:
        files = tuple(root / str(name) for name in found["ids"][:limit])
        recorded = torch.from_numpy(found["probabilities"][:limit])
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise RunFailure(
            "The run's validation images are gone",
            f"`{missing[0]}` is needed to check the exported model.",
            "Prepare the dataset again.",
        )
    return Samples(files, recorded)


def _write_safetensors(model: Trained, path: Path) -> None:
    tensors = {
        key: tensor.detach().cpu().contiguous()
        for key, tensor in model.network.module.state_dict().items()
    }
    save_file(tensors, path, metadata=model.description())


class _Program(nn.Module):
    """The forward pass as the run evaluates it, so that a trace holds its casts too."""

    def __init__(self, model: Trained) -> None:
        super().__init__()
        self.module = model.network.module
        self._call: Callable[[Tensor], Tensor] = Forward(self.module, model.choices)

    def forward(self, images: Tensor) -> Tensor:
        return self._call(images)


def _write_torchscript(model: Trained, path: Path, squares: Sequence[Tensor]) -> None:
    with _quiet_jit(), torch.inference_mode(False), torch.no_grad():
        # A cached cast would be recorded as a constant: the weights twice, once in each precision.
        torch.set_autocast_cache_enabled(False)
        try:
            inputs = model.inputs(squares)
            program = _trace(_Program(model).eval(), inputs, check_trace=False)
        finally:
            torch.set_autocast_cache_enabled(True)
        about = json.dumps(model.description())
        torch.jit.save(program, str(path), _extra_files={EXTRA_FILE: about})


def _run_torchscript(model: Trained, path: Path, squares: Sequence[Tensor]) -> Tensor:
    with _quiet_jit(), torch.inference_mode():
        program = _load(str(path), map_location=model.choices.torch_device())
        # One image fewer too: a trace that has frozen the batch size into it fails here.
        logits = program(model.inputs(squares)).cpu()
        program(model.inputs(squares[:1]))
    return cast(Tensor, logits.double().softmax(dim=1).float())


@contextmanager
def _quiet_jit() -> Iterator[None]:
    """Leave out that torch.jit is deprecated, and the tracer's notes: we check what it wrote."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
        warnings.simplefilter("ignore", TracerWarning)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.export", description="Export a trained run's model."
    )
    parser.add_argument("--run-dir", required=True, type=Path, help="folder of its last attempt")
    parser.add_argument("--data", required=True, type=Path, help="the dataset's manifest.json")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    parser.add_argument("--device", choices=("recorded", "cpu"), default="recorded")
    options = parser.parse_args(arguments)
    return answer(
        lambda: export(
            options.run_dir, options.data, options.out, options.format, device=options.device
        )
    )


if __name__ == "__main__":
    sys.exit(main())
