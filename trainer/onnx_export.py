"""Writes a trained model as ONNX and runs the file with ONNX Runtime, to check what was written.

The program maps normalised images, float32 [B, 3, S, S] with any B, to logits, float32 [B, C]. It
calculates in fp32 whatever the run did. The packages needed are an extra of their own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from sys import stderr
from typing import Any

import torch
from torch import Tensor

from trainer.errors import RunFailure
from trainer.trained import Trained

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_INPUT, _OUTPUT = "images", "logits"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal


def check_packages() -> None:
    """Refuse to begin without the packages that write and run ONNX.

    Raises:
        RunFailure: If one is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise RunFailure(
            "Packages for ONNX are missing",
            f"Exporting as ONNX needs {', '.join(missing)}, which this Python does not have.",
            f"Run `pip install {' '.join(missing)}` where the workers run, or choose safetensors.",
        )


def in_fp32(model: Trained) -> Trained:
    """Return the model calculating as the exported program does."""
    return replace(model, choices=replace(model.choices, precision="fp32"))


def write_onnx(model: Trained, path: Path, squares: Sequence[Tensor]) -> None:
    """Write the model, with its description as the file's metadata.

    Args:
        model: On the CPU.
        path: File to write.
        squares: Images to trace the network with, uint8 [3, S, S]; two at least.

    Raises:
        RunFailure: If torch cannot export the network.
    """
    inputs = model.inputs(squares[:2]).clone()
    # The exporter says how far it is on standard output, which is for our own answer.
    with warnings.catch_warnings(), redirect_stdout(stderr):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model.network.module,
                (inputs,),
                path,
                input_names=[_INPUT],
                output_names=[_OUTPUT],
                external_data=False,
                verbose=False,
                **_way(model),
            )
        except Exception as error:  # each network fails in its own way
            said = _COLOURS.sub("", str(error)).strip().partition("\n")[0]
            reason = said or type(error).__name__
            raise RunFailure(
                "The network cannot be exported as ONNX",
                f"torch's exporter gave up on `{model.spec.model.architecture}`: {reason}.",
                "Export it as safetensors or TorchScript.",
            ) from error
    _describe(path, model.description())


def _way(model: Trained) -> dict[str, Any]:
    """Return how torch is to export the network, with any number of images.

    A network cut short at a module leaves its forward pass by an exception, which torch's present
    exporter cannot follow; the one before it records what is calculated and can.
    """
    if model.spec.model.head.tap is None:
        return {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    return {"dynamo": False, "dynamic_axes": {_INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}}}


def _describe(path: Path, description: Mapping[str, str]) -> None:
    import onnx

    program = onnx.load(path)
    onnx.helper.set_model_props(program, dict(description))
    onnx.save(program, path)


def run_onnx(model: Trained, path: Path, squares: Sequence[Tensor]) -> Tensor:
    """Return the file's probabilities of images, [B, C] float32, and try a single image too."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = model.inputs(squares).contiguous().numpy()
    (logits,) = session.run([_OUTPUT], {_INPUT: inputs})
    session.run([_OUTPUT], {_INPUT: inputs[:1]})
    return torch.from_numpy(logits).double().softmax(dim=1).float()
