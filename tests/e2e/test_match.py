"""End-to-end: chosen requests get the candidate, among the user's own routes; never counted."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
HEADER = {"headers": {"x-group": {"exact": "beta"}}}
COOKIES = {"cookies": {"group": {"exact": "beta"}, "country": {"prefix": "d"}}}
METHOD = {"method": {"exact": "PUT"}, "path": {"prefix": "/predict"}}
CHOSEN = [
    {"headers": {"x-group": "beta"}},
    {"cookies": {"country": "de", "a": "b", "group": "beta"}},
    {"method": "PUT", "path": "/predict/1"},
]
OTHERS = [
    {},
    {"headers": {"x-group": "alpha"}},
    {"cookies": {"group": "beta", "country": "fr"}},
    {"method": "PUT", "path": "/other"},
]
OF = 'reporter="$reporter",destination_service="$host",route_name=~"$route"'
ROUTED = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "MetricTemplate",
    "metadata": {"name": "routed-errors"},
    "spec": {
        "separates": ["route"],
        "proportion": {
            "total": f"istio_requests_total{{{OF},$variant}}",
            "bad": f'istio_requests_total{{{OF},response_code=~"5..",$variant}}',
        },
    },
}


def canary(route, *weights):
    strategy = {"canary": {"match": [HEADER, COOKIES, METHOD], "steps": stages.steps(*weights)}}
    metrics = [{"template": "routed-errors", "maxIncrease": 100, "slack": 1}]
    return stages.rollout(route=route, strategy=strategy, analysis={"metrics": metrics})


def asked(bed, play, requests):
    return {bed.request(play.place.hostname, **one).version for one in requests for _ in range(5)}


def test_a_match_serves_the_chosen_through_every_step_and_is_not_counted(stage, place, bed):
    place.apply(ROUTED)
    play = stage(canary({"delegate": "fraud-split"}, 5, 50), rate=200)
    split = f"penstock-{place.namespace}_fraud"
    play.release("v2")
    play.await_weight(5)
    place.wait(lambda: 5 in play.recorder.envoy_weights("v2", split), 10, "5 at the edge")
    assert asked(bed, play, CHOSEN) == {"v2"}
    place.wait(lambda: len(play.load.results()) > 100, 10, "traffic")
    play.await_weight(50)
    place.wait(lambda: 50 in play.recorder.envoy_weights("v2", split), 10, "50 at the edge")
    assert asked(bed, play, CHOSEN) == {"v2"}
    play.place.behave("v2", errors=0.9)
    play.await_phase("RolledBack")
    place.wait(lambda: play.recorder.envoy_weights("v2", split)[-1] == 0, 10, "0 at the edge")
    assert asked(bed, play, CHOSEN + OTHERS) == {"v1"}
    (route,) = place.get("virtualservice", "fraud-split")["spec"]["http"]
    assert route["name"] == split
    play.assert_clean(route=split)


def users_own(place):
    host = place.host("fraud")
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop"},
        "spec": {
            "hosts": [place.hostname],
            "gateways": [place.cluster.gateway],
            "http": [
                {
                    "name": "gone",
                    "match": [{"uri": {"prefix": "/gone"}}],
                    "directResponse": {"status": 410},
                },
                {
                    "name": "predict",
                    "match": [{"uri": {"prefix": "/predict"}}],
                    "timeout": "3s",
                    "route": [{"destination": {"host": host}}],
                },
                {
                    "name": "teapot",
                    "match": [{"headers": {"x-group": {"exact": "beta"}}}],
                    "directResponse": {"status": 418},
                },
                {"name": "rest", "route": [{"destination": {"host": host}}]},
            ],
        },
    }


def test_a_match_stands_among_the_routes_of_the_user_and_takes_nothing_from_them(stage, place, bed):
    place.apply(ROUTED)
    before = users_own(place)["spec"]["http"]
    place.apply(users_own(place))
    existing = {"existing": {"virtualService": "shop", "http": ["predict", "rest"]}}
    play = stage(canary(existing, 20, 60), rate=200)
    edge = place.cluster.edge()
    play.release("v2")
    play.await_weight(20)
    place.wait(lambda: any(":match:" in name for name in edge.routes(place.hostname)), 10)
    assert asked(bed, play, [{"path": "/predict", "headers": {"x-group": "beta"}}]) == {"v2"}
    assert bed.request(place.hostname, path="/gone", headers={"x-group": "beta"}).status == 410
    assert bed.request(place.hostname, headers={"x-group": "beta"}).status == 418
    assert asked(bed, play, [{"cookies": {"group": "beta", "country": "de"}}]) == {"v2"}
    live = place.get("virtualservice", "shop")["spec"]["http"]
    assert [r["name"] for r in live if ":" not in r["name"]] == [r["name"] for r in before]
    assert next(r for r in live if r["name"].endswith(":predict"))["timeout"] == "3s"
    play.await_phase("Promoted")
    after = place.get("virtualservice", "shop")["spec"]["http"]
    assert [{**r, "route": 0} for r in after] == [{**r, "route": 0} for r in before]
    play.assert_clean(route="rest")
