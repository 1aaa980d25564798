"""Gates are asked beside the turns, and only their own Rollout hears of them."""

import asyncio
from datetime import timedelta

from penstock.core.facts import GateSaid, GateState
from penstock.core.gates import HttpQuestion, JobQuestion, Refused
from penstock.core.kinds import CRON_JOB, JOB, RELEASE, Key
from penstock.gates import NO_RIGHT, Gates
from penstock.ports import ForbiddenError
from penstock.slots import Slots
from tests import fakes

KEY, OTHER = Key("ml", "fraud"), Key("ml", "other")
TICK = timedelta(milliseconds=1)
QUESTION = HttpQuestion("http://qa", timedelta(seconds=1), TICK)
JOB_QUESTION = JobQuestion(Key("ml", "smoke"), Key("ml", "fraud-1-gate-1"), "fraud-1", TICK)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def keeper(http=None, cluster=None):
    cluster = cluster or fakes.Cluster(fakes.Clock())
    woken = []
    return Gates(http or fakes.Http(), cluster, cluster, woken.append), woken


async def test_a_gate_is_asked_until_it_opens_and_its_rollout_is_woken_for_what_is_new():
    gates, woken = keeper(fakes.Http(503, 503, 200))
    assert gates.said(KEY, QUESTION) is None
    await until(lambda: gates.said(KEY, QUESTION) == GateSaid(GateState.OPEN, "answered 200"))
    assert woken == [KEY, KEY]
    gates.forget(KEY)


async def test_a_gate_that_hangs_delays_nobody_else():
    class Hanging(fakes.Http):
        async def status(self, url, timeout):
            if url == "http://qa":
                await asyncio.Event().wait()
            return 200

    gates, woken = keeper(Hanging())
    quick = HttpQuestion("http://quick", timedelta(seconds=1), TICK)
    assert gates.said(KEY, QUESTION) is None
    gates.said(OTHER, quick)
    await until(lambda: OTHER in woken)
    assert gates.said(KEY, QUESTION) is None
    gates.forget(KEY)
    gates.forget(OTHER)


async def test_what_an_earlier_gate_said_is_not_taken_for_the_next():
    gates, woken = keeper(fakes.Http(200))
    gates.said(KEY, QUESTION)
    await until(lambda: woken)
    assert gates.said(KEY, Refused("nobody", TICK)) is None
    await until(lambda: len(woken) > 1)
    assert gates.said(KEY, Refused("nobody", TICK)) == GateSaid(GateState.CLOSED, "nobody")
    assert gates.said(KEY, None) is None


def furnished():
    cluster = fakes.Cluster(fakes.Clock())
    meta = {"namespace": "ml", "name": "fraud-1"}
    cluster.put(RELEASE, {"metadata": meta, "spec": {"rollout": "fraud"}})
    job = {"spec": {"template": {"spec": {"containers": []}}}}
    meta = {"namespace": "ml", "name": "smoke"}
    cluster.put(CRON_JOB, {"metadata": meta, "spec": {"jobTemplate": job}})
    return cluster


async def test_a_job_is_made_once_and_made_again_when_somebody_deletes_it():
    cluster = furnished()
    gates, _woken = keeper(cluster=cluster)
    for _ in range(2):
        gates.said(KEY, JOB_QUESTION)
        await until(lambda: (JOB, JOB_QUESTION.job) in cluster.objects)
        del cluster.objects[JOB, JOB_QUESTION.job]
    await until(lambda: (JOB, JOB_QUESTION.job) in cluster.objects)
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    cluster.edit(JOB, JOB_QUESTION.job, lambda job: job.update(status=done))
    await until(lambda: gates.said(KEY, JOB_QUESTION).state is GateState.OPEN)
    gates.forget(KEY)


async def test_a_job_that_may_not_be_run_says_which_component_is_missing():
    class Poor(fakes.Cluster):
        async def get(self, kind, key):
            raise ForbiddenError("no")

    gates, woken = keeper(cluster=Poor(fakes.Clock()))
    gates.said(KEY, JOB_QUESTION)
    await until(lambda: woken)
    assert gates.said(KEY, JOB_QUESTION) == GateSaid(GateState.CLOSED, NO_RIGHT)
    gates.forget(KEY)


async def test_a_cron_job_that_is_not_there_is_named():
    gates, woken = keeper()
    gates.said(KEY, JOB_QUESTION)
    await until(lambda: woken)
    assert "no CronJob smoke" in gates.said(KEY, JOB_QUESTION).message
    gates.forget(KEY)


def test_no_more_releases_than_allowed_are_in_flight_and_turns_at_once_do_not_add_one():
    slots = Slots(2)
    assert slots.queue(KEY, {Key("ml", "busy")}) == ""
    assert "maxConcurrentReleases is 2" in slots.queue(OTHER, {Key("ml", "busy")})
    slots.forget(KEY)
    assert slots.queue(OTHER, {KEY}) == ""


def test_a_turn_that_started_nothing_gives_its_place_back():
    slots = Slots(1)
    assert slots.queue(KEY, set()) == ""
    assert slots.queue(KEY, set()) == ""
    slots.forget(KEY)
    assert slots.queue(OTHER, set()) == ""


def test_without_a_limit_nobody_waits():
    assert Slots().queue(KEY, {Key("ml", str(n)) for n in range(1000)}) == ""
