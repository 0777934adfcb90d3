"""Runs every measurement and prints one line each: `python -m bench [NAME ...]`."""

from __future__ import annotations

import sys

from bench import charts, compare, ingest, pickup, runs, series, tryit, upload, web

MEASUREMENTS = {
    "web": web.measure,
    "pickup": pickup.measure,
    "series": series.measure,
    "compare": compare.measure,
    "runs": runs.measure,
    "ingest": ingest.measure,
    "charts": charts.measure,
    "upload": upload.measure,
    "tryit": tryit.measure,
}


def main(wanted: list[str]) -> int:
    """Run the measurements named, or all."""
    unknown = set(wanted) - set(MEASUREMENTS)
    if unknown:
        print(f"No such measurement: {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}.")
        return 2
    for name in wanted or MEASUREMENTS:
        for line in MEASUREMENTS[name]():
            print(f"{name:8} {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
