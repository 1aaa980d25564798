"""End-to-end: several VirtualServices move as one, and a half-done move is healed."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


def second(place):
    """A VirtualService of the user for another host, as a gateway's beside the sidecars'."""
    destination = {"host": place.host("fraud")}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "second"},
        "spec": {
            "hosts": [f"second.{place.hostname}"],
            "gateways": [place.cluster.gateway],
            "http": [{"name": "all", "timeout": "9s", "route": [{"destination": destination}]}],
        },
    }


def weights(play, owner):
    """Return the shares of v2 that one VirtualService was given, without repetitions."""
    play.recorder.sync()
    found = [c.share("v2") for c in play.recorder.written if c.owner == owner]
    return [share for n, share in enumerate(found) if n == 0 or share != found[n - 1]]


def test_two_virtual_services_go_through_the_ladder_and_back_together(stage, place, bed):
    place.apply(second(place))
    also = [{"virtualService": "second", "http": ["all"]}]
    play = stage(stages.rollout(route={"delegate": "fraud-split", "also": also}))
    edge, other = place.cluster.edge(), f"second.{place.hostname}"
    play.release("v2")
    play.await_weight(25)
    place.wait(lambda: weights(play, "second")[-1] == 25, 10, "25 in the second")
    live = place.get("virtualservice", "second")
    live["spec"]["http"][0]["route"] = second(place)["spec"]["http"][0]["route"]
    place.api.call(
        "PUT", place.api.resource("virtualservice").path(place.namespace, "second"), live
    )
    place.wait(lambda: weights(play, "second")[-2:] == [0, 25], 10, "healed")
    place.behave("v2", errors=0.9)
    play.await_phase("RolledBack")
    place.wait(lambda: weights(play, "second")[-1] == 0, 10, "0 in the second")
    assert weights(play, "fraud-split") == [0, 1, 5, 25, 0]
    place.wait(lambda: edge.routes(other) == {"all": (("v1", 100),)}, 10, "v1 for the other host")
    assert bed.request(other).version == "v1"
    assert place.get("virtualservice", "second")["spec"]["http"][0]["timeout"] == "9s"
    play.assert_clean(route=f"penstock-{place.namespace}_fraud")
