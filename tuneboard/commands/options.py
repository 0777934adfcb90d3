"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Address of the server; by default TUNEBOARD_URL, or the server on this machine.",
        show_default=False,
    ),
]
AcknowledgeLeaks = Annotated[
    bool,
    typer.Option(
        "--acknowledge-leaks",
        help="Launch though validation or test images are among the training images.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Port = Annotated[
    int | None,
    typer.Option(help="Port to serve on (TUNEBOARD_PORT).", show_default=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the database, datasets, runs and logs (TUNEBOARD_DATA_DIR).",
        show_default=False,
    ),
]
Webhook = Annotated[
    str, typer.Option(help="Address of http or https that is told when the study ends.")
]
WebhookRuns = Annotated[
    bool, typer.Option("--webhook-runs", help="Tell the webhook of each run's end as well.")
]
