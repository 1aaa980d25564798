"""Names of what belongs to a Rollout, and the objects that carry them."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.traffic import destination_rule, envoy_filter
from penstock.core.traffic.target import subset_name, target_of
from tests.core.rollout.builders import spec
from tests.core.traffic.test_traffic import EXISTING, OWN, root, target

VERSIONS = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", fullmatch=True)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@given(VERSIONS, VERSIONS)
def test_every_version_has_a_subset_name_of_its_own(one, other):
    name = subset_name(one)
    assert LABEL.fullmatch(name)
    assert len(name) <= 63
    assert (name == subset_name(other)) == (one == other)


@given(st.lists(VERSIONS, min_size=1, max_size=5, unique=True))
def test_a_destination_of_ours_names_its_version_again(versions):
    mine = target(known=tuple(versions))
    services = target(label=None, services={v: f"svc-{n}" for n, v in enumerate(versions)})
    for version in versions:
        assert mine.version_of(mine.destination(version)) == version
        assert services.version_of(services.destination(version)) == version


def test_a_target_is_what_the_spec_says():
    traffic = {
        "service": "fraud",
        "endpoints": {"services": {"v1": "a", "v2": "b"}},
        "route": OWN,
        "sticky": {"header": "x-user-id"},
    }
    rules = spec(traffic=traffic, onDelete="RemoveRoutes")
    made = target_of("ml", "shop", "u", rules, ("corp.local", "mesh-root"))
    (place,) = made.places
    assert (place.name, place.owned) == ("shop", True)
    assert (made.label, made.sticky_header, made.remove_routes) == (None, "x-user-id", True)
    assert made.version_host("v1") == "a.ml.svc.corp.local"
    assert made.version_host("v9") == "fraud.ml.svc.corp.local"
    assert made.root_namespace == "mesh-root"
    assert made.metadata("x", {})["ownerReferences"][0]["name"] == "shop"


def test_the_virtual_service_is_the_one_that_the_route_names():
    assert [one.name for one in target().places] == ["fraud-split"]
    (place,) = target(EXISTING).places
    assert (place.name, place.owned) == ("fraud", False)


def test_a_destination_rule_that_somebody_changed_does_not_fit():
    want = destination_rule.manifest(target(), ["v1", "v2"], "v1")
    live = {**want, "spec": {**want["spec"], "trafficPolicy": {"tls": {"mode": "DISABLE"}}}}
    assert destination_rule.fits(live, want), "an apply would not take away what others say"
    changes = [
        {**want, "spec": {**want["spec"], "host": "other"}},
        {**want, "metadata": {**want["metadata"], "annotations": {}}},
        {**want, "metadata": {**want["metadata"], "ownerReferences": [{"uid": "x"}]}},
        destination_rule.manifest(target(), ["v2", "v1"], "v1"),
        destination_rule.manifest(target(), ["v1", "v2"], "v2"),
        None,
    ]
    for changed in changes:
        assert not destination_rule.fits(changed, want)


def test_extra_labels_of_others_on_a_destination_rule_are_left_alone():
    want = destination_rule.manifest(target(), ["v1"], "v1")
    labels = {**want["metadata"]["labels"], "team": "ml"}
    assert destination_rule.fits({**want, "metadata": {**want["metadata"], "labels": labels}}, want)


def test_subsets_that_do_not_tell_a_version_are_passed_over():
    live = {"spec": {"subsets": [{"name": "a"}, {"name": "b", "labels": {"version": "v1"}}]}}
    assert destination_rule.subset_versions(live, target()) == ("v1",)
    assert destination_rule.subset_versions(None, target()) == ()
    assert destination_rule.subset_versions({"spec": {}}, target()) == ()


def test_rule_7_a_root_route_without_a_name_adds_none():
    unnamed = root("")
    assert envoy_filter.route_names(target(), [unnamed]) == ("penstock-ml_fraud",)
    two = {**root("a"), "spec": {"http": [*root("a")["spec"]["http"], *root("b")["spec"]["http"]]}}
    names = envoy_filter.route_names(target(), [two, {"metadata": {"namespace": "ml"}}])
    assert names == ("a-penstock-ml_fraud", "b-penstock-ml_fraud")


def test_a_delegate_without_a_namespace_is_meant_in_that_of_its_root():
    here = root("a", "ml", {"name": "fraud-split"})
    elsewhere = root("a", "shop", {"name": "fraud-split"})
    assert envoy_filter.route_names(target(), [here]) == ("a-penstock-ml_fraud",)
    assert envoy_filter.route_names(target(), [elsewhere]) == ()


def test_a_filter_has_a_patch_per_route_and_says_whose_it_is():
    made = envoy_filter.manifest(target(sticky_header="x-user-id"), "fraud-7", ["a", "b"])
    matched = [
        p["match"]["routeConfiguration"]["vhost"]["route"]["name"]
        for p in made["spec"]["configPatches"]
    ]
    assert matched == ["a", "b"]
    assert made["metadata"]["labels"]["penstock.dev/rollout-namespace"] == "ml"
    assert made["metadata"]["name"] == "penstock-ml.fraud"


def test_no_two_rollouts_of_the_mesh_share_the_name_of_a_route_or_of_a_filter():
    pairs = (("a", "b-c"), ("a-b", "c"), ("a", "b.c"), ("a-b", "c.d"), ("a", "b-c.d"))
    targets = [replace(target(), namespace=namespace, rollout=name) for namespace, name in pairs]
    assert len({one.route_name for one in targets}) == len(pairs)
    assert len({one.envoy_filter for one in targets}) == len(pairs)
    assert not any("." in one.route_name for one in targets)
