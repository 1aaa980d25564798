"""Stable's history calibrates a release, beside its looks and never in their way."""

import asyncio

import pytest

from penstock.core.metric_record import MetricRecord
from penstock.core.samples import Unreadable
from penstock.core.terms import WITHOUT_HISTORY
from tests import fakes
from tests.core.test_history import tracks
from tests.strict import StrictStage

PODS = [f"10.0.0.{number}" for number in range(1, 21)]


def calibration(stage):
    (text,) = fakes.release(stage.cluster, 1)["status"]["records"].values()
    return MetricRecord.decode(text).first.terms.calibration


async def at_5(past=()):
    stage = StrictStage()
    stage.metrics.past = past
    await stage.begin()
    await stage.at(5)
    return stage


async def test_an_hour_of_stable_is_in_the_record_before_the_first_look():
    stage = await at_5(tuple(tracks("given", PODS, [0.02] * 20)))
    found = calibration(stage)
    assert found.history.bad > 1000
    assert found.seconds == 3600


@pytest.mark.parametrize("past", [(), Unreadable("connection prometheus did not answer")])
async def test_without_an_answer_the_release_goes_on_as_if_nothing_were_known(past):
    assert calibration(await at_5(past)) == WITHOUT_HISTORY


class Slow(fakes.Prometheus):
    """Answers a question about the past when it is told to."""

    async def history(self, query):
        await self.now.wait()
        return await super().history(query)


async def test_an_answer_after_the_first_look_changes_nothing_and_delays_nothing():
    stage = StrictStage()
    stage.metrics.__class__ = Slow
    stage.metrics.now = asyncio.Event()
    stage.metrics.past = tuple(tracks("given", PODS, [0.02] * 20))
    await stage.begin()
    await stage.at(5)
    stage.metrics.now.set()
    await stage.at(25)
    assert calibration(stage) == WITHOUT_HISTORY
    assert stage.weights == [0, 1, 5, 25]


async def test_a_restart_before_the_first_look_asks_the_same_hour_again():
    stage = StrictStage()
    stage.metrics.past = tuple(tracks("given", PODS, [0.02] * 20))
    await stage.begin()
    await stage.at(1)
    stage.start()
    await stage.at(25)
    assert calibration(stage).history.bad > 1000


async def test_how_long_steps_take_is_forecast_before_the_first_weight():
    stage = StrictStage()
    stage.metrics.past = tuple(tracks("given", PODS, [0.02] * 20))
    await stage.settle()
    stage.cluster.pods("v2", 2)
    stage.change(version="v2")
    await stage.run(lambda: any(step.get("eta") for step in stage.status.get("steps", ())), 20)
    etas = [step["eta"] for step in stage.status["steps"] if step.get("eta")]
    assert all(median <= bound for median, bound in etas)
