"""End-to-end: mirrors in a VirtualService of the user, all requests or chosen ones."""

import time

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
ERRORS = {"template": "istio-errors", "maxIncrease": 100, "slack": 1}
BETA = {"headers": {"x-group": {"exact": "beta"}}}


def existing(place):
    destination = {"host": place.host("fraud")}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop"},
        "spec": {
            "hosts": [place.hostname],
            "gateways": [place.cluster.gateway],
            "http": [{"name": "primary", "route": [{"destination": destination}]}],
        },
    }


def primary(place):
    """Return the one route of the user's VirtualService."""
    (route,) = place.get("virtualservice", "shop")["spec"]["http"]
    return route


def shadow(**form):
    return stages.rollout(
        route={"existing": {"virtualService": "shop", "http": ["primary"]}},
        strategy={"shadow": {"bake": "3s", **form}},
        analysis={"metrics": [ERRORS]},
    )


def counted(bed, place, version):
    """Return how many requests the proxies of a version's pods have counted."""
    of = f'destination_service="{place.host("fraud")}",destination_canonical_revision="{version}"'
    return bed.prometheus.value(f'sum(istio_requests_total{{reporter="destination",{of}}})') or 0


def test_a_mirror_in_a_route_of_the_user_comes_and_goes(stage, place, bed):
    place.apply(existing(place))
    play = stage(shadow(percent=50), rate=100, inbound=True)
    play.release("v2")
    (mirror,) = place.wait(lambda: primary(place).get("mirrors"), 30, "the mirror")
    edge = place.cluster.edge()
    alone = lambda: edge.routes(place.hostname).get("primary") == (("v1", 100),)  # noqa: E731
    place.wait(alone, 10, "v1 alone at the edge")
    since = time.time()
    assert (mirror["destination"]["subset"], mirror["percentage"]) == ("v2", {"value": 50})
    play.await_phase("Observed")
    place.wait(lambda: counted(bed, place, "v2") > 20, 10, "copies at the pods of v2")
    play.assert_clean()
    assert {a.version for a in play.load.results(since) if not a.failed} == {"v1"}
    assert set(primary(place)) == {"name", "route"}


def test_only_chosen_requests_are_copied(stage, place, bed):
    place.apply(existing(place))
    play = stage(shadow(match=[BETA], bake="1h", deadline="2h"), rate=50, inbound=True)
    edge = place.cluster.edge()
    play.release("v2")
    place.wait(lambda: any(":mirror:" in name for name in edge.routes(place.hostname)), 30)
    before = counted(bed, place, "v2")
    said = [bed.request(place.hostname, headers={"x-group": "beta"}) for _ in range(20)]
    assert {reply.version for reply in said} == {"v1"}
    place.wait(lambda: counted(bed, place, "v2") >= before + 20, 20, "20 copies")
    place.wait(lambda: counted(bed, place, "v1") > 200, 20, "other requests")
    copies, all_of_them = (counted(bed, place, version) for version in ("v2", "v1"))
    assert copies < all_of_them / 2, "some more are probes of the pods"
    play.command("abort=fraud-1#enough")
    play.await_phase("RolledBack")
    assert set(primary(place)) == {"name", "route"}
    play.assert_clean(route="primary")
