"""At which instants metrics are asked, through the real gatherer."""

from datetime import datetime, timedelta

from penstock.core.kinds import RELEASE, Key
from tests import fakes
from tests.fakes import NAMESPACE
from tests.test_reconciler import Stage

INTERVAL = timedelta(seconds=5)


class Listening(fakes.Prometheus):
    """Remembers at which instants it was asked to look."""

    def _answer(self, query):
        if query.counters is not None and "offset 5000ms" in query.expression:
            self.asked.append(query.at)
        return super()._answer(query)


async def staged():
    stage = Stage()
    stage.metrics = Listening(stage.cluster)
    stage.metrics.asked = []
    stage.start()
    await stage.begin()
    await stage.at(5)
    return stage


def off(stage, begin):
    """How far the instants are from whole intervals since then."""
    assert stage.metrics.asked
    return {(at - begin) % INTERVAL for at in stage.metrics.asked}


def spec(stage):
    return stage.cluster.objects[RELEASE, Key(NAMESPACE, "fraud-1")]["spec"]


async def test_looks_are_at_the_instants_that_the_release_shares_also_after_a_restart():
    stage = await staged()
    begin = datetime.fromisoformat(spec(stage)["looksFrom"])
    started = datetime.fromisoformat(spec(stage)["startedAt"])
    assert begin <= started < begin + INTERVAL
    assert off(stage, begin) == {timedelta(0)}
    stage.metrics.asked.clear()
    stage.start()
    await stage.at(25)
    assert off(stage, begin) == {timedelta(0)}


async def test_a_release_from_before_is_looked_at_from_its_start_on():
    stage = await staged()
    started = datetime.fromisoformat(spec(stage)["startedAt"]) - timedelta(seconds=1.3)

    def as_before(live):
        del live["spec"]["looksFrom"]
        live["spec"]["startedAt"] = started.isoformat()

    stage.cluster.edit(RELEASE, Key(NAMESPACE, "fraud-1"), as_before)
    stage.metrics.asked.clear()
    stage.start()
    await stage.run(lambda: stage.phase == "Promoted")
    assert off(stage, started) == {timedelta(0)}
