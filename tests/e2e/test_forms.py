"""The forms of a route and of endpoints that the other tests do not use."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


def test_an_own_virtual_service_carries_the_release(stage, place):
    own = {"own": {"hosts": [place.hostname], "gateways": [place.cluster.gateway]}}
    play = stage(stages.rollout(route=own, plan=stages.steps(10, 50)))
    play.release("v2")
    play.await_phase("Promoted")
    assert play.weights() == [0, 10, 50, 100]
    play.assert_clean()


def test_one_service_per_version_needs_no_subsets(stage, place):
    spec = stages.rollout(plan=stages.steps(10, 50))
    spec["spec"]["traffic"]["endpoints"] = {"services": {"v1": "fraud-v1", "v2": "fraud-v2"}}
    for version in ("v1", "v2"):
        place.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"fraud-{version}"},
                "spec": {
                    "selector": {"app": "fraud", "version": version},
                    "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
                },
            }
        )
    play = stage(spec)
    place.wait(lambda: play.stable or play.condition("Stalled"), 10, "first sight")
    if not play.stable:
        play.command("adopt=v1#first")
    play.release("v2")
    play.await_phase("Promoted")
    host = place.host("fraud-v2")
    assert play.weights(host) == [0, 10, 50, 100]
    assert place.find("destinationrule", "fraud-penstock") is None
    play.assert_clean(host)
