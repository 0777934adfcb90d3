"""The compose file says what it should, and its services work together on real servers."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml

from tests.deploy.composed import ROOT, MissingVariable, Service, read_compose
from tests.pictures import COLOURS, write_pictures
from tests.tuneboard.processes import end_all, free_port, processes_of, until
from tuneboard.client import Client
from tuneboard.problems import Refused

TOKEN = "a-token-for-the-test-alone"  # noqa: S105 — guards a server of this test
VARIABLES = {"TUNEBOARD_ACCESS_TOKENS": f"tester:{TOKEN}"}
OURS = ("web", "worker", "interactive")
SERVERS = ("redis", "postgres")
REDIS_URL = os.environ.get("TUNEBOARD_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


@pytest.fixture
def compose() -> dict[str, Any]:
    return read_compose(VARIABLES)


def test_it_has_the_services_and_gives_each_a_volume_and_a_health_check(
    compose: dict[str, Any],
) -> None:
    services = compose["services"]
    assert set(services) == {*OURS, *SERVERS}
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert service["restart"] == "unless-stopped", name
        named = {volume.split(":")[0] for volume in service["volumes"]}
        assert named & set(compose["volumes"]), name


@pytest.mark.parametrize("name", OURS)
def test_our_services_share_one_image_and_the_data_and_wait_for_the_servers(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert service["image"] == compose["services"]["web"]["image"]
    assert "data:/data" in service["volumes"]
    assert service["depends_on"] == {server: {"condition": "service_healthy"} for server in SERVERS}
    assert service["environment"]["TUNEBOARD_DATA_DIR"] == "/data"


def test_only_the_web_is_reachable_from_outside(compose: dict[str, Any]) -> None:
    published = {name for name, service in compose["services"].items() if "ports" in service}
    assert published == {"web"}


def test_it_insists_on_an_access_token() -> None:
    with pytest.raises(MissingVariable, match="TUNEBOARD_ACCESS_TOKENS"):
        read_compose({})


def test_the_workers_have_time_to_hand_back_before_they_are_killed(compose: dict[str, Any]) -> None:
    for name in ("worker", "interactive"):
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) >= 10


def test_the_gpu_file_reserves_a_gpu_for_the_worker_alone() -> None:
    merged = read_compose(VARIABLES, "docker-compose.yml", "docker-compose.gpu.yml")
    plain = read_compose(VARIABLES)
    worker = merged["services"]["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert worker["command"][-2:] == ["--device", "cuda"]
    assert worker["environment"] == plain["services"]["worker"]["environment"]
    changed = {n for n in plain["services"] if merged["services"][n] != plain["services"][n]}
    assert changed == {"worker"}


def test_the_image_runs_as_a_user_without_privileges_and_holds_what_the_services_need() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER tuneboard" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    ignored = (ROOT / ".dockerignore").read_text().split()
    for needed in ("app", "store", "trainer", "tuneboard", "worker", "templates", "recipes"):
        assert needed not in ignored
    assert {".git", ".venv", "tests"} <= set(ignored)


def test_docker_itself_accepts_both_files_where_it_can_be_asked() -> None:
    """Where the docker CLI has no compose, the files are at least YAML without unknown keys."""
    for files in (("docker-compose.yml",), ("docker-compose.yml", "docker-compose.gpu.yml")):
        if _has_compose():
            command = ["docker", "compose", *(f"--file={name}" for name in files), "config", "-q"]
            ran = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **VARIABLES}, capture_output=True, check=False
            )
            assert ran.returncode == 0, ran.stderr.decode()
        for name in files:
            raw = yaml.safe_load((ROOT / name).read_text())
            known = {"name", "services", "volumes"}
            assert {key for key in raw if not key.startswith("x-")} <= known
            for service in raw["services"].values():
                assert set(service) <= _SERVICE_KEYS


_SERVICE_KEYS = {
    *("build", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "init"),
    *("ports", "restart", "shm_size", "stop_grace_period", "volumes"),
}


def _has_compose() -> bool:
    try:
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return asked.returncode == 0


@pytest.fixture
def places(tmp_path: Path, empty_postgres_url: str) -> Iterator[dict[str, str]]:
    """What stands here for the containers' addresses and folders."""
    (tmp_path / "data").mkdir()
    write_pictures(tmp_path / "images" / "colours")
    server = urlsplit(REDIS_URL)._replace(path="/14").geturl()
    yield {
        "postgresql://tuneboard:tuneboard@postgres:5432/tuneboard": empty_postgres_url,
        "redis://redis:6379/0": server,
        "8765": str(free_port()),
        "/images": str(tmp_path / "images"),
        "/data": str(tmp_path / "data"),
    }
    end_all(tmp_path / "data")
    with redis.Redis.from_url(server) as client:
        for key in client.scan_iter("*tuneboard-*"):
            client.delete(key)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.xdist_group("whole")
def test_the_services_train_a_run_together_and_stop_cleanly(
    compose: dict[str, Any], places: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    services = {name: Service(compose["services"][name], places) for name in OURS}
    with ExitStack() as at_end:
        processes = {}
        for name, service in services.items():
            processes[name] = service.start(tmp_path / f"{name}.log")
            at_end.callback(_end, processes[name])
        for name, service in services.items():
            log = tmp_path / f"{name}.log"
            until(service.healthy, 60, f"{name} is healthy; its log: {log}")
        url = f"http://127.0.0.1:{places['8765']}"
        with Client(url, token="wrong") as stranger, pytest.raises(Refused, match="token"):  # noqa: S106
            stranger.runs()
        with Client(url, token=TOKEN) as client:
            client.add_dataset("colours", "folder", str(tmp_path / "images" / "colours"))
            launched = client.submit(
                {
                    "dataset": {"name": "colours", "input_size_px": 16},
                    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
                    "training": {"epochs": 2, "batch_size": 8},
                }
            )
            (run,) = client.wait(launched["id"], timeout_s=120)
            assert run["status"] == "succeeded", run["error"]
            assert run["owner"] == "tester"
            assert client.dataset("colours")["classes"] == sorted(COLOURS)
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in processes.items():
            assert process.wait(15) in {0, -signal.SIGTERM}, name
        until(lambda: processes_of(data_dir) == [], 5, "nothing is left running")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
