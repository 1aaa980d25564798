"""End-to-end: tls and tcp routes of the user have weights; istiod takes them as they are."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
SNI = "fraud.example.com"
OK = {"name": "steady", "value": {"query": "vector(0)", "max": 1}}


def tunnels(place):
    """A VirtualService of the user with connections instead of requests."""
    destination = {"host": place.host("fraud"), "port": {"number": 80}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "tunnels"},
        "spec": {
            "hosts": [SNI],
            "gateways": [place.cluster.gateway],
            "tls": [
                {
                    "match": [{"port": 443, "sniHosts": [SNI]}],
                    "route": [{"destination": destination}],
                }
            ],
            "tcp": [
                {"match": [{"port": 9001}], "route": [{"destination": {"host": "other.example"}}]},
                {"match": [{"port": 9000}], "route": [{"destination": destination}]},
            ],
        },
    }


def test_connections_are_shared_out_by_weight(operator, place):
    place.deploy("fraud", "v1")
    place.apply(tunnels(place))
    existing = {"existing": {"virtualService": "tunnels", "tls": [SNI], "tcp": [9000]}}
    spec = stages.rollout(route=existing, plan=stages.steps(10, 50), analysis={"metrics": [OK]})
    place.apply(spec)
    status = lambda: place.get("rollout", "fraud").get("status", {})  # noqa: E731
    place.wait(lambda: status().get("stable"), 10, "stable")
    place.deploy("fraud", "v2")
    spec["spec"]["version"] = "v2"
    place.apply(spec)
    seen = []

    def promoted():
        live = place.get("virtualservice", "tunnels")["spec"]
        now = [split(live["tls"][0]), split(live["tcp"][1])]
        if not seen or seen[-1] != now:
            seen.append(now)
        return status().get("phase") == "Promoted" and now == [{"v2": 100}] * 2

    place.wait(promoted, 40, "the promotion")
    assert [{"v2": 10, "v1": 90}] * 2 in seen
    assert [{"v2": 50, "v1": 50}] * 2 in seen
    live = place.get("virtualservice", "tunnels")["spec"]
    assert live["tcp"][0] == tunnels(place)["spec"]["tcp"][0]
    assert live["tls"][0]["match"] == tunnels(place)["spec"]["tls"][0]["match"]


def split(route):
    return {entry["destination"].get("subset"): entry.get("weight") for entry in route["route"]}


@pytest.mark.needs("streams", "deploy")
def test_real_connections_go_where_the_weights_say(operator, place):
    place.deploy("fraud", "v1", tls=True)
    mine = place.streams()
    tunnel = mine.routes(place.host("fraud"), {"v1": 100})
    for protocol in ("tcp", "tls"):
        for entry in tunnel["spec"][protocol][0]["route"]:
            del entry["destination"]["subset"]
    place.apply(tunnel)
    existing = {"virtualService": "streams", "tls": [mine.hostname], "tcp": [mine.tcp]}
    plan = [stages.step(30, "3s"), {"approval": {}}]
    route, metrics = {"existing": existing}, {"metrics": [OK]}
    spec = stages.rollout(route=route, plan=plan, analysis=metrics)
    place.apply(spec)
    status = lambda: place.get("rollout", "fraud").get("status", {})  # noqa: E731
    place.wait(lambda: status().get("stable"), 10, "stable")
    place.deploy("fraud", "v2", tls=True)
    spec["spec"]["version"] = "v2"
    place.apply(spec)
    place.wait(lambda: "approve" in status().get("message", ""), 30, "the approval")
    for kind in ("tcp", "tls"):
        place.wait(lambda kind=kind: dict(mine.split(kind)) == {"v2": 30, "v1": 70}, 10, "30 %")
        seen = [mine.request(kind).version for _ in range(100)]
        assert 10 <= seen.count("v2") <= 55, kind
    place.kubectl("annotate", "rollouts.penstock.dev", "fraud", "penstock.dev/approve=fraud-1#yes")
    place.wait(lambda: status().get("phase") == "Promoted", 30, "the promotion")
    for kind in ("tcp", "tls"):
        assert {mine.request(kind).version for _ in range(20)} == {"v2"}
    assert mine.edge.update_rejected() == 0
