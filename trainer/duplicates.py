"""Looks for duplicates in a dataset that is prepared: `python -m trainer.duplicates --help`.

A dataset is looked through while it is prepared; this is for one prepared before that was so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.datasets.duplicates import find_groups
from trainer.datasets.folder import looks_of, probe_all
from trainer.datasets.listing import Found
from trainer.datasets.manifest import load_manifest, save_manifest
from trainer.program import Say, answer_telling

_WHAT = {"scan": "looking at images", "compare": "comparing images"}


def look_through(file: Path, say: Say) -> dict[str, Any]:
    """Find the duplicates of a manifest's images, write them into it, and return how many.

    Raises:
        NotFound, TuneboardError: If there is no manifest that can be read.
    """
    manifest = load_manifest(file)
    found = [Found(path, "", str(manifest.file(path))) for path in manifest.items]

    def tell(told: dict[str, Any]) -> None:
        say({"what": _WHAT[told["phase"]], "done": told["done"], "total": told["total"]})

    groups = find_groups(looks_of(probe_all(found, tell, with_look=True)), tell)
    known = replace(manifest, duplicates=groups)
    save_manifest(known, file)
    summary = known.duplicates_summary()
    return {"duplicates": summary}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.duplicates", description="Look for duplicates in a dataset."
    )
    parser.add_argument("--data", required=True, type=Path, help="the dataset's manifest.json")
    options = parser.parse_args(arguments)
    return answer_telling(lambda say: look_through(options.data, say))


if __name__ == "__main__":
    sys.exit(main())
