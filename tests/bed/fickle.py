"""A proxy before an HA pair of Prometheus: each question goes to the other one of the two.

It misbehaves on command: late, refusing, warning or silent. It runs in threads of the test process.
"""

import contextlib
import http.client
import http.server
import itertools
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

_PASSED_ON = ("content-type", "accept", "authorization")
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Mood:
    """How questions are answered until it is `over`; see `FicklePrometheus.behave`."""

    delay: float = 0.0
    status: int = 0
    retry_after: str = ""
    warnings: tuple[str, ...] = ()
    silent: bool = False
    only: int | None = None
    share: float = 1.0
    over: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Question:
    """One question: when it came (epoch seconds), its path, its body, who answered (-1: nobody)."""

    time: float
    path: str
    body: str
    instance: int
    status: int


class FicklePrometheus:
    """Listens at `url` until `stop`; `questions` are those that were answered, in order."""

    def __init__(self, instances: Sequence[str]) -> None:
        self.questions: list[Question] = []
        self._instances, self._turns = tuple(instances), itertools.count()
        self._mood, self._ended = Mood(), threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def behave(
        self,
        *,
        delay: float = 0.0,
        status: int = 0,
        retry_after: str = "",
        warnings: Sequence[str] = (),
        silent: bool = False,
        only: int | None = None,
        share: float = 1.0,
    ) -> None:
        """Answer like this from now on and in no other way; without arguments: well.

        Args:
            delay: Seconds before each answer.
            status: Answer with this status, such as 429 or 503, in place of an instance.
            retry_after: The header of that name, with `status`.
            warnings: Added to the body of good answers.
            silent: Take questions and answer none, until the next `behave`; then connections end.
            only: Ask this instance (0 or 1) only, as when the other is down.
            share: Share of the questions that this holds for, 0..1; the others are answered well.
        """
        before = self._mood
        self._mood = Mood(delay, status, retry_after, tuple(warnings), silent, only, share)
        before.over.set()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one question; called in a thread of its own."""
        began, mood = time.time(), self._mood
        length = int(handler.headers.get("content-length") or 0)
        body = handler.rfile.read(length)
        mood = mood if random.random() < mood.share else Mood()
        if mood.silent:
            mood.over.wait(_LONGEST_SECONDS)
            handler.close_connection = True
            return
        self._ended.wait(mood.delay)
        instance = -1 if mood.status else self._next(mood)
        status, kind, text = (
            (mood.status, "application/json", _refusal(mood.status))
            if mood.status
            else self._ask(instance, handler, body, mood)
        )
        self.questions.append(Question(began, handler.path, body.decode(), instance, status))
        with contextlib.suppress(OSError):  # who asked may have given up
            _send(handler, status, kind, text, mood.retry_after)

    def _next(self, mood: Mood) -> int:
        return next(self._turns) % len(self._instances) if mood.only is None else mood.only

    def _ask(
        self, instance: int, handler: http.server.BaseHTTPRequestHandler, body: bytes, mood: Mood
    ) -> tuple[int, str, bytes]:
        address = urlsplit(self._instances[instance]).netloc
        headers = {k: v for k, v in handler.headers.items() if k.lower() in _PASSED_ON}
        connection = http.client.HTTPConnection(address, timeout=_LONGEST_SECONDS)
        try:
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            kind = answer.getheader("content-type", "application/json")
            return answer.status, kind, _warned(answer.read(), mood.warnings)
        except OSError as error:
            return 502, "text/plain", str(error).encode()
        finally:
            connection.close()

    def stop(self) -> None:
        """End it; questions under way get no answer."""
        self._ended.set()
        self.behave()
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: FicklePrometheus) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            proxy.answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    return Handler


def _send(
    handler: http.server.BaseHTTPRequestHandler, status: int, kind: str, text: bytes, after: str
) -> None:
    handler.send_response(status)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(text)))
    if after and status >= 400:
        handler.send_header("retry-after", after)
    handler.end_headers()
    handler.wfile.write(text)


def _refusal(status: int) -> bytes:
    said = {"status": "error", "errorType": "unavailable", "error": f"refused with {status}"}
    return json.dumps(said).encode()


def _warned(text: bytes, warnings: tuple[str, ...]) -> bytes:
    if not warnings:
        return text
    found: dict[str, Any] = json.loads(text)
    found["warnings"] = [*found.get("warnings", ()), *warnings]
    return json.dumps(found).encode()
