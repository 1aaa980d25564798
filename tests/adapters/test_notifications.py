"""What receivers are really sent, and receivers that hang, refuse, redirect or are private."""

import asyncio
import ssl
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from penstock.adapters.notifications import Post
from penstock.api.v1alpha1.notifications import NotificationType
from penstock.core.destinations import Destination
from penstock.core.messages import message
from penstock.core.notifications import notifications
from penstock.ports import UndeliveredError
from tests.bed.pki import Authority
from tests.core.rollout.builders import NOW, after, in_flight, seen
from tests.core.test_notifications import ROLLOUT, WORSE

LOCAL = "127.0.0.1"
BAD = message(ROLLOUT, notifications(after(in_flight(0), seen(analysis=WORSE)), "v2", NOW)[0])


class Server:
    """Answers every POST the same, and keeps what it was sent."""

    def __init__(self):
        self.status, self.headers, self.delay = 200, {}, 0.0
        self.taken = []

    async def answer(self, request):
        self.taken.append((request.path_qs, dict(request.headers), await request.json()))
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, headers=self.headers, text="ok")

    async def start(self, trust=None):
        application = web.Application()
        application.add_routes([web.route("*", "/{path:.*}", self.answer)])
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, LOCAL, 0, ssl_context=trust)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    def destination(self, kind="Webhook", path="/hook?key=secret", host=LOCAL, **more):
        url = f"http://{host}:{self.port}{path}"
        return Destination(NotificationType(kind), host, url, **more)


@pytest.fixture
async def server():
    running = Server()
    await running.start()
    yield running
    await running.runner.cleanup()


@pytest.fixture
async def post():
    made = Post({LOCAL}, seconds=0.5)
    yield made
    await made.close()


async def refusal(post, destination):
    with pytest.raises(UndeliveredError) as caught:
        await post.carry(destination, BAD)
    assert "secret" not in str(caught.value)
    return caught.value


async def test_a_webhook_gets_the_facts_as_json(server, post):
    await post.carry(server.destination(authorization="Bearer t"), BAD)
    ((path, headers, body),) = server.taken
    assert path == "/hook?key=secret"
    assert headers["Authorization"] == "Bearer t"
    assert headers["Content-Type"] == "application/json"
    assert body == {
        "event": "RolledBack",
        "id": "u-1/fraud-1/RolledBack",
        "namespace": "ml",
        "rollout": "fraud",
        "release": "fraud-1",
        "version": "v2",
        "stable": "v1",
        "step": None,
        "weight": 0,
        "mirror": 0,
        "time": "2026-11-24T12:00:00Z",
        "title": "ml/fraud: v2 rolled back",
        "message": "Worse: errors: 4 times",
    }


async def test_a_cloud_event_is_structured_and_the_same_at_each_attempt(server, post):
    for _ in range(2):
        await post.carry(server.destination("CloudEvents"), BAD)
    (_, headers, first), (_, _, second) = server.taken
    assert headers["Content-Type"] == "application/cloudevents+json; charset=UTF-8"
    assert first == second
    required = {"specversion", "id", "source", "type"}
    assert required <= first.keys()
    assert first["type"] == "dev.penstock.release.rolledback"
    assert first["data"]["message"] == "Worse: errors: 4 times"


async def test_slack_gets_an_attachment_in_which_nothing_is_a_mention(server, post):
    await post.carry(
        server.destination("Slack", "/services/T/B/secret"), replace(BAD, text="<!channel> & x")
    )
    ((path, headers, body),) = server.taken
    assert path == "/services/T/B/secret"
    assert headers["Content-Type"] == "application/json"
    assert body["mrkdwn"] is False
    (attachment,) = body["attachments"]
    assert attachment["title"] == "ml/fraud: v2 rolled back"
    assert attachment["text"] == "&lt;!channel&gt; &amp; x"
    assert attachment["color"].startswith("#")


async def test_teams_gets_an_adaptive_card(server, post):
    await post.carry(server.destination("Teams"), BAD)
    ((_, _, body),) = server.taken
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    texts = [block["text"] for block in card["body"] if block["type"] == "TextBlock"]
    assert texts[0] == "ml/fraud: v2 rolled back"
    assert "errors: 4 times" in texts[1]
    assert "v1 100 %" in texts[1]


async def test_a_receiver_that_hangs_is_left_after_the_time_limit(server, post):
    server.delay = 5
    began = asyncio.get_running_loop().time()
    error = await refusal(post, server.destination())
    assert asyncio.get_running_loop().time() - began < 2
    assert (error.reason, str(error), error.final) == ("timeout", "no answer within 0.5 s", False)


@pytest.mark.parametrize("status", [500, 502, 503, 408])
async def test_what_may_pass_is_not_final(server, post, status):
    server.status = status
    error = await refusal(post, server.destination())
    assert (error.reason, error.final, error.after) == ("answer", False, None)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_a_refusal_is_final(server, post, status):
    server.status = status
    error = await refusal(post, server.destination())
    assert (error.reason, error.final, str(error)) == ("refused", True, f"answered {status}")


async def test_retry_after_is_understood_in_seconds_and_as_a_date(server, post):
    server.status, server.headers = 429, {"Retry-After": "7"}
    error = await refusal(post, server.destination())
    assert (error.reason, error.after) == ("rateLimited", timedelta(seconds=7))
    server.headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60))}
    error = await refusal(post, server.destination())
    assert timedelta(seconds=50) < error.after <= timedelta(seconds=60)
    server.headers = {"Retry-After": "soon"}
    assert (await refusal(post, server.destination())).after is None


async def test_redirects_are_not_followed(server, post):
    server.status, server.headers = 302, {"Location": "/elsewhere"}
    error = await refusal(post, server.destination())
    assert (error.final, len(server.taken)) == (True, 1)
    assert str(error) == "answered 302; redirects are not followed"


async def test_a_name_that_leads_to_a_private_address_is_not_asked(server, post):
    error = await refusal(post, server.destination(host="localhost"))
    assert error.reason == "secret"
    assert "not public (localhost)" in str(error)
    assert server.taken == []
    free = Post({"localhost"})
    await free.carry(server.destination(host="localhost"), BAD)
    await free.close()
    assert len(server.taken) == 1


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1"])
async def test_other_spellings_of_a_private_address_are_no_way_around(server, post, host):
    error = await refusal(post, server.destination(host=host))
    assert error.reason in ("secret", "unreachable")
    assert server.taken == []


async def test_what_cannot_be_reached_is_said_without_the_address(server, post):
    await server.runner.cleanup()
    error = await refusal(post, server.destination())
    assert (error.reason, error.final) == ("unreachable", False)
    error = await refusal(post, server.destination(host="none.invalid"))
    assert str(error) == "cannot be reached: its name is not known"


async def test_an_address_that_speaks_no_tls_is_said(server, post):
    destination = server.destination()
    secure = replace(destination, url=destination.url.replace("http:", "https:"))
    assert (await refusal(post, secure)).reason == "unreachable"


async def test_a_certificate_that_nobody_vouches_for_is_refused(post, tmp_path):
    pair = Authority(tmp_path / "pki").issue("receiver")
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(pair.cert, pair.key)
    server = Server()
    await server.start(trust)
    destination = server.destination()
    secure = replace(destination, url=destination.url.replace("http:", "https:"))
    error = await refusal(post, secure)
    await server.runner.cleanup()
    assert str(error) == "cannot be reached: its certificate is not trusted"
    assert server.taken == []


def test_apprise_is_not_imported_before_the_first_message_to_slack_or_teams():
    code = "import sys, penstock.__main__; print('apprise' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
