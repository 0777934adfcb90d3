"""Fresh, migrated databases for tests.

An SQLite file is a copy of one made once a session. On PostgreSQL each session (each process of
pytest-xdist) has a database of its own, emptied before each test and dropped at the end. Nothing
is skipped where PostgreSQL is missing: the tests that need it fail and say how to start one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql
from sqlmodel import SQLModel

from store import tables  # noqa: F401 - fills the metadata
from store.database import Store, open_store

POSTGRES_URL = os.environ.get(
    "TUNEBOARD_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test"
)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("template") / "tuneboard.db"
    store = open_store(f"sqlite:///{path}")
    store.migrate()
    store.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    with _database() as url:
        store = open_store(url)
        store.migrate()
        store.dispose()
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    path = tmp_path / "store" / "tuneboard.db"
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    with psycopg.connect(postgres_database, autocommit=True) as conn:
        conn.execute(  # what a test before left behind may hold locks
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tables = sql.SQL(", ").join(map(sql.Identifier, SQLModel.metadata.tables))
        conn.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
    return postgres_database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database at the newest schema, on either engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A fresh store, once on SQLite and once on PostgreSQL."""
    yield from _opened(store_url)


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    yield from _opened(sqlite_url)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    yield from _opened(postgres_url)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The address of a database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'empty' / 'tuneboard.db'}"


@pytest.fixture
def empty_postgres_url() -> Iterator[str]:
    with _database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store without a schema."""
    yield from _opened(request.getfixturevalue(f"empty_{request.param}_url"))


def _opened(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.dispose()


@contextmanager
def _database() -> Iterator[str]:
    name = f"tuneboard_test_{os.getpid()}_{secrets.token_hex(4)}"
    try:
        server = psycopg.connect(POSTGRES_URL, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        pytest.fail(
            f"No PostgreSQL at {POSTGRES_URL} ({error}). Start one, for example with `docker run "
            "-p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust -e POSTGRES_DB=test postgres:15`, "
            "or name another in TUNEBOARD_TEST_POSTGRES_URL.",
            pytrace=False,
        )
    with server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield _with_database(name)
        finally:
            server.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def _with_database(name: str) -> str:
    parts = {**conninfo.conninfo_to_dict(POSTGRES_URL), "dbname": name}
    user = f"{parts.get('user') or 'postgres'}"
    password = f":{parts['password']}" if parts.get("password") else ""
    host = f"{parts.get('host') or '127.0.0.1'}:{parts.get('port') or 5432}"
    return f"postgresql://{user}{password}@{host}/{name}"
