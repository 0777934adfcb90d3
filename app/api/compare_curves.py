"""The curves of several runs as packed columns: what the Compare page draws."""

from __future__ import annotations

import gzip
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.compare_curves import CURVES_LIMIT, METRICS_LIMIT, Question, curves_payload
from app.dependencies import StoreDep
from app.figures.compare import RUNS_LIMIT
from app.figures.groups import Band
from app.figures.packed import XAxis
from store.values import ID_LIMIT

GZIP_LEVEL = 1  # half the time of level 5, for 9 % more bytes

router = APIRouter(tags=["compare"])


@router.get(
    "/compare/curves",
    name="compare_curves",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}, "description": "Packed curves."}},
)
def compare_curves(
    request: Request,
    store: StoreDep,
    run: Annotated[
        list[Annotated[int, Query(ge=1, le=ID_LIMIT)]],
        Query(min_length=1, max_length=RUNS_LIMIT, description="Runs, in order."),
    ],
    metric: Annotated[
        list[str],
        Query(
            min_length=1,
            max_length=METRICS_LIMIT,
            description="Recorded series; a run without one has no curve.",
        ),
    ],
    x: Annotated[XAxis, Query(description="What the columns `x` hold.")] = "epoch",
    start: Annotated[
        float | None, Query(alias="from", description="Leave out what lies before.")
    ] = None,
    end: Annotated[
        float | None, Query(alias="to", description="Leave out what lies after.")
    ] = None,
    points: Annotated[
        int | None,
        Query(
            ge=5,
            le=CURVES_LIMIT,
            description="At most so many a curve; left out: what 80,000 in all allow each.",
        ),
    ] = None,
    group: Annotated[
        str,
        Query(
            max_length=200,
            description="Mean and band of the runs alike in this field of their specs, or in all "
            "`settings` but the seed; left out: a curve a run.",
        ),
    ] = "",
    band: Annotated[
        Band, Query(description="Least to greatest, or one standard deviation.")
    ] = "minmax",
) -> Response:
    """Return curves in columns of little-endian float32, base64, one curve after the other.

    Longer series are down-sampled: of each of equal buckets the least, the greatest and a missing
    value are kept, so no spike and no gap is lost. `sampled_from` says the longest one's length.
    NaN in `y` is a gap. Of groups `y` is the mean, and `runs` how many runs each point has;
    `ended` names the runs that end before the longest of their group, `without` those that have
    no value at all.
    """
    asked = Question(
        tuple(dict.fromkeys(run)), tuple(dict.fromkeys(metric)), x, start, end, points, group, band
    )
    body = json.dumps(curves_payload(store, asked), allow_nan=False, separators=(",", ":")).encode()
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return Response(body, headers=headers, media_type="application/json")
