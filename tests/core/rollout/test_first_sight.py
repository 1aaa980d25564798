"""Rule 2: which version is stable at first sight; never the version in the spec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.core.facts import Command, Problem, VersionPods
from penstock.core.rollout import invalid
from tests.core.rollout.builders import (
    NOW,
    after,
    condition,
    later,
    pods,
    route,
    seen,
    spec,
    weight,
)


def sight(**facts):
    return seen(**{"snapshot": None, "finalizer": False, **facts})


def test_rule_2_the_mark_wins_over_route_and_pods():
    facts = sight(route=route(stable_mark="v1", shares={"v2": 100.0}), pods=pods(v1=0, v2=3))
    assert after(RolloutStatus(), facts).stable.version == "v1"


def test_rule_2_the_live_route_wins_over_pods():
    facts = sight(route=route(shares={"v1": 100.0}), pods=pods(v1=0, v2=3))
    assert after(RolloutStatus(), facts).stable.version == "v1"


def test_rule_2_what_is_adopted_serves_and_the_wanted_version_starts_at_step_0():
    status = after(RolloutStatus(), sight(route=route(shares={"v1": 100.0})))
    assert (status.stable.version, status.candidate.version) == ("v1", "v2")
    assert (status.candidate.step, weight(status), status.candidate.straight) == (-1, 0, False)


def test_rule_2_what_is_adopted_is_described_by_its_pods():
    described = {"v1": VersionPods(2, ("fraud:1",), ("fraud-v1",))}
    stable = after(RolloutStatus(), sight(pods=described)).stable
    assert (stable.since, stable.images, stable.workloads) == (NOW, ("fraud:1",), ("fraud-v1",))


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"pods": pods(v1=0, v2=0)}, id="nothing runs"),
        pytest.param({"pods": pods(v1=1, v2=1)}, id="two run and the route tells nothing"),
        pytest.param({"route": route(shares={"v1": 50.0, "v2": 50.0})}, id="split"),
        pytest.param({"route": route(shares={"": 50.0, "v2": 50.0})}, id="half without subset"),
    ],
)
def test_rule_2_where_it_cannot_be_told_everything_stands_still_until_adopt(facts):
    status = after(RolloutStatus(), sight(**facts))
    assert (status.stable, status.candidate, status.phase) == (None, None, Phase.WAITING)
    stalled = condition(status, "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "StableUnknown")
    assert "penstock.dev/adopt: <version>#<id>" in stalled.message
    adopted = after(status, sight(**{**facts, "pods": pods()}, commands=adopt("v1")))
    assert (adopted.stable.version, adopted.commands[0].taken) == ("v1", True)


def adopt(version):
    return (Command("adopt", version, "a"),)


def test_rule_2_a_version_named_by_adopt_must_have_a_ready_pod():
    status = after(RolloutStatus(), sight(pods=pods(v1=0, v2=0), commands=adopt("v1")))
    assert status.stable is None
    assert "no ready pod" in status.commands[0].message


def test_rule_2_a_route_that_cannot_be_read_says_why_instead_of_asking_for_adopt():
    problem = Problem("RouteNotFound", "VirtualService fraud has no http route named primary")
    facts = sight(pods=pods(v1=1, v2=1), problems=(problem,), route=route(exists=False))
    assert after(RolloutStatus(), facts).message == problem.message


@given(
    wanted=st.sampled_from(["v1", "v2", "v3"]),
    ready=st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 2)),
    shares=st.dictionaries(st.sampled_from(["", "v1", "v2", "v3"]), st.sampled_from([0.0, 40.0])),
    mark=st.sampled_from(["", "v1", "v9"]),
)
def test_rule_2_the_spec_never_tells_what_is_stable(wanted, ready, shares, mark):
    facts = sight(
        route=route(shares=shares, stable_mark=mark),
        pods={version: VersionPods(ready=count) for version, count in ready.items()},
    )
    found = after(RolloutStatus(), facts, spec(wanted)).stable
    others = [after(RolloutStatus(), facts, spec(w)).stable for w in ("v1", "v2", "v3", "v4")]
    assert all(other == found for other in others)
    if found is not None and not mark:
        live = [version for version, share in shares.items() if share > 0 and version]
        running = [version for version, count in ready.items() if count]
        assert live == [found.version] or (not live and running == [found.version])


def test_rule_11_third_destinations_keep_their_hundredths_from_the_first_write_on():
    facts = sight(route=route(shares={"v1": 100.0}, third=True))
    assert after(RolloutStatus(), facts, spec("v1")).traffic.total == 10_000
    assert after(RolloutStatus(), sight(pods=pods(v2=0)), spec("v1")).traffic.total == 100


def test_a_spec_that_cannot_be_read_is_said_in_the_conditions_and_moves_nothing():
    with pytest.raises(ValueError, match="weights must grow") as caught:
        spec(steps=({"weight": 50}, {"weight": 5}))
    before = after(RolloutStatus(), sight(route=route(shares={"v1": 100.0})), spec("v1"))
    status = invalid.refuse(before, 7, caught.value, later(60))
    for type_, value in (("Ready", "False"), ("Stalled", "True"), ("Accepted", "False")):
        found = condition(status, type_)
        assert (found.status, found.reason) == (value, "InvalidSpec")
        assert (found.observed_generation, found.last_transition_time) == (7, later(60))
    assert "weights must grow" in status.message
    assert (status.stable, status.traffic, status.phase) == (
        before.stable,
        before.traffic,
        before.phase,
    )
    again = invalid.refuse(status, 8, caught.value, later(120))
    assert condition(again, "Stalled").last_transition_time == later(60)
