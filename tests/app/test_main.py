from __future__ import annotations

import json
import subprocess
import sys

from fastapi.testclient import TestClient

from app.latebell import LateBell
from app.main import create_app
from store.settings import Settings
from tests.app.conftest import FakeBell

HEAVY = ("torch", "numpy", "plotly", "sklearn", "PIL", "alembic", "celery", "kombu", "redis")


def test_the_application_starts_without_anything_heavy(data_dir):
    code = f"""
import json, sys
from fastapi.testclient import TestClient
from app.main import create_app
with TestClient(create_app(), base_url="http://localhost") as client:
    assert client.get("/healthz").status_code == 200
    assert client.get("/runs").status_code == 200
    assert client.get("/api/v1/runs").status_code == 200
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    environment = {"TUNEBOARD_DATA_DIR": str(data_dir), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_fresh_data_directory_is_set_up(tmp_path):
    settings = Settings(data_dir=tmp_path / "new", allowed_hosts=("testserver",))
    bell = FakeBell()
    with TestClient(create_app(settings, bell=bell)) as client:
        assert client.get("/healthz").json() == {
            "status": "ok",
            "version": "0.1.0",
            "installation": settings.queue_prefix,
        }
        assert client.get("/api/v1/runs").json() == {
            "runs": [],
            "table": [],
            "next_cursor": None,
        }
    assert bell.closed


def test_health_takes_no_other_method(client):
    assert client.post("/healthz").status_code == 405


def test_the_late_bell_is_made_when_first_rung_and_rings_in_order(settings):
    made: list[FakeBell] = []

    def make(given: Settings) -> FakeBell:
        assert given is settings
        made.append(FakeBell())
        return made[-1]

    bell = LateBell(settings, make)
    assert made == []
    bell.ring_interactive()
    bell.ring_train()
    bell.close()
    [inner] = made
    assert inner.rings == ["interactive", "train"]
    assert inner.closed


def test_a_bell_that_cannot_be_made_hurts_nobody(settings, caplog):
    def make(_: Settings) -> FakeBell:
        raise OSError("no broker")

    bell = LateBell(settings, make)
    bell.ring_train()
    bell.close()
    assert "Could not ring" in caplog.text
