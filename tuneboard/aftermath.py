"""What a run is good for once it has ended: predict, export and vote, on a server or here.

A run is a number on a server, or the folder in which `tuneboard train` left its results; for the
latter the trainer's programs run on this machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.errors import FieldError, InvalidInput, TuneboardError
from tuneboard.console import percent, say
from tuneboard.problems import field_errors_of

PREDICTION_COLUMNS = ("file", "predicted", ">probability")
VOTER_COLUMNS = ("run", ">accuracy")


def run_number(run: str) -> int | None:
    """Return the number of a run on a server; None for a folder of results on this machine.

    Raises:
        InvalidInput: If it is neither.
    """
    if run.isdecimal() and int(run) > 0:
        return int(run)
    if (Path(run) / "events.jsonl").is_file():
        return None
    expected = "the number of a run, or a folder in which `tuneboard train` left its results"
    raise InvalidInput.of(FieldError("RUN", run, expected))


def image_files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return the images among files and below folders, with the names to send them under.

    Raises:
        InvalidInput: If a path does not exist, or a folder holds no image.
    """
    from trainer.datasets.images import is_image_name
    from trainer.datasets.listing import is_junk

    found: list[tuple[str, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = [
                (file.relative_to(path).as_posix(), file)
                for file in sorted(path.rglob("*"))
                if is_image_name(file.name) and not is_junk(file.name) and file.is_file()
            ]
            if not inside:
                raise InvalidInput.of(FieldError("PATH", str(path), "a folder with images in it"))
            found += inside
        elif path.is_file():
            found.append((path.name, path))
        else:
            raise InvalidInput.of(FieldError("PATH", str(path), "a file or folder that exists"))
    return found


def run_here(module: str, *arguments: str | Path) -> dict[str, Any]:
    """Run one of the trainer's programs on this machine and return its answer.

    Raises:
        TuneboardError: If it cannot do what it is asked.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    try:
        said = json.loads(lines[-1])
    except (ValueError, IndexError):
        tail = "\n".join(done.stderr.splitlines()[-15:])
        raise TuneboardError(f"{module} ended with status {done.returncode}:\n{tail}") from None
    if "failed" in said:
        raise error_of(said["failed"])
    ready: dict[str, Any] = said["ready"]
    return ready


def error_of(failed: Mapping[str, Any]) -> TuneboardError:
    """Return why a job or a program failed."""
    return TuneboardError(failed["detail"], failed.get("remedy", ""), field_errors_of(failed))


def prediction_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of PREDICTION_COLUMNS for the images that an answer lists."""
    return [
        (one["file"], one["predicted"], percent(max(one["probabilities"])))
        for one in result["predictions"]
    ]


def say_skipped(result: Mapping[str, Any]) -> None:
    """Name the files that could not be classified."""
    for one in result["skipped"]:
        say(f"Left out {one['file']}: {one['reason']}.")
    more = result["skipped_total"] - len(result["skipped"])
    if more:
        say(f"Left out {more} more.")


def export_text(result: Mapping[str, Any], out: Path) -> str:
    """Return a sentence on an exported file and its check."""
    return (
        f"{out}: {result['size_bytes'] / 1e6:.1f} MB; on {result['checked_images']} validation "
        f"images its probabilities differ from the run's own by at most "
        f"{result['largest_difference']:.1g}."
    )


def voter_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of VOTER_COLUMNS: each run's line, and the vote's."""
    members = [(one["run"], percent(one["accuracy"])) for one in result["members"]]
    return [*members, (f"vote ({result['method']})", percent(result["accuracy"]))]
