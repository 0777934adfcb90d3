"""What the Compare page's curves are drawn from: read from the store and packed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from app.figures.packed import (
    Window,
    XAxis,
    base64_columns,
    best_point,
    packed_curve,
    points_share,
    wall_seconds,
)
from store.database import Store
from store.events import heads
from store.series import Column, best_epochs, each_series, series_names
from store.wallclock import gaps
from trainer.errors import FieldError, InvalidInput, NotFound

METRICS_LIMIT = 20
CURVES_LIMIT = 100_000  # points of one curve
_X_COLUMN: dict[XAxis, Column] = {
    "epoch": "epochs",
    "step": "steps",
    "seconds": "elapsed",
    "wall": "elapsed",
}


@dataclass(frozen=True)
class Question:
    """Which curves, against what, and which part of them."""

    run_ids: tuple[int, ...]
    metrics: tuple[str, ...]
    x: XAxis = "epoch"
    start: float | None = None
    end: float | None = None
    points: int | None = None

    def __post_init__(self) -> None:
        """Check what the parameters' own bounds do not.

        Raises:
            InvalidInput: If the window is none.
        """
        for name, value in (("from", self.start), ("to", self.end)):
            if value is not None and not math.isfinite(value):
                raise InvalidInput.of(FieldError(name, str(value), "a finite number"))
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise InvalidInput.of(
                FieldError("to", self.end, f"greater than `from`, {self.start:g}")
            )


def curves_payload(store: Store, asked: Question) -> dict[str, Any]:
    """Return the curves as `GET /api/v1/compare/curves` answers them.

    Raises:
        NotFound: If one of the runs does not exist.
    """
    known = heads(store, asked.run_ids)
    for run_id in asked.run_ids:
        if run_id not in known:
            raise NotFound(f"There is no run {run_id}.", "The Runs page lists those there are.")
    names = series_names(store, asked.run_ids)
    wanted = [name for name in asked.metrics if name in names]
    share = points_share(len(asked.run_ids) * max(1, len(wanted)), asked.points)
    best = best_epochs(store, asked.run_ids)
    stood_still = gaps(store, asked.run_ids) if asked.x == "wall" else {}
    columns: list[Column] = list(dict.fromkeys((_X_COLUMN[asked.x], "epochs", "steps", "values")))
    window = Window(asked.start, asked.end)
    packed, said = [], []
    for run_id, name, found in each_series(store, asked.run_ids, wanted, columns):
        by_name = dict(zip(columns, found, strict=True))
        xs = by_name[_X_COLUMN[asked.x]]
        if run_id in stood_still:
            xs = wall_seconds(by_name["steps"], xs, stood_still[run_id])
        curve = packed_curve(xs, by_name["values"], window, share)
        packed.append(curve)
        said.append(
            {
                "run": run_id,
                "metric": name,
                "points": len(curve.columns[0]),
                "total": curve.total,
                "last_step": by_name["steps"][-1],
                "ends_at": curve.ends_at,
                "best": best_point(best.get(run_id), by_name["epochs"], xs, by_name["values"]),
            }
        )
    longest = max((one["total"] for one in said if one["points"] < one["total"]), default=None)
    return {
        "x": asked.x,
        "metrics": names,
        "points_per_curve": share,
        "sampled_from": longest,
        "curves": said,
        "columns": base64_columns(packed, ("x", "y")),
    }
