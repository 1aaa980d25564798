"""Where notifications may go. Addresses come from a tenant's Secret, so they are not trusted."""

import base64
import binascii
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from penstock.api.v1alpha1.notifications import NotificationType
from penstock.core.kinds import Manifest

MOST_ADDRESS = 4096
_WITH_CREDENTIALS = (NotificationType.WEBHOOK, NotificationType.CLOUD_EVENTS)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class DestinationError(ValueError):
    """The Secret names no destination that may be used; a sentence that never quotes it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """An address that may be sent to, unless its name resolves to one that may not."""

    type: NotificationType
    host: str
    url: str = field(repr=False)
    authorization: str = field(default="", repr=False)


def destination(
    kind: NotificationType, secret: Manifest, allowed: Collection[str] = ()
) -> Destination:
    """Return the destination that a Secret names.

    Args:
        kind: The form in which it is told.
        secret: The Secret, with `data` in base64.
        allowed: Hosts that may also be private, and be spoken to in plain http.

    Raises:
        DestinationError: The Secret must be mended.
    """
    url = _text(secret, "url")
    if not url:
        raise DestinationError("has no key url with the address")
    host = _checked(url, allowed)
    authorization = _authorization(secret)
    if authorization and kind not in _WITH_CREDENTIALS:
        raise DestinationError(f"has credentials, but {kind} has them in its address")
    return Destination(kind, host, url, authorization)


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, also behind a translation."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(parsed)
    return inner.is_global and not inner.is_multicast


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries; any other as it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _checked(url: str, allowed: Collection[str]) -> str:
    """Return the host of an address."""
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise DestinationError("has no address under url") from error
    if not host or parts.scheme not in ("https", "http"):
        raise DestinationError("must have an address under url that begins with https://")
    if parts.username is not None or parts.password is not None:
        raise DestinationError("has a user in its url: write it under authorization")
    if host in allowed:
        return host
    if parts.scheme == "http":
        raise DestinationError(
            "has an http address: write https, or let the administrator add the host to "
            "notifications.allow"
        )
    if _is_address(host) and not is_public(host):
        raise DestinationError(private(host))
    return host


def private(host: str) -> str:
    """Return the sentence for a host that is not public."""
    return (
        f"has an address that is not public ({host}): the administrator may add the host to "
        f"notifications.allow"
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _authorization(secret: Manifest) -> str:
    whole, token = _text(secret, "authorization"), _text(secret, "token")
    if whole and token:
        raise DestinationError("has both authorization and token: write one of them")
    return whole or (f"Bearer {token}" if token else "")


def _text(secret: Manifest, key: str) -> str:
    """Return one line of a Secret; empty where it has none."""
    try:
        raw = base64.b64decode((secret.get("data") or {}).get(key, ""), validate=True)
        text = raw.decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise DestinationError(f"has something else than text under {key}") from error
    if not text.isprintable() or (" " in text and key != "authorization"):
        raise DestinationError(f"has more than one line or word under {key}")
    if len(text) > MOST_ADDRESS:
        raise DestinationError(f"has more than {MOST_ADDRESS} characters under {key}")
    return text
