from __future__ import annotations

import pytest

from store.webhooks import Webhook, checked_webhook, may_be_called
from trainer.errors import InvalidInput


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/services/T0/B0?x=1",
        "http://192.168.1.20:8000/done",
        "http://10.0.0.3/",
        "http://lab-server/hook",
        "https://[fd12::1]/hook",
        "http://8.8.8.8",
    ],
)
def test_other_machines_may_be_told_those_of_the_lab_too(url: str) -> None:
    assert checked_webhook(f" {url} ", each_run=True) == Webhook(url, True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1.2.3:9000/x",
        "http://localhost:8765/",
        "http://a.localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
    ],
)
def test_this_machine_and_metadata_services_are_refused_unless_named(url: str) -> None:
    with pytest.raises(InvalidInput, match="TUNEBOARD_WEBHOOK_HOSTS"):
        checked_webhook(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y",
        "file:///etc/passwd",
        "x",
        "http://",
        "http://a b/",
        "http://u:p@x/",
        "http://x:99999/",
    ],
)
def test_only_plain_http_addresses_are_taken(url: str) -> None:
    with pytest.raises(InvalidInput, match="webhook"):
        checked_webhook(url)


def test_an_empty_address_is_no_webhook_and_a_long_one_is_refused() -> None:
    assert checked_webhook("  ", each_run=True) == Webhook()
    with pytest.raises(InvalidInput, match="at most"):
        checked_webhook("https://x.example/" + "a" * 2000)


def test_a_named_host_is_excepted() -> None:
    assert checked_webhook("http://127.0.0.1:9/x", hosts=["127.0.0.1"]).url
    assert may_be_called("127.0.0.1", "receiver", ["receiver"])
    assert not may_be_called("127.0.0.1", "receiver", [])
    assert may_be_called("192.168.0.9", "receiver", [])
