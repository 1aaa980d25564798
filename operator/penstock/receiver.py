"""Takes alerts from Alertmanager's webhook: POST, with a bearer token, payloads of version 4.

A 2xx is said only when the alerts are in the book and the Rollouts are woken. What may succeed
later is answered with 5xx, for Alertmanager repeats only those; a 4xx is given up for good.
"""

import asyncio
import hmac
import json
import logging
import ssl
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from penstock.alarm_metrics import AlarmMetrics
from penstock.api.configuration import AlertReceiver, ConfigurationError
from penstock.core.alert_payloads import PayloadError, read_payload
from penstock.core.alerts import Payload
from penstock.secret_files import SecretFileError, read_secret

LOG = logging.getLogger("penstock")
MOST_BYTES = 1_048_576
PATIENCE_SECONDS, CERTIFICATE_SECONDS = 5.0, 60.0


class _RefusedError(Exception):
    """A delivery is not taken: the status of the answer, a word for metrics, a sentence."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.reason = status, reason


class Receiver:
    """The HTTP server for alerts; `start` starts it and `stop` ends it."""

    def __init__(
        self,
        settings: AlertReceiver,
        told: Callable[[Payload], None],
        metrics: AlarmMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Take alerts as the settings say.

        Args:
            settings: Address, token and certificate.
            told: Takes a delivery into the book and wakes whom it concerns, at once.
            metrics: Count what comes.
            clock: Returns the time.
        """
        self._settings, self._told = settings, told
        self._metrics, self._clock = metrics, clock
        self._closing = False
        self._runner: web.AppRunner | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: The certificate cannot be used, or the port is taken.
        """
        application = web.Application(client_max_size=MOST_BYTES)
        application.add_routes([web.post("/{path:.*}", self._take)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        settings, trust = self._settings, self._trust()
        if trust is not None:
            self._renewal = asyncio.create_task(self._renew(trust), name="alerts certificate")
        address = (settings.bind_address, settings.port)
        try:
            await web.TCPSite(self._runner, *address, ssl_context=trust).start()
        except OSError as error:
            text = f"alertReceiver: cannot listen on {address[0]} port {address[1]}: {error}"
            raise ConfigurationError((text,)) from error

    async def stop(self) -> None:
        """Take no more: what comes meanwhile is to be sent again."""
        self._closing = True
        if self._renewal is not None:
            self._renewal.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def _trust(self) -> ssl.SSLContext | None:
        cert, key = self._settings.cert_file, self._settings.key_file
        if cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            text = f"alertReceiver: {cert} and {key} cannot be used: {error.strerror or error}"
            raise ConfigurationError((text,)) from error
        return context

    async def _renew(self, context: ssl.SSLContext) -> None:
        """Read the certificate anew from time to time: new clients get the one that is there."""
        settings = self._settings
        while settings.cert_file is not None:
            await asyncio.sleep(CERTIFICATE_SECONDS)
            try:
                context.load_cert_chain(settings.cert_file, settings.key_file)
            except OSError as error:
                LOG.error("alertReceiver: %s cannot be read: %s", settings.cert_file, error)

    async def _take(self, request: web.Request) -> web.Response:
        try:
            payload = await self._read(request)
        except _RefusedError as error:
            self._metrics.refused(error.reason)
            LOG.warning("alerts from %s were not taken: %s", request.remote, error)
            headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
            return web.Response(status=error.status, text=f"{error}\n", headers=headers)
        self._metrics.received("webhook", len(payload.alarms), payload.truncated)
        if payload.truncated:
            text = "%d alerts were cut off: set max_alerts: 0 in Alertmanager's webhook_config"
            LOG.warning(text, payload.truncated)
        self._told(payload)
        return web.Response(text="ok\n")

    async def _read(self, request: web.Request) -> Payload:
        if self._closing:
            raise _RefusedError(503, "closing", "the operator is shutting down: send it again")
        self._authenticate(request)
        try:
            content = json.loads(await _body(request))
            return read_payload(content, self._clock(), self._settings.forget_after)
        except PayloadError as error:
            raise _RefusedError(400, "payload", str(error)) from error
        except (ValueError, RecursionError) as error:
            raise _RefusedError(400, "json", "the body is not JSON") from error

    def _authenticate(self, request: web.Request) -> None:
        try:
            token = read_secret(self._settings.token_file)
        except SecretFileError as error:
            raise _RefusedError(503, "tokenFile", f"alertReceiver.tokenFile: {error}") from error
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
        if scheme.lower() != "bearer" or not same:
            raise _RefusedError(401, "token", "the bearer token is not the one of tokenFile")


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        text = f"the body has more than {MOST_BYTES} bytes: set max_alerts in the webhook_config"
        raise _RefusedError(413, "size", text) from error
    except TimeoutError as error:
        text = f"the body did not come within {PATIENCE_SECONDS:g} s: send it again"
        raise _RefusedError(503, "slow", text) from error
