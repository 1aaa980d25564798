"""Rules 5, 7, 8, 11: what the mesh's objects say, and what they are to say."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.v1alpha1.rollout_status import Candidate, RolloutStatus, Serving, TrafficStatus
from penstock.api.v1alpha1.traffic import Route
from penstock.core.traffic import destination_rule, envoy_filter, managers, shares, virtual_service
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import Target, subset_name

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOST = "fraud.ml.svc.cluster.local"
OWN = {"own": {"hosts": ["fraud.example.com"], "gateways": ["mesh"]}}
EXISTING = {"existing": {"virtualService": "fraud", "http": ["primary"]}}


def target(route=None, **more):
    fields = {
        "namespace": "ml",
        "rollout": "fraud",
        "uid": "u",
        "service": "fraud",
        "label": "version",
        "services": {},
        "route": Route.model_validate(route or {"delegate": "fraud-split"}),
        "sticky_header": None,
        "remove_routes": False,
        "known": ("v1", "v2"),
    }
    return Target(**{**fields, **more})


def status(weight=0.0, total=100, **more):
    candidate = Candidate(version="v2", release="fraud-1", since=NOW)
    return RolloutStatus(
        stable=Serving(version="v1"),
        candidate=candidate,
        traffic=TrafficStatus(weight=weight, total=total),
        **more,
    )


def to(version, weight, **more):
    return {"destination": {"host": HOST, "subset": version}, "weight": weight, **more}


def other(weight, host="other"):
    return {"destination": {"host": host}, "weight": weight}


def split(live, weight, total=100, where=None, sticky=False):
    want = shares.wanted(status(weight, total), double=sticky)
    return shares.destinations(live, want, where or target())


def read(live, want, where, stable="v1"):
    return virtual_service.read(live, want, where, where.places[0], stable)


def changed(live, want, where):
    return virtual_service.change(live, want, where, where.places[0], {})


def virtual(*http, manager="penstock", time="2026-11-24T00:00:00Z", **meta):
    entry = {"manager": manager, "time": time, "fieldsV1": {"f:spec": {"f:http": {}}}}
    fields = {"name": "fraud-split", "namespace": "ml", "resourceVersion": "7"}
    return {"metadata": {**fields, "managedFields": [entry], **meta}, "spec": {"http": list(http)}}


def ours(*route, name="penstock-ml_fraud"):
    return {"name": name, "route": list(route)}


@pytest.mark.parametrize(
    ("weight", "total", "expected"),
    [
        (0, 100, [to("v1", 100)]),
        (1, 100, [to("v2", 1), to("v1", 99)]),
        (50, 100, [to("v2", 50), to("v1", 50)]),
        (0.25, 10_000, [to("v2", 25), to("v1", 9975)]),
        (33.33, 10_000, [to("v2", 3333), to("v1", 6667)]),
        (100, 100, [to("v2", 100)]),
    ],
)
def test_rule_11_candidate_first_stable_second_and_the_sum_stays(weight, total, expected):
    assert split([], weight, total) == expected


def test_rule_7_with_sticky_users_a_version_that_is_alone_stands_twice():
    assert split([], 0, sticky=True) == [to("v1", 99), to("v1", 1)]
    assert split([], 100, sticky=True) == [to("v2", 99), to("v2", 1)]
    assert len(split([], 5, sticky=True)) == 2


def test_nothing_is_wanted_while_stable_is_unknown():
    assert shares.wanted(RolloutStatus()) is None


def test_rule_8_a_contested_route_goes_to_stable_when_its_release_has_ended():
    ended = RolloutStatus(stable=Serving(version="v1"), contested="argocd")
    assert shares.wanted(ended).shares == (("v1", 100.0),)


@given(
    weight=st.integers(1, 9999).map(lambda w: w / 100),
    third=st.lists(st.integers(0, 100), max_size=3),
    before=st.integers(0, 100),
    total=st.sampled_from([100, 10_000]),
)
def test_rule_8_third_destinations_keep_their_share_and_the_candidate_never_gets_more(
    weight, third, before, total
):
    live = [to("v2", before), to("v1", 100 - before)]
    live += [other(w, f"other-{n}") for n, w in enumerate(third)]
    made = split(live, weight, total)
    assert sum(entry["weight"] for entry in made) == total
    whole = 100 + sum(third)
    for entry, share in zip(made[2:], third, strict=True):
        assert entry["weight"] == round(share * total / whole)
    mine = made[0]["weight"] + made[1]["weight"]
    assert made[0]["weight"] <= mine * weight / 100 + 1e-6
    assert split(made, weight, total) == made, "written once, it stays"


def test_port_and_headers_of_the_user_are_kept():
    live = [{"destination": {"host": "fraud", "port": {"number": 80}}, "headers": {"a": 1}}]
    for entry in split(live, 10, where=target(EXISTING)):
        assert entry["destination"]["port"] == {"number": 80}
        assert entry["headers"] == {"a": 1}


@pytest.mark.parametrize(
    ("destination", "version"),
    [
        ({"host": HOST, "subset": "v1"}, "v1"),
        ({"host": "fraud", "subset": "v2"}, "v2"),
        ({"host": "fraud.ml", "subset": "v2"}, "v2"),
        ({"host": "fraud.ml.svc", "subset": "v2"}, "v2"),
        ({"host": "fraud"}, ""),
        ({"host": "fraud", "subset": "debug"}, None),
        ({"host": "fraud.other", "subset": "v1"}, None),
        ({"host": "other"}, None),
    ],
)
def test_a_destination_names_a_version_the_service_or_somebody_else(destination, version):
    assert target().version_of(destination) == version


def test_with_a_service_per_version_the_host_names_the_version():
    mine = target(label=None, services={"v1": "fraud-a", "v2": "fraud-b"})
    assert mine.destination("v2") == {"host": "fraud-b.ml.svc.cluster.local"}
    assert mine.version_of({"host": "fraud-a"}) == "v1"
    assert mine.version_of({"host": "fraud"}) == ""
    assert mine.version_of({"host": "other"}) is None


@pytest.mark.parametrize("version", ["V1", "1.2.3", "2026.11_1", "a" * 63, "x-"])
def test_a_subset_is_a_name_that_istio_takes_and_no_two_versions_share_one(version):
    name = subset_name(version)
    assert len(name) <= 63
    assert name == name.lower()
    assert "." not in name
    assert name == version or subset_name(version + "0"[: 63 - len(version)]) != name


def test_the_live_route_is_read_against_what_is_wanted():
    want = shares.wanted(status(5))
    found = read(virtual(ours(to("v2", 5), to("v1", 95))), want, target())
    assert (found.exists, found.as_wanted, found.editor) == (True, True, "")
    assert found.shares == {"v2": 5.0, "v1": 95.0}
    changed = virtual(ours(to("v2", 90), to("v1", 10)), manager="argocd")
    found = read(changed, want, target())
    assert (found.as_wanted, found.editor) == (False, "argocd")


def test_the_time_of_our_write_is_rounded_up_since_the_server_cuts_it():
    found = managers.written_at(virtual(time="2026-11-24T10:00:05Z"))
    assert found == datetime(2026, 11, 24, 10, 0, 6, tzinfo=UTC)
    assert managers.written_at(virtual(manager="argocd")) is None


def test_a_change_of_an_own_object_keeps_what_others_wrote_into_it():
    theirs = {"name": "static", "match": [{"uri": {"prefix": "/s"}}], "route": [other(100)]}
    mine = {**ours(to("v1", 100)), "timeout": "7s"}
    want = shares.wanted(status(5))
    change = changed(virtual(theirs, mine), want, target(OWN))
    http = change.manifest["spec"]["http"]
    assert http[0] == theirs
    assert (http[1]["timeout"], http[1]["route"]) == ("7s", [to("v2", 5), to("v1", 95)])
    assert change.manifest["spec"]["hosts"] == ["fraud.example.com"]
    assert change.resource_version == "7"


def test_a_route_that_is_not_there_yet_is_made():
    change = changed(None, shares.wanted(status(0)), target())
    assert change.manifest["spec"] == {"http": [ours(to("v1", 100))]}
    assert change.resource_version is None


def test_in_somebody_elses_object_only_our_destinations_change():
    theirs = {"name": "static", "route": [other(100)]}
    primary = ours({"destination": {"host": "fraud"}}, name="primary")
    want = shares.wanted(status(5))
    change = changed(virtual(theirs, primary), want, target(EXISTING))
    assert change.manifest is None
    assert change.lists == {"http": [theirs, ours(to("v2", 5), to("v1", 95), name="primary")]}


def test_hosts_of_an_own_object_are_put_back():
    want = shares.wanted(status(0))
    live = virtual(ours(to("v1", 100)))
    live["spec"] |= {"hosts": ["other.example.com"], "gateways": ["mesh"]}
    assert not read(live, want, target(OWN)).as_wanted
    live["spec"]["hosts"] = ["fraud.example.com"]
    assert read(live, want, target(OWN)).as_wanted


def test_the_text_for_the_contested_has_the_exact_cure():
    text = managers.contested_text(target(EXISTING), "argocd-controller", "fraud-1")
    assert "argocd-controller" in text
    assert "'.spec.http[] | select(.name == \"primary\") | .route, .mirrors'" in text
    assert "name: fraud, namespace: ml" in text
    assert "jsonPointers: [/spec/http]" in managers.contested_text(target(), "x", "")


def test_a_destination_rule_has_a_subset_per_version_and_says_what_is_stable():
    made = destination_rule.manifest(target(), ["v1", "1.2"], "v1")
    assert [s["labels"] for s in made["spec"]["subsets"]] == [{"version": "v1"}, {"version": "1.2"}]
    assert made["metadata"]["annotations"] == {"penstock.dev/stable": "v1"}
    assert "ownerReferences" not in made["metadata"]
    assert destination_rule.subset_versions(made, target()) == ("v1", "1.2")
    assert destination_rule.fits(made, made)
    assert not destination_rule.fits(made, destination_rule.manifest(target(), ["v1"], "v1"))


def test_with_remove_routes_our_objects_belong_to_the_rollout():
    made = destination_rule.manifest(target(remove_routes=True), ["v1"], "v1")
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"


def root(name, namespace="ml", delegate=None):
    route = {"name": name, "delegate": delegate or {"name": "fraud-split", "namespace": "ml"}}
    return {"metadata": {"name": "root", "namespace": namespace}, "spec": {"http": [route]}}


def test_rule_7_the_filter_matches_our_route_by_the_names_that_envoy_has():
    sticky = target(sticky_header="x-user-id")
    roots = [root("all"), root("edge", "gateway"), root("no", "x", {"name": "fraud-split"})]
    names = envoy_filter.route_names(sticky, roots)
    assert names == ("all-penstock-ml_fraud", "edge-penstock-ml_fraud")
    mine = replace(sticky, route=Route.model_validate(OWN))
    assert envoy_filter.route_names(mine, roots) == ("penstock-ml_fraud",)


def test_the_salt_is_the_release():
    made = envoy_filter.manifest(target(sticky_header="x-user-id"), "fraud-7", ["a"])
    policy = made["spec"]["configPatches"][0]["patch"]["value"]["route"]["hash_policy"][0]
    assert policy["header"]["regex_rewrite"]["substitution"] == "fraud-7:\\1"
    assert made["metadata"]["namespace"] == "istio-system"


def test_wanted_tells_the_versions_that_need_a_subset():
    assert Wanted((("v2", 5.0), ("v1", 95.0)), 100, double=False).versions == ("v2", "v1")
