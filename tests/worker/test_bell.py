from __future__ import annotations

import logging
import subprocess
import sys
import time

import pytest
import redis

from store.settings import Settings
from tests.worker.house import House, wait_until
from worker import bell as bell_module
from worker.bell import PENDING_LIMIT, WAITING_LIMIT, Bell
from worker.broker import broker_client
from worker.celery import PREPARE_TASK, WAKE_TASK


def _waiting(settings: Settings, queue: str) -> int:
    with broker_client(settings) as client:
        return int(client.llen(queue))


def test_a_ring_reaches_its_own_queue(any_house: House) -> None:
    settings = any_house.settings
    bell = Bell(settings)
    bell.ring_train()
    bell.ring_interactive()
    wait_until(lambda: _waiting(settings, settings.train_queue) == 1)
    wait_until(lambda: _waiting(settings, settings.interactive_queue) == 1)
    bell.close()


def test_a_ring_before_the_end_of_the_process_is_still_published(house: House) -> None:
    house.start_broker()
    bell = Bell(house.settings)
    bell.ring_train()
    bell.close()
    assert _waiting(house.settings, house.settings.train_queue) == 1


def test_a_queue_is_not_filled_without_bound(house: House) -> None:
    house.start_broker()
    bell = Bell(house.settings)
    for _ in range(WAITING_LIMIT + 10):
        assert bell.ring_now(WAKE_TASK)
    assert _waiting(house.settings, house.settings.train_queue) == WAITING_LIMIT
    assert bell.ring_now(WAKE_TASK, unless_waiting=1)
    assert _waiting(house.settings, house.settings.train_queue) == WAITING_LIMIT
    bell.close()


def test_ringing_without_a_broker_returns_at_once_and_is_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    bell = Bell(house.settings)
    with caplog.at_level(logging.WARNING, bell_module.__name__):
        bell.ring_train()
        wait_until(lambda: "Could not ring" in caplog.text)
    assert not bell.ring_now(PREPARE_TASK)
    bell.close()


def test_rings_that_wait_in_the_process_are_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = Bell(house.settings)
    asked = []

    def publish(task: str) -> bool:
        asked.append(task)
        time.sleep(0.001)
        return True

    monkeypatch.setattr(bell, "ring_now", publish)
    with bell._changed:  # nothing is taken out while this is held
        for _ in range(10 * PENDING_LIMIT):
            bell.ring_train()
    wait_until(lambda: not bell._pending.total())
    bell.close()
    assert len(asked) == PENDING_LIMIT


def test_a_bell_rings_again_after_its_broker_was_restarted(house: House) -> None:
    broker = house.start_broker()
    bell = Bell(house.settings)
    assert bell.ring_now(WAKE_TASK)
    broker.kill()
    broker.wait()
    assert not bell.ring_now(WAKE_TASK)
    house.start_broker()
    assert bell.ring_now(WAKE_TASK)
    assert _waiting(house.settings, house.settings.train_queue) == 2
    bell.close()


@pytest.mark.redis
def test_two_installations_on_one_redis_share_no_key(
    house: House, redis_url: str, queue_prefix: str
) -> None:
    for name in ("one", "two"):
        settings = house.settings.model_copy(
            update={"broker_url": redis_url, "queue": f"{queue_prefix}-{name}"}
        )
        bell = Bell(settings)
        assert bell.ring_now(WAKE_TASK)
        bell.close()
    with redis.Redis.from_url(redis_url) as client:
        keys = {key.decode() for key in client.scan_iter(f"*{queue_prefix}*", count=1000)}
    assert {f"{queue_prefix}-one.train", f"{queue_prefix}-two.train"} <= keys


def test_importing_the_bell_is_light() -> None:
    program = (
        "import sys, worker.bell; "
        "print([name for name in ('torch', 'numpy', 'sklearn', 'sqlalchemy', 'plotly') "
        "if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
