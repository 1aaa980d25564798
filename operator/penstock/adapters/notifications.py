"""Carries notifications over HTTPS. Addresses come from tenants, and receivers may do anything.

Apprise knows the form of messages for Slack and Teams; it is imported when the first one is sent.
It does not carry them: its requests block a thread for as long as a receiver likes, follow names
to any address, and do not say how long a receiver wants to be left alone (decision 0012).
"""

import asyncio
import json
import socket
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from penstock.api.v1alpha1.notifications import NotificationType
from penstock.core.destinations import Destination, is_public, private
from penstock.core.messages import Message
from penstock.ports import UndeliveredError

TIMEOUT_SECONDS = 10.0
MOST_LOOKUPS = 16
AGAIN = frozenset({408, 425, 429})


class _PrivateError(Exception):
    """A name leads to no public address."""


class _PublicResolver(AbstractResolver):
    """Looks names up in threads of its own, and leaves out addresses that are not public.

    The connection goes to an address that was checked, so a name that changes is no way around.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(MOST_LOOKUPS, thread_name_prefix="notify-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        free = host.lower() in self._allowed
        results = [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
            if free or is_public(str(address[0]))
        ]
        if not results:
            raise _PrivateError
        return results

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Post:
    """Implements `penstock.ports.Carrier`."""

    def __init__(
        self,
        allowed: Collection[str] = (),
        seconds: float = TIMEOUT_SECONDS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            allowed: Hosts whose addresses may be private.
            seconds: Time for one attempt, from the look-up to the answer.
            resolver: Looks names up; by default one that finds only public addresses.
        """
        self._allowed, self._timeout = allowed, aiohttp.ClientTimeout(total=seconds)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def carry(self, destination: Destination, message: Message) -> None:
        """Send a message once.

        Raises:
            UndeliveredError: It was not taken.
        """
        body, content = await _body(destination.type, message)
        headers = {"Content-Type": content}
        if destination.authorization:
            headers["Authorization"] = destination.authorization
        try:
            async with self._opened().post(
                destination.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                _judge(answer.status, answer.headers)
        except TimeoutError as error:
            seconds = f"{self._timeout.total:g}"
            raise UndeliveredError("timeout", f"no answer within {seconds} s") from error
        except _PrivateError as error:
            raise UndeliveredError("secret", f"the Secret {private(destination.host)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = f"cannot be reached: {_reason(error)}"
            raise UndeliveredError("unreachable", text) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver or _PublicResolver(self._allowed),
                use_dns_cache=False,
                force_close=True,
                limit=0,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "penstock"},
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _judge(status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    if status in AGAIN or status >= 500:
        reason = "rateLimited" if status == 429 else "answer"
        after = _retry_after(headers.get("Retry-After", ""))
        raise UndeliveredError(reason, f"answered {status}", after=after)
    redirect = "; redirects are not followed" if 300 <= status < 400 else ""
    raise UndeliveredError("refused", f"answered {status}{redirect}", final=True)


def _retry_after(text: str) -> timedelta | None:
    """Return how long to wait, from seconds or from a date."""
    try:
        if text.strip().isdecimal():
            return timedelta(seconds=int(text))
        return max(parsedate_to_datetime(text) - datetime.now(UTC), timedelta(0))
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    """Return what went wrong without the address, which aiohttp puts into its messages."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or "no connection"
        case _:
            return type(error).__name__


async def _body(kind: NotificationType, message: Message) -> tuple[bytes, str]:
    """Return the body of a request and its type."""
    match kind:
        case NotificationType.CLOUD_EVENTS:
            return _encoded(message.cloud_event), "application/cloudevents+json; charset=UTF-8"
        case NotificationType.WEBHOOK:
            return _encoded(dict(message.data)), "application/json"
        case NotificationType.SLACK | NotificationType.TEAMS:
            payload = await asyncio.to_thread(_by_apprise, kind, message)
            return _encoded(payload), "application/json"


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _by_apprise(kind: NotificationType, message: Message) -> dict[str, Any]:
    """Return the body that Slack or Teams takes, as apprise would send it."""
    from penstock.adapters import apprise_bodies  # imported late: it costs memory

    make = apprise_bodies.slack if kind is NotificationType.SLACK else apprise_bodies.teams
    return make(message)
