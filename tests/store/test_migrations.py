from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import SQLModel

from store.database import Store, open_store
from store.migrations import HEAD, config
from store.rows import (
    AttemptRow,
    ComparisonRow,
    DatasetRow,
    EvaluationRow,
    EventRow,
    JobRow,
    RunRow,
    SummaryRow,
    WorkerRow,
)
from store.tables import (
    ATTEMPTS,
    COMPARISONS,
    DATASETS,
    EVALUATIONS,
    JOBS,
    METRIC_SUMMARIES,
    RUN_EVENTS,
    RUNS,
    WORKERS,
)
from trainer.errors import TuneboardError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*expression-based index"  # SQLite's cannot be compared
)

START = (
    "import sys; from store.database import open_store; s = open_store(sys.argv[1]); s.migrate(); "
    "print('alembic' in sys.modules); s.dispose()"
)


def differences(store: Store) -> list[object]:
    """Return how the database's schema differs from the tables."""
    with store.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        return list(compare_metadata(context, SQLModel.metadata))


def test_the_migrations_make_what_the_tables_say(empty_store: Store) -> None:
    with empty_store.write() as conn:
        command.upgrade(config(conn), HEAD)
    assert differences(empty_store) == []


def test_an_empty_database_gets_the_same_schema_at_once(empty_store: Store) -> None:
    empty_store.migrate()
    assert differences(empty_store) == []
    with empty_store.read() as conn:
        assert conn.scalars(text("SELECT version_num FROM alembic_version")).all() == [HEAD]


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(config()).get_current_head() == HEAD


def test_a_start_without_a_change_needs_no_alembic(store_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, store_url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_several_processes_may_start_at_once(empty_store: Store) -> None:
    url = empty_store.engine.url.render_as_string(hide_password=False)

    def start(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", START, url], capture_output=True, text=True, check=False
        )

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(start, range(4)))
    assert [process.stderr for process in done if process.returncode] == []
    store = open_store(url)
    with store.read() as conn:
        assert conn.scalars(text("SELECT version_num FROM alembic_version")).all() == [HEAD]
    store.dispose()


def test_a_newer_database_is_refused_with_a_remedy(empty_store: Store) -> None:
    empty_store.migrate()
    with empty_store.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(TuneboardError, match="Upgrade Tuneboard"):
        empty_store.migrate()


@pytest.mark.parametrize(
    ("row", "table"),
    [
        (RunRow, RUNS),
        (AttemptRow, ATTEMPTS),
        (EventRow, RUN_EVENTS),
        (DatasetRow, DATASETS),
        (WorkerRow, WORKERS),
        (EvaluationRow, EVALUATIONS),
        (JobRow, JOBS),
        (ComparisonRow, COMPARISONS),
        (SummaryRow, METRIC_SUMMARIES),
    ],
)
def test_rows_mirror_tables(row: type, table: object) -> None:
    assert list(row.__dataclass_fields__) == list(table.c.keys())
