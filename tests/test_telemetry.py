import asyncio
import contextlib

from prometheus_client import generate_latest

from penstock.core.kinds import Key
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


def facts(**more):
    return {
        "weight": 5.0,
        "phase": "Progressing",
        "verdict": "Learning",
        "evidence": [("errors", "worse", 1.5)],
        "at": 1.0,
        **more,
    }


def shown(metrics):
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line for line in lines if "fraud" in line and "_created" not in line}


def test_the_numbers_of_a_rollout_are_series_and_a_state_has_one_value():
    metrics = Metrics()
    telemetry = Telemetry(metrics, Events())
    telemetry.rollout(KEY, facts())
    telemetry.rollout(KEY, facts(phase="RolledBack", verdict="Worse", weight=0.0))
    assert shown(metrics) == {
        'penstock_rollout_weight_percent{namespace="ml",rollout="fraud"} 0.0',
        'penstock_rollout_phase{namespace="ml",phase="RolledBack",rollout="fraud"} 1.0',
        'penstock_rollout_verdict{namespace="ml",rollout="fraud",verdict="Worse"} 1.0',
        "penstock_rollout_metric_evidence_log10"
        '{metric="errors",namespace="ml",question="worse",rollout="fraud"} 1.5',
        'penstock_rollout_last_reconcile_timestamp_seconds{namespace="ml",rollout="fraud"} 1.0',
    }


def test_series_go_with_their_rollout():
    metrics = Metrics()
    telemetry = Telemetry(metrics, Events())
    telemetry.rollout(KEY, facts())
    telemetry.finished(KEY, "RolledBack", "Worse")
    assert any('cause="Worse"' in line for line in shown(metrics))
    telemetry.gone(KEY)
    telemetry.gone(Key("ml", "never-seen"))
    assert shown(metrics) == set()


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
