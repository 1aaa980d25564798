"""Whole releases through every form of a route, each write of ours watched by a strict mesh."""

import random
from datetime import timedelta

import pytest

from penstock.core.kinds import ENVOY_FILTER, VIRTUAL_SERVICE, Key
from penstock.ports import TransientError
from tests.fakes import CrashError
from tests.strict import StrictStage
from tests.test_reconciler import LADDER, SETTINGS, released

FORMS = [
    pytest.param(
        route,
        services,
        sticky,
        id=f"{route}-{'services' if services else 'label'}{'-sticky' * sticky}",
    )
    for route in ("delegate", "own", "existing")
    for services in (False, True)
    for sticky in (False, True)
    if not (route == "existing" and sticky)
]
forms = pytest.mark.parametrize(("route", "services", "sticky"), FORMS)
FALL = [0, 1, 5, 25, 0]
WAYS = [
    pytest.param(route, services, sticky, also, exposure, id="-".join(
        [route, "services" if services else "label", f"sticky {sticky}" * bool(sticky),
         "also" * also, exposure]
    ).strip("-"))
    for route, services, sticky, also, exposure in (
        *((route, services, False, also, exposure)
          for route in ("delegate", "own", "existing") for services in (False, True)
          for also in (False, True) for exposure in ("match", "mirror", "mirror-match")),
        ("existing", False, False, True, ""),
        ("delegate", True, False, True, ""),
        *((route, False, "cookie", False, exposure)
          for route in ("delegate", "own") for exposure in ("", "match", "mirror")),
        ("own", False, True, False, "match"),
        ("delegate", False, True, False, "mirror-match"),
    )
]  # fmt: skip
ways = pytest.mark.parametrize(("route", "services", "sticky", "also", "exposure"), WAYS)


def dying(stage, when, seed=1):
    """Let the operator die at every third write or so, and start with an empty memory."""
    dice = random.Random(seed)

    def hook(number, kind, what):
        if dice.random() < 1 / 3:
            raise CrashError

    setattr(stage.cluster, when, hook)


@forms
async def test_a_good_version_goes_through_the_ladder_and_breaks_nothing(route, services, sticky):
    """Rules 7, 8 and 11."""
    stage = StrictStage(route, services, sticky)
    await stage.begin()
    await released(stage)
    assert (stage.phase, stage.weights, stage.faults) == ("Promoted", LADDER, [])
    last = stage.cluster.shares_of(stage.live)
    assert {version: share for version, share in last.items() if share} == {"v2": 100}


@forms
async def test_a_bad_version_is_taken_back_though_the_operator_keeps_dying(route, services, sticky):
    """Rules 6, 7 and 9."""
    stage = StrictStage(route, services, sticky)
    await stage.begin()
    await stage.at(25)
    stage.metrics.bad_from = stage.clock.now
    dying(stage, "after")
    await released(stage)
    assert (stage.phase, stage.weights, stage.faults) == ("RolledBack", FALL, [])
    assert stage.status["refused"][0]["reason"] == "Worse"


@pytest.mark.parametrize("when", ["before", "after"])
@forms
async def test_an_operator_that_keeps_dying_still_releases(route, services, sticky, when):
    """Rule 9: with an empty memory each time, and the same sequence of weights."""
    stage = StrictStage(route, services, sticky)
    await stage.begin()
    dying(stage, when)
    await released(stage)
    assert (stage.phase, stage.weights, stage.faults) == ("Promoted", LADDER, [])


def written(stage):
    """Return what stands in all VirtualServices, but the destinations of ours and their name."""
    found = {}
    for live in stage.cluster.known(VIRTUAL_SERVICE):
        for protocol in ("http", "tls", "tcp"):
            for number, route in enumerate(live["spec"].get(protocol, [])):
                mine = protocol != "http" or route.get("name") in stage.cluster.ours
                kept = {k: v for k, v in route.items() if k != "route" or not mine}
                found[live["metadata"]["name"], protocol, number] = kept
    return found


@ways
async def test_however_it_is_exposed_a_good_version_gets_there_and_everything_else_stays(
    route, services, sticky, also, exposure
):
    """Rules 7 and 8: and afterwards the VirtualServices say what they said."""
    stage = StrictStage(route, services, sticky, also, exposure)
    await stage.settle()
    before = written(stage)
    await stage.begin()
    await released(stage)
    assert (stage.phase, stage.weights, stage.faults) == ("Promoted", LADDER, [])
    assert written(stage) == before


@ways
async def test_however_it_is_exposed_nothing_of_a_bad_version_is_left(
    route, services, sticky, also, exposure
):
    """Rules 6 to 9: though the operator keeps dying."""
    stage = StrictStage(route, services, sticky, also, exposure)
    await stage.settle()
    before = written(stage)
    await stage.begin()
    await stage.at(25)
    stage.metrics.bad_from = stage.clock.now
    dying(stage, "after")
    await released(stage)
    stage.cluster.after = None
    await stage.settle()
    assert (stage.phase, stage.weights, stage.faults) == ("RolledBack", FALL, [])
    assert written(stage) == before
    for live in stage.cluster.known(VIRTUAL_SERVICE):
        assert stage.cluster.named(live) <= {"v1"}


@pytest.mark.parametrize("refused", ["shop", "edge"])
async def test_one_virtual_service_that_cannot_be_written_does_not_stop_the_rollback_of_the_others(
    refused,
):
    """Rules 6 and 9: and what is left is written as soon as it can be."""
    stage = StrictStage("existing", also=True)
    await stage.begin()
    await stage.at(25)
    stage.metrics.bad_from = stage.clock.now
    patch = stage.cluster.patch

    async def refusing(kind, key, operations, resource_version):
        if key.name == refused:
            raise TransientError("refused")
        return await patch(kind, key, operations, resource_version)

    stage.cluster.patch = refusing
    await stage.run(lambda: stage.phase == "RolledBack")
    await stage.settle()
    shares = {key.name: stage.cluster.shares_of(stage.cluster.objects[VIRTUAL_SERVICE, key])
              for key in (stage.cluster.route, *stage.cluster.also)}  # fmt: skip
    other = "edge" if refused == "shop" else "shop"
    assert shares[other] == {"v1": 100.0}
    assert shares[refused]["v2"] == 25
    stage.cluster.patch = patch
    await stage.settle()
    assert stage.cluster.named(stage.cluster.objects[VIRTUAL_SERVICE, Key("ml", refused)]) == {"v1"}
    assert stage.faults == []


async def test_each_weight_lasts_for_its_bake_after_every_proxy_follows_it():
    """Rule 5: nothing counts from before the weight was in force."""
    stage = StrictStage()
    await stage.begin()
    await released(stage)
    times = [time for time, shares in stage.cluster.shares if 0 < shares.get("v2", 0) < 100]
    ends = [time for time, shares in stage.cluster.shares if shares.get("v2", 0) > 1]
    least = timedelta(seconds=10) + SETTINGS.propagation
    assert all(end - begin >= least for begin, end in zip(times, ends, strict=True))


async def test_a_weight_that_cannot_be_written_proves_nothing():
    """Rule 5: the time until the route has it is no time with data."""
    stage = StrictStage()
    await stage.begin()
    await stage.at(1)

    def refused(number, kind, what):
        if kind == VIRTUAL_SERVICE:
            raise ConnectionError  # not even one of our own errors

    stage.cluster.before = refused
    for _ in range(60):
        stage.clock.pass_time(timedelta(seconds=5))
        try:
            await stage.turn()
        except ConnectionError:
            continue
    assert (stage.weights, stage.status["traffic"]["weight"]) == ([0, 1], 5)
    stage.cluster.before = None
    written = stage.clock.now
    await stage.at(25)
    assert stage.clock.now - written >= timedelta(seconds=10) + SETTINGS.propagation
    assert stage.weights == [0, 1, 5, 25]


@pytest.mark.parametrize("route", ["delegate", "own"])
async def test_the_filter_is_there_before_the_first_weight_and_its_salt_is_the_release(route):
    """Rules 7 and 11."""
    stage = StrictStage(route, sticky=True)
    await stage.begin()
    await stage.at(1)
    (live,) = stage.cluster.known(ENVOY_FILTER)
    assert "fraud-1:" in str(live["spec"])
    names = {"delegate": "all-penstock-ml_fraud", "own": "penstock-ml_fraud"}
    assert names[route] in str(live["spec"])
    assert stage.faults == []


async def test_a_sticky_delegate_without_a_root_is_stalled_and_says_why():
    stage = StrictStage(sticky=True)
    stage.cluster.lose(VIRTUAL_SERVICE, Key("ml", "root"))
    await stage.begin()
    await stage.settle()
    assert stage.condition("Stalled")[:2] == ("True", "NoRoot")
    assert stage.weights[-1] == 0


@forms
async def test_at_rest_nothing_is_written_and_no_turn_is_asked_for(route, services, sticky):
    """Rule 9."""
    stage = StrictStage(route, services, sticky)
    await stage.settle()
    stage.cluster.writes.clear()
    await stage.settle(600)
    assert stage.cluster.writes == []
