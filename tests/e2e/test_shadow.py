"""End-to-end: copies of requests: seen by the pods' own proxies, never by a user."""

import re

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
ERRORS = {"template": "istio-errors", "maxIncrease": 100, "slack": 1}
LATENCY = {"template": "istio-latency", "edges": [250], "maxIncrease": 100, "slack": 2}
DRIFT = {"template": "prediction-drift", "maxIncrease": 50, "maxDecrease": 50, "slack": 2}
OF = 'increase(shadow_answers_total{namespace="$namespace",version="$version"'
AGREEMENT = {
    "name": "agreement",
    "value": {"query": f'sum({OF},agrees="false"}}[10s])) / sum({OF}}}[10s]))', "max": 0.02},
}
AGREEMENT["value"]["for"] = "3s"


def shadow(*metrics, **form):
    strategy = {"shadow": {"percent": 100, "bake": "5s", **form}}
    return stages.rollout(strategy=strategy, analysis={"metrics": list(metrics)})


def served(play):
    return {answer.version for answer in play.load.results() if not answer.failed}


def test_a_shadow_ends_observed_with_its_record_and_never_serves_a_user(stage, bed):
    play = stage(shadow(ERRORS, LATENCY), inbound=True)
    play.release("v2")
    play.await_phase("Observed")
    assert "v2 was observed as a shadow: istio-errors" in play.status["message"]
    assert (play.stable, play.weights()) == ("v1", [0])
    (release,) = play.place.objects("release")
    assert release["status"]["outcome"] == "Observed"
    assert set(release["status"]["records"]) == {"mirror/istio-errors", "mirror/istio-latency"}
    metrics = {m["name"]: m for m in release["status"]["metrics"]}
    assert metrics["istio-errors"]["candidate"] > 0
    assert served(play) == {"v1"}
    (route,) = play.place.get("virtualservice", "fraud-split")["spec"]["http"]
    assert "mirrors" not in route
    play.assert_clean()


def test_a_bad_shadow_is_refused_by_errors_that_no_user_has_met(stage):
    play = stage(shadow(ERRORS, bake="1h", deadline="2h"), inbound=True)
    play.place.behave("v2", errors=0.6)
    play.release("v2")
    play.await_phase("RolledBack")
    assert re.search("istio-errors: candidate [56]", play.status["refused"][0]["message"])
    assert served(play) == {"v1"}
    answers = play.assert_clean()
    failed = [a for a in answers if a.failed and a.sent > play.began]
    assert len(failed) < 0.1 * len(answers)


def test_predictions_of_a_shadow_are_compared_with_those_of_live(stage):
    play = stage(shadow(DRIFT, bake="1h", deadline="2h"), inbound=True)
    play.place.behave("v1", classes={"fraud": 0.1, "fine": 0.9})
    play.place.behave("v2", classes={"fraud": 0.4, "fine": 0.6})
    play.release("v2")
    play.await_phase("RolledBack")
    assert "fraud" in play.status["refused"][0]["message"]
    assert served(play) == {"v1"}


def test_a_mirror_before_the_first_weight_is_judged_and_ends_with_it(stage):
    plan = [{"mirror": {"percent": 50}, "bake": "2s"}, stages.step(20), stages.step(50)]
    play = stage(stages.rollout(plan=plan, analysis={"metrics": [ERRORS]}), inbound=True)
    play.release("v2")
    play.place.wait(lambda: play.status.get("traffic", {}).get("mirror") == 50, 20, "the mirror")
    play.await_phase("Promoted")
    assert play.weights() == [0, 20, 50, 100]
    (release,) = play.place.objects("release")
    assert set(release["status"]["records"]) == {"mirror/istio-errors", "istio-errors"}
    play.assert_clean()


def test_a_shadow_that_too_often_disagrees_with_live_is_refused(stage):
    play = stage(shadow(ERRORS, AGREEMENT, bake="1h", deadline="2h"), inbound=True)
    play.place.behave("v2", disagree=0.3)
    play.release("v2")
    play.await_phase("RolledBack")
    assert "agreement: 0." in play.status["refused"][0]["message"]
    assert served(play) == {"v1"}
