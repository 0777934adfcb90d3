"""The trainer alone, without database, queue or server: `python -m trainer --help`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from trainer.process import log_to_stderr, wait_passively

BAD_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, check what can be checked without torch, and run one attempt."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer", description="Train one run: a spec in, events and files out."
    )
    parser.add_argument("--spec", required=True, type=Path, help="the run's spec, YAML or JSON")
    parser.add_argument(
        "--data", required=True, type=Path, metavar="MANIFEST", help="the dataset's manifest.json"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for events and files")
    parser.add_argument(
        "--resume-from", type=Path, metavar="DIR", help="folder of the attempt to go on from"
    )
    parser.add_argument(
        "--control-fd", type=int, metavar="N", help="socket to the supervisor, if there is one"
    )
    options = parser.parse_args(arguments)
    log_to_stderr()
    problem = _problem(options)
    if problem:
        sys.stderr.write(f"python -m trainer: {problem}\n")
        return BAD_USAGE
    os.dup2(2, 1)  # a library's print must not be taken for a result

    wait_passively()
    from trainer import run  # takes seconds: torch comes with it

    return run.main(
        options.spec, options.data, options.out, options.resume_from, options.control_fd
    )


def _problem(options: argparse.Namespace) -> str:
    """Return what is wrong with the command line in one line, or an empty string."""
    from trainer.datasets.manifest import load_manifest
    from trainer.errors import InvalidInput, TuneboardError
    from trainer.parsing import parse_spec_text

    try:
        parse_spec_text(options.spec.read_text(encoding="utf-8"))
        load_manifest(options.data)
        options.out.mkdir(parents=True, exist_ok=True)
    except InvalidInput as error:
        return f"{options.spec}: " + " ".join(str(item) for item in error.errors)
    except (TuneboardError, OSError, UnicodeDecodeError) as error:
        return str(error)
    if options.resume_from is not None and not options.resume_from.is_dir():
        return f"--resume-from {options.resume_from}: there is no such folder"
    return ""


if __name__ == "__main__":
    sys.exit(main())
