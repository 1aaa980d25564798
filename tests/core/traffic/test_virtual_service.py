"""Rules 5, 6, 8: the VirtualService, of ours or of somebody else."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest

from penstock.core.traffic import managers, routes, shares, virtual_service
from tests.core.traffic.test_traffic import (
    EXISTING,
    OWN,
    other,
    ours,
    status,
    target,
    to,
    virtual,
)

SERVICES = {"label": None, "services": {"v1": "fraud-a", "v2": "fraud-b"}}
TWO = {"existing": {"virtualService": "fraud", "http": ["primary", "second"]}}


def want(weight=0):
    return shares.wanted(status(weight))


def read(live, weight=0, where=None, stable="v1"):
    where = where or target()
    return virtual_service.read(live, want(weight), where, where.places[0], stable)


def changed(live, want, where=None, marks=None):
    where = where or target()
    return virtual_service.change(live, want, where, where.places[0], marks or {})


def marks(where, stable):
    return virtual_service.marks(where, where.places[0], stable)


def found_routes(live):
    return [(r.index, r.content) for r in routes.our_routes(live, target(), target().places[0])]


def field(manager, time, *names):
    return {"manager": manager, "time": time, "fieldsV1": {"f:spec": {f: {} for f in names}}}


def test_a_route_that_is_not_there_is_nothing_at_all():
    found = read(None)
    assert (found.exists, found.as_wanted, found.shares, found.since) == (False, False, {}, None)


@pytest.mark.parametrize("route", [{"delegate": "fraud-split"}, OWN, EXISTING])
def test_rule_5_in_every_form_what_was_written_is_read_back_as_wanted(route):
    where = target(route)
    live = virtual(ours({"destination": {"host": "fraud"}}, name="primary"))
    assert not read(live, 5, where).as_wanted
    change = changed(live, want(5), where)
    written = deepcopy(live)
    if change.manifest:
        written["spec"] = change.manifest["spec"]
    written["spec"] |= change.lists
    found = read(written, 5, where)
    assert (found.exists, found.as_wanted) == (True, True)
    assert found.shares == {"v2": 5.0, "v1": 95.0}
    assert not read(written, 6, where).as_wanted
    again = changed(written, want(5), where)
    assert again.lists == {}, "it is there"
    assert (again.manifest or {}).get("spec") == (change.manifest or {}).get("spec")


def test_rule_2_before_stable_is_known_nothing_is_as_wanted_but_the_shares_are_read():
    place = target().places[0]
    found = virtual_service.read(virtual(ours(to("v1", 100))), None, target(), place, "")
    assert (found.as_wanted, found.shares) == (False, {"v1": 100.0})


def test_rule_2_two_routes_that_disagree_do_not_tell_what_serves():
    live = virtual(ours(to("v1", 100), name="primary"), ours(to("v2", 100), name="second"))
    assert read(live, where=target(TWO)).shares == {"v1": 50.0, "v2": 50.0}


def test_rule_8_all_named_routes_are_moved_and_each_keeps_its_own():
    live = virtual(
        ours(to("v1", 100), name="primary"),
        ours(other(100), name="static"),
        ours(to("v1", 80), other(20), name="second"),
    )
    change = changed(live, want(50), target(TWO))
    first, static, second = change.lists["http"]
    assert static == live["spec"]["http"][1]
    assert first["route"] == [to("v2", 50), to("v1", 50)]
    assert second["route"] == [to("v2", 40), to("v1", 40), other(20)]
    assert read(live, where=target(TWO)).third
    half = deepcopy(live)
    half["spec"]["http"][0] = first
    assert not read(half, 50, target(TWO)).as_wanted, "one of two is not enough"


def test_a_route_without_destinations_or_with_one_missing_is_not_there():
    assert not read(virtual(ours(to("v1", 100), name="primary")), where=target(TWO)).exists
    assert not read(virtual(ours())).exists
    assert not read(virtual()).exists


def test_the_route_of_ours_is_found_by_its_name_before_any_other():
    theirs = ours(to("v1", 100), name="theirs")
    mine = ours(to("v2", 100))
    assert found_routes(virtual(theirs, mine)) == [(1, mine)]
    assert found_routes(virtual(theirs)) == [(0, theirs)]
    assert found_routes(virtual(ours(other(100), name="x"))) == []


def test_rule_8_a_delegate_without_a_route_of_ours_gets_one_after_the_others():
    theirs = ours(other(100), name="static")
    http = changed(virtual(theirs), want(0)).manifest["spec"]["http"]
    assert http == [theirs, ours(to("v1", 100))]


def test_rule_9_a_change_carries_the_version_it_was_computed_from():
    live = virtual(ours(to("v1", 100)), resourceVersion="42")
    for route in ({"delegate": "fraud-split"}, EXISTING):
        assert changed(live, want(5), target(route)).resource_version == "42"


def test_rule_8_who_owns_the_routes_is_told_from_the_managed_fields():
    live = virtual(ours(to("v1", 90), to("v2", 10)))
    cases = [
        ([field("argocd", "2026-01-01T00:00:00Z", "f:http")], "argocd"),
        ([field("argocd", "2026-01-01T00:00:00Z", "f:hosts")], ""),
        ([field("argocd", "1", "f:http"), field("kubectl", "2", "f:http")], "kubectl"),
        ([field("argocd", "2", "f:http"), field("penstock", "1", "f:http")], ""),
        ([{"manager": "argocd", "time": "1", "fieldsV1": {"f:metadata": {}}}], ""),
        ([], ""),
    ]
    for entries, expected in cases:
        live["metadata"]["managedFields"] = entries
        assert managers.editor(live) == expected
    del live["metadata"]["managedFields"]
    assert managers.editor(live) == ""
    assert managers.written_at(live) is None


def test_rule_8_nobody_is_blamed_while_the_route_is_as_wanted():
    live = virtual(ours(to("v1", 100)), manager="argocd")
    assert (read(live).as_wanted, read(live).editor) == (True, "")
    assert read(live, 5).editor == "argocd"


def test_rule_5_the_newest_write_of_ours_counts():
    entries = [
        {"manager": "penstock", "time": "2026-11-24T10:00:00Z"},
        {"manager": "penstock", "time": "2026-11-24T10:05:00Z"},
        {"manager": "argocd", "time": "2026-11-24T11:00:00Z"},
        {"manager": "penstock"},
    ]
    live = virtual(ours(to("v1", 100)), managedFields=entries)
    assert read(live).since == datetime(2026, 11, 24, 10, 5, 1, tzinfo=UTC)


def test_rule_6_the_mark_of_a_rollback_is_read():
    notes = {"penstock.dev/rolled-back": "fraud-1: Worse: bad"}
    assert read(virtual(ours(to("v1", 100)), annotations=notes)).rolled_back.startswith("fraud-1")
    assert read(virtual(ours(to("v1", 100)))).rolled_back == ""


def test_rule_2_the_mark_of_stable_stands_where_no_destination_rule_can_carry_it():
    notes = {"penstock.dev/stable": "v2"}
    where = target(**SERVICES)
    live = virtual(ours(where_to("fraud-a", 100)), annotations=notes)
    found = read(live, where=where)
    assert (found.stable_mark, found.as_wanted) == ("v2", False), "stable is v1: to be written"
    assert read(live, where=where, stable="v2").as_wanted
    assert marks(where, "v1") == {"penstock.dev/stable": "v1"}
    assert marks(target(), "v1") == {}
    assert marks(target(EXISTING, **SERVICES), "v1") == {}
    assert read(virtual(ours(to("v1", 100)), annotations=notes)).stable_mark == ""


def where_to(service, weight):
    return {"destination": {"host": f"{service}.ml.svc.cluster.local"}, "weight": weight}


def test_with_a_service_per_version_hosts_carry_the_split():
    where = target(**SERVICES)
    manifest = changed(None, want(5), where).manifest
    assert manifest["spec"]["http"][0]["route"] == [where_to("fraud-b", 5), where_to("fraud-a", 95)]


def test_objects_of_ours_say_whose_they_are():
    meta = changed(None, want(0), target(OWN), {"a": "b"}).manifest["metadata"]
    assert (meta["name"], meta["namespace"]) == ("fraud", "ml")
    assert meta["labels"]["app.kubernetes.io/managed-by"] == "penstock"
    assert meta["annotations"] == {"a": "b"}
