"""Routes that are not as they should be, each told with its cure."""

import pytest

from penstock.api.v1alpha1.traffic import Sticky
from penstock.core import route_problems
from tests.core.test_problems import target

OWN = {"own": {"hosts": ["fraud.example.com"], "gateways": ["mesh"]}}
EXISTING = {"existing": {"virtualService": "shop", "http": ["primary"]}}


def virtual(*http, name="shop", namespace="ml", created="2026-01-02", **content):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    labels = content.pop("labels", {})
    return {"metadata": {**meta, "labels": labels}, "spec": {"http": list(http), **content}}


def route(name, *hosts, **more):
    return {"name": name, "route": [{"destination": {"host": host, **more}} for host in hosts]}


def of_route(mine, live, others):
    lives = {live["metadata"]["name"]: live} if live else {}
    return route_problems.of_route(mine, lives, others)


def test_rule_8_an_existing_route_that_is_as_it_should_be_is_no_problem():
    live = virtual(route("other", "x"), route("primary", "fraud"))
    assert of_route(target(EXISTING), live, []) == ()
    mixed = virtual(route("primary", "old", "fraud"))
    assert of_route(target(EXISTING), mixed, []) == (), "a third one may stand beside"


@pytest.mark.parametrize(
    ("live", "reason", "words"),
    [
        (None, "VirtualServiceNotFound", "no VirtualService shop in namespace ml"),
        (virtual(route("other", "fraud")), "RouteNotFound", "no http route named primary"),
        (virtual(), "RouteNotFound", "primary"),
        (virtual(route("primary", "elsewhere")), "RouteNotOurs", "the host fraud without a subset"),
        (virtual(route("primary", "fraud", subset="debug")), "RouteNotOurs", "without a subset"),
    ],
)
def test_rule_8_an_existing_route_that_is_not_there_or_not_ours_is_never_written(
    live, reason, words
):
    (problem,) = of_route(target(EXISTING), live, [])
    assert problem.reason == reason
    assert words in problem.message
    assert reason in route_problems.UNTOUCHABLE


def test_rule_8_all_missing_routes_are_named_at_once():
    both = {"existing": {"virtualService": "shop", "http": ["a", "b", "c"]}}
    (problem,) = of_route(target(both), virtual(route("b", "fraud")), [])
    assert "named a, c" in problem.message


def test_a_virtual_service_of_somebody_else_with_our_name_is_not_taken_over():
    theirs = virtual(name="fraud")
    (problem,) = of_route(target(OWN), theirs, [])
    assert problem.reason == "VirtualServiceTaken"
    mine = virtual(name="fraud", labels={"app.kubernetes.io/managed-by": "penstock"})
    assert of_route(target(OWN), mine, [mine]) == ()


HOST = "fraud.ml.svc.cluster.local"


@pytest.mark.parametrize(
    ("hosts", "other", "told"),
    [
        pytest.param(["a.example"], {"hosts": ["a.example"]}, True, id="the same host"),
        pytest.param(["a.example"], {"hosts": ["b.example"]}, False, id="another host"),
        pytest.param(["fraud"], {"hosts": [HOST]}, True, id="short and long"),
        pytest.param([HOST], {"hosts": ["fraud"]}, True, id="long and short"),
        pytest.param(
            [HOST], {"hosts": ["fraud"], "namespace": "shop"}, False, id="short, elsewhere"
        ),
        pytest.param(
            [HOST], {"hosts": [HOST], "namespace": "shop"}, True, id="long, from elsewhere"
        ),
        pytest.param(
            ["a.example"], {"hosts": ["a.example"], "gateways": ["ns/public"]}, False,
            id="not on the mesh",
        ),
        pytest.param(
            ["a.example"], {"hosts": ["a.example"], "gateways": ["ns/public", "mesh"]}, True,
            id="also on the mesh",
        ),
        pytest.param(["a.example"], {"http": []}, False, id="a delegate has no hosts"),
    ],
)  # fmt: skip
def test_rule_8_an_older_virtual_service_for_the_same_mesh_host_is_named(hosts, other, told):
    mine = target({"own": {"hosts": hosts, "gateways": ["mesh"]}})
    hiding = virtual(name="older", **other)
    found = of_route(mine, None, [hiding])
    assert [p.reason for p in found] == (["HostTaken"] if told else [])
    assert all("/older is older" in p.message for p in found)


def test_rule_8_a_younger_one_and_our_own_hide_nothing():
    labels = {"app.kubernetes.io/managed-by": "penstock"}
    live = virtual(name="fraud", created="2026-01-02", hosts=["fraud.example.com"], labels=labels)
    younger = virtual(name="x", created="2026-01-03", hosts=["fraud.example.com"])
    assert of_route(target(OWN), live, [live, younger]) == ()
    gateway = {"own": {"hosts": ["fraud.example.com"], "gateways": ["ns/public"]}}
    older = virtual(name="x", created="2026-01-01", hosts=["fraud.example.com"])
    assert of_route(target(gateway), live, [older]) == (), "we are not on the mesh"


def body(name, created, namespace="ml"):
    return {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": created}}


def neighbours(mine, other, here=EXISTING, there=EXISTING):
    return route_problems.of_neighbours(
        mine, target(here, "mine"), [(other, target(there, "other"))]
    )


def test_rule_8_of_two_rollouts_on_one_route_the_younger_is_stalled():
    old, young = body("other", "2026-01-01"), body("mine", "2026-01-02")
    (problem,) = neighbours(young, old)
    assert problem.reason == "RouteTaken"
    assert "ml/other is older" in problem.message
    assert problem.reason in route_problems.UNTOUCHABLE
    assert neighbours(old, young) == ()


def test_rule_8_of_two_rollouts_of_one_second_the_name_decides():
    one, two = body("a", "2026-01-01"), body("b", "2026-01-01")
    assert neighbours(one, two) == ()
    assert len(neighbours(two, one)) == 1


def test_rule_8_rollouts_may_share_a_virtual_service_but_not_a_route():
    old, young = body("other", "2026-01-01"), body("mine", "2026-01-02")
    apart = {"existing": {"virtualService": "shop", "http": ["second"]}}
    assert neighbours(young, old, there=apart) == ()
    shared = {"existing": {"virtualService": "shop", "http": ["second", "primary"]}}
    assert len(neighbours(young, old, there=shared)) == 1
    assert len(neighbours(young, old, there={"delegate": "shop"})) == 1
    assert neighbours(young, old, there={"delegate": "another"}) == ()
    assert neighbours(young, young) == ()


def test_a_sticky_release_needs_a_root_that_leads_to_its_delegate():
    sticky = Sticky(header="x-user-id")
    (problem,) = route_problems.of_sticky(sticky, [])
    assert problem.reason == "NoRoot"
    assert route_problems.of_sticky(sticky, ["root-penstock-ml_fraud"]) == ()
    assert route_problems.of_sticky(None, []) == ()
