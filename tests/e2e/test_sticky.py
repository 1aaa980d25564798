"""End-to-end 10: the same user keeps the same version while the weight grows (rule 11)."""

from itertools import pairwise

import pytest
import xxhash

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
USERS = 200


def placed(user, weight, release="fraud-1"):
    """Return the version on which the formula puts a user."""
    slot = xxhash.xxh64_intdigest(f"{release}:{user}".encode()) % 100
    return "v2" if slot < weight else "v1"


def where(play, since, until):
    """Return the versions that answered each user in a span of time."""
    found = {}
    for answer in play.load.results(since):
        if answer.sent < until and answer.version:
            found.setdefault(answer.user, set()).add(answer.version)
    return found


def test_users_land_where_the_formula_says_and_nobody_leaves_a_growing_candidate(stage):
    spec = stages.rollout(plan=stages.steps(5, 25, 50))
    spec["spec"]["traffic"]["sticky"] = {"header": "x-user-id"}
    play = stage(spec, users=USERS)
    play.release("v2")
    play.await_weight(50)
    play.place.wait(lambda: 50 in play.recorder.envoy_weights("v2"), 10, "50 at the edge")
    play.place.behave("v2", errors=0.9)
    play.await_phase("RolledBack")
    play.place.wait(lambda: play.recorder.envoy_weights("v2")[-1] == 0, 10, "0 at the edge")
    assert play.weights() == [0, 5, 25, 50, 0]
    changes = [c for c in play.recorder.used if c.share("v2") or c.share("v1")]
    spans = [(a, b) for a, b in pairwise(changes) if a.share("v2")]
    assert [a.share("v2") for a, _ in spans] == [5, 25, 50]
    for here, after in spans:
        seen = where(play, here.time + 0.1, after.time - 0.15)
        assert len(seen) > USERS // 2
        for user, versions in seen.items():
            assert versions == {placed(user, here.share("v2"))}, user
    play.place.wait(lambda: play.load.results(changes[-1].time + 1), 5, "traffic after it")
    assert {a.version for a in play.load.results(changes[-1].time + 0.1)} == {"v1"}
    play.assert_clean()
    play.command("retry=fraud-1#again")
    play.await_weight(5)
    play.command("abort=fraud-2#enough")
    play.await_phase("RolledBack")
    play.place.wait(lambda: play.recorder.envoy_weights("v2")[-1] == 0, 10, "0 at the edge")
    name = f"penstock-{play.place.namespace}.fraud"
    api = play.place.api
    assert api.find("envoyfilter", name, "istio-system") is not None
    del play.spec["spec"]["traffic"]["sticky"]
    play.place.apply(play.spec)
    play.place.wait(
        lambda: api.find("envoyfilter", name, "istio-system") is None, 10, "no EnvoyFilter"
    )
    play.place.wait(lambda: alone(play.place), 10, "a list of one")
    play.assert_clean()


def alone(place):
    """Return whether the route has one destination again."""
    return len(place.get("virtualservice", "fraud-split")["spec"]["http"][0]["route"]) == 1
