"""The HTTP of Prometheus' query API: credentials, and only whole, successful answers.

What goes wrong is told without the address, which may have credentials.
"""

import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3
from prometheus_api_client.prometheus_connect import PrometheusConnect

from penstock.api.connections import Auth, Connection
from penstock.secret_files import SecretFileError, read_secret

_MOST_TEXT = 300
_MOST_LEFT_ALONE = 60.0
_TOO_MUCH = (400, 413, 414, 422)
"""A question that is refused with these is refused for what it is; a smaller one may not be."""

_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.ReadTimeoutError)


class RefusedError(Exception):
    """The answer must not be used; the message goes on after "connection x".

    Attributes:
        too_much: The question itself was refused; a smaller one may be answered.
        late: Prometheus gave up on the question.
        left_alone: Seconds for which no question may be asked.
    """

    def __init__(
        self, message: str, *, too_much: bool = False, late: bool = False, left_alone: float = 0.0
    ) -> None:
        """Say what is wrong, and what to do about it."""
        super().__init__(message)
        self.too_much, self.late, self.left_alone = too_much, late, left_alone


class _Session(requests.Session):
    """Sends the parameters of a POST in its body; lets pass only whole, successful answers."""

    def __init__(self, most_series: int) -> None:
        super().__init__()
        self.trust_env = False
        self._most_series = most_series

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:  # noqa: ANN401
        """Return the answer to one request.

        Raises:
            RefusedError: The answer is an error, a redirect, or carries warnings.
        """
        more["allow_redirects"] = False
        if method == "POST":
            more["data"] = more.pop("params", None)
        response = super().request(method, url, *args, **more)
        if response.status_code != 200:
            raise _refusal(response)
        if b'"warnings"' in response.content and (warnings := _field(response, "warnings")):
            text = "; ".join(map(str, warnings)) if isinstance(warnings, list) else str(warnings)
            if "truncated due to limit" in text:
                raise too_many(self._most_series)
            raise RefusedError(f"answered with warnings: {text[:_MOST_TEXT]}")
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


def client_of(connection: Connection) -> tuple[PrometheusConnect, requests.Session]:
    """Return a client that keeps its connections open, and what to close."""
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
        return read_secret(file)
    except SecretFileError as error:
        text = f"has credentials in {error.file}, which {error.problem}"
        raise RefusedError(text) from error


def too_many(most: int) -> RefusedError:
    """Return what is wrong with an answer of more series than are allowed."""
    return RefusedError(f"answered with more series than maxSeries {most}", too_much=True)


def _refusal(response: requests.Response) -> RefusedError:
    status = response.status_code
    if status in (401, 403):
        return RefusedError(f"does not accept our credentials: {status}")
    if 300 <= status < 400:
        return RefusedError(
            f"answered with a redirect ({status}), which is not followed: mend its url"
        )
    said = _field(response, "error") or response.text
    return RefusedError(
        f"refused the query: {status} {' '.join(str(said).split())[:_MOST_TEXT]}",
        too_much=status in _TOO_MUCH,
        late=_field(response, "errorType") == "timeout",
        left_alone=_left_alone(response.headers.get("Retry-After", "")),
    )


def _left_alone(text: str) -> float:
    """Return the seconds that Retry-After asks for, at most a minute: data must not be lost."""
    try:
        seconds = float(text) if text.isdecimal() else _until(text)
    except (ValueError, TypeError):
        return 0.0
    return min(max(seconds, 0.0), _MOST_LEFT_ALONE)


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


def _field(response: requests.Response, name: str) -> Any:  # noqa: ANN401
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None


def reason_of(error: Exception) -> str:
    """Return what went wrong, without the address, which requests puts into its messages."""
    if isinstance(error, RefusedError):
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


def is_late(error: BaseException) -> bool:
    """Return whether there was no answer in time."""
    if isinstance(error, RefusedError):
        return error.late
    return any(isinstance(cause, _TIMEOUTS) for cause in _causes(error))
