"""End-to-end 8: the spec changes in mid-release; the Rollout is deleted (rules 1, 2, 9)."""

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed


def held(**more):
    """A Rollout that stays at weight 10."""
    return stages.rollout(plan=[stages.step(10, "10m")], **more)


def test_a_revert_in_mid_release_returns_all_traffic_and_refuses_nothing(stage):
    play = stage(held())
    play.release("v2")
    play.await_weight(10)
    play.release("v1")
    play.await_phase("Idle")
    play.place.wait(lambda: play.weights() == [0, 10, 0], 10, "weight 0")
    assert not play.status.get("refused")
    play.assert_clean()


def test_a_newer_version_in_mid_release_starts_from_weight_0(stage):
    play = stage(held())
    play.place.deploy("fraud", "v3")
    play.place.behave("v3", errors=stages.STABLE_ERRORS)
    play.release("v2")
    play.await_weight(10)
    play.spec["spec"]["strategy"]["canary"]["steps"] = stages.steps(20)
    play.release("v3")
    play.await_phase("Promoted", version="v3")
    assert play.weights("v2") == [0, 10, 0]
    assert play.weights("v3") == [0, 20, 100]
    outcomes = {
        r["metadata"]["name"]: r["status"]["outcome"] for r in play.place.objects("release")
    }
    assert outcomes == {"fraud-1": "Superseded", "fraud-2": "Promoted"}
    play.assert_clean()


@pytest.mark.parametrize("on_delete", ["LeaveRoutes", "RemoveRoutes"])
def test_a_rollout_deleted_in_mid_release_does_not_ship_the_unproven_version(stage, on_delete):
    play = stage(held(onDelete=on_delete))
    play.release("v2")
    play.await_weight(10)
    play.place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    play.place.kubectl("delete", "rollouts.penstock.dev", "fraud", "--timeout=30s")
    play.place.wait(lambda: play.weights()[-1] == 0, 10, "weight 0")
    left = play.place.find("virtualservice", "fraud-split")
    if on_delete == "LeaveRoutes":
        assert left is not None
        assert "ownerReferences" not in left["metadata"]
    else:
        play.place.wait(
            lambda: play.place.find("virtualservice", "fraud-split") is None, 40, "no route"
        )
    play.place.apply(play.spec)
    if on_delete == "RemoveRoutes":
        play.place.wait(
            lambda: play.condition("Stalled").get("reason") == "StableUnknown", 20, "Stalled"
        )
        play.command("adopt=v1#first")
    play.place.wait(lambda: play.stable == "v1", 20, "v1 adopted")
    play.await_weight(10)
    play.place.wait(lambda: play.weights()[-1] == 10, 10, "weight 10")
    assert play.weights() == [0, 10, 0, 10]
