"""`tuneboard demo`: three runs on real images, side by side, and a server to look at them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from store.settings import Settings
from trainer.errors import FieldError, InvalidInput, nearest
from trainer.recipes import Recipe, load_recipe
from tuneboard.client import Client
from tuneboard.console import put_table, say
from tuneboard.listening import listen_from, port_of
from tuneboard.place import load_settings
from tuneboard.report import RESULT_COLUMNS, result_row
from tuneboard.up import serving, stopped_by_signals, wait_for_ever
from tuneboard.watch import watch_runs

DATA_DIR = Path(__file__).resolve().parent.parent / ".demo"
DATASETS = ("digits", "hymenoptera")


def run_demo(dataset: str, *, once: bool, port: int | None, data_dir: Path | None) -> int:
    """Serve, launch the dataset's study, show it, print its results; return the exit status.

    Args:
        dataset: One of DATASETS.
        once: Return after the results instead of serving on until Ctrl-C.
        port: Where to serve; None: `TUNEBOARD_PORT`, or the first free port from the usual on.
        data_dir: None: `TUNEBOARD_DATA_DIR`, or a folder of the demo's own in the checkout.

    Raises:
        InvalidInput: If something given cannot be used.
        Conflict: If a Tuneboard already runs with this data directory.
    """
    if dataset not in DATASETS:
        expected = " or ".join(DATASETS)
        raise InvalidInput.of(FieldError("dataset", dataset, expected, nearest(dataset, DATASETS)))
    settings, listener = _place(port, data_dir)
    recipe = load_recipe(f"demo-{dataset}")
    status = 130  # interrupted before the results were there
    with stopped_by_signals(), serving(settings, listener=listener, say=say) as address:
        say(f"Tuneboard answers at {address} (data: {settings.data_dir}).")
        with Client(address) as client:
            status = _launch_and_show(client, recipe)
        if not once:
            say(f"Serving at {address} until Ctrl-C.")
            wait_for_ever()
    return status


def _place(port: int | None, data_dir: Path | None) -> tuple[Settings, socket.socket | None]:
    """Return where to serve, and what listens there already if nobody chose the port."""
    if data_dir is None and not os.environ.get("TUNEBOARD_DATA_DIR"):
        data_dir = DATA_DIR
    settings = load_settings(port=port, data_dir=data_dir)
    if port is not None or os.environ.get("TUNEBOARD_PORT"):
        return settings, None
    listener = listen_from(settings.host, settings.port)
    return load_settings(port=port_of(listener), data_dir=settings.data_dir), listener


def _launch_and_show(client: Client, recipe: Recipe) -> int:
    study = client.launch_study(recipe.name, recipe.specs, note=recipe.note)
    say(f"Launched {len(study['runs'])} runs: {recipe.name}. The first waits for its images.")
    ended = watch_runs(client, study["runs"])
    put_table(RESULT_COLUMNS, [result_row(run) for run in ended])
    say(f"Compare them at {client.compare_address([run['id'] for run in ended])}")
    return 0 if all(run["status"] == "succeeded" for run in ended) else 1
