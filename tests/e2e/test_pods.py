"""End-to-end 7: pods that are not there."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


def test_a_candidate_without_ready_pods_gets_no_traffic_and_is_rolled_back_at_its_deadline(stage):
    play = stage(stages.rollout(plan=stages.steps(10), strategy={"readyDeadline": "5s"}))
    play.place.scale("v2", 0)
    play.place.wait(lambda: play.place.ready_pods("v2") == 0, 10, "no pods")
    play.release("v2")
    play.await_phase("RolledBack")
    assert play.weights() == [0]
    assert play.status["refused"][0]["reason"] == "NotReady"
    play.assert_clean()


def test_a_candidate_whose_pods_vanish_in_mid_step_is_rolled_back(stage):
    play = stage(stages.rollout(plan=[stages.step(10, "10m")]))
    play.release("v2")
    play.await_weight(10)
    play.place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    play.place.scale("v2", 0)
    play.await_phase("RolledBack")
    assert play.weights() == [0, 10, 0]
    assert play.status["refused"][0]["reason"] in ("NotReady", "Worse")
    play.assert_clean(errors_of_mesh=True)


def test_requests_that_reach_no_pod_are_seen_although_they_belong_to_no_version(stage):
    play = stage(stages.rollout(plan=[stages.step(10, "10m")]))
    play.release("v2")
    play.await_weight(10)
    play.place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    play.place.scale("v2", 0)
    play.place.wait(
        lambda: play.condition("DataTrusted").get("reason") == "NoPodReached", 25, "NoPodReached"
    )
    assert "reached no pod" in play.condition("DataTrusted")["message"]
    play.await_phase("RolledBack")
    play.assert_clean(errors_of_mesh=True)


def test_a_stable_without_pods_stops_a_rollback_loudly(stage):
    play = stage(stages.rollout(plan=[stages.step(10, "10m")]))
    play.release("v2")
    play.await_weight(10)
    play.place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    play.place.scale("v1", 0)
    play.place.wait(
        lambda: play.condition("RollbackCapacity").get("reason") == "StableHasNoReadyPods", 20, ""
    )
    play.command("abort=fraud-1#a")
    play.place.wait(
        lambda: play.condition("Stalled").get("reason") == "StableHasNoReadyPods", 20, "Stalled"
    )
    assert play.weights() == [0, 10], "a rollback to nothing would be an outage"
    play.place.scale("v1", 1)
    play.await_phase("RolledBack")
    assert play.weights() == [0, 10, 0]
    play.assert_clean(errors_of_mesh=True)
