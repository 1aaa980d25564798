"""Prometheus, through prometheus-api-client in threads. Silence is an answer, never an error.

An `Unreadable` names the connection, never its address or credentials.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
import urllib3
from prometheus_api_client.prometheus_connect import PrometheusConnect

from penstock.api.configuration import Auth, Connection
from penstock.core.samples import Answer, Query, RangeQuery, Sample, Track, Tracks, Unreadable

AT_ONCE = 8
"""Questions on their way at once, per connection; Prometheus itself works on 20."""

_MOST_TEXT = 300
_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.ReadTimeoutError)
Timing = Callable[[str, float], None]


class Prometheus:
    """Implements `penstock.ports.Metrics` for every connection of the configuration.

    Each connection has its own threads: a slow one delays no other. No answer takes longer than
    twice the connection's timeout, the wait for a thread included.
    """

    def __init__(self, connections: Mapping[str, Connection], timing: Timing) -> None:
        """Make one client per connection; nothing is asked yet.

        Args:
            connections: By the name that MetricTemplates use.
            timing: Is told, in the event loop, how long each query took, in seconds.
        """
        self._servers = {name: _Server(name, one, timing) for name, one in connections.items()}

    def lag_seconds(self, connection: str) -> float | None:
        """Return how old data must be to be complete; None for an unknown connection."""
        found = self._servers.get(connection)
        return found.connection.lag.total_seconds() if found else None

    async def read(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Return one answer per query, in order; never raises."""
        return await asyncio.gather(*map(self._answer, queries))

    async def history(self, query: RangeQuery) -> Tracks:
        """Return the series of an expression over a time; never raises.

        It is asked beside the looks, once: a slow answer delays none of them.
        """
        server = self._allowed(query.connection, query.namespace)
        return server if isinstance(server, Unreadable) else await server.history(query)

    def close(self) -> None:
        """Let go of threads and sockets; what is on its way ends by itself."""
        for server in self._servers.values():
            server.close()

    async def _answer(self, query: Query) -> Answer:
        server = self._allowed(query.connection, query.namespace)
        return server if isinstance(server, Unreadable) else await server.answer(query)

    def _allowed(self, connection: str, namespace: str) -> "_Server | Unreadable":
        server = self._servers.get(connection)
        if server is None:
            return Unreadable(f"connection {connection} is not configured")
        allowed = server.connection.namespaces
        if allowed is not None and namespace not in allowed:
            return Unreadable(f"connection {connection} is closed to namespace {namespace}")
        return server


class _Server:
    """One connection. The same question, asked again while it is on its way, is asked once.

    After a question without an answer, while no other had one, it is left alone for one timeout:
    whoever has many questions would else wait for each, and a rollback must not wait for them.
    """

    def __init__(self, name: str, connection: Connection, timing: Timing) -> None:
        self.connection = connection
        self._name, self._timing = name, timing
        self._timeout = connection.timeout.total_seconds()
        self._client, self._session = _client(connection)
        self._threads = ThreadPoolExecutor(AT_ONCE, f"prometheus-{name}")
        self._histories = ThreadPoolExecutor(1, f"prometheus-{name}-history")
        self._on_its_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._heard_at = self._left_alone_until = 0.0

    def close(self) -> None:
        for threads in (self._threads, self._histories):
            threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def answer(self, query: Query) -> Answer:
        key = query.expression, f"{query.at.timestamp():.3f}"
        task = self._on_its_way.get(key)
        if task is None:
            if time.monotonic() < self._left_alone_until:
                return self._silent()
            task = asyncio.create_task(self._ask(*key))
            self._on_its_way[key] = task
            task.add_done_callback(lambda _: self._on_its_way.pop(key))
        return await asyncio.shield(task)

    async def _ask(self, expression: str, at: str) -> Answer:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            async with asyncio.timeout(2 * self._timeout):
                answer = await loop.run_in_executor(self._threads, self._read, expression, at)
            self._heard_at = time.monotonic()
            return answer
        except Exception as error:  # The port promises an answer, whatever happens in a library.
            if not any(isinstance(cause, _TIMEOUTS) for cause in _causes(error)):
                return Unreadable(f"connection {self._name} {_reason(error)}")
            if self._heard_at < began:
                self._left_alone_until = time.monotonic() + self._timeout
            return self._silent()
        finally:
            self._timing("query", time.monotonic() - began)

    async def history(self, query: RangeQuery) -> Tracks:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            async with asyncio.timeout(2 * self._timeout):
                return await loop.run_in_executor(self._histories, self._read_range, query)
        except Exception as error:  # The port promises an answer, whatever happens in a library.
            return Unreadable(f"connection {self._name} {_reason(error)}")
        finally:
            self._timing("history", time.monotonic() - began)

    def _read_range(self, query: RangeQuery) -> Tracks:
        rows = self._client.custom_query_range(
            query.expression,
            start_time=query.begin,
            end_time=query.end,
            step=f"{query.step.total_seconds():g}",
            params={"limit": str(self.connection.max_series)},
        )
        if len(rows) > self.connection.max_series:
            raise _RefusedError(_too_many(self.connection.max_series))
        return _tracks(rows)

    def _read(self, expression: str, at: str) -> Answer:
        most = self.connection.max_series
        rows = self._client.custom_query(expression, params={"time": at, "limit": str(most)})
        if len(rows) > most:
            raise _RefusedError(_too_many(most))
        return _samples(rows)

    def _silent(self) -> Unreadable:
        return Unreadable(f"connection {self._name} did not answer within {self._timeout:g} s")


class _RefusedError(Exception):
    """The answer must not be used; the message goes on after "connection x"."""


class _Session(requests.Session):
    """Sends the parameters of a POST in its body; lets pass only whole, successful answers."""

    def __init__(self, most_series: int) -> None:
        super().__init__()
        self.trust_env = False
        self._most_series = most_series

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:  # noqa: ANN401
        """Return the answer to one request.

        Raises:
            _RefusedError: The answer is an error, a redirect, or carries warnings.
        """
        more["allow_redirects"] = False
        if method == "POST":
            more["data"] = more.pop("params", None)
        response = super().request(method, url, *args, **more)
        if response.status_code != 200:
            raise _RefusedError(_error(response))
        if b'"warnings"' in response.content and (warnings := _field(response, "warnings")):
            text = "; ".join(map(str, warnings)) if isinstance(warnings, list) else str(warnings)
            if "truncated due to limit" in text:
                raise _RefusedError(_too_many(self._most_series))
            raise _RefusedError(f"answered with warnings: {text[:_MOST_TEXT]}")
        return response


class _FileAuth(requests.auth.AuthBase):
    """Reads the secret anew for each request: mounted Secrets are rotated in place."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._auth.bearer_token_file:
            request.headers["Authorization"] = f"Bearer {_secret(self._auth.bearer_token_file)}"
        if self._auth.basic:
            password = _secret(self._auth.basic.password_file)
            requests.auth.HTTPBasicAuth(self._auth.basic.username, password)(request)
        return request


def _client(connection: Connection) -> tuple[PrometheusConnect, requests.Session]:
    session, tls = _Session(connection.max_series), connection.tls
    session.verify = False if tls.insecure_skip_verify else tls.ca_file or True
    if tls.insecure_skip_verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if tls.cert_file and tls.key_file:
        session.cert = (tls.cert_file, tls.key_file)
    if connection.auth:
        session.auth = _FileAuth(connection.auth)
    if connection.tenant_header:
        session.headers[connection.tenant_header.name] = connection.tenant_header.value
    client = PrometheusConnect(
        connection.url,
        session=session,
        retry=urllib3.Retry(0),
        timeout=connection.timeout.total_seconds(),  # type: ignore[arg-type]
        method="POST",
    )
    return client, session


def _secret(file: str) -> str:
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise _RefusedError(f"has credentials in {file}, which cannot be read") from error
    if not text or not text.isprintable() or not text.isascii():
        raise _RefusedError(f"has credentials in {file}, which is empty or not one line of text")
    return text


def _too_many(most: int) -> str:
    return f"answered with more series than maxSeries {most}"


def _error(response: requests.Response) -> str:
    status = response.status_code
    if status in (401, 403):
        return f"does not accept our credentials: {status}"
    if 300 <= status < 400:
        return f"answered with a redirect ({status}), which is not followed: mend its url"
    said = _field(response, "error") or response.text
    return f"refused the query: {status} {' '.join(str(said).split())[:_MOST_TEXT]}"


def _field(response: requests.Response, name: str) -> Any:  # noqa: ANN401
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None


def _samples(rows: Any) -> tuple[Sample, ...]:  # noqa: ANN401
    try:
        return tuple(Sample(dict(row["metric"]), float(row["value"][1])) for row in rows)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _RefusedError("answered with something else than a vector") from error


def _tracks(rows: Any) -> tuple[Track, ...]:  # noqa: ANN401
    try:
        return tuple(
            Track(dict(row["metric"]), {float(at): float(value) for at, value in row["values"]})
            for row in rows
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _RefusedError("answered with something else than a matrix") from error


def _reason(error: Exception) -> str:
    """Return what went wrong, without the address, which requests puts into its messages."""
    if isinstance(error, _RefusedError):
        return str(error)
    if isinstance(error, requests.ConnectionError):
        return f"cannot be reached: {_cause(error)}"
    if isinstance(error, requests.RequestException) and not isinstance(error, ValueError):
        return f"cannot be reached: {type(error).__name__}"
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return f"cannot be asked: {error.strerror}"
    return f"answered with something else than Prometheus ({type(error).__name__})"


def _cause(error: Exception) -> str:
    """Return what the operating system or TLS said."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted, {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
