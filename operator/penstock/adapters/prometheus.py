"""Prometheus, through prometheus-api-client in threads. Silence is an answer, never an error."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from penstock.api.configuration import Auth, Connection
from penstock.core.samples import Answer, Query, Sample, Unreadable

AT_ONCE = 16
Timing = Callable[[str, float], None]


class Prometheus:
    """Implements `penstock.ports.Metrics` for every connection of the configuration."""

    def __init__(self, connections: Mapping[str, Connection], timing: Timing) -> None:
        """Make one client per connection; nothing is asked yet.

        Args:
            connections: By the name that MetricTemplates use.
            timing: Is told how long each query took, in seconds.
        """
        self._connections = connections
        self._clients = {name: _client(one) for name, one in connections.items()}
        self._timing = timing
        self._threads = ThreadPoolExecutor(AT_ONCE, "prometheus")

    def lag_seconds(self, connection: str) -> float | None:
        """Return how old data must be to be complete; None for an unknown connection."""
        found = self._connections.get(connection)
        return found.lag.total_seconds() if found else None

    async def read(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Return one answer per query, in order; never raises."""
        loop = asyncio.get_running_loop()
        asked = [loop.run_in_executor(self._threads, self._read, query) for query in queries]
        return await asyncio.gather(*asked)

    def _read(self, query: Query) -> Answer:
        connection = self._connections.get(query.connection)
        if connection is None:
            return Unreadable(f"connection {query.connection} is not configured")
        if connection.namespaces and query.namespace not in connection.namespaces:
            text = f"connection {query.connection} is closed to namespace {query.namespace}"
            return Unreadable(text)
        began = time.monotonic()
        try:
            return self._ask(query, connection)
        finally:
            self._timing("query", time.monotonic() - began)

    def _ask(self, query: Query, connection: Connection) -> Answer:
        name = query.connection
        try:
            rows = self._clients[name].custom_query(
                query.expression, params={"time": f"{query.at.timestamp():.3f}"}
            )
        except requests.Timeout:
            seconds = connection.timeout.total_seconds()
            return Unreadable(f"connection {name} did not answer within {seconds:g} s")
        except _PartialAnswerError as error:
            return Unreadable(f"connection {name} answered with warnings: {error}")
        except PrometheusApiClientException as error:
            return Unreadable(f"connection {name} refused the query: {str(error)[:300]}")
        except (ValueError, KeyError, TypeError):
            return Unreadable(f"connection {name} answered with something else than Prometheus")
        except (requests.RequestException, OSError) as error:
            return Unreadable(f"connection {name} cannot be reached: {_cause(error)}")
        if len(rows) > connection.max_series:
            return Unreadable(
                f"connection {name} answered with {len(rows)} series, more than "
                f"maxSeries {connection.max_series}"
            )
        return _samples(name, rows)


def _samples(name: str, rows: Any) -> Answer:  # noqa: ANN401
    try:
        return tuple(Sample(row["metric"], float(row["value"][1])) for row in rows)
    except (ValueError, KeyError, TypeError, IndexError):
        return Unreadable(f"connection {name} answered with something else than a vector")


class _PartialAnswerError(Exception):
    """A 200 that says that it is not the whole truth."""


class _Session(requests.Session):
    """Sends the parameters of a POST in its body, and refuses partial answers."""

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:  # noqa: ANN401
        """Return the answer to one request.

        Raises:
            _PartialAnswerError: The answer carries warnings.
        """
        if method == "POST":
            more["data"] = more.pop("params", None)
        response = super().request(method, url, *args, **more)
        if response.status_code == 200 and b'"warnings"' in response.content:
            warnings = response.json().get("warnings")
            if warnings:
                raise _PartialAnswerError("; ".join(map(str, warnings))[:300])
        return response


class _FileAuth(requests.auth.AuthBase):
    """Reads the secret anew for each request: mounted Secrets are rotated in place."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._auth.bearer_token_file:
            token = Path(self._auth.bearer_token_file).read_text().strip()
            request.headers["Authorization"] = f"Bearer {token}"
        if self._auth.basic:
            password = Path(self._auth.basic.password_file).read_text().strip()
            basic = requests.auth.HTTPBasicAuth(self._auth.basic.username, password)
            basic(request)
        return request


def _client(connection: Connection) -> PrometheusConnect:
    session = _Session()
    session.trust_env = False
    tls = connection.tls
    session.verify = False if tls.insecure_skip_verify else tls.ca_file or True
    if tls.cert_file and tls.key_file:
        session.cert = (tls.cert_file, tls.key_file)
    if connection.auth:
        session.auth = _FileAuth(connection.auth)
    if connection.tenant_header:
        session.headers[connection.tenant_header.name] = connection.tenant_header.value
    url = connection.url.rstrip("/")
    client = PrometheusConnect(
        url,
        session=session,
        retry=Retry(0),
        timeout=connection.timeout.total_seconds(),  # type: ignore[arg-type]
        method="POST",
    )
    session.mount(url, HTTPAdapter(max_retries=Retry(0), pool_maxsize=AT_ONCE))
    return client


def _cause(error: BaseException) -> str:
    """Return the innermost cause, which names no credentials."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return str(error)[:200] or type(error).__name__
