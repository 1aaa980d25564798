"""End-to-end: blue/green with a preview, a check, an approval, a switch and the way back."""

import pytest

from tests.e2e import stage as stages
from tests.e2e.test_gates import smoke

pytestmark = pytest.mark.bed
BETA = {"cookies": {"group": {"exact": "beta"}}}
OF = 'istio_requests_total{destination_service="$host",$variant'
SLOW = {
    "name": "errors",
    "value": {
        "query": f'sum(rate({OF},response_code="500"}}[5s])) / sum(rate({OF}}}[5s]))',
        "max": 0.3,
        "for": "2s",
    },
}


def blue_green(*metrics, **form):
    strategy = {"blueGreen": {"preview": [BETA], "bake": "3s", **form}}
    return stages.rollout(strategy=strategy, analysis={"metrics": list(metrics)})


def versions(bed, play, count=10, **request):
    return {bed.request(play.place.hostname, **request).version for _ in range(count)}


def test_a_preview_for_some_a_job_an_approval_then_all_at_once_and_undo_is_instant(stage, bed):
    job = {"gate": {"job": {"fromCronJob": "smoke"}}, "approval": {}}
    play = stage(blue_green(SLOW, **job))
    smoke(play)
    play.release("v2")
    play.await_phase("Waiting", version="approve")
    assert "in preview" in play.status["message"]
    beta = {"cookies": {"group": "beta"}}
    play.place.wait(lambda: versions(bed, play, **beta) == {"v2"}, 10, "the preview at the edge")
    assert versions(bed, play) == {"v1"}
    assert {a.version for a in play.load.results() if not a.failed} == {"v1"}
    play.command("approve=fraud-1/2#yes")
    play.await_phase("Promoted")
    assert play.weights() == [0, 100]
    play.place.wait(lambda: versions(bed, play) == {"v2"}, 10, "v2 for all at the edge")
    play.command("undo=fraud-1#back")
    play.await_phase("RolledBack")
    play.place.wait(lambda: play.weights() == [0, 100, 0], 10, "undone")
    play.place.wait(lambda: versions(bed, play, **beta) == {"v1"}, 10, "v1 for all at the edge")
    play.assert_clean()


def test_the_status_says_that_only_thresholds_and_alerts_judge(stage):
    play = stage(blue_green(approval={}))
    play.release("v2")
    play.place.wait(lambda: "only thresholds and alerts judge" in play.status["message"], 20)


def test_a_threshold_that_is_bad_after_the_switch_undoes_it(stage, bed):
    play = stage(blue_green(SLOW))
    play.release("v2")
    play.await_phase("Promoted")
    play.place.behave("v2", errors=0.9)
    play.await_phase("RolledBack")
    assert play.stable == "v1"
    play.place.wait(lambda: play.weights() == [0, 100, 0], 10, "undone")
    play.assert_clean()


def test_a_missing_image_never_gets_a_preview_and_ends_at_the_ready_deadline(stage, bed):
    play = stage(blue_green())
    play.spec["spec"]["strategy"]["readyDeadline"] = "3s"
    play.release("v9")
    play.await_phase("RolledBack")
    assert "readyDeadline" in play.status["message"]
    assert play.weights("v9") == [0]
