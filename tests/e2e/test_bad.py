"""End-to-end 2: a bad version is rolled back, refused, not tried again."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
BAD = 0.3


def test_a_version_that_is_bad_from_the_start_never_passes_the_first_step(stage):
    play = stage(stages.rollout(plan=stages.steps(5, 25, 50)))
    play.place.behave("v2", errors=BAD)
    play.release("v2")
    play.await_phase("RolledBack")
    weights = play.weights()
    assert weights in ([0, 5, 0], [0, 5, 25, 0]), "30 % may pass for 4 times 5 % + 0.4, no further"
    refusal = play.status["refused"][0]
    assert (refusal["version"], refusal["reason"]) == ("v2", "Worse")
    assert "needed" in refusal["message"]
    assert play.condition("Stalled")["reason"] == "RolledBack"
    play.change(suspend=True)
    play.change(suspend=False)
    play.await_phase("RolledBack")
    assert play.weights() == weights, "a refused version is not tried again"
    play.assert_clean()


def test_a_version_that_turns_bad_is_rolled_back_and_a_new_one_goes_through(stage):
    play = stage(stages.rollout(plan=stages.steps(5, 10, 25, 50)))
    play.place.deploy("fraud", "v3")
    play.place.behave("v3", errors=0.05)
    play.release("v2")
    play.await_weight(25)
    play.place.behave("v2", errors=BAD)
    play.await_phase("RolledBack")
    assert play.weights() == [0, 5, 10, 25, 0]
    play.spec["spec"]["strategy"]["canary"]["steps"] = [{"weight": 50, "bake": "1s"}]
    play.release("v3")
    play.await_phase("Promoted", version="v3")
    assert play.weights("v3") == [0, 50, 100]
    play.assert_clean()
