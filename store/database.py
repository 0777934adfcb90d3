"""The engine and its rules: one way to read, one way to write, on SQLite and on PostgreSQL.

Functions elsewhere in this package take a `Store`; connections do not leave the package.
"""

from __future__ import annotations

import importlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    Insert,
    Table,
    create_engine,
    event,
    exc,
    literal,
    literal_column,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite

from store.settings import Settings, with_driver
from store.values import dump_json
from trainer.errors import TuneboardError

BUSY_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5
POOL_SIZE = 8
POOL_OVERFLOW = 32  # the web's thread pool has 40 threads


class Unavailable(TuneboardError):
    """The database does not answer; what was asked may be tried again."""

    title = "The database is unavailable"
    status = 503


class Store:
    """A database. Safe to share between threads; not to be carried over a fork."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writer = engine.execution_options(tuneboard_writes=True)
        self._watch_lock = threading.Lock()
        self._watch: Any = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that only reads.

        Raises:
            Unavailable: If the database does not answer.
        """
        with _outages(), self.engine.begin() as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that may write; on SQLite it has the write lock.

        Raises:
            Unavailable: If the database does not answer.
        """
        with _outages(), self._writer.begin() as conn:
            yield conn

    def clock(self) -> ColumnElement[float]:
        """Return the database's time, in Unix seconds, as an expression for a statement.

        SQLite lives on one machine, so its time is this process's at the time of the call.
        """
        if self.is_sqlite:
            return literal(time.time(), Float)
        return literal_column("extract(epoch from clock_timestamp())::float8", Float)

    def now(self, conn: Connection) -> float:
        """Return the database's time in Unix seconds."""
        if self.is_sqlite:
            return time.time()
        return float(
            conn.exec_driver_sql("SELECT extract(epoch from clock_timestamp())").scalar_one()
        )

    def data_version(self) -> int | None:
        """Return a number that changes when any process has written; None on PostgreSQL.

        Raises:
            Unavailable: If the database does not answer.
        """
        if not self.is_sqlite:
            return None
        with self._watch_lock, _outages():
            if self._watch is None:
                self._watch = self.engine.raw_connection()
            cursor = self._watch.cursor()
            try:
                return int(cursor.execute("PRAGMA data_version").fetchone()[0])
            finally:
                cursor.close()

    def migrate(self) -> None:
        """Bring the schema to this version; safe when several processes start at once.

        Raises:
            Unavailable: If the database does not answer.
            TuneboardError: If the database belongs to a newer Tuneboard.
        """
        from store.migrations import upgrade

        upgrade(self)

    def dispose(self) -> None:
        """Close all connections."""
        with self._watch_lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self.engine.dispose()


def open_store(settings_or_url: Settings | str) -> Store:
    """Return the database of the settings, or at a `sqlite:///…` or `postgresql://…` address.

    Nothing is created but the folder of an SQLite file; call `migrate` before first use.
    """
    address = (
        settings_or_url.store_url
        if isinstance(settings_or_url, Settings)
        else with_driver(settings_or_url)
    )
    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("the store needs an SQLite file: threads share it")
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        return Store(_sqlite_engine(address))
    return Store(
        create_engine(
            url,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            json_serializer=dump_json,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "tuneboard"},
        )
    )


def upsert(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> None:
    """Insert rows of equal columns, or overwrite those with the same keys."""
    if not rows:
        return
    conn.execute(_upsert(conn.dialect.name, table, tuple(rows[0]), tuple(keys)), list(rows))


@cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> Insert:
    """Return the statement; building it takes longer than running it."""
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    made: Insert = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    return made


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        raise Unavailable(
            f"The database did not answer: {reason}.", "Try again in a moment."
        ) from error


def _sqlite_engine(address: str) -> Engine:
    engine = create_engine(
        address,
        module=_sqlite_module(),
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        json_serializer=dump_json,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _sqlite_module() -> Any:
    """Return the wheel's SQLite: the system's may corrupt a WAL it resets (before 3.51.3)."""
    try:
        return importlib.import_module("pysqlite3")
    except ImportError:
        return sqlite3


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing; `_begin_sqlite` does
    cursor = connection.cursor()
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    # Changing to WAL is refused at once, whatever the busy time-out, while another one does it.
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL").fetchone()
        except connection.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(conn: Connection) -> None:
    writes = conn.get_execution_options().get("tuneboard_writes", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
