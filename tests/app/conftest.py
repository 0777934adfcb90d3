"""An application on a database of its own, with a bell that only notes its rings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from sqlmodel import SQLModel

from app.main import create_app
from store.database import Store, open_store
from store.datasets import dataset_ready, register_dataset
from store.rows import DatasetRow
from store.settings import Settings
from tests.pictures import write_pictures
from tests.seeding import Seeded, add_collection, add_workers, seed
from trainer.datasets.prepare import prepare

SPEC = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2},
}


@dataclass
class FakeBell:
    rings: list[str] = field(default_factory=list)
    closed: bool = False

    def ring_train(self) -> None:
        self.rings.append("train")

    def ring_interactive(self) -> None:
        self.rings.append("interactive")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def data_dir(tmp_path: Path, sqlite_template: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "tuneboard.db")
    return folder


@pytest.fixture
def settings(data_dir: Path, tmp_path: Path) -> Settings:
    (tmp_path / "open").mkdir()
    return Settings(
        data_dir=data_dir,
        allowed_hosts=("testserver",),
        data_roots=(tmp_path / "open",),
        secret_key="a secret for tests",  # noqa: S106
    )


@pytest.fixture
def store(settings: Settings) -> Store:
    opened = open_store(settings)
    yield opened
    opened.dispose()


@pytest.fixture
def bell() -> FakeBell:
    return FakeBell()


@pytest.fixture
def app(settings: Settings, store: Store, bell: FakeBell) -> FastAPI:
    return create_app(settings, store=store, bell=bell)


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    with TestClient(app, follow_redirects=False) as opened:
        yield opened


@pytest.fixture
def run_id(client: TestClient) -> int:
    """A queued run."""
    answer = client.post("/api/v1/runs", json=SPEC)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.fixture
def external_id(client: TestClient) -> int:
    """A run that a script reports."""
    answer = client.post("/api/v1/runs?external=true", json=SPEC)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.fixture
def pictures(settings: Settings, store: Store, tmp_path: Path) -> DatasetRow:
    """A prepared dataset of three classes with four pictures each."""
    folder = write_pictures(tmp_path / "open" / "pictures", per_class=4)
    row = register_dataset(store, "pictures", "folder", str(folder), "local")
    manifest = prepare(
        "folder",
        str(folder),
        "pictures",
        settings.dataset_dir(row.id),
        roots=settings.data_roots,
    )
    assert dataset_ready(store, row.id, manifest.fingerprint, manifest.summary())
    return row


@pytest.fixture
def holiday(settings: Settings, store: Store, tmp_path: Path) -> DatasetRow:
    """A collection of three images without classes."""
    folder = tmp_path / "open" / "holiday"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (20, 10 + number), "red").save(folder / f"{number}.png")
    return add_collection(store, settings, folder)


def epoch_event(epoch: int, **changes: object) -> dict[str, object]:
    """Return an epoch_finished event as a script would send it."""
    return {
        "kind": "epoch_finished",
        "time": 1.0,
        "epoch": epoch,
        "step": epoch * 10,
        "elapsed_s": epoch * 1.5,
        "train_loss": 1.0 / epoch,
        "train_accuracy": 0.5,
        "val_loss": 2.0 / epoch,
        "val_accuracy": epoch / 10,
        "learning_rate": 0.1,
        "is_best": True,
        "seconds": {"compute": 1.0},
        **changes,
    }


FINISHED = {
    "kind": "run_finished",
    "time": 3.0,
    "best_epoch": 2,
    "best_val_accuracy": 0.2,
    "epochs": 2,
    "steps": 20,
    "elapsed_s": 3.0,
    "standalone_s": 3.0,
    "seconds": {},
}


def assert_problem(answer, status: int, title: str | None = None) -> dict:
    """Check that an answer is a problem in our one shape, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "status", "detail", "remedy", "errors"} <= set(problem)
    for error in problem["errors"]:
        assert {"field", "value", "expected", "remedy", "message"} == set(error)
    if title is not None:
        assert problem["title"] == title
    return problem


@pytest.fixture(scope="session")
def seeded_template(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> tuple[Path, Seeded]:
    """A data directory with runs in every state, made once."""
    folder = tmp_path_factory.mktemp("seeded")
    shutil.copy(sqlite_template, folder / "tuneboard.db")
    settings = Settings(data_dir=folder)
    opened = open_store(settings)
    numbers = seed(opened, settings)
    opened.dispose()
    return folder, numbers


@pytest.fixture
def seeded(
    client: TestClient, store: Store, settings: Settings, seeded_template: tuple[Path, Seeded]
) -> Seeded:
    """Runs in every state, in this test's own database."""
    folder, numbers = seeded_template
    connection = store.engine.raw_connection()
    connection.cursor().execute("ATTACH ? AS template", (str(folder / "tuneboard.db"),))
    for table in SQLModel.metadata.sorted_tables:
        query = f"INSERT INTO main.{table.name} SELECT * FROM template.{table.name}"  # noqa: S608
        connection.cursor().execute(query)
    connection.cursor().execute("DETACH template")
    connection.close()
    shutil.copytree(folder / "datasets", settings.datasets_dir)
    add_workers(store)
    return numbers
