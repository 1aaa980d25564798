"""End-to-end 3 and 4: no data is not bad data (rule 4)."""

import time

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


@pytest.mark.needs("prometheus-control")
def test_prometheus_that_dies_in_mid_release_holds_the_weight_and_the_release_goes_on(stage, bed):
    play = stage(stages.rollout(plan=stages.steps(5, 50)))
    play.release("v2")
    play.await_weight(5)
    bed.prometheus.kill()
    try:
        play.place.wait(
            lambda: play.condition("DataTrusted").get("reason") == "NoData", 25, "NoData"
        )
        held = play.weights()
        time.sleep(15)
        assert play.weights() == held
        assert play.phase == "Progressing"
    finally:
        bed.prometheus.restart()
    play.await_phase("Promoted")
    assert play.weights() == [0, 5, 50, 100]
    play.assert_clean()


@pytest.mark.needs("prometheus-control")
def test_prometheus_that_is_silent_from_the_start_holds_the_first_weight(stage, bed):
    play = stage(stages.rollout(plan=stages.steps(5, 50)))
    bed.prometheus.kill()
    try:
        play.release("v2")
        play.place.wait(
            lambda: play.condition("DataTrusted").get("reason") == "NoData", 25, "NoData"
        )
        assert play.weights() == [0, 5]
        assert play.phase == "Progressing"
    finally:
        bed.prometheus.restart()
    play.await_phase("Promoted")
    assert play.weights() == [0, 5, 50, 100]
    play.assert_clean()


def test_without_traffic_nothing_is_judged_and_nothing_moves(stage):
    play = stage(stages.rollout(plan=stages.steps(5, 50)), rate=0.0)
    play.release("v2")
    play.place.wait(lambda: play.condition("DataTrusted").get("reason") == "NoData", 25, "NoData")
    time.sleep(5)
    assert play.weights() == [0, 5]
    play.load.set_rate(stages.RATE)
    play.await_phase("Promoted")
    assert play.weights() == [0, 5, 50, 100]
    play.assert_clean()


def test_a_gap_in_the_traffic_holds_the_weight(stage):
    play = stage(stages.rollout(plan=stages.steps(5, 50)))
    play.release("v2")
    play.await_weight(5)
    play.load.set_rate(0)
    play.place.wait(lambda: play.condition("DataTrusted").get("reason") == "NoData", 25, "NoData")
    held = play.weights()
    time.sleep(5)
    assert play.weights() == held
    play.load.set_rate(stages.RATE)
    play.await_phase("Promoted")
    assert play.weights() == [0, 5, 50, 100]
    play.assert_clean()
