"""Tries a spec before it is launched: `python -m trainer.preflight --help`.

Two real steps on the device that would train it, so that memory, speed and the model's own problems
are known in a minute, and what is worth a second thought about its images. Nothing is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trainer import catalogue
from trainer.datasets.manifest import Item, Manifest, load_manifest
from trainer.datasets.splits import resolve_splits
from trainer.parsing import parse_spec_text
from trainer.process import wait_passively
from trainer.program import Say, answer_telling
from trainer.spec import ExperimentSpec

STEPS = 2
IMBALANCE = 4.0
"""Largest class over smallest, above which accuracy alone misleads."""
DISAGREEMENT = 0.1
"""Share of images on which two models differ; for what difference can be told apart."""
DETECTABLE = 0.02
"""Difference that should be told apart; splits that cannot are pointed out."""


def detectable_difference(images: int) -> float:
    """Return the least difference of two accuracies that an exact test would call real, about.

    1.96 standard errors of the difference of two models that disagree on a tenth of the images.
    """
    return float(1.96 * (DISAGREEMENT / images) ** 0.5)


def warnings_of(
    spec: ExperimentSpec,
    manifest: Manifest,
    splits: Mapping[str, Sequence[Item]],
    input_px: int,
) -> list[dict[str, str]]:
    """Return what is worth a second thought: title, detail and remedy each."""
    found = []
    counts = [0] * len(manifest.classes)
    for item in splits["train"]:
        counts[item.label] += 1
    low, high = min(counts), max(counts)
    if low and high / low >= IMBALANCE:
        names = manifest.classes[counts.index(high)], manifest.classes[counts.index(low)]
        found.append(
            _warning(
                "Classes out of balance",
                f"`{names[0]}` has {high:,} training images, `{names[1]}` {low:,}.",
                "Look at the figures per class, not at accuracy alone; `loss.class_weights` helps.",
            )
        )
    for split, name in (("val", "validation"), ("test", "test")):
        images = len(splits.get(split, ()))
        if images and (least := detectable_difference(images)) > DETECTABLE:
            found.append(
                _warning(
                    f"Few {name} images",
                    f"{images:,} images: only differences of about {100 * least:.0f} points can be "
                    "told apart.",
                    "Hold out more of them, or repeat each run with more seeds.",
                )
            )
    try:
        usual_px = catalogue.entry(spec.model.architecture).input_size_px
    except KeyError:
        usual_px = input_px
    if input_px < 0.75 * usual_px:
        found.append(
            _warning(
                "Input smaller than the network likes",
                f"Fed at {input_px} px; its weights are used to {usual_px} px.",
                "Raise `dataset.input_size_px`, if the time allows it.",
            )
        )
    return found


def _warning(title: str, detail: str, remedy: str) -> dict[str, str]:
    return {"title": title, "detail": detail, "remedy": remedy}


def try_out(spec: ExperimentSpec, manifest: Manifest, out: Path, say: Say) -> dict[str, Any]:
    """Take two steps and say what a run would be like.

    Args:
        out: PNG of training images as the model sees them.

    Raises:
        TuneboardError: If the run would fail for a reason that its user can mend.
    """
    say({"what": "loading the model", "done": 0, "total": STEPS + 1})
    wait_passively()
    from trainer.trial import try_steps  # takes seconds: torch comes with it

    with TemporaryDirectory(prefix="tuneboard-preflight-") as folder:
        found = try_steps(spec, manifest, Path(folder), out, STEPS, say)
    splits = resolve_splits(manifest, spec.dataset)
    found["warnings"] += warnings_of(spec, manifest, splits, found["input_px"])
    return {**found, "file": out.name}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.preflight", description="Try a spec before it is launched."
    )
    parser.add_argument("--spec", required=True, help="the spec, as YAML or JSON text")
    parser.add_argument("--data", required=True, type=Path, help="the dataset's manifest.json")
    parser.add_argument("--out", required=True, type=Path, help="PNG of augmented samples to write")
    options = parser.parse_args(arguments)

    def work(say: Say) -> dict[str, Any]:
        spec = parse_spec_text(options.spec)
        return try_out(spec, load_manifest(options.data), options.out, say)

    return answer_telling(work)


if __name__ == "__main__":
    sys.exit(main())
