"""Signed values for cookies, and the secret that signs them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from store.settings import Settings

SECRET_FILE = "secret.key"  # noqa: S105 - a file's name


class Signer:
    """Makes and checks values of the form expiry.nonce.signature.

    What a value stands for (its purpose and its facts) is under the signature but not in the
    value, so that a cookie shows nothing, and a changed token or owner makes it void.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def sign(self, purpose: str, lifetime_s: float, *facts: str) -> str:
        """Return a value that `verify` accepts for `lifetime_s` with the same facts."""
        opening = f"{int(self._clock() + lifetime_s)}.{secrets.token_urlsafe(16)}"
        return f"{opening}.{self._signature(opening, purpose, facts)}"

    def verify(self, value: str, purpose: str, *facts: str) -> bool:
        """Return whether `sign` made the value for these facts and it has not run out."""
        opening, _, signature = value.rpartition(".")
        if not matches(signature, self._signature(opening, purpose, facts)):
            return False
        return int(opening.partition(".")[0]) > self._clock()

    def _signature(self, opening: str, purpose: str, facts: tuple[str, ...]) -> str:
        message = "\0".join((opening, purpose, *facts)).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def matches(given: str, expected: str) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(given.encode(), expected.encode())


def signer(settings: Settings) -> Signer:
    """Return a signer with the settings' key, or the one kept in the data directory."""
    key = settings.secret_key.get_secret_value().encode()
    return Signer(key or _kept_key(settings.data_dir / SECRET_FILE))


def _kept_key(path: Path) -> bytes:
    """Return the key in the file; the first of several processes that ask makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first; its key counts
        finally:
            draft.unlink()
    return path.read_bytes()
