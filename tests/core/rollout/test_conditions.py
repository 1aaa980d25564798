"""Rule 13: what kstatus and Argo CD read."""

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Refusal, RolloutStatus
from penstock.core.facts import Finding, Problem
from penstock.core.rollout.decide import decide
from penstock.core.route_problems import UNTOUCHABLE
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    WITH_APPROVAL,
    after,
    analysis,
    condition,
    idle,
    in_flight,
    later,
    pods,
    promoted,
    route,
    seen,
    spec,
)

REFUSED = Refusal(version="v2", release="fraud-1", reason="Worse")


@pytest.mark.parametrize(
    ("status", "facts", "rules", "phase", "ready", "reconciling", "stalled"),
    [
        (idle("v2"), seen(snapshot=None), spec(), Phase.IDLE, "True", "False", "False"),
        (in_flight(0), seen(), spec(), Phase.PROGRESSING, "False", "True", "False"),
        (
            in_flight(1, spec(steps=WITH_APPROVAL), Phase.WAITING),
            seen(spec(steps=WITH_APPROVAL)),
            spec(steps=WITH_APPROVAL),
            Phase.WAITING, "False", "True", "False",
        ),
        (
            in_flight(2, phase=Phase.PROMOTING), seen(pods=pods()), spec(),
            Phase.PROMOTED, "True", "False", "False",
        ),
        (promoted(), seen(snapshot=None), spec(), Phase.PROMOTED, "True", "False", "False"),
        (
            idle(refused=(REFUSED,)), seen(snapshot=None), spec(),
            Phase.ROLLED_BACK, "False", "False", "True",
        ),
        (
            RolloutStatus(), seen(snapshot=None, pods={}), spec(),
            Phase.WAITING, "False", "False", "True",
        ),
    ],
)  # fmt: skip
def test_rule_13_health_by_phase(status, facts, rules, phase, ready, reconciling, stalled):
    decided = after(status, facts, rules)
    values = [condition(decided, t).status for t in ("Ready", "Reconciling", "Stalled")]
    assert (decided.phase, values) == (phase, [ready, reconciling, stalled])


def test_rule_13_a_rolled_back_rollout_is_failed_with_its_numbers():
    worse = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "4 times as many"))
    status = after(in_flight(0), seen(analysis=worse))
    stalled = condition(status, "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "RolledBack")
    assert "4 times as many" in stalled.message
    assert condition(status, "Ready").reason == "RolledBack"


def test_the_generation_is_observed_and_times_move_only_with_a_status():
    first = after(in_flight(0), seen(generation=3))
    second = after(first, seen(generation=4), now=later(60))
    assert (second.observed_generation, first.observed_generation) == (4, 3)
    for condition_ in second.conditions:
        assert condition_.last_transition_time == NOW
        assert condition_.observed_generation == 4


def test_the_finalizer_stands_only_while_a_release_is_in_flight():
    assert decide(spec(), in_flight(0), seen(), NOW).finalizer
    ended = decide(spec("v1"), in_flight(0), seen(), NOW)
    assert ended.finalizer, "until weight 0 is in force"
    assert not decide(spec("v1"), ended.status, seen(snapshot=None), NOW).finalizer
    assert not decide(spec("v1"), idle(), seen(snapshot=None, finalizer=False), NOW).finalizer


def test_a_deleted_rollout_ends_its_release_before_it_goes():
    decision = decide(spec(), in_flight(1), seen(deleting=True), NOW)
    assert (decision.status.ended.outcome, decision.finalizer) == ("Deleted", True)
    assert decision.status.traffic.weight == 0
    gone = decide(spec(), decision.status, seen(deleting=True, snapshot=None), NOW)
    assert not gone.finalizer


def test_a_deleted_rollout_whose_stable_has_no_pods_leaves_the_route_and_goes():
    decision = decide(spec(), in_flight(1), seen(deleting=True, pods=pods(v1=0)), NOW)
    assert (decision.status.traffic.weight, decision.finalizer) == (50, False)


def test_an_idle_rollout_asks_for_no_turn():
    assert decide(spec("v1"), idle(), seen(snapshot=None), NOW).requeue_after is None


BUSY = ("False", "True", "False")
READY = ("True", "False", "False")
FAILED = ("False", "False", "True")


def kstatus(status):
    """Return what kstatus computes: Stalled wins, then Reconciling, then Ready."""
    values = {c.type: c.status for c in status.conditions}
    if values["Stalled"] == "True":
        return "Failed"
    return "InProgress" if values["Reconciling"] == "True" else "Current"


def health(status):
    return tuple(condition(status, t).status for t in ("Ready", "Reconciling", "Stalled"))


@pytest.mark.parametrize(
    ("name", "status", "facts", "rules", "expected"),
    [
        ("suspended at rest", idle(), seen(snapshot=None), spec(suspend=True), BUSY),
        ("suspended in flight", in_flight(0), seen(), spec(suspend=True), BUSY),
        ("not ready yet", in_flight(-1), seen(pods=pods(v2=0)), spec(), BUSY),
        ("release deleted", in_flight(0), seen(snapshot=None), spec(), FAILED),
        ("cannot go back", in_flight(1, condemned="Worse"), seen(pods=pods(v1=0)), spec(), FAILED),
        ("contested at rest", idle("v2", contested="argocd"), seen(snapshot=None), spec(), FAILED),
        ("at 100", in_flight(2, phase=Phase.PROMOTING), seen(route=route(since=NOW)), spec(), BUSY),
    ],
)
def test_rule_13_what_waits_is_suspended_and_what_needs_a_person_is_failed(
    name, status, facts, rules, expected
):
    decided = after(status, facts, rules)
    assert health(decided) == expected, name
    assert kstatus(decided) == {BUSY: "InProgress", READY: "Current", FAILED: "Failed"}[expected]
    assert condition(decided, "Ready").message


@pytest.mark.parametrize("reason", sorted(UNTOUCHABLE))
def test_rule_8_a_route_that_is_not_ours_to_move_is_stalled_even_when_the_version_serves(reason):
    problem = Problem(reason, f"the cure of {reason}")
    status = after(idle("v2"), seen(snapshot=None, problems=(problem,)))
    stalled = condition(status, "Stalled")
    assert (stalled.status, stalled.reason) == ("True", reason)
    assert (stalled.message, status.message) == (problem.message, problem.message)
    assert health(status) == FAILED


def test_a_mistake_in_the_metrics_does_not_make_a_version_that_serves_unhealthy():
    problem = Problem("TemplateNotFound", "there is no such template")
    status = after(idle("v2"), seen(snapshot=None, problems=(problem,)))
    assert health(status) == READY
    assert condition(status, "Accepted").status == "False"
    assert condition(status, "Accepted").message == problem.message


def test_a_route_that_is_gone_is_said_where_the_route_cannot_be_made():
    problem = Problem("HostTaken", "an older one wins")
    facts = seen(snapshot=None, problems=(problem,), route=route(exists=False, as_wanted=False))
    status = after(idle("v2"), facts)
    assert (condition(status, "Stalled").reason, status.message) == ("HostTaken", problem.message)


def test_conditions_of_a_release_go_with_the_release():
    types = {c.type for c in after(in_flight(0), seen()).conditions}
    assert {"DataTrusted", "RollbackCapacity", "SufficientTraffic"} <= types
    types = {c.type for c in after(idle("v2"), seen(snapshot=None)).conditions}
    assert types == {"Ready", "Reconciling", "Stalled", "Accepted"}


def test_what_cannot_be_resolved_is_said():
    facts = seen(analysis=analysis(Verdict.LEARNING, 0, notes=("no bucket at 250 ms",)))
    found = condition(after(in_flight(0), facts), "CannotResolve")
    assert (found.status, found.message) == ("True", "no bucket at 250 ms")


@pytest.mark.parametrize(
    ("ready", "least", "status", "reason"),
    [
        (2, 0, "True", "Enough"),
        (1, 0, "True", "Enough"),
        (1, 100, "False", "BelowMinStableReady"),
        (0, 0, "False", "StableHasNoReadyPods"),
    ],
)
def test_rule_6_the_capacity_to_go_back_is_reported(ready, least, status, reason):
    rules = spec(strategy={"minStableReady": least})
    facts = seen(rules, pods=pods(v1=ready))
    found = condition(after(in_flight(0, rules), facts, rules), "RollbackCapacity")
    assert (found.status, found.reason) == (status, reason)


def test_a_time_moves_when_the_status_does():
    first = after(in_flight(0), seen())
    worse = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "4 times as many"))
    second = after(first, seen(analysis=worse), now=later(60))
    assert condition(first, "Stalled").last_transition_time == NOW
    assert condition(second, "Stalled").last_transition_time == later(60)
    assert condition(second, "Ready").last_transition_time == NOW, "False before and after"
