from __future__ import annotations

from pathlib import Path

from store.settings import Settings
from worker.celery import make_app


def test_settings_are_those_found_by_experiment(tmp_path: Path) -> None:
    conf = make_app(Settings(data_dir=tmp_path)).conf
    assert conf.task_acks_late is False
    assert conf.result_backend is None
    assert conf.task_ignore_result is True
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_disable_prefetch is True
    assert conf.worker_cancel_long_running_tasks_on_connection_loss is False
    assert conf.broker_connection_retry_on_startup is True
    assert conf.broker_connection_max_retries is None
    options = conf.broker_transport_options
    assert options["socket_timeout"] == 10
    assert options["socket_connect_timeout"] == 2
    assert options["health_check_interval"] == 5
    assert options["max_retries"] == conf.task_publish_retry_policy["max_retries"] == 1
    assert conf.accept_content == ["json"]


def test_queues_are_named_after_the_installation(tmp_path: Path) -> None:
    one, two = (Settings(data_dir=tmp_path / name) for name in ("one", "two"))
    names = [{queue.name for queue in make_app(each).conf.task_queues} for each in (one, two)]
    assert names[0] == {one.train_queue, one.interactive_queue}
    assert not names[0] & names[1]


def test_a_unix_socket_and_a_server_elsewhere_are_both_addresses(tmp_path: Path) -> None:
    embedded = Settings(data_dir=tmp_path)
    scaled = Settings(data_dir=tmp_path, broker_url="redis://redis:6379/0")
    socket = f"redis+socket://{embedded.broker_socket}"
    assert make_app(embedded).conf.broker_url == socket
    assert make_app(scaled).conf.broker_url == "redis://redis:6379/0"
