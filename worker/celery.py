"""The Celery application: a doorbell and nothing more.

A message says "there may be work"; what the work is stands in the database. So messages are
acknowledged early, never retried and never carry arguments. The settings were found by
experiment: each guards against a way in which a broker that is down, frozen or restarted would
hang a publisher or deafen a worker.
"""

from __future__ import annotations

from celery import Celery
from kombu import Exchange, Queue

from store.settings import Settings

WAKE_TASK = "tuneboard.wake"
PREPARE_TASK = "tuneboard.prepare"

_RECONNECT = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}


def make_app(settings: Settings) -> Celery:
    """Return the application that speaks to the broker of `settings`; connects to nothing yet."""
    app = Celery("tuneboard", broker=settings.celery_broker_url, set_as_current=False)
    prefix = settings.queue_prefix
    app.conf.update(
        task_acks_late=False,
        result_backend=None,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_queues=[_queue(settings.train_queue), _queue(settings.interactive_queue)],
        task_default_queue=settings.train_queue,
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 10,
            "socket_connect_timeout": 2,
            "health_check_interval": 5,
            # Two installations on one Redis keep their books apart.
            "unacked_key": f"{prefix}.unacked",
            "unacked_index_key": f"{prefix}.unacked_index",
            "unacked_mutex_key": f"{prefix}.unacked_mutex",
            **_RECONNECT,
        },
        task_publish_retry_policy=_RECONNECT,
        control_exchange=f"{prefix}.pidbox",
        event_exchange=f"{prefix}.events",
    )
    return app


def _queue(name: str) -> Queue:
    return Queue(name, Exchange(name, type="direct"), routing_key=name)
