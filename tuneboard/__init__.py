"""The command line, the Python client and the process supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneboard.client import Client as Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for, so that `tuneboard --help` need not wait for it."""
    if name == "Client":
        from tuneboard.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
