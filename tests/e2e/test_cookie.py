"""End-to-end: users keep their version by a cookie; its share of the users is the weight."""

from itertools import pairwise

import pytest

from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
USERS = 400
WEIGHTS = (10, 30, 60)


def test_users_keep_their_version_and_no_cookie_is_left_to_obey(stage, place, bed):
    spec = stages.rollout(plan=[stages.step(w, "4s") for w in WEIGHTS])
    spec["spec"]["traffic"]["sticky"] = {"cookie": {"name": "v", "issue": True, "maxAge": "1h"}}
    play = stage(spec, rate=400, users=USERS, cookies=True)
    split = f"penstock-{place.namespace}_fraud"
    assert bed.request(place.hostname).set_cookies == ()
    play.release("v2")
    play.await_weight(30)
    place.wait(lambda: 30 in play.recorder.envoy_weights("v2", split), 10, "30 at the edge")
    (line,) = next(
        r.set_cookies for r in iter(lambda: bed.request(place.hostname), None) if r.version
    )
    assert line.startswith("v=fraud-1.")
    assert line.endswith("; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax")
    for _ in range(20):
        reply = bed.request(place.hostname, cookies={"a": "b", "v": "fraud-1.c"})
        assert (reply.version, reply.set_cookies) == ("v2", ())
    play.await_phase("Promoted")
    assert play.recorder.weights("v2", split) == [0, *WEIGHTS, 100]
    reply = bed.request(place.hostname, cookies={"v": "fraud-1.1"})
    assert (reply.version, reply.set_cookies) == ("v2", ())
    (route,) = place.get("virtualservice", "fraud-split")["spec"]["http"]
    assert all(set(entry) == {"destination", "weight"} for entry in route["route"])
    _assert_users_kept_theirs(play, split)
    play.assert_clean(route=split)


def _assert_users_kept_theirs(play, split):
    """On each step a user has one version, from the second answer on; nobody leaves v2."""
    used = [c for c in play.recorder.used if c.route.endswith(split)]
    had = set()
    for here, after in pairwise(used):
        share = here.share("v2")
        if not 0 < share < 100:
            continue
        users = {}
        for answer in play.load.results():
            if here.time + 0.3 < answer.sent < after.time - 0.3 and answer.version:
                users.setdefault(answer.user, []).append(answer.version)
        assert len(users) == USERS
        assert all(len(set(versions)) == 1 for versions in users.values())
        now = {user for user, versions in users.items() if "v2" in versions}
        assert had <= now, "nobody leaves the candidate"
        assert abs(100 * len(now) / USERS - share) < 10
        had = now
