"""End-to-end 6: somebody else edits the route (rule 8)."""

import threading
import time

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
EXISTING = {"existing": {"virtualService": "fraud", "http": ["primary"]}}


def existing(place):
    """A VirtualService of the user's own, with two routes."""
    destination = {"destination": {"host": "fraud"}}
    other = {"uri": {"prefix": "/other"}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "fraud"},
        "spec": {
            "hosts": [place.hostname],
            "gateways": [place.cluster.gateway],
            "http": [
                {"name": "other", "match": [other], "route": [destination]},
                {"name": "primary", "route": [destination]},
            ],
        },
    }


def edit(place, operations, manager="somebody"):
    """Patch the VirtualService as another field manager."""
    import json

    place.kubectl(
        "patch", "virtualservice", "fraud", "--type=json", f"--field-manager={manager}",
        "-p", json.dumps(operations),
    )  # fmt: skip


def primary(place):
    """Return the primary route as it is."""
    http = place.get("virtualservice", "fraud")["spec"]["http"]
    return next(route for route in http if route["name"] == "primary")


def weights_of(place, *weights):
    entries = primary(place)["route"]
    changed = [{**e, "weight": w} for e, w in zip(entries, weights, strict=True)]
    return [{"op": "replace", "path": "/spec/http/1/route", "value": changed}]


def test_what_others_edit_is_left_alone_and_our_weights_are_put_back(stage, place):
    place.apply(existing(place))
    play = stage(stages.rollout(route=EXISTING, plan=stages.steps(10, 50)))
    play.release("v2")
    play.await_weight(10)
    place.wait(lambda: 10 in play.weights(), 10, "weight 10 in the route")
    edit(place, [{"op": "add", "path": "/metadata/labels", "value": {"team": "risk"}}])
    edit(place, [{"op": "add", "path": "/spec/http/1/timeout", "value": "7s"}])
    edit(place, [{"op": "add", "path": "/spec/http/0/timeout", "value": "9s"}])
    edit(place, weights_of(place, 90, 10))
    place.wait(
        lambda: any(r["manager"] == "somebody" for r in play.status.get("reverts", [])),
        10,
        "a revert on record",
    )
    play.await_phase("Promoted")
    after = place.get("virtualservice", "fraud")
    assert after["metadata"]["labels"] == {"team": "risk"}
    assert primary(place)["timeout"] == "7s"
    assert after["spec"]["http"][0]["timeout"] == "9s"
    assert after["spec"]["http"][0]["route"] == [{"destination": {"host": "fraud"}}]
    weights = [w for w in play.recorder.weights("v2", "primary") if w != 90]
    assert [w for n, w in enumerate(weights) if n == 0 or w != weights[n - 1]] == [0, 10, 50, 100]
    play.assert_clean(route="primary")


def test_a_third_destination_keeps_its_share(stage, place):
    place.apply(existing(place))
    place.deploy("old", "v0")
    play = stage(stages.rollout(route=EXISTING, plan=stages.steps(10, 50)))
    third = {"destination": {"host": "old"}, "weight": 20}
    ours = primary(place)["route"][0]
    value = [{**ours, "weight": 80}, third]
    edit(place, [{"op": "replace", "path": "/spec/http/1/route", "value": value}])
    play.release("v2")
    play.await_phase("Promoted")
    shares = [c for c in play.recorder.written if c.route == "primary" and len(c.split) == 3]
    assert shares
    for change in shares:
        total = sum(weight for _, weight in change.split)
        assert dict(change.split)["old"] == pytest.approx(0.2 * total)
        assert dict(change.split)["v2"] <= 0.8 * total / 2
    play.assert_clean(route="primary")


def test_the_fourth_edit_of_our_weights_ends_contested(stage, place):
    place.apply(existing(place))
    play = stage(stages.rollout(route=EXISTING, plan=[stages.step(10, "10m"), stages.step(50)]))
    play.release("v2")
    play.await_weight(10)
    for count in range(4):
        place.wait(lambda: len(primary(place)["route"]) == 2, 10, "our weights")
        place.wait(lambda: primary(place)["route"][0]["weight"] == 10, 10, "our weights")
        edit(place, weights_of(place, 90, 10), manager="argocd-controller")
        if count < 3:
            place.wait(lambda n=count: len(play.status.get("reverts", [])) == n + 1, 10, "a revert")
    place.wait(lambda: play.condition("Stalled").get("reason") == "Contested", 10, "Contested")
    text = play.condition("Stalled")["message"]
    for part in ("argocd-controller", "ignoreDifferences", "VirtualService", "primary", "retry"):
        assert part in text
    place.wait(lambda: play.weights()[-1] == 0, 10, "all on stable")
    edit(place, [{"op": "add", "path": "/spec/http/1/timeout", "value": "3s"}])
    mine = [{"destination": {"host": "fraud"}, "weight": 100}]
    edit(place, [{"op": "replace", "path": "/spec/http/1/route", "value": mine}])
    time.sleep(2)
    assert primary(place)["route"] == mine, "we no longer fight"
    play.assert_clean(route="primary")


def test_a_root_that_is_applied_again_and_again_changes_nothing(stage, place):
    play = stage(stages.rollout(plan=stages.steps(10, 50)))
    stop = threading.Event()

    def sync():
        while not stop.wait(3):
            place.apply(stages.root(place))

    thread = threading.Thread(target=sync)
    thread.start()
    try:
        play.release("v2")
        play.await_phase("Promoted")
    finally:
        stop.set()
        thread.join()
    assert play.weights() == [0, 10, 50, 100]
    assert not play.status.get("reverts")
    play.assert_clean()
