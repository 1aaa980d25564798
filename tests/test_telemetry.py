import asyncio
import contextlib

from prometheus_client import generate_latest

from penstock.api.v1alpha1.release import Outcome
from penstock.core import figures
from penstock.core.kinds import Key
from penstock.core.rollout import ending
from penstock.ports import TransientError
from penstock.telemetry import Metrics, Telemetry

KEY = Key("ml", "fraud")
BODY = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "fraud", "namespace": "ml", "uid": "u", "resourceVersion": "7"},
}


class Events:
    """Takes events, or refuses them."""

    def __init__(self, refuse=False):
        self.taken, self.refuse = [], refuse

    async def create(self, kind, manifest):
        if self.refuse:
            raise TransientError("no")
        self.taken.append(manifest)


def shown(metrics):
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line for line in lines if "fraud" in line}


def test_a_rollout_has_the_series_that_were_shown_last_and_no_others():
    metrics = Metrics()
    telemetry = Telemetry(metrics, Events())
    telemetry.rollout(KEY, [figures.WEIGHT.of(5.0), figures.PHASE.of(1, "Progressing")])
    telemetry.rollout(KEY, [figures.WEIGHT.of(0.0), figures.PHASE.of(1, "RolledBack")])
    assert shown(metrics) == {
        'penstock_rollout_weight_percent{namespace="ml",rollout="fraud"} 0.0',
        'penstock_rollout_phase{namespace="ml",phase="RolledBack",rollout="fraud"} 1.0',
    }


def test_the_evidence_of_a_release_stays_until_the_next_one_has_some():
    metrics = Metrics()
    telemetry = Telemetry(metrics, Events())
    telemetry.rollout(KEY, [figures.EVIDENCE.of(1.5, "errors", "worse")])
    telemetry.rollout(KEY, [figures.WEIGHT.of(0.0)])
    telemetry.rollout(KEY, [figures.WEIGHT.of(0.0)])
    assert len(shown(metrics)) == 2
    telemetry.rollout(KEY, [figures.EVIDENCE.of(0.1, "latency", "worse")])
    (line,) = shown(metrics)
    assert 'metric="latency"' in line


def test_series_go_with_their_rollout():
    metrics = Metrics()
    telemetry = Telemetry(metrics, Events())
    telemetry.rollout(KEY, [figures.EVIDENCE.of(1.5, "errors", "worse")])
    telemetry.gone(KEY)
    telemetry.gone(Key("ml", "never-seen"))
    assert shown(metrics) == set()


def test_outcomes_and_failures_begin_at_zero_so_that_the_first_is_seen():
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    rolled_back = {"outcome": "RolledBack", "cause": "Worse"}
    assert value("penstock_releases_finished_total", rolled_back) == 0
    assert value("penstock_failures_total", {"operation": "turn"}) == 0
    Telemetry(metrics, Events()).finished("RolledBack", "Worse")
    Telemetry(metrics, Events()).failed("turn")
    assert value("penstock_releases_finished_total", rolled_back) == 1
    assert value("penstock_failures_total", {"operation": "turn"}) == 1


def test_every_outcome_has_its_causes():
    assert set(ending.CAUSES) == set(Outcome)


async def sent(telemetry):
    task = asyncio.create_task(telemetry.send_events())
    await asyncio.sleep(0)
    while not telemetry._queue.empty():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_events_name_the_rollout_and_are_sent_apart_from_decisions():
    events = Events()
    telemetry = Telemetry(Metrics(), events)
    telemetry.event(BODY, warning=True, reason="RolledBack", message="errors: 4 times")
    assert events.taken == [], "nobody waits for an event"
    await sent(telemetry)
    (event,) = events.taken
    assert (event["type"], event["reason"]) == ("Warning", "RolledBack")
    assert event["involvedObject"]["uid"] == "u"


async def test_an_event_that_is_refused_is_dropped_and_counted():
    metrics = Metrics()
    telemetry = Telemetry(metrics, Events(refuse=True))
    telemetry.event(BODY, warning=False, reason="Promoted", message="v2 serves")
    await sent(telemetry)
    assert metrics.dropped._value.get() == 1
