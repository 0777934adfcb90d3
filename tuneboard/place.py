"""Where the server is: settings, the data directory's locks and its address file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput
from trainer.parsing import field_errors

URL_VARIABLE = "TUNEBOARD_URL"
ENDING_WITHIN_S = 20.0  # guards need at most 10 s after a kill -9 of `up`


def load_settings(**given: Any) -> Settings:
    """Return the settings of the environment with those of `given` that are not None put in.

    Raises:
        InvalidInput: Naming each setting that cannot be used.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        found = field_errors(error, Settings)
        named = (
            FieldError(f"TUNEBOARD_{item.field.upper()}", item.value, item.expected, item.remedy)
            for item in found
        )
        raise InvalidInput.of(*named) from error


def web_address(settings: Settings) -> str:
    """Return the address at which a browser on this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def server_url(given: str | None = None) -> str:
    """Return `given`, `TUNEBOARD_URL`, the data directory's address or the default, in this order.

    Raises:
        InvalidInput: If the environment's settings cannot be read.
    """
    chosen = given or os.environ.get(URL_VARIABLE, "")
    if chosen:
        return chosen.rstrip("/")
    settings = load_settings()
    try:
        return _address_file(settings).read_text().strip() or web_address(settings)
    except FileNotFoundError:
        return web_address(settings)


def publish_address(settings: Settings) -> None:
    """Write the address where the commands look for it."""
    temporary = _address_file(settings).with_suffix(".new")
    temporary.write_text(web_address(settings) + "\n")
    temporary.replace(_address_file(settings))


def withdraw_address(settings: Settings) -> None:
    """Remove the address file of a server that ends."""
    _address_file(settings).unlink(missing_ok=True)


@contextmanager
def occupied(settings: Settings, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the data directory; yields a descriptor for the guards to inherit.

    Two locks: one is held by `up` itself, one lasts until its last guard has ended, so that after
    a kill -9 the next `up` waits for what still runs.

    Raises:
        Conflict: If another `up` holds the directory.
        InvalidInput: If the directory cannot be made or written.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        own = os.open(settings.data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        guards = os.open(settings.data_dir / "children.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InvalidInput.of(
            FieldError(
                "TUNEBOARD_DATA_DIR",
                str(settings.data_dir),
                f"a folder this user may write ({error.strerror})",
                "Choose another with --data-dir.",
            )
        ) from error
    try:
        if not _lock(own):
            holder = os.pread(own, 200, 0).decode(errors="replace").split()
            where = holder[1] if len(holder) == 2 else "an address not known yet"
            pid = f" (process {holder[0]})" if holder else ""
            raise Conflict(
                f"Tuneboard is already running at {where}{pid} with the data in "
                f"{settings.data_dir}.",
                "Use that one, stop it, or choose another folder with --data-dir.",
            )
        os.ftruncate(own, 0)
        os.pwrite(own, f"{os.getpid()} {web_address(settings)}\n".encode(), 0)
        _wait_for_guards(guards, say)
        yield guards
    finally:
        os.close(own)
        os.close(guards)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_guards(descriptor: int, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + ENDING_WITHIN_S
    told = False
    while not _lock(descriptor):
        if not told:
            say("Waiting for the processes of an earlier Tuneboard to end…")
            told = True
        if time.monotonic() > deadline:
            raise Conflict(
                "Processes of an earlier Tuneboard still use this data directory.",
                "Look for `tuneboard.guard` in the process list and end them.",
            )
        time.sleep(0.1)


def _address_file(settings: Settings) -> Path:
    return settings.data_dir / "address"
