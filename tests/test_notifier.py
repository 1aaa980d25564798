"""The queue of notifications: in a time that passes only as the test says."""

import asyncio
import base64
from collections import defaultdict
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from penstock import notifier
from penstock.api.v1alpha1.rollout_status import Ended
from penstock.core.kinds import SECRET, Key
from penstock.notification_metrics import NotificationMetrics
from penstock.notifier import Notifier
from penstock.ports import ForbiddenError, TransientError, UndeliveredError
from tests.core.rollout.builders import NOW, RELEASE, idle, in_flight, promoted, spec
from tests.core.test_notifications import ROLLOUT
from tests.fakes import refuse
from tests.test_reconciler import LADDER, Stage

PROMOTED = promoted(ended=Ended(release=RELEASE, outcome="Promoted", message="v2 serves", at=NOW))
DOWN = UndeliveredError("answer", "answered 503")
KEY = Key("ml", "fraud")


class Secrets:
    """Secrets by name; an error stands for an answer of the API server."""

    def __init__(self):
        self.known, self.asked = {}, 0

    def put(self, name, url="https://example.com/hook"):
        data = {"url": base64.b64encode(url.encode()).decode()}
        self.known[name] = {"data": data}

    async def get(self, kind, key):
        assert (kind, key.namespace) == (SECRET, "ml")
        self.asked += 1
        found = self.known.get(key.name)
        if isinstance(found, Exception):
            raise found
        return found


class Office:
    """A notifier, its receivers by Secret, and a clock that its pauses move."""

    def __init__(self):
        self.now, self.pauses, self.events = NOW, [], []
        self.secrets, self.registry = Secrets(), CollectorRegistry()
        self.taken, self.answers, self.gate = [], defaultdict(list), {}
        metrics = NotificationMetrics(self.registry)
        self.notifier = Notifier(
            self.secrets, self, self, metrics, lambda: self.now, pause=self.pause, chance=lambda: 0
        )

    async def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    async def carry(self, destination, message):
        name = destination.url.rpartition("/")[2]
        if name in self.gate:
            await self.gate[name].wait()
        answers = self.answers[name]
        if answers:
            error = answers.pop(0) if len(answers) > 1 else answers[0]
            if error is not None:
                raise error
        self.taken.append((name, message.data["event"]))

    def event(self, rollout, *, warning, reason, message):
        assert rollout["metadata"]["uid"]
        self.events.append((warning, reason, message))

    def heed(self, status, *names, kind="Webhook", rollout=ROLLOUT, **more):
        rules = [
            {"type": kind, "secretRef": {"name": n}, "events": ["Started", "Promoted"], **more}
            for n in names
        ]
        self.notifier.heed(rollout, spec(notifications=rules), status, self.now)

    def tell(self, *names, **more):
        """Let it see a Rollout at rest, and then the promotion."""
        self.heed(idle(), *names, **more)
        self.heed(PROMOTED, *names, **more)

    async def settle(self, turns=200):
        for _ in range(turns):
            await asyncio.sleep(0)

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"penstock_notifications_{name}", labels) or 0


@pytest.fixture
async def office():
    made = Office()
    for name in ("a", "b"):
        made.secrets.put(name, f"https://example.com/{name}")
    yield made
    for task in made.notifier._tasks:
        task.cancel()


async def test_what_is_new_goes_to_each_destination_that_wants_it(office):
    office.heed(idle(), "a", "b")
    office.heed(in_flight(0), "a")
    office.heed(PROMOTED, "a", "b")
    await office.settle()
    assert sorted(office.taken) == [("a", "Promoted"), ("a", "Started"), ("b", "Promoted")]
    assert office.metric("sent_total", type="Webhook") == 3
    assert office.metric("waiting") == 0


async def test_the_same_status_again_asks_and_tells_nothing(office):
    office.tell("a")
    await office.settle()
    asked = office.secrets.asked
    for _ in range(5):
        office.heed(PROMOTED, "a")
    await office.settle()
    assert (len(office.taken), office.secrets.asked) == (1, asked)


async def test_a_rollout_without_destinations_costs_nothing(office):
    office.notifier.heed(ROLLOUT, spec(), PROMOTED, NOW)
    await office.settle()
    assert (office.taken, office.secrets.asked) == ([], 0)


async def test_a_receiver_that_is_down_is_tried_with_growing_pauses_until_it_is_up(office):
    office.answers["a"] = [DOWN, DOWN, DOWN, None]
    office.tell("a")
    await office.settle()
    assert office.pauses == [2, 4, 8]
    assert office.taken == [("a", "Promoted")]
    assert office.metric("failed_total", type="Webhook", reason="answer") == 3
    assert office.events == []


async def test_pauses_are_spread_so_that_not_all_come_at_once(office):
    office.notifier.chance = lambda: 1
    office.answers["a"] = [DOWN, None]
    office.tell("a")
    await office.settle()
    assert office.pauses == [1]


async def test_after_five_minutes_it_is_given_up_with_a_metric_and_an_event(office):
    office.answers["a"] = [DOWN]
    office.tell("a")
    await office.settle()
    assert office.taken == []
    assert sum(office.pauses) <= 300
    assert len(office.pauses) < notifier.MOST_TRIES
    assert office.metric("dropped_total", reason="answer") == 1
    ((warning, reason, text),) = office.events
    assert (warning, reason) == (True, "NotificationFailed")
    assert "Webhook through Secret a: answered 503" in text
    assert "example.com" not in text


async def test_a_refusal_is_not_repeated(office):
    office.answers["a"] = [UndeliveredError("refused", "answered 404", final=True)]
    office.tell("a")
    await office.settle()
    assert office.pauses == []
    assert office.metric("dropped_total", reason="refused") == 1


async def test_a_receiver_that_asks_to_be_left_alone_is(office):
    busy = UndeliveredError("rateLimited", "answered 429", after=timedelta(seconds=90))
    office.answers["a"] = [busy, None]
    office.tell("a")
    await office.settle()
    assert office.pauses == [90]
    assert office.taken == [("a", "Promoted")]


async def test_a_receiver_that_asks_for_too_long_a_time_is_given_up(office):
    busy = UndeliveredError("rateLimited", "answered 429", after=timedelta(hours=1))
    office.answers["a"] = [busy]
    office.tell("a")
    await office.settle()
    assert office.pauses == []
    assert office.metric("dropped_total", reason="rateLimited") == 1


async def test_a_receiver_that_hangs_delays_only_itself(office):
    office.gate["a"] = asyncio.Event()
    office.heed(idle(), "a", "b")
    office.heed(in_flight(0), "a", "b")
    office.heed(PROMOTED, "a", "b")
    await office.settle()
    assert office.taken == [("b", "Started"), ("b", "Promoted")]
    assert office.metric("waiting") == 2
    office.gate["a"].set()
    await office.settle()
    assert office.taken[2:] == [("a", "Started"), ("a", "Promoted")]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (ForbiddenError("403"), "may not read the Secret: grant it a Role"),
        (None, "no such Secret"),
        ({"data": {}}, "the Secret has no key url"),
    ],
)
async def test_a_secret_that_must_be_mended_is_said_at_once_and_read_anew(office, answer, sentence):
    office.secrets.known["a"] = answer
    office.heed(idle(), "a")
    office.heed(PROMOTED, "a")
    await office.settle(2)
    ((warning, reason, text),) = office.events
    assert (warning, reason) == (True, "NotificationFailed")
    assert sentence in text
    assert "ml/fraud: v2 promoted" in text
    office.secrets.put("a", "https://example.com/a")
    await office.settle()
    assert office.taken == [("a", "Promoted")]


async def test_a_failure_is_said_once_an_hour_for_each_cause(office):
    office.secrets.known["a"] = None
    for number in range(1, 4):
        office.heed(in_flight(0, release=f"fraud-{number}"), "a")
        await office.settle()
        office.now = NOW + timedelta(minutes=15 * number)
    assert len(office.events) == 1
    office.now = NOW + timedelta(hours=2)
    office.heed(in_flight(0, release="fraud-9", since=office.now), "a")
    await office.settle()
    assert len(office.events) == 2


async def test_an_api_server_that_is_away_is_no_mistake_of_anybody(office):
    office.secrets.known["a"] = TransientError("timeout")
    office.tell("a")
    await office.settle(3)
    assert office.events == []
    office.secrets.put("a", "https://example.com/a")
    await office.settle()
    assert office.taken == [("a", "Promoted")]


async def test_whatever_a_carrier_raises_the_lane_goes_on(office):
    office.answers["a"] = [RuntimeError("odd"), None]
    office.tell("a")
    await office.settle()
    assert office.taken == [("a", "Promoted")]
    assert office.metric("failed_total", type="Webhook", reason="unknown") == 1


async def test_a_mistake_in_the_making_never_reaches_the_turn(office):
    broken = {**ROLLOUT, "metadata": {"name": "fraud", "namespace": "ml"}}
    office.heed(in_flight(0), "a", rollout=broken)
    await office.settle()
    assert office.taken == []


async def test_the_queue_is_bounded_for_a_namespace_and_over_all(office, monkeypatch):
    monkeypatch.setattr(notifier, "MOST_OF_A_NAMESPACE", 2)
    office.gate["a"] = asyncio.Event()
    for number in range(4):
        office.heed(in_flight(0, release=f"fraud-{number}"), "a")
    await office.settle()
    assert office.metric("waiting") == 2
    assert office.metric("dropped_total", reason="queueFull") == 2
    monkeypatch.setattr(notifier, "MOST_OF_A_NAMESPACE", 100)
    monkeypatch.setattr(notifier, "MOST_WAITING", 2)
    office.heed(in_flight(0, release="fraud-8"), "b")
    await office.settle()
    assert office.metric("dropped_total", reason="queueFull") == 3


async def test_after_a_restart_what_is_recent_is_told_again_and_nothing_else(office):
    office.now = NOW + timedelta(minutes=4)
    office.heed(PROMOTED, "a")
    await office.settle()
    assert office.taken == [("a", "Promoted")]
    office.notifier.forget(KEY)
    office.now = NOW + timedelta(minutes=6)
    office.heed(PROMOTED, "a")
    await office.settle()
    assert len(office.taken) == 1


async def test_at_the_end_what_waits_gets_a_last_moment(office, monkeypatch):
    office.gate["a"] = asyncio.Event()
    office.tell("a", "b")
    monkeypatch.setattr(notifier, "LAST_MOMENTS", timedelta(milliseconds=20))
    await office.notifier.stop()
    assert office.taken == [("b", "Promoted")]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("notify")]


# In the turns of the operator


async def test_a_turn_shows_each_status_that_was_written_and_none_that_was_not():
    stage = Stage()
    await stage.begin()
    await stage.at(5)
    stage.cluster.before = refuse("status Rollout")
    stage.metrics.bad_from = stage.clock.now
    await stage.settle()
    assert {str(status.phase) for _, status in stage.notices.heeded} == {"Idle", "Progressing"}
    stage.cluster.before = None
    await stage.run(lambda: stage.phase == "RolledBack")
    key, status = stage.notices.heeded[-1]
    assert (key, str(status.phase)) == (KEY, "RolledBack")
    stage.reconciler.forget(KEY)
    assert stage.notices.forgotten == [KEY]


async def test_a_release_with_a_notifier_that_always_fails_is_the_same(office):
    stage = Stage(notifications=[{"type": "Slack", "secretRef": {"name": "a"}}])
    stage.reconciler.notices = office.notifier
    office.secrets.known["a"] = RuntimeError("odd")
    office.notifier.clock = stage.clock
    await stage.begin()
    await stage.run(lambda: stage.phase == "Promoted")
    await office.settle()
    assert stage.weights == LADDER
    assert office.metric("failed_total", type="Slack", reason="unknown") >= 1
