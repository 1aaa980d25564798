"""Rule 13: what kstatus and Argo CD read."""

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Refusal, RolloutStatus
from penstock.core.facts import Finding
from penstock.core.rollout.decide import decide
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
