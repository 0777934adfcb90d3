from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import settings as settings_module
from store.settings import SOCKET_PATH_LIMIT_BYTES, Settings
from tests.worker.house import House
from worker.bell import Bell
from worker.broker import (
    BrokerUnavailable,
    broker_client,
    embedded_broker_command,
    wait_for_broker,
)
from worker.celery import WAKE_TASK


def _waiting(settings: Settings) -> int:
    with broker_client(settings) as client:
        return int(client.llen(settings.train_queue))


def _ring(settings: Settings) -> bool:
    bell = Bell(settings)
    try:
        return bell.ring_now(WAKE_TASK)
    finally:
        bell.close()


def test_broker_answers_on_a_socket_that_only_its_owner_may_use(house: House) -> None:
    house.start_broker()
    mode = house.settings.broker_socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o700
    with broker_client(house.settings) as client:
        assert client.config_get("port")["port"] == "0"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("save")["save"] == ""


def test_messages_survive_a_kill_of_the_broker_and_its_stale_socket_does_no_harm(
    house: House,
) -> None:
    broker = house.start_broker()
    for _ in range(3):
        assert _ring(house.settings)
    broker.kill()
    broker.wait()
    assert house.settings.broker_socket.exists()
    house.start_broker()
    assert _waiting(house.settings) == 3


def test_broker_starts_with_a_torn_append_only_file(house: House) -> None:
    broker = house.start_broker()
    for _ in range(3):
        assert _ring(house.settings)
    broker.kill()
    broker.wait()
    (journal,) = house.settings.broker_dir.glob("appendonlydir/*.incr.aof")
    os.truncate(journal, journal.stat().st_size - 20)
    house.start_broker()
    assert _waiting(house.settings) == 2


@pytest.fixture
def short_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of our own in place of the system's for temporary files."""
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        monkeypatch.setattr(settings_module, "SHORT_SOCKETS_DIR", Path(folder))
        yield Path(folder)


def test_a_data_directory_too_deep_for_a_socket_gets_a_short_path(
    tmp_path: Path, short_dir: Path
) -> None:
    deep = Settings(data_dir=tmp_path.joinpath(*["deeper" * 5] * 4))
    other = Settings(data_dir=tmp_path.joinpath(*["elsewhere" * 5] * 4))
    assert len(os.fsencode(deep.broker_socket)) <= SOCKET_PATH_LIMIT_BYTES
    assert deep.broker_socket != other.broker_socket
    with subprocess.Popen(embedded_broker_command(deep), stdout=subprocess.DEVNULL) as broker:
        try:
            wait_for_broker(deep, alive=lambda: broker.poll() is None)
            assert _ring(deep)
            assert stat.S_IMODE(deep.broker_socket.parent.stat().st_mode) == 0o700
        finally:
            broker.terminate()


def test_a_folder_for_sockets_that_is_not_ours_is_refused(tmp_path: Path, short_dir: Path) -> None:
    deep = Settings(data_dir=tmp_path.joinpath(*["deeper" * 5] * 4))
    (short_dir / "trap").mkdir()
    deep.broker_socket.parent.symlink_to(short_dir / "trap")
    with pytest.raises(BrokerUnavailable, match="belongs to somebody else"):
        embedded_broker_command(deep)


def test_strange_characters_in_the_data_directory_reach_the_broker(tmp_path: Path) -> None:
    strange = Settings(data_dir=tmp_path / "a b%41;é?#,")
    with subprocess.Popen(embedded_broker_command(strange), stdout=subprocess.DEVNULL) as broker:
        try:
            wait_for_broker(strange, alive=lambda: broker.poll() is None)
            assert _ring(strange)
            assert _waiting(strange) == 1
        finally:
            broker.terminate()


def test_waiting_for_a_broker_that_has_died_ends_at_once_and_says_where_to_look(
    house: House,
) -> None:
    with pytest.raises(BrokerUnavailable, match="did not answer") as caught:
        wait_for_broker(house.settings, timeout_s=600, alive=lambda: False)
    assert caught.value.remedy == "Its log says more."


def test_a_password_does_not_get_into_the_message(tmp_path: Path) -> None:
    there = Settings(data_dir=tmp_path, broker_url="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailable, match=r"redis://127\.0\.0\.1:1/0") as caught:
        wait_for_broker(there, timeout_s=0)
    assert "secret" not in str(caught.value)
