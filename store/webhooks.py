"""Which addresses a study's webhook may have, for whoever takes one and whoever calls it.

A lab's own receiver on its network is welcome, so private addresses are allowed. This machine
itself, link-local addresses and the clouds' metadata services are not: they answer whoever asks,
and would tell a person who may only launch runs what no page of ours shows.
`TUNEBOARD_WEBHOOK_HOSTS` names exceptions.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from trainer.errors import FieldError, InvalidInput

URL_LIMIT = 2_000  # characters
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba Cloud; AWS, Azure and Google use a link-local one
        "168.63.129.16",  # Azure's platform
        "192.0.0.192",  # Oracle Cloud's older one
        "fd00:ec2::254",  # AWS over IPv6
        "fd20:ce::254",  # Google Cloud over IPv6
    )
)


@dataclass(frozen=True)
class Webhook:
    """Whom to tell of a study; an empty address: nobody."""

    url: str = ""
    each_run: bool = False
    """Tell of the end of each run as well."""


NO_WEBHOOK = Webhook()


def checked_webhook(
    url: str, *, each_run: bool = False, hosts: Collection[str] = (), field: str = "webhook"
) -> Webhook:
    """Return a webhook whose address is fit to be called, or none for an empty address.

    What a name leads to is looked at when it is called: it may change.

    Args:
        hosts: `Settings.webhook_hosts`.
        field: Named by the error.

    Raises:
        InvalidInput: If the address is not of http or https, or leads to this machine.
    """
    url = url.strip()
    if not url:
        return NO_WEBHOOK
    wrong = ""
    if len(url) > URL_LIMIT:
        wrong = f"at most {URL_LIMIT} characters"
    elif not url.isprintable() or " " in url or not _is_http(url):
        wrong = "an address such as https://example.org/hook"
    if wrong:
        remedy = "Only http and https are called, without a name and password in the address."
        raise InvalidInput.of(FieldError(field, url[:200], wrong, remedy))
    host = urlsplit(url).hostname or ""
    if host not in hosts and (host == "localhost" or host.endswith(".localhost") or _is_bad(host)):
        expected = "the address of another machine"
        raise InvalidInput.of(FieldError(field, url[:200], expected, refusal_remedy(host)))
    return Webhook(url, each_run)


def may_be_called(address: str, host: str, hosts: Collection[str]) -> bool:
    """Tell whether an address that a host's name leads to may be called."""
    return host in hosts or not _is_bad(address)


def refusal_remedy(host: str) -> str:
    """Return what to do about a host that is refused."""
    return (
        "This machine, link-local addresses and metadata services are not called unless "
        f"TUNEBOARD_WEBHOOK_HOSTS names the host: {host}."
    )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and parts.username is None
        and parts.password is None
        and port != 0
    )


def _is_bad(address: str) -> bool:
    """Tell whether `address` is a number that is never called; a name is not."""
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(number, "ipv4_mapped", None) or getattr(number, "sixtofour", None)
    if inner is not None:
        number = inner
    return (
        number.is_loopback
        or number.is_link_local
        or number.is_multicast
        or number.is_unspecified
        or (number.version == 4 and number.is_reserved)
        or number in METADATA
    )
