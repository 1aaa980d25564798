"""End-to-end: what other controllers' test suites promise, in our terms."""

import copy

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
HEADER = {"headers": {"x-group": {"exact": "beta"}}}
COOKIE = {"cookies": {"group": {"prefix": "beta"}}}


@pytest.mark.parametrize(
    ("match", "request_"),
    [
        pytest.param(HEADER, {"headers": {"x-group": "beta"}}, id="header"),
        pytest.param(COOKIE, {"cookies": {"group": "beta-7"}}, id="cookie"),
    ],
)
def test_chosen_users_try_a_version_for_a_fixed_time(stage, bed, match, request_):
    strategy = {"blueGreen": {"preview": [match], "bake": "4s"}}
    play = stage(stages.rollout(strategy=strategy, analysis={"metrics": []}))
    play.release("v2")
    play.place.wait(lambda: "in preview" in play.status["message"], 20, "the preview")
    chosen = lambda: bed.request(play.place.hostname, **request_).version == "v2"  # noqa: E731
    play.place.wait(chosen, 10, "the preview at the edge")
    assert bed.request(play.place.hostname).version == "v1"
    play.await_phase("Promoted")
    assert play.weights() == [0, 100]
    play.assert_clean()


def virtual_service(place):
    destination = {"host": place.host(stages.SERVICE), "subset": "v1"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "fraud"},
        "spec": {
            "hosts": [place.hostname],
            "gateways": [place.cluster.gateway],
            "http": [
                {
                    "name": "health",
                    "match": [{"uri": {"exact": "/health"}}],
                    "directResponse": {"status": 200},
                },
                {
                    "name": "primary",
                    "timeout": "5s",
                    "route": [{"destination": destination, "weight": 100}],
                },
            ],
        },
    }


def test_a_users_virtual_service_is_given_back_as_it_was(stage, place):
    place.subsets(stages.SERVICE, "v1", "v2")
    place.apply(virtual_service(place))
    before = copy.deepcopy(place.get("virtualservice", "fraud")["spec"])
    route = {"existing": {"virtualService": "fraud", "http": ["primary"]}}
    play = stage(stages.rollout(route=route, plan=[stages.step(20, "10m", deadline="1h")]))
    play.release("v2")
    play.await_weight(20)
    play.place.wait(lambda: 20.0 in play.weights(), 10, "the weight in the route")
    place.kubectl("delete", "rollouts.penstock.dev", stages.ROLLOUT, "--timeout=20s")
    assert place.get("virtualservice", "fraud")["spec"] == before
    play.assert_clean(route="primary")


def test_abort_does_not_wait_for_a_candidate_that_is_not_ready(stage):
    play = stage(stages.rollout(plan=[stages.step(20, "10m", deadline="1h")]))
    play.release("v2")
    play.await_weight(20)
    play.place.behave("v2", ready=False)
    play.place.wait(lambda: not play.place.ready_pods("v2"), 10, "unready pods")
    play.command("abort=fraud-1#now")
    play.await_phase("RolledBack", timeout=5)
    assert play.status["refused"][0]["reason"] == "Aborted"
    assert play.weights() == [0, 20, 0]


def test_a_metric_that_only_reports_says_worse_and_stops_nothing(stage):
    report = {"name": "seen", "template": "istio-errors", "maxIncrease": 20, "onWorse": "Report"}
    acts = {"template": "istio-latency", "edges": [1000], "maxIncrease": 100, "slack": 5}
    play = stage(stages.rollout(plan=stages.steps(20), analysis={"metrics": [report, acts]}))
    play.place.behave("v2", errors=0.6)
    play.release("v2")
    play.await_phase("Promoted")
    assert play.weights() == [0, 20, 100]
    (release,) = play.place.objects("release")
    said = {metric["name"]: metric["verdict"] for metric in release["status"]["metrics"]}
    assert said["seen"] == "Worse"
