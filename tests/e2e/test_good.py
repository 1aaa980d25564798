"""End-to-end 1: a good version goes through the ladder."""

from datetime import datetime, timedelta

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
LADDER = [0, 1, 5, 25, 50, 100]


def test_a_good_version_is_promoted_before_twice_its_forecast(stage):
    play = stage()
    play.release("v2")
    play.await_weight(1)
    play.place.wait(lambda: play.status["steps"][1].get("eta"), 20, "a forecast")
    bound = datetime.fromisoformat(play.status["steps"][-1]["eta"][1])
    began = datetime.fromisoformat(play.status["candidate"]["since"])
    play.await_phase("Promoted")
    taken = datetime.fromisoformat(play.status["stable"]["since"]) - began
    overhead = timedelta(seconds=4) * (len(LADDER) - 1)
    assert taken < 2 * (bound - began) + overhead
    assert play.stable == "v2"
    assert play.weights() == LADDER
    play.assert_clean()


def test_a_good_version_is_promoted_where_stable_never_errs(stage):
    spec = {"metrics": [{"template": "istio-errors", "maxIncrease": 100, "slack": 5}]}
    play = stage(stages.rollout(analysis=spec))
    for version in ("v1", "v2"):
        play.place.behave(version, errors=0)
    play.release("v2")
    play.await_phase("Promoted")
    assert play.weights() == LADDER
    answers = play.assert_clean()
    assert not [a for a in answers if a.failed and a.sent > play.began + 2]


def test_slow_answers_are_judged_by_one_bucket_of_the_histogram(stage):
    metric = {"template": "istio-slow-requests", "maxIncrease": 100, "slack": 5}
    play = stage(stages.rollout(plan=stages.steps(20), analysis={"metrics": [metric]}))
    play.place.behave("v2", delay_ms=700)
    play.release("v2")
    play.await_phase("RolledBack")
    assert "istio-slow-requests" in play.status["message"]
    assert play.weights() == [0, 20, 0]
    play.assert_clean()
