"""Polls of an Alertmanager, against a server that answers as it is told."""

import asyncio
import json
import ssl

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from penstock.adapters import alertmanager
from penstock.adapters.alertmanager import Polls
from penstock.alarm_metrics import AlarmMetrics
from penstock.api.connections import Connection
from tests.bed.pki import Authority
from tests.core.test_alerts import NOW, gettable


class Server:
    """Answers every question the same, and remembers what it was asked."""

    def __init__(self):
        self.status, self.text, self.delay = 200, "[]", 0.0
        self.headers, self.asked = {}, []

    async def answer(self, request):
        self.asked.append((request.path, dict(request.query), dict(request.headers)))
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, text=self.text, headers=self.headers)

    async def start(self, trust=None):
        application = web.Application()
        application.add_routes([web.get("/{path:.*}", self.answer)])
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=trust)
        await site.start()
        scheme = "https" if trust else "http"
        self.port = site._server.sockets[0].getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/am"


@pytest.fixture
async def server():
    running = Server()
    await running.start()
    yield running
    await running.runner.cleanup()


class Poll:
    """One connection that is polled; `next` waits for what it shows."""

    def __init__(self, url, **more):
        fields = {"url": url, "kind": "alertmanager", "every": "1s", "timeout": "500ms", **more}
        connection = Connection.model_validate(fields)
        self.connection = connection.model_copy(update={"every": connection.every / 100})
        self.shown, self.registry = asyncio.Queue(), CollectorRegistry()
        self.polls = Polls({"main": self.connection}, self.show, AlarmMetrics(self.registry),
                           lambda: NOW)  # fmt: skip

    def show(self, source, alarms):
        self.shown.put_nowait((source, list(alarms)))

    async def next(self):
        source, alarms = await asyncio.wait_for(self.shown.get(), 5)
        assert source == "main"
        return alarms

    async def __aenter__(self):
        self.polls.start()
        return self

    async def __aexit__(self, *_):
        await self.polls.stop()

    def metric(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


async def test_only_alerts_that_neither_silence_nor_inhibition_hides_are_asked_for(server):
    server.text = json.dumps([gettable(), gettable("suppressed", n="2")])
    async with Poll(server.url) as poll:
        (alarm,) = await poll.next()
        await poll.next()
    assert alarm.firing
    path, query, _ = server.asked[0]
    assert path == "/am/api/v2/alerts"
    assert query == {"active": "true", "silenced": "false", "inhibited": "false"}
    at = poll.metric("penstock_alert_poll_last_success_timestamp_seconds", connection="main")
    assert at == NOW.timestamp()


async def test_credentials_and_tenant_go_with_each_question_and_may_rotate(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("one")
    more = {
        "auth": {"bearerTokenFile": str(token)},
        "tenantHeader": {"name": "X-Scope-OrgID", "value": "a"},
    }
    async with Poll(server.url, **more) as poll:
        await poll.next()
        token.write_text("two")
        await poll.next()
        await poll.next()
    said = [headers["Authorization"] for _, _, headers in server.asked]
    assert (said[0], said[-1]) == ("Bearer one", "Bearer two")
    assert server.asked[0][2]["X-Scope-OrgID"] == "a"


async def test_basic_auth(server, tmp_path):
    (tmp_path / "password").write_text("p")
    auth = {"basic": {"username": "me", "passwordFile": str(tmp_path / "password")}}
    async with Poll(server.url, auth=auth) as poll:
        await poll.next()
    assert server.asked[0][2]["Authorization"] == "Basic bWU6cA=="


async def test_a_connection_for_some_namespaces_shows_only_theirs(server):
    server.text = json.dumps([gettable(), gettable(namespace="shop")])
    async with Poll(server.url, namespaces=["shop"]) as poll:
        (alarm,) = await poll.next()
    assert alarm.namespace == "shop"


FAULTS = {
    "an error": ({"status": 500}, "answered 500"),
    "bad credentials": ({"status": 401}, "does not accept our credentials: 401"),
    "a redirect": ({"status": 302, "headers": {"Location": "http://x"}}, "answered 302"),
    "no JSON": ({"text": "<html>"}, "something else than Alertmanager"),
    "no list": ({"text": "{}"}, "something else than alerts: the answer must be a list"),
    "deep nonsense": ({"text": "[" * 4000}, "something else than Alertmanager"),
    "silence": ({"delay": 2.0}, "did not answer within 0.5 s"),
    "too much": ({"text": "[" + " " * 5000 + "]"}, "answered with more than"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_what_cannot_be_read_shows_nothing_is_said_once_and_ends_no_poll(
    server, name, monkeypatch, caplog
):
    monkeypatch.setattr(alertmanager, "MOST_BYTES", 4096)
    fault, words = FAULTS[name]
    good = dict(vars(server))
    vars(server).update(fault)
    async with Poll(server.url) as poll:
        while not caplog.messages or (len(server.asked) < 3 and name != "silence"):
            await asyncio.sleep(0.01)
        assert poll.shown.empty()
        vars(server).update({key: good[key] for key in fault})
        assert await poll.next() == []
    (said,) = caplog.messages
    assert said.startswith("connection main ")
    assert words in said
    assert str(server.port) not in said


async def test_a_server_that_is_away_is_asked_again(server, caplog):
    async with Poll("http://127.0.0.1:1/am") as poll:
        while not caplog.messages:
            await asyncio.sleep(0.01)
        assert poll.shown.empty()
    assert "cannot be reached: " in caplog.messages[0]
    assert "127.0.0.1" not in caplog.messages[0]


async def test_https_is_trusted_by_its_authority_only(tmp_path, caplog):
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("alertmanager")
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(pair.cert, pair.key)
    server = Server()
    await server.start(trust)
    try:
        async with Poll(server.url, tls={"caFile": str(authority.ca)}) as poll:
            assert await poll.next() == []
        async with Poll(server.url, tls={"insecureSkipVerify": True}) as poll:
            assert await poll.next() == []
        async with Poll(server.url):
            while not caplog.messages:
                await asyncio.sleep(0.01)
        assert "certificate that is not trusted" in caplog.messages[0]
    finally:
        await server.runner.cleanup()


async def test_credentials_that_cannot_be_read_are_said(server, caplog):
    async with Poll(server.url, auth={"bearerTokenFile": "/none"}):
        while not caplog.messages:
            await asyncio.sleep(0.01)
    assert caplog.messages[0].endswith("has credentials in a file: /none cannot be read")
    assert server.asked == []
