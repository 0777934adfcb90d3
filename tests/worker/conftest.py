from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.worker.house import House

REDIS_URL = os.environ.get("TUNEBOARD_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """SQLite and the embedded broker's socket; the broker itself is the test's to start."""
    built = House.build(tmp_path / "data")
    built.add_dataset()
    yield built
    built.close()


@pytest.fixture
def redis_url() -> str:
    """A real Redis over TCP."""
    try:
        with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        pytest.fail(
            f"No Redis at {REDIS_URL} ({error}). Start one, for example with `docker run -p "
            "6379:6379 redis:7`, or name another in TUNEBOARD_TEST_REDIS_URL.",
            pytrace=False,
        )
    return REDIS_URL


@pytest.fixture
def queue_prefix(redis_url: str) -> Iterator[str]:
    """A queue prefix that no other test has; its keys are gone afterwards."""
    prefix = f"tuneboard-test-{secrets.token_hex(6)}"
    yield prefix
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(f"*{prefix}*", count=1000):
            client.delete(key)


@pytest.fixture
def scaled_house(
    tmp_path: Path, postgres_url: str, redis_url: str, queue_prefix: str
) -> Iterator[House]:
    """PostgreSQL and a real Redis over TCP."""
    built = House.build(tmp_path / "data", postgres_url, broker_url=redis_url, queue=queue_prefix)
    built.add_dataset()
    yield built
    built.close()


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("scaled", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ]
)
def any_house(request: pytest.FixtureRequest) -> House:
    """Either installation, its broker running."""
    if request.param == "scaled":
        scaled: House = request.getfixturevalue("scaled_house")
        return scaled
    embedded: House = request.getfixturevalue("house")
    embedded.start_broker()
    return embedded
