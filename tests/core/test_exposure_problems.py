"""What is in the way of previews, copies and cookies."""

import pytest

from penstock.core import exposure_problems, route_problems
from penstock.core.traffic import delegation
from penstock.core.traffic.target import target_of
from tests.core.rollout.builders import spec
from tests.core.test_route_problems import EXISTING, body, neighbours, virtual
from tests.core.test_route_problems import route as http_route

STEPS = [{"weight": 50}]
PATH = {"match": [{"path": {"regex": "/.*"}}], "steps": STEPS}
COPIES = {"steps": [{"mirror": {"percent": 5}}, *STEPS]}
COOKIE = {"cookie": {"name": "v", "issue": True}}
OUR = "penstock-ml_fraud"


def problems(route, canary, *lives, **traffic):
    rules = spec(
        traffic={"service": "fraud", "route": route, **traffic}, strategy={"canary": canary}
    )
    target = target_of("ml", "fraud", "u", rules, ("cluster.local", "istio-system"))
    found = {live["metadata"]["name"]: live for live in lives}
    return [p.reason for p in exposure_problems.of_exposure(rules, target, found, lives)]


def test_a_mirror_of_the_old_form_leaves_no_place_for_copies():
    taken = virtual({**http_route("primary", "fraud"), "mirror": {"host": "sink"}})
    assert problems(EXISTING, COPIES, taken) == ["MirrorTaken"]
    assert problems(EXISTING, {"steps": STEPS}, taken) == []
    listed = virtual({**http_route("primary", "fraud"), "mirrors": [{"destination": {}}]})
    assert problems(EXISTING, COPIES, listed) == []


def test_two_conditions_on_a_path_that_istio_cannot_join_are_told():
    narrow = virtual({**http_route("primary", "fraud"), "match": [{"uri": {"prefix": "/a"}}]})
    assert problems(EXISTING, PATH, narrow) == ["MatchUnsayable"]
    assert problems(EXISTING, PATH, virtual(http_route("primary", "fraud"))) == []


def test_a_cookie_of_somebody_else_on_our_destinations_is_told():
    entry = {"destination": {"host": "fraud"}}
    taken = {**entry, "headers": {"response": {"add": {"set-cookie": "a=1"}}}}
    for found, told in ((entry, []), (taken, ["CookieTaken"])):
        live = virtual({"name": OUR, "route": [found]}, name="fraud-split")
        assert problems({"delegate": "fraud-split"}, {"steps": STEPS}, live, sticky=COOKIE) == told


def root(**match):
    delegate = {"name": "all", "delegate": {"name": "fraud-split"}, "match": [match]}
    return virtual(delegate, name="root")


def test_a_match_that_a_root_does_not_hand_on_is_told():
    where = {"delegate": "fraud-split"}
    assert problems(where, PATH, root(uri={"prefix": "/a"})) == ["MatchNotInRoot"]
    assert problems(where, PATH, root(port=80)) == []
    by_cookie = root(headers={"cookie": {"regex": ".*beta.*"}})
    assert problems(where, {"steps": STEPS}, by_cookie, sticky=COOKIE) == ["MatchNotInRoot"]


@pytest.mark.parametrize(
    ("root", "block", "dropped"),
    [
        ({}, {"uri": {"exact": "/a"}}, False),
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/ab"}}, False),
        ({"uri": {"prefix": "/ab"}}, {"uri": {"prefix": "/a"}}, True),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a/b"}}, False),
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}, False),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, True),
        ({"uri": {"regex": "/a"}}, {"uri": {"exact": "/a"}}, True),
        ({"uri": {"prefix": "/a"}}, {"method": {"exact": "GET"}}, False),
        ({"headers": {"a": {"exact": "1"}}}, {"headers": {"a": {"exact": "2"}}}, True),
        ({"headers": {"a": {"exact": "1"}}}, {"headers": {"b": {"exact": "2"}}}, False),
        ({"ignoreUriCase": True}, {"method": {"exact": "GET"}}, True),
    ],
)
def test_istio_drops_a_match_that_is_no_part_of_its_root(root, block, dropped):
    assert delegation.drops([root], block) == dropped


def test_rule_8_rollouts_that_share_one_of_several_virtual_services_overlap():
    old, young = body("other", "2026-01-01"), body("mine", "2026-01-02")
    more = {"delegate": "split", "also": [{"virtualService": "shop", "http": ["primary"]}]}
    assert len(neighbours(young, old, there=more)) == 1
    assert len(neighbours(young, old, here=more)) == 1
    ports = {"existing": {"virtualService": "shop", "tcp": [9000]}}
    assert neighbours(young, old, there=ports) == ()
    assert len(neighbours(young, old, here=ports, there=ports)) == 1


def test_missing_routes_of_all_protocols_are_named():
    chosen = {"virtualService": "shop", "http": ["a"], "tls": ["x.example"], "tcp": [9000]}
    rules = spec(traffic={"service": "fraud", "route": {"existing": chosen}})
    target = target_of("ml", "fraud", "u", rules, ("cluster.local", "istio-system"))
    (problem,) = route_problems.of_route(target, {"shop": virtual()}, [])
    assert problem.message.endswith(
        "no http route named a and no tls route with the SNI host x.example and no tcp route with "
        "the port 9000"
    )
