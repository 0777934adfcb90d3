"""Write the next migration: `python -m store.migrations "what changes"`.

Compares the tables as the code has them with those of an SQLite database at the newest migration.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from store.database import open_store
from store.migrations import HEAD, config


def main(message: str) -> None:
    """Write `versions/NNNN_MESSAGE.py` from the difference between tables and migrations."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'empty.db'}")
        number = f"{int(HEAD) + 1:04d}"
        with store.write() as conn:
            command.upgrade(config(conn), HEAD)
            command.revision(config(conn), message, autogenerate=True, rev_id=number)
        store.dispose()


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or sys.exit("usage: python -m store.migrations MESSAGE"))
