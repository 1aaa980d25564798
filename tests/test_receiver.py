"""The receiver of alerts over real HTTP on this machine."""

import asyncio
import io
import json
import socket
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from penstock import receiver as receivers
from penstock.alarm_metrics import AlarmMetrics
from penstock.alarms import Alarms
from penstock.api.configuration import AlertReceiver, ConfigurationError
from penstock.core.kinds import Key
from penstock.receiver import Receiver
from tests.bed.pki import Authority
from tests.core.test_alerts import NOW, alert, body, later, resolved

ROLLOUT = {
    "metadata": {"name": "fraud", "namespace": "ml"},
    "spec": {"alerts": [{"match": {"alertname": "Burn"}, "action": "Rollback"}]},
}
OTHERS = [
    {"metadata": {"name": "quiet", "namespace": "ml"}, "spec": {}},
    {"metadata": {"name": "broken", "namespace": "ml"}, "spec": {"alerts": [1, {"match": 2}]}},
    ROLLOUT | {"metadata": {"name": "fraud", "namespace": "shop"}},
]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Site:
    """A running receiver with its book, and a client that knows the token."""

    def __init__(self, folder, **settings):
        self.token = folder / "token"
        self.token.write_text("secret\n")
        self.registry, self.woken, self.now = CollectorRegistry(), [], NOW
        wake = lambda key, *, urgent=False: self.woken.append((key, urgent))  # noqa: E731
        self.alarms = Alarms(lambda: [ROLLOUT, *OTHERS], wake, self.clock)
        self.settings = AlertReceiver(
            port=free_port(), bind_address="127.0.0.1", token_file=str(self.token), **settings
        )
        metrics = AlarmMetrics(self.registry)
        self.receiver = Receiver(self.settings, self.alarms.told, metrics, self.clock)

    def clock(self):
        return self.now

    async def post(self, content, path="/alerts", token="secret", trust=None, method="POST"):
        """Return status and text of the answer."""
        scheme = "https" if trust else "http"
        url = f"{scheme}://127.0.0.1:{self.settings.port}{path}"
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with (
            aiohttp.ClientSession() as client,
            client.request(
                method, url, data=io.BytesIO(data), headers=headers, ssl=trust or True
            ) as answer,
        ):
            return answer.status, await answer.text()

    def count(self, name, **labels):
        return self.registry.get_sample_value(f"penstock_alerts_{name}_total", labels) or 0

    @property
    def firing(self):
        return [alarm for alarm in self.alarms.known("ml") if alarm.firing]


@pytest.fixture
async def site(tmp_path):
    running = Site(tmp_path)
    await running.receiver.start()
    yield running
    await running.receiver.stop()


@pytest.mark.parametrize("path", ["/alerts", "/", "/team/a"])
async def test_an_alert_is_in_the_book_and_its_rollout_woken_when_the_answer_comes(site, path):
    assert await site.post(body(alert()), path) == (200, "ok\n")
    assert len(site.firing) == 1
    assert site.woken == [(Key("ml", "fraud"), True)]
    assert site.count("received", source="webhook") == 1


async def test_a_delivery_that_comes_again_wakes_nobody_and_the_end_wakes_without_haste(site):
    for _ in range(3):
        await site.post(body(alert()))
    assert len(site.woken) == 1
    await site.post(body(resolved()))
    assert (site.firing, site.woken[1:]) == ([], [(Key("ml", "fraud"), False)])


async def test_an_alert_that_is_not_repeated_is_forgotten(site):
    await site.post(body(alert()))
    site.now = later(5 * 3600)
    assert site.firing == []


@pytest.mark.parametrize("token", [None, "", "wrong", "secre", "secret2", "géheim"])
async def test_without_the_token_nothing_is_read(site, token):
    status, text = await site.post(body(alert()), token=token)
    assert (status, text) == (401, "the bearer token is not the one of tokenFile\n")
    assert (site.firing, site.count("refused", reason="token")) == ([], 1)


async def test_the_token_may_be_rotated(site):
    site.token.write_text("newer")
    assert (await site.post(body(), token="secret"))[0] == 401
    assert (await site.post(body(), token="newer"))[0] == 200


@pytest.mark.parametrize("content", ["", "two\nlines", None])
async def test_without_a_token_of_our_own_alertmanager_is_asked_to_try_again(site, content):
    site.token.unlink() if content is None else site.token.write_text(content)
    status, text = await site.post(body(alert()), token="")
    assert status == 503
    assert "tokenFile" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"9" * 10_000, "the body is not JSON"),
        (b"[]", "the body must be an object"),
        (b"{}", 'only payloads of version "4"'),
    ],
)
async def test_what_is_no_payload_is_refused_with_a_sentence(site, content, words):
    status, text = await site.post(content)
    assert (status, site.firing) == (400, [])
    assert words in text
    assert (await site.post(body(alert())))[0] == 200, "the receiver goes on"


async def test_a_body_that_is_too_large_is_refused(site):
    status, text = await site.post(b" " * (receivers.MOST_BYTES + 1))
    assert status == 413
    assert "max_alerts" in text
    assert site.count("refused", reason="size") == 1


async def test_a_body_that_does_not_come_holds_nobody_up(site, monkeypatch):
    monkeypatch.setattr(receivers, "PATIENCE_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.settings.port)
    writer.write(b"POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
                 b"Content-Length: 100\r\n\r\n{")  # fmt: skip
    assert (await site.post(body(alert())))[0] == 200
    assert b"503" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_only_post_is_taken(site):
    assert (await site.post(b"", method="GET"))[0] == 405


async def test_while_it_shuts_down_alertmanager_is_asked_to_send_again(site):
    site.receiver._closing = True
    assert (await site.post(body(alert())))[0] == 503
    assert site.firing == []


async def test_alerts_that_were_cut_off_are_counted(site):
    await site.post(body(alert(), truncatedAlerts=7))
    assert site.count("truncated") == 7


async def test_https_with_a_certificate_that_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(receivers, "CERTIFICATE_SECONDS", 0.02)
    old, new = (Authority(tmp_path / name) for name in ("old", "new"))
    pair, renewed = (authority.issue("alerts") for authority in (old, new))
    site = Site(tmp_path, cert_file=str(pair.cert), key_file=str(pair.key))
    await site.receiver.start()
    try:
        trust = ssl.create_default_context(cafile=old.ca)
        assert (await site.post(body(alert()), trust=trust))[0] == 200
        pair.key.write_bytes(renewed.key.read_bytes())
        pair.cert.write_bytes(renewed.cert.read_bytes())
        trust = ssl.create_default_context(cafile=new.ca)
        async with asyncio.timeout(5):
            while not await trusted(site, trust):
                await asyncio.sleep(0.01)
    finally:
        await site.receiver.stop()


async def trusted(site, trust):
    try:
        return (await site.post(body(), trust=trust))[0] == 200
    except aiohttp.ClientError:
        return False


async def test_a_certificate_that_cannot_be_used_is_a_mistake_in_the_configuration(tmp_path):
    (tmp_path / "tls.crt").write_text("nonsense")
    site = Site(tmp_path, cert_file=str(tmp_path / "tls.crt"), key_file=str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"alertReceiver: .*tls\.crt"):
        await site.receiver.start()
    await site.receiver.stop()


async def test_a_port_that_is_taken_is_a_mistake_in_the_configuration(site, tmp_path):
    other = Site(tmp_path)
    other.receiver._settings = site.settings
    with pytest.raises(ConfigurationError, match="alertReceiver: cannot listen on 127"):
        await other.receiver.start()
    await other.receiver.stop()


async def test_a_delivery_is_answered_quickly_though_the_book_is_full(site):
    many = body(*(alert(n=str(number)) for number in range(1500)))
    await site.post(many)
    began = datetime.now(UTC)
    await site.post(body(alert(n="one more")))
    assert (datetime.now(UTC) - began).total_seconds() < 0.5
