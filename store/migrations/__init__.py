"""Numbered steps from an older database to this version's schema, run by `upgrade`.

To add one: change the tables, run `python -m store.migrations "what changes"`, read and mend
the file it writes to `versions/`, and set `HEAD` to its number. Alembic is imported only when
there is something to do: the web process starts without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

from store import tables  # noqa: F401 - fills the metadata
from trainer.errors import TuneboardError

if TYPE_CHECKING:
    from store.database import Store

HEAD = "0015"
HERE = Path(__file__).parent
_LOCK = 0x54554E45424F4152  # "TUNEBOAR"; PostgreSQL's advisory locks are numbers


def upgrade(store: Store) -> None:
    """Bring the schema to `HEAD`; see `Store.migrate`."""
    with store.read() as conn:
        if _version(conn) == HEAD:
            return
    with store.write() as conn:  # on SQLite this waits for whoever else is at it
        if not store.is_sqlite:
            conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        version = _version(conn)
        if version is None:
            _create(conn)
        elif version != HEAD:
            _upgrade(conn, version)


def config(conn: Connection | None = None) -> Any:
    """Return Alembic's configuration, for work on that connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(HERE))
    made.attributes["connection"] = conn
    return made


def _version(conn: Connection) -> str | None:
    if not inspect(conn).has_table("alembic_version"):
        return None
    version: str | None = conn.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _create(conn: Connection) -> None:
    """Make an empty database's schema from the tables; a test says that it equals the steps'.

    Alembic would stay in memory for the life of the process, a tenth of what the web weighs.
    """
    SQLModel.metadata.create_all(conn)
    conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    conn.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _upgrade(conn: Connection, version: str) -> None:
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(config(conn), HEAD)
    except CommandError as error:
        raise TuneboardError(
            f"The database has schema {version}, which this Tuneboard, at {HEAD}, does not know.",
            "Upgrade Tuneboard, or give it another database.",
        ) from error
