"""Asks Alertmanagers for firing alerts, for those who cannot configure a receiver.

Each connection has a task of its own. What cannot be read changes nothing: absence counts only in
an answer. An error names the connection, never its address or credentials.
"""

import asyncio
import base64
import contextlib
import json
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta

import aiohttp

from penstock.alarm_metrics import AlarmMetrics
from penstock.api.connections import Connection
from penstock.core.alert_payloads import PayloadError, read_alerts
from penstock.core.alerts import Alarm
from penstock.secret_files import SecretFileError, read_secret

LOG = logging.getLogger("penstock")
PATH = "/api/v2/alerts"
ASKED_FOR = {"active": "true", "silenced": "false", "inhibited": "false"}
MOST_BYTES = 16 * 1_048_576
KEPT = timedelta(minutes=5)
"""How long an alert without an end of its own is believed after the last answer."""

Shown = Callable[[str, Iterable[Alarm]], None]


class _PollError(Exception):
    """The alerts cannot be read; the message goes on after "connection x"."""


class Polls:
    """Asks every Alertmanager from time to time; `start` begins and `stop` ends it."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        shown: Shown,
        metrics: AlarmMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Ask these connections, by name; nothing is asked yet.

        Args:
            connections: Those of kind alertmanager.
            shown: Takes what one shows into the book and wakes whom it concerns.
            metrics: Count what comes.
            clock: Returns the time.
        """
        self._connections, self._shown = connections, shown
        self._metrics, self._clock = metrics, clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        for name, connection in self._connections.items():
            task = asyncio.create_task(self._go_on(name, connection), name=f"alerts of {name}")
            self._tasks.append(task)

    async def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _go_on(self, name: str, connection: Connection) -> None:
        """Ask for ever. A failure is logged once, and TLS files are read anew after it."""
        said = ""
        while True:
            try:
                async with _session(connection) as session:
                    while True:
                        await self._ask(name, connection, session)
                        said = ""
                        await asyncio.sleep(connection.every.total_seconds())
            except Exception as error:  # One bad answer, whatever it is, must not end the polls.
                text = _reason(error, connection)
                if text != said:
                    LOG.warning("connection %s %s", name, text)
                said = text
            self._metrics.refused("poll")
            await asyncio.sleep(connection.every.total_seconds())

    async def _ask(self, name: str, connection: Connection, session: aiohttp.ClientSession) -> None:
        headers = {}
        if connection.auth:
            headers["Authorization"] = _credentials(connection)
        if connection.tenant_header:
            headers[connection.tenant_header.name] = connection.tenant_header.value
        url = f"{connection.url}{PATH}"
        async with session.get(
            url, params=ASKED_FOR, headers=headers, allow_redirects=False
        ) as answer:
            body = await _body(answer)
        now = self._clock()
        alarms = [a for a in read_alerts(json.loads(body), now, KEPT) if _is_open(connection, a)]
        self._metrics.received(name, len(alarms))
        self._metrics.polled(name, now.timestamp())
        self._shown(name, alarms)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    if answer.status in (401, 403):
        raise _PollError(f"does not accept our credentials: {answer.status}")
    if answer.status != 200:
        raise _PollError(f"answered {answer.status} {answer.reason or ''}".rstrip())
    body = bytearray()
    async for part in answer.content.iter_chunked(65_536):
        body += part
        if len(body) > MOST_BYTES:
            raise _PollError(f"answered with more than {MOST_BYTES} bytes")
    return bytes(body)


def _is_open(connection: Connection, alarm: Alarm) -> bool:
    return connection.namespaces is None or alarm.namespace in connection.namespaces


@contextlib.asynccontextmanager
async def _session(connection: Connection) -> AsyncIterator[aiohttp.ClientSession]:
    trust = await asyncio.to_thread(_trust, connection)  # certificates are read from a disk
    connector = aiohttp.TCPConnector(limit=1, ssl=trust)
    timeout = aiohttp.ClientTimeout(total=connection.timeout.total_seconds())
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


def _trust(connection: Connection) -> ssl.SSLContext | bool:
    tls = connection.tls
    if not connection.url.startswith("https:"):
        return True
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _credentials(connection: Connection) -> str:
    auth = connection.auth
    if auth and auth.basic:
        pair = f"{auth.basic.username}:{read_secret(auth.basic.password_file)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return f"Bearer {read_secret(auth.bearer_token_file or '')}" if auth else ""


def _reason(error: Exception, connection: Connection) -> str:
    """Return what went wrong, without the address, which aiohttp puts into its messages."""
    match error:
        case _PollError():
            return str(error)
        case SecretFileError():
            return f"has credentials in a file: {error}"
        case TimeoutError():
            return f"did not answer within {connection.timeout.total_seconds():g} s"
        case aiohttp.ClientConnectorCertificateError():
            return f"has a certificate that is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno or 0  # of a name that is not found it is negative
            text = os.strerror(number) if number > 0 else error.os_error.strerror
            return f"cannot be reached: {text}"
        case PayloadError():
            return f"answered with something else than alerts: {error}"
        case aiohttp.ClientError() | OSError():
            return f"cannot be asked: {type(error).__name__}"
        case _:
            return f"answered with something else than Alertmanager ({type(error).__name__})"
