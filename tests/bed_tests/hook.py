"""A receiver of webhooks for tests: it answers 200 and keeps what it was sent."""

import http.server
import json
import threading
import time
from typing import Any, NamedTuple, Self


class Delivery(NamedTuple):
    """One request; `time` is in seconds since the epoch."""

    time: float
    headers: dict[str, str]
    body: Any


class Hook:
    """Listens on a free port for the length of a `with` block."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        keep = self.deliveries.append

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                keep(Delivery(time.time(), dict(self.headers), json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
