import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from penstock.adapters.prometheus import Prometheus
from penstock.api.configuration import Connection
from penstock.core.samples import Query, Sample, Unreadable

AT = datetime(2026, 11, 24, 8, 0, 0, 250_000, tzinfo=UTC)


class Server:
    """A server that answers as it is told and remembers what it was asked."""

    def __init__(self):
        self.answer = (200, vector(({"a": "b"}, "1")))
        self.delay = 0.0
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append((self.path, parse_qs(body), dict(self.headers)))
                time.sleep(outer.delay)
                status, text = outer.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/prom"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def vector(*rows, **more):
    result = [{"metric": labels, "value": [0, value]} for labels, value in rows]
    data = {"resultType": "vector", "result": result}
    return json.dumps({"status": "success", "data": data, **more})


def adapter(server, **more):
    connection = Connection.model_validate({"url": server.url, "timeout": "500ms", **more})
    return Prometheus({"prometheus": connection}, lambda *_: None)


def query(connection="prometheus", namespace="ml"):
    return Query(connection, "up", namespace, AT)


async def test_an_answer_is_read_at_the_instant_that_was_asked_for(server):
    server.answer = (200, vector(({"job": "a"}, "3"), ({"job": "b"}, "NaN")))
    (answer,) = await adapter(server).read([query()])
    assert answer[0] == Sample({"job": "a"}, 3.0)
    assert answer[1].value != answer[1].value
    path, form, _ = server.asked[0]
    assert path == "/prom/api/v1/query"
    assert form == {"query": ["up"], "time": [f"{AT.timestamp():.3f}"]}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, vector(warnings=["remote read failed"])), "warnings: remote read failed"),
        ((422, '{"status":"error","error":"too many samples"}'), "too many samples"),
        ((429, "slow down"), "slow down"),
        ((503, '{"status":"error","error":"timeout"}'), "timeout"),
        ((200, "<html>login</html>"), "something else"),
        ((200, '{"status":"success","data":{"result":[[1,"2"]]}}'), "something else"),
    ],
)
async def test_what_cannot_be_trusted_is_unreadable_and_says_why(server, answer, words):
    server.answer = answer
    (said,) = await adapter(server).read([query()])
    assert isinstance(said, Unreadable)
    assert words in said.reason
    assert "prometheus" in said.reason


async def test_a_slow_server_is_unreadable_after_the_timeout(server):
    server.delay = 1.0
    (said,) = await adapter(server).read([query()])
    assert said == Unreadable("connection prometheus did not answer within 0.5 s")


async def test_a_server_that_is_away_is_unreadable(server):
    away = adapter(server)
    server.http.shutdown()
    server.http.server_close()
    (said,) = await away.read([query()])
    assert isinstance(said, Unreadable)
    assert "cannot be reached" in said.reason


async def test_more_series_than_allowed_are_not_read(server):
    server.answer = (200, vector(*(({"n": str(n)}, "1") for n in range(3))))
    (said,) = await adapter(server, maxSeries=2).read([query()])
    assert isinstance(said, Unreadable)
    assert "maxSeries 2" in said.reason


async def test_a_connection_is_closed_to_namespaces_that_are_not_listed(server):
    closed = adapter(server, namespaces=["shop"])
    said = await closed.read([query(), query(namespace="shop"), query("other")])
    assert isinstance(said[0], Unreadable)
    assert isinstance(said[1], tuple)
    assert said[2] == Unreadable("connection other is not configured")
    assert len(server.asked) == 1


async def test_credentials_are_read_at_every_request_and_never_named(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    tenant = {"name": "X-Scope-OrgID", "value": "team"}
    reader = adapter(server, auth={"bearerTokenFile": str(token)}, tenantHeader=tenant)
    await reader.read([query()])
    token.write_text("second")
    server.answer = (401, "who are you")
    (said,) = await reader.read([query()])
    sent = [headers["Authorization"] for _, _, headers in server.asked]
    assert sent == ["Bearer first", "Bearer second"]
    assert server.asked[0][2]["X-Scope-OrgID"] == "team"
    assert "second" not in said.reason


async def test_lag_is_what_the_configuration_says(server):
    assert adapter(server, lag="50ms").lag_seconds("prometheus") == 0.05
    assert adapter(server).lag_seconds("other") is None
