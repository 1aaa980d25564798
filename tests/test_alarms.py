"""Alerts through the real gatherer, decisions and effects: they act before any metric is asked."""

import asyncio
from datetime import timedelta

import pytest

from penstock.core.alert_payloads import read_payload
from penstock.core.kinds import ROLLOUT
from penstock.ports import InterruptedTurnError
from tests.core.test_alerts import body
from tests.fakes import KEY, NAMESPACE
from tests.test_reconciler import Stage

ALERTS = [
    {"match": {"alertname": "Burn"}, "action": "Rollback"},
    {"match": {"alertname": "Slow"}, "action": "Suspend"},
]


def delivery(stage, name="Burn", began=None, ended=None):
    """Return a delivery about an alert that began now, or then."""
    began = stage.clock.now if began is None else began
    content = {
        "status": "firing" if ended is None else "resolved",
        "labels": {"alertname": name, "namespace": NAMESPACE},
        "startsAt": began.isoformat(),
        "endsAt": (ended or began).isoformat(),
        "fingerprint": name,
    }
    return read_payload(body(content), stage.clock.now, timedelta(hours=5))


@pytest.fixture
async def stage():
    """A release of v2 at weight 5."""
    play = Stage(alerts=ALERTS)
    await play.begin()
    await play.at(5)
    await play.settle(2)
    return play


def watch_questions(stage, answer=None):
    """Note what is asked of the metrics from now on."""
    asked, read = [], stage.metrics.read

    async def noted(queries):
        asked.append(queries)
        return await (answer() if answer else read(queries))

    stage.metrics.read = noted
    return asked


async def test_an_alert_wakes_its_rollout_and_one_turn_without_metrics_takes_the_traffic_back(
    stage,
):
    asked = watch_questions(stage)
    stage.clock.pass_time(timedelta(seconds=60))
    stage.alarms.told(delivery(stage))
    assert stage.woken == [(KEY, True)]
    await stage.turn()
    assert (stage.weights[-1], stage.phase) == (0, "RolledBack")
    assert asked == []


async def test_an_alert_interrupts_a_turn_that_waits_for_metrics(stage):
    urgent, forever = asyncio.Event(), asyncio.Event()
    asked = watch_questions(stage, forever.wait)
    stage.alarms.wake = lambda key, *, urgent=False, event=urgent: event.set() if urgent else None
    stage.clock.pass_time(timedelta(seconds=60))
    turn = asyncio.create_task(
        stage.reconciler.reconcile(stage.cluster.objects[ROLLOUT, KEY], urgent)
    )
    while not asked:
        await asyncio.sleep(0)
    stage.alarms.told(delivery(stage))
    with pytest.raises(InterruptedTurnError):
        await asyncio.wait_for(turn, 5)
    await stage.turn()
    assert (stage.weights[-1], len(asked)) == (0, 1)


async def test_suspend_holds_while_metrics_are_asked_until_somebody_approves(stage):
    stage.alarms.told(delivery(stage, "Slow"))
    await stage.turn()
    asked = watch_questions(stage)
    await stage.settle(60)
    assert (stage.weights[-1], stage.phase) == (5, "Waiting")
    assert asked
    stage.say(approve="fraud-1#go")
    await stage.at(25)


async def test_a_release_that_would_start_while_an_alert_fires_starts_after_its_end():
    play = Stage(alerts=ALERTS)
    await play.settle()
    began = play.clock.now
    play.alarms.told(delivery(play))
    await play.begin()
    await play.settle(60)
    assert (play.phase, play.weights) == ("Waiting", [0])
    play.alarms.told(delivery(play, began=began, ended=play.clock.now))
    await play.at(1)


async def test_after_a_restart_the_repetition_of_an_alert_acts(stage):
    alert = delivery(stage)
    stage.start()
    await stage.turn()
    assert stage.weights[-1] == 5, "nothing is known yet"
    stage.alarms.told(alert)
    await stage.turn()
    assert stage.weights[-1] == 0


async def test_a_poll_acts_as_a_delivery_does(stage):
    (alarm,) = delivery(stage).alarms
    stage.alarms.shown("alertmanager", [alarm])
    assert stage.woken == [(KEY, True)]
    await stage.turn()
    assert stage.weights[-1] == 0


async def test_an_alert_within_keep_old_undoes_the_promotion():
    play = Stage(alerts=ALERTS)
    await play.begin()
    await play.run(lambda: play.phase == "Promoted")
    play.alarms.told(delivery(play))
    await play.turn()
    assert (play.phase, play.status["stable"]["version"]) == ("RolledBack", "v1")
    await play.run(lambda: play.weights[-1] == 0)
