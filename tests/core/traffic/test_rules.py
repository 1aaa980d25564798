"""Previews, copies, several VirtualServices, tls and tcp routes."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest

from penstock.api.v1alpha1.matching import HttpMatch
from penstock.core.exposure import Exposure
from penstock.core.traffic import routes, shares, virtual_service
from tests.core.traffic.test_traffic import EXISTING, HOST, ours, status, target, to, virtual

BETA = (HttpMatch.model_validate({"headers": {"x-group": {"exact": "beta"}}}),)
GROUP = [{"headers": {"x-group": {"exact": "beta"}}}]
PREVIEW = Exposure(match=BETA)
COPIES = Exposure(mirror=12.5)
SOME = Exposure(mirror=100, mirror_match=BETA)
MIRROR = {"destination": {"host": HOST, "subset": "v2"}, "percentage": {"value": 12.5}}
SINK = {"destination": {"host": "sink"}}


def http(live, exposure, weight=0, where=None):
    where = where or target()
    want = shares.wanted(status(weight), exposure)
    return routes.composed(live, want, where, where.places[0])["http"]


def read(live, exposure, weight=0, where=None):
    where = where or target()
    want = shares.wanted(status(weight), exposure)
    return virtual_service.read(live, want, where, where.places[0], "v1")


def test_a_preview_stands_before_the_split_and_serves_as_the_split_does():
    split = {**ours(to("v1", 100)), "timeout": "3s", "retries": {"attempts": 1}}
    rule, after = http(virtual(split), PREVIEW)
    assert after == split
    assert rule == {
        "name": "penstock-ml_fraud:match",
        "match": GROUP,
        "route": [to("v2", 100)],
        "timeout": "3s",
        "retries": {"attempts": 1},
    }


def test_a_rule_takes_only_what_its_split_would_have_taken():
    paths = [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}, "port": 80}]
    rule, _ = http(virtual({**ours(to("v1", 100)), "match": paths}), PREVIEW)
    assert rule["match"] == [{**path, **GROUP[0]} for path in paths]


@pytest.mark.parametrize("exposure", [PREVIEW, COPIES, SOME])
@pytest.mark.parametrize("route", [{"delegate": "fraud-split"}, EXISTING])
def test_rules_come_and_go_and_leave_the_routes_as_they_were(exposure, route):
    where = target(route)
    name = "primary" if route == EXISTING else "penstock-ml_fraud"
    before = [
        {"name": "static", "route": [SINK]},
        {**ours(to("v1", 100), name=name), "match": [{"uri": {"prefix": "/a"}}], "mirrors": [SINK]},
        {"route": [SINK]},
    ]
    with_rules = virtual(*http(virtual(*before), exposure, where=where))
    assert with_rules["spec"]["http"] != before
    assert read(with_rules, exposure, where=where).as_wanted
    assert not read(virtual(*before), exposure, where=where).as_wanted
    assert http(with_rules, exposure, where=where) == with_rules["spec"]["http"]
    assert not read(with_rules, Exposure(), where=where).as_wanted
    assert http(with_rules, Exposure(), where=where) == before


def test_all_requests_are_copied_beside_the_mirrors_of_others():
    (split,) = http(virtual({**ours(to("v1", 100)), "mirrors": [SINK]}), COPIES)
    assert split["mirrors"] == [SINK, MIRROR]


def test_only_chosen_requests_are_copied_and_stable_answers_them():
    rule, split = http(virtual(ours(to("v1", 100))), SOME)
    assert (rule["name"], rule["match"]) == ("penstock-ml_fraud:mirror", GROUP)
    assert rule["route"] == split["route"] == [to("v1", 100)]
    assert rule["mirrors"] == [{**MIRROR, "percentage": {"value": 100}}]
    assert "mirrors" not in split


def test_beside_a_mirror_of_the_old_form_nothing_is_copied():
    live = virtual({**ours(to("v1", 100)), "mirror": {"host": "sink"}})
    assert http(live, COPIES) == live["spec"]["http"]


def test_each_named_route_has_a_rule_of_its_own_and_none_takes_from_those_between():
    two = {"existing": {"virtualService": "fraud", "http": ["a", "b"]}}
    live = virtual(ours(to("v1", 100), name="a"), {"route": [SINK]}, ours(to("v1", 100), name="b"))
    names = [r.get("name") for r in http(live, PREVIEW, where=target(two))]
    assert names == ["penstock-ml_fraud:match:a", "a", None, "penstock-ml_fraud:match:b", "b"]


def test_a_rule_that_somebody_edits_is_put_back_but_a_timeout_blames_nobody():
    good = virtual(*http(virtual(ours(to("v1", 100))), PREVIEW), manager="argocd")
    assert (read(good, PREVIEW).as_wanted, read(good, PREVIEW).editor) == (True, "")
    timed = deepcopy(good)
    timed["spec"]["http"][1]["timeout"] = "9s"
    assert (read(timed, PREVIEW).as_wanted, read(timed, PREVIEW).editor) == (False, "")
    assert http(timed, PREVIEW)[0]["timeout"] == "9s"
    for change in (
        lambda found: found.pop(0),
        lambda found: found.reverse(),
        lambda found: found[0].update(match=[{}]),
        lambda found: found[0].update(route=[to("v1", 100)]),
    ):
        edited = deepcopy(good)
        change(edited["spec"]["http"])
        assert (read(edited, PREVIEW).as_wanted, read(edited, PREVIEW).editor) == (False, "argocd")
        assert http(edited, PREVIEW) == good["spec"]["http"]


@pytest.mark.parametrize("exposure", [PREVIEW, COPIES, SOME])
def test_rule_7_a_version_that_only_a_preview_or_a_copy_names_is_named(exposure):
    live = virtual(*http(virtual(ours(to("v1", 100))), exposure))
    assert read(live, exposure).named == {"v1", "v2"}
    assert read(live, exposure).shares == {"v1": 100.0}
    assert shares.wanted(status(0), exposure).versions == ("v1", "v2")


def test_no_rollout_has_a_route_of_the_name_of_a_rule_of_another():
    rule, _ = http(virtual(ours(to("v1", 100))), PREVIEW)
    assert not target(rollout="fraud-match").is_rule(rule)
    assert target().is_rule(rule)


def test_tls_and_tcp_routes_have_weights_only():
    route = {"existing": {"virtualService": "fraud", "tls": ["a.example"], "tcp": [9000]}}
    where, split = target(route), [to("v2", 5), to("v1", 95)]
    tls = [{"match": [{"sniHosts": ["b.example"]}], "route": [SINK]}]
    tls += [{"match": [{"sniHosts": ["c.example", "a.example"]}], "route": [to("v1", 100)]}]
    tcp = [{"match": [{"port": 9000}], "route": [to("v1", 100)]}, {"route": [SINK]}]
    live = virtual()
    live["spec"] |= {"tls": tls, "tcp": tcp}
    want = shares.wanted(status(5), Exposure(match=BETA, mirror=50))
    made = virtual_service.change(live, want, where, where.places[0], {}).lists
    assert made == {
        "tls": [tls[0], {**tls[1], "route": split}],
        "tcp": [{**tcp[0], "route": split}, tcp[1]],
    }
    live["spec"] |= made
    found = virtual_service.read(live, want, where, where.places[0], "v1")
    assert (found.exists, found.as_wanted) == (True, True)
    del live["spec"]["tcp"]
    assert not virtual_service.read(live, want, where, where.places[0], "v1").exists


ALSO = {"virtualService": "edge", "http": ["edge"]}
SEVERAL = target({"delegate": "fraud-split", "also": [ALSO]})


def read_all(*lives, weight=5):
    found = {live["metadata"]["name"]: live for live in lives}
    return virtual_service.read_all(found, shares.wanted(status(weight)), SEVERAL, "v1")


def of(name, weight, **more):
    split = ours(to("v2", weight), to("v1", 100 - weight), name=name)
    return virtual(split, name="fraud-split" if name != "edge" else "edge", **more)


def test_several_are_as_wanted_when_all_are_since_the_last_was_written():
    main, edge = of("penstock-ml_fraud", 5), of("edge", 5, time="2026-11-24T00:00:09Z")
    found = read_all(main, edge)
    assert (found.exists, found.as_wanted) == (True, True)
    assert found.since == datetime(2026, 11, 24, 0, 0, 10, tzinfo=UTC)
    half = read_all(main, of("edge", 1, manager="argocd", resourceVersion="8"))
    assert (half.exists, half.as_wanted, half.editor) == (True, False, "argocd")
    assert half.version == "8", "an edit of one that is as wanted is no new edit"
    assert half.shares == {"v2": 3.0, "v1": 97.0}
    assert not read_all(main).exists


def test_a_mark_on_any_of_several_is_read():
    notes = {"penstock.dev/rolled-back": "fraud-1: Worse: bad"}
    edge = of("edge", 5, annotations=notes)
    assert read_all(of("penstock-ml_fraud", 5), edge).rolled_back.startswith("fraud-1")
