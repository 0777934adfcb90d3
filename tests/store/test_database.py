from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from store.database import Store, Unavailable, open_store
from store.settings import Settings
from store.tables import WORKERS


def worker(name: str) -> dict[str, object]:
    return {
        "id": name,
        "kind": "train",
        "hostname": "h",
        "pid": 1,
        "device": "cpu",
        "slots": 1,
        "started_at": 1.0,
        "heartbeat_at": 1.0,
        "draining": False,
        "details": {},
    }


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.write() as conn:
            conn.execute(insert(WORKERS).values(worker("w")))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.read() as conn:
        assert conn.execute(select(WORKERS)).all() == []


def test_json_columns_take_nan_and_nul(store: Store) -> None:
    details = {
        "nan": float("nan"),
        "inf": [float("inf")],
        "nul": "a\x00b",
        "half": "\ud800",
        "ü": 1,
    }
    with store.write() as conn:
        conn.execute(insert(WORKERS).values(worker("w") | {"details": details}))
    with store.read() as conn:
        found = conn.scalar(select(WORKERS.c.details))
    assert found == {"nan": None, "inf": [None], "nul": "a\ufffdb", "half": "\ufffd", "ü": 1}


def test_time_is_the_databases_and_moves_on(store: Store) -> None:
    with store.read() as conn:
        first = store.now(conn)
        inside = conn.scalar(select(store.clock()))
        second = store.now(conn)
    assert first <= inside <= second
    assert abs(first - time.time()) < 60


def test_sqlite_has_its_rules(sqlite_store: Store) -> None:
    with sqlite_store.read() as conn:
        assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
        assert conn.scalar(text("PRAGMA synchronous")) == 1
        assert conn.scalar(text("PRAGMA foreign_keys")) == 1
        assert conn.scalar(text("PRAGMA busy_timeout")) == 10_000
        assert conn.scalar(text("PRAGMA mmap_size")) == 0


def test_an_sqlite_writer_has_the_lock_from_the_start(sqlite_store: Store) -> None:
    path = sqlite_store.engine.url.database
    assert path
    driver: Any = sqlite_store.engine.dialect.dbapi  # a second SQLite library would see no locks
    other = driver.connect(path, timeout=0)
    with sqlite_store.read(), sqlite_store.read():
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
    with sqlite_store.write(), pytest.raises(driver.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_sqlite_readers_do_not_wait_for_a_writer(sqlite_store: Store) -> None:
    with sqlite_store.write() as writer:
        writer.execute(insert(WORKERS).values(worker("w")))
        with sqlite_store.read() as reader:
            assert reader.execute(select(WORKERS)).all() == []


def test_data_version_changes_with_others_writes(sqlite_store: Store) -> None:
    before = sqlite_store.data_version()
    assert sqlite_store.data_version() == before
    with sqlite_store.write() as conn:
        conn.execute(insert(WORKERS).values(worker("w")))
    assert sqlite_store.data_version() != before


def test_data_version_works_from_any_thread(sqlite_store: Store) -> None:
    seen: list[int | None] = []
    sqlite_store.data_version()
    thread = threading.Thread(target=lambda: seen.append(sqlite_store.data_version()))
    thread.start()
    thread.join()
    assert seen == [sqlite_store.data_version()]


@pytest.mark.postgres
def test_postgres_has_no_data_version(postgres_store: Store) -> None:
    assert postgres_store.data_version() is None


def test_a_database_that_does_not_answer_is_named_unavailable() -> None:
    store = open_store("postgresql://postgres@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="did not answer"), store.read():
        pass
    store.dispose()


def test_an_unreadable_file_is_named_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "tuneboard.db"
    path.mkdir()
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(Unavailable), store.read():
        pass
    store.dispose()


def test_the_settings_default_is_sqlite_in_the_data_directory(tmp_path: Path) -> None:
    store = open_store(Settings(data_dir=tmp_path / "new"))
    store.migrate()
    assert (tmp_path / "new" / "tuneboard.db").is_file()
    store.dispose()


def test_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="file"):
        open_store("sqlite://")
