import asyncio
import json
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from penstock.adapters.prometheus import Prometheus
from penstock.api.connections import Connection
from penstock.core.rows import Counters
from penstock.core.samples import Query, Sample, Unreadable
from tests.bed.pki import Authority

AT = datetime(2026, 11, 24, 8, 0, 0, 250_000, tzinfo=UTC)


class Server:
    """A server that answers as it is told and remembers what it was asked."""

    def __init__(self, tls=None):
        self.answer = (200, vector(({"a": "b"}, "1")))
        self.headers, self.too_much = {}, ""
        self.delay, self.drip, self.slow = 0.0, 0.0, ""
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = parse_qs(body)
                outer.asked.append((self.path, form, dict(self.headers)))
                time.sleep(outer.delay if outer.slow in form["query"][0] else 0)
                status, text = outer.answer
                if outer.too_much and outer.too_much in form["query"][0]:
                    status, text = 422, '{"status":"error","error":"too many samples"}'
                text = text.replace("$query", form["query"][0])
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                for byte in text.encode() if outer.drip else ():
                    time.sleep(outer.drip)
                    self.wfile.write(bytes([byte]))
                self.wfile.write(b"" if outer.drip else text.encode())

            def do_GET(self):
                outer.asked.append((self.path, {}, dict(self.headers)))
                self.send_error(400)

            def log_message(self, *_):
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}/prom"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class Quiet(ThreadingHTTPServer):
    """A server that says nothing when a client hangs up, and waits for no thread."""

    block_on_close = False

    def handle_error(self, *_):
        pass


@pytest.fixture
def server():
    running = Server()
    yield running
    running.stop()


def vector(*rows, **more):
    result = [{"metric": labels, "value": [0, value]} for labels, value in rows]
    data = {"resultType": "vector", "result": result}
    return json.dumps({"status": "success", "data": data, **more})


@pytest.fixture
def adapter(server):
    """Makes adapters with one connection and closes them."""
    made = []

    def make(timing=lambda *_: None, **more):
        connection = Connection.model_validate({"url": server.url, "timeout": "500ms", **more})
        made.append(Prometheus({"prometheus": connection}, timing))
        return made[-1]

    yield make
    for one in made:
        one.close()


def query(connection="prometheus", namespace="ml", expression="up"):
    return Query(connection, expression, namespace, AT)


async def ask(adapter):
    (answer,) = await adapter.read([query()])
    return answer


async def test_an_answer_is_read_at_the_instant_that_was_asked_for(server, adapter):
    server.answer = (200, vector(({"job": "a"}, "3"), ({"job": "b"}, "NaN")))
    answer = await ask(adapter())
    assert answer[0] == Sample({"job": "a"}, 3.0)
    assert answer[1].value != answer[1].value
    path, form, _ = server.asked[0]
    assert path == "/prom/api/v1/query"
    assert form == {"query": ["up"], "time": [f"{AT.timestamp():.3f}"], "limit": ["10000"]}


async def test_answers_come_in_the_order_of_the_questions(server, adapter):
    server.answer = (200, vector(({"asked": "$query"}, "1")))
    names = [f"x{number}" for number in range(40)]
    answers = await adapter(timeout="5s").read([query(expression=name) for name in names])
    assert [answer[0].labels["asked"] for answer in answers] == names


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, vector(warnings=["remote read failed"])), "warnings: remote read failed"),
        ((200, vector(warnings="odd")), "warnings: odd"),
        ((422, '{"status":"error","error":"too many samples"}'), "422 too many samples"),
        ((429, "slow down"), "429 slow down"),
        ((503, '{"status":"error","error":"timeout"}'), "503 timeout"),
        ((403, "no"), "does not accept our credentials: 403"),
        ((200, "<html>login</html>"), "something else than Prometheus"),
        ((200, '["warnings"]'), "something else than Prometheus"),
        ((200, '{"status":"success","data":{"result":[[1,"2"]]}}'), "something else"),
        ((200, '{"status":"success","data":{"result":null}}'), "something else"),
        ((200, '{"status":"success","data":null}'), "something else"),
        ((200, ""), "something else"),
    ],
)
async def test_what_cannot_be_trusted_is_unreadable_and_says_why(server, adapter, answer, words):
    server.answer = answer
    said = await ask(adapter())
    assert isinstance(said, Unreadable)
    assert said.reason.startswith("connection prometheus ")
    assert words in said.reason


async def test_a_label_called_warnings_is_no_warning(server, adapter):
    server.answer = (200, vector(({"kind": "warnings", "warnings": "x"}, "1")))
    assert await ask(adapter()) == (Sample({"kind": "warnings", "warnings": "x"}, 1.0),)


async def test_a_redirect_is_not_followed_and_takes_no_credentials_elsewhere(server, adapter):
    server.answer, server.headers = (302, ""), {"Location": f"{server.url}/login"}
    said = await ask(adapter())
    assert "redirect (302)" in said.reason
    assert len(server.asked) == 1


async def test_a_slow_server_is_unreadable_after_the_timeout(server, adapter):
    server.delay = 1.0
    said = await ask(adapter())
    assert said == Unreadable("connection prometheus did not answer within 0.5 s")


async def test_an_answer_that_drips_is_given_up(server, adapter):
    server.drip = 0.1
    began = time.monotonic()
    said = await ask(adapter())
    assert "did not answer" in said.reason
    assert time.monotonic() - began < 2


async def test_a_silent_server_delays_many_questions_once_only(server, adapter):
    server.delay = 1.0
    reader, began = adapter(), time.monotonic()
    for number in range(20):
        await reader.read([query(expression=f"x{number}"), query(expression=f"y{number}")])
    assert time.monotonic() - began < 1.0
    server.delay = 0.0
    await asyncio.sleep(0.6)
    assert isinstance(await ask(reader), tuple)


async def test_one_slow_question_silences_no_other(server, adapter):
    server.delay, server.slow = 1.0, "slow"
    reader = adapter()
    slow = asyncio.create_task(reader.read([query(expression="slow")]))
    await asyncio.sleep(0.1)
    assert isinstance(await ask(reader), tuple)
    assert isinstance((await slow)[0], Unreadable)
    assert isinstance(await ask(reader), tuple)


async def test_a_slow_connection_delays_no_other(server):
    server.delay = 2.0
    other = Server()
    both = {
        "slow": Connection.model_validate({"url": server.url, "timeout": "2s"}),
        "fast": Connection.model_validate({"url": other.url}),
    }
    reader = Prometheus(both, lambda *_: None)
    busy = [
        asyncio.create_task(reader.read([query("slow", expression=f"x{number}")]))
        for number in range(30)
    ]
    await asyncio.sleep(0.05)
    (answer,) = await asyncio.wait_for(reader.read([query("fast")]), 1)
    assert isinstance(answer, tuple)
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    reader.close()
    other.stop()


async def test_a_server_that_is_away_is_unreadable(server, adapter):
    away = adapter()
    server.stop()
    said = await ask(away)
    assert said == Unreadable("connection prometheus cannot be reached: Connection refused")


async def test_a_server_that_hangs_up_is_unreadable(adapter):
    hung = ThreadingHTTPServer(("127.0.0.1", 0), lambda request, *_: request.close())
    threading.Thread(target=hung.serve_forever, args=(0.01,), daemon=True).start()
    said = await ask(adapter(url=f"http://127.0.0.1:{hung.server_port}"))
    hung.shutdown()
    hung.server_close()
    assert "cannot be reached" in said.reason
    assert "127.0.0.1" not in said.reason


async def test_more_series_than_allowed_are_not_read(server, adapter):
    server.answer = (200, vector(*(({"n": str(n)}, "1") for n in range(3))))
    said = await ask(adapter(maxSeries=2))
    assert "maxSeries 2" in said.reason
    cut = vector(({}, "1"), warnings=["results truncated due to limit"])
    server.answer = (200, cut)
    said = await ask(adapter(maxSeries=2))
    assert "maxSeries 2" in said.reason


async def test_a_connection_is_closed_to_namespaces_that_are_not_listed(server, adapter):
    closed = adapter(namespaces=["shop"])
    said = await closed.read([query(), query(namespace="shop"), query("other")])
    assert said[0] == Unreadable("connection prometheus is closed to namespace ml")
    assert isinstance(said[1], tuple)
    assert said[2] == Unreadable("connection other is not configured")
    assert len(server.asked) == 1


async def test_the_same_question_asked_at_once_is_sent_once(server, adapter):
    server.delay = 0.2
    reader = adapter()
    later = Query("prometheus", "up", "ml", AT + timedelta(milliseconds=1))
    answers = await asyncio.gather(*(reader.read([query(), later]) for _ in range(5)))
    assert all(isinstance(answer, tuple) for pair in answers for answer in pair)
    assert len(server.asked) == 2
    await ask(reader)
    assert len(server.asked) == 3


async def test_a_caller_that_goes_away_takes_no_answer_from_others(server, adapter):
    server.delay = 0.2
    reader = adapter()
    first, second = asyncio.create_task(ask(reader)), asyncio.create_task(ask(reader))
    await asyncio.sleep(0.05)
    first.cancel()
    assert isinstance(await second, tuple)


async def test_credentials_are_read_at_every_request_and_never_named(server, adapter, tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    tenant = {"name": "X-Scope-OrgID", "value": "team"}
    reader = adapter(auth={"bearerTokenFile": str(token)}, tenantHeader=tenant)
    await ask(reader)
    token.write_text("second")
    server.answer = (401, "who are you")
    said = await ask(reader)
    sent = [headers["Authorization"] for _, _, headers in server.asked]
    assert sent == ["Bearer first", "Bearer second"]
    assert server.asked[0][2]["X-Scope-OrgID"] == "team"
    assert "second" not in said.reason


async def test_a_user_and_a_password_are_sent(server, adapter, tmp_path):
    (tmp_path / "password").write_text("open sesame\n")
    basic = {"username": "penstock", "passwordFile": str(tmp_path / "password")}
    await ask(adapter(auth={"basic": basic}))
    assert server.asked[0][2]["Authorization"] == "Basic cGVuc3RvY2s6b3BlbiBzZXNhbWU="


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff\xfe"])
async def test_unusable_credentials_are_named_by_their_file_only(
    server, adapter, tmp_path, content
):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    said = await ask(adapter(auth={"bearerTokenFile": str(file)}))
    assert str(file) in said.reason
    assert "two" not in said.reason
    assert not server.asked


async def test_proxies_and_credentials_of_the_environment_are_not_used(
    server, adapter, monkeypatch, tmp_path
):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert isinstance(await ask(adapter()), tuple)
    assert "Authorization" not in server.asked[0][2]


async def test_the_time_of_every_question_is_told(server, adapter):
    told = []
    reader = adapter(timing=lambda *what: told.append(what))
    await ask(reader)
    server.answer = (503, "")
    await ask(reader)
    assert [name for name, _ in told] == ["query", "query"]
    assert all(0 < seconds < 1 for _, seconds in told)


async def test_lag_is_what_the_configuration_says(adapter):
    assert adapter(lag="50ms").lag_seconds("prometheus") == 0.05
    assert adapter().lag_seconds("other") is None


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def secure(authority):
    """A server with TLS that asks for a certificate, but takes none too."""
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    running = Server(context)
    yield running
    running.stop()


async def test_a_server_is_trusted_by_the_given_certificates(secure, adapter, authority):
    said = await ask(adapter(url=secure.url, tls={"caFile": str(authority.ca)}))
    assert isinstance(said, tuple)


async def test_a_server_of_an_unknown_authority_is_not_trusted(secure, adapter):
    said = await ask(adapter(url=secure.url))
    assert "certificate is not trusted" in said.reason
    assert not secure.asked


async def test_any_server_is_trusted_when_the_administrator_says_so(secure, adapter):
    said = await ask(adapter(url=secure.url, tls={"insecureSkipVerify": True}))
    assert isinstance(said, tuple)


async def test_our_own_certificate_is_shown(adapter, authority):
    pair, client = authority.issue("server"), authority.issue("client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    strict = Server(context)
    trust = {"caFile": str(authority.ca)}
    ours = trust | {"certFile": str(client.cert), "keyFile": str(client.key)}
    assert isinstance(await ask(adapter(url=strict.url, tls=ours)), tuple)
    assert isinstance(await ask(adapter(url=strict.url, tls=trust)), Unreadable)
    strict.stop()


@pytest.mark.parametrize("after", ["1", "in a minute", ""])
async def test_a_server_that_asks_for_it_is_left_alone_for_a_while(server, adapter, after):
    server.answer, server.headers = (429, "slow down"), {"Retry-After": after}
    asking = adapter()
    first, second = await ask(asking), await ask(asking)
    assert first == second == Unreadable("connection prometheus refused the query: 429 slow down")
    assert len(server.asked) == (1 if after == "1" else 2)
    if after == "1":
        server.answer = (200, vector(({"a": "b"}, "1")))
        await asyncio.sleep(1.05)
        assert not isinstance(await ask(asking), Unreadable)


async def test_nobody_asks_for_those_to_whom_the_connection_is_closed(server, adapter):
    counters = Counters((("total/stable", 'x{v="1"}'),), (), 0)
    asked = [replace(query(namespace=name), counters=counters) for name in ("ml", "x", "ml")]
    server.answer = (200, vector())
    answers = await adapter(namespaces=["ml"]).read(asked)
    assert answers[1] == Unreadable("connection prometheus is closed to namespace x")
    assert (answers[0], answers[2], len(server.asked)) == ((), (), 1)


async def test_a_batch_that_is_too_much_for_prometheus_is_asked_one_by_one(server, adapter):
    asked = [
        replace(
            query(expression=f"alone{n}"),
            counters=Counters((("total/stable", f'x{{v="{n}"}}'),), (), 0),
        )
        for n in range(3)
    ]
    server.too_much = "series/0"
    answers = await adapter().read(asked)
    assert [one for (one,) in answers] == [Sample({"a": "b"}, 1.0)] * 3
    queries = [form["query"][0] for _, form, _ in server.asked]
    assert (len(queries), sorted(queries[1:])) == (4, ["alone0", "alone1", "alone2"])
