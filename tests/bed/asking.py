"""Single requests at the edge, with what they carry and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import requests

_SECONDS = 15.0
_BACKEND = ("version", "pod", "method", "path")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `version`, `pod`, `method` and `path` are the backend's, "" without one.

    `cookies` are those that the answer sets, by name; `set_cookies` are the header's lines, with
    the attributes. The names of `headers` are in lower case.
    """

    status: int
    version: str
    pod: str
    method: str
    path: str
    cookies: dict[str, str]
    set_cookies: tuple[str, ...]
    headers: dict[str, str]


class _Named(requests.adapters.HTTPAdapter):
    """Asks for `host` in TLS too, whatever the address."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, server_hostname=self._host)


def ask(
    url: str,
    host: str,
    *,
    method: str = "GET",
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    ca: Path | None = None,
) -> Reply:
    """Send one request for `host` to `url` and return what came back; follows no redirect.

    With https the certificate must be for `host` (which is the SNI too) and signed by `ca`.

    Raises:
        requests.RequestException: there was no HTTP answer.
    """
    sent = {**(headers or {}), "host": host}
    if cookies:
        sent["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", _Named(host))
        answer = session.request(
            method,
            url + path,
            headers=sent,
            timeout=_SECONDS,
            allow_redirects=False,
            verify=str(ca) if ca else None,
        )
        lines = tuple(answer.raw.headers.getlist("set-cookie"))
    return _reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, lines)


def _reply(status: int, headers: dict[str, str], lines: tuple[str, ...]) -> Reply:
    version, pod, method, path = (headers.get(f"x-{name}", "") for name in _BACKEND)
    return Reply(status, version, pod, method, path, _cookies(lines), lines, headers)


def _cookies(lines: tuple[str, ...]) -> dict[str, str]:
    return {name: m.value for line in lines for name, m in SimpleCookie(line).items()}
