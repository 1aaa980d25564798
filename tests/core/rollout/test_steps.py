"""Rules 3 to 7: what moves a release on, holds it, or ends it."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, StepState
from penstock.core.facts import Finding
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    WITH_APPROVAL,
    after,
    analysis,
    condition,
    in_flight,
    later,
    pods,
    route,
    seen,
    spec,
    weight,
)

BAD = Finding("errors", "Rollback", "errors: 4 times")


@pytest.mark.parametrize(
    "missing",
    [
        {"snapshot": None},
        {"finalizer": False},
        {"prepared": False},
        {"pods": pods(v2=0)},
        {"route": route(exists=False)},
    ],
)
def test_rule_7_the_first_weight_waits_for_all_that_it_stands_on(missing):
    status = in_flight(-1, recorded=missing.get("snapshot", "x") is not None)
    assert weight(after(status, seen(**missing))) == 0
    assert weight(after(status, seen())) == 5


@pytest.mark.parametrize(
    ("verdict", "baked", "expected"),
    [
        pytest.param(Verdict.SAFE, 60, 50, id="safe and baked: on"),
        pytest.param(Verdict.SAFE, 59, 5, id="safe, not baked: stays"),
        pytest.param(Verdict.LEARNING, 600, 5, id="learning: stays"),
        pytest.param(Verdict.NO_DATA, 600, 5, id="no data: stays"),
        pytest.param(Verdict.UNTRUSTED, 600, 5, id="untrusted: stays"),
        pytest.param(Verdict.WORSE, 600, 5, id="worse without the right to act: stays"),
    ],
)
def test_rule_3_a_step_passes_when_it_has_baked_and_is_safe_now(verdict, baked, expected):
    assert weight(after(in_flight(0), seen(analysis=analysis(verdict, baked)))) == expected


def test_rule_3_safe_is_not_latched():
    status = after(in_flight(0), seen(analysis=analysis(Verdict.SAFE, 30)))
    assert weight(after(status, seen(analysis=analysis(Verdict.LEARNING, 60)))) == 5


@pytest.mark.parametrize("step", [0, 1])
def test_rule_3_worse_acts_at_the_next_look(step):
    status = after(in_flight(step), seen(analysis=analysis(Verdict.WORSE, 0, worse=BAD)))
    assert (status.phase, weight(status), status.candidate) == (Phase.ROLLED_BACK, 0, None)
    refusal = status.refused[0]
    assert (refusal.version, refusal.reason, refusal.message) == ("v2", "Worse", BAD.why)


def test_rule_3_the_last_step_proven_leads_to_100():
    status = after(in_flight(1), seen(analysis=analysis()))
    assert (status.phase, weight(status)) == (Phase.PROMOTING, 100)


def test_rule_4_silence_holds_whatever_its_length():
    silent = analysis(Verdict.NO_DATA, 600, silence="Prometheus is away")
    status = in_flight(0)
    for hours in (0, 1, 50):
        status = after(status, seen(analysis=silent), now=later(3600 * hours))
        assert weight(status) == 5
    assert condition(status, "DataTrusted").reason == "NoData"
    assert "Prometheus is away" in condition(status, "DataTrusted").message


def test_rule_4_silence_rolls_back_only_where_the_policy_says_so():
    rules = spec(analysis={"onNoData": {"after": "10m", "then": "Rollback"}})
    silent = seen(rules, analysis=analysis(Verdict.NO_DATA, 0, silence="away"))
    status = after(in_flight(0, rules), silent, rules)
    assert weight(after(status, silent, rules, later(599))) == 5
    ended = after(status, silent, rules, later(600))
    assert (weight(ended), ended.refused[0].reason) == (0, "NoData")


def test_rule_4_data_that_come_back_begin_the_silence_anew():
    silent = seen(analysis=analysis(Verdict.NO_DATA, 0, silence="away"))
    status = after(in_flight(0), silent)
    assert status.candidate.silent_since == NOW
    assert after(status, seen(), now=later(5)).candidate.silent_since is None


def test_rule_5_nothing_passes_while_the_route_is_not_as_wanted():
    facts = seen(analysis=analysis(), route=route(as_wanted=False))
    assert weight(after(in_flight(0), facts)) == 5


def test_rule_5_a_weight_that_is_not_followed_is_an_alarm_and_stops_the_step():
    facts = seen(analysis=analysis(Verdict.UNTRUSTED, 600, mistrust="0 % where 5 % is the weight"))
    status = after(in_flight(0), facts)
    assert weight(status) == 5
    assert condition(status, "DataTrusted").reason == "WeightNotFollowed"


@pytest.mark.parametrize(
    ("policy", "expected", "phase"),
    [
        ("Hold", 5, Phase.WAITING),
        ("Advance", 50, Phase.PROGRESSING),
        ("Rollback", 0, Phase.ROLLED_BACK),
    ],
)
def test_at_the_deadline_the_policy_decides(policy, expected, phase):
    rules = spec(analysis={"onInconclusive": policy})
    facts = seen(rules, analysis=analysis(Verdict.LEARNING, 600))
    before = after(in_flight(0, rules), facts, rules, later(3599))
    assert weight(before) == 5
    status = after(before, facts, rules, later(3600))
    assert (weight(status), status.phase) == (expected, phase)


def test_advance_at_the_deadline_never_walks_on_blindly():
    rules = spec(analysis={"onInconclusive": "Advance"})
    facts = seen(rules, analysis=analysis(Verdict.NO_DATA, 600, silence="away"))
    assert weight(after(in_flight(0, rules), facts, rules, later(9999))) == 5


def test_a_step_held_at_its_deadline_still_passes_when_it_is_proven():
    held = after(in_flight(0), seen(), now=later(3600))
    assert held.phase is Phase.WAITING
    assert weight(after(held, seen(analysis=analysis()), now=later(3700))) == 50


def test_a_candidate_that_is_not_ready_waits_and_is_rolled_back_at_the_ready_deadline():
    facts = seen(pods=pods(v2=0))
    status = after(in_flight(-1), facts)
    assert (status.phase, weight(status)) == (Phase.WAITING, 0)
    assert after(status, facts, now=later(599)).candidate is not None
    assert after(status, facts, now=later(600)).refused[0].reason == "NotReady"


def test_a_candidate_without_pods_while_it_has_traffic_is_rolled_back_after_30_seconds():
    facts = seen(pods=pods(v2=0), analysis=analysis())
    status = after(in_flight(0), facts)
    assert weight(status) == 5, "nothing passes without a ready pod"
    assert weight(after(status, facts, now=later(29))) == 5
    assert weight(after(status, facts, now=later(30))) == 0


def test_pods_that_come_back_in_time_save_the_candidate():
    status = after(in_flight(0), seen(pods=pods(v2=0)))
    status = after(status, seen(), now=later(20))
    assert weight(after(status, seen(pods=pods(v2=0)), now=later(40))) == 5


def test_the_weight_rises_only_while_stable_keeps_its_share_of_pods():
    rules = spec(strategy={"minStableReady": 100})
    facts = seen(rules, pods=pods(v1=1), analysis=analysis())
    status = after(in_flight(0, rules), facts, rules)
    assert (weight(status), condition(status, "RollbackCapacity").status) == (5, "False")
    assert "1 of 2" in status.message
    assert weight(after(status, seen(rules, analysis=analysis()), rules)) == 50


def test_a_suspended_release_holds_but_may_be_rolled_back():
    rules = spec(suspend=True)
    status = after(in_flight(0), seen(analysis=analysis()), rules)
    assert (weight(status), status.phase) == (5, Phase.WAITING)
    worse = seen(analysis=analysis(Verdict.WORSE, 0, worse=BAD))
    assert weight(after(status, worse, rules)) == 0


def test_on_worse_hold_waits_for_a_command():
    held = seen(analysis=analysis(Verdict.WORSE, 600, held=Finding("slow", "Hold", "3 times")))
    status = after(in_flight(0), held)
    assert (weight(status), status.phase) == (5, Phase.WAITING)
    assert "slow" in status.message
    assert weight(after(status, seen(analysis=analysis()), now=later(9))) == 5, "until a command"


def test_an_approval_holds_the_weight_before_it_and_stops_the_deadline():
    rules = spec(steps=WITH_APPROVAL)
    facts = seen(rules, analysis=analysis())
    status = after(in_flight(0, rules), facts, rules)
    assert (status.candidate.step, weight(status), status.phase) == (1, 5, Phase.WAITING)
    much_later = after(status, facts, rules, later(999_999))
    assert (weight(much_later), much_later.phase) == (5, Phase.WAITING)
    assert "approve: fraud-1/1#" in much_later.message


def test_metrics_go_on_judging_during_an_approval():
    rules = spec(steps=WITH_APPROVAL)
    worse = seen(rules, analysis=analysis(Verdict.WORSE, 0, worse=BAD))
    assert weight(after(in_flight(1, rules, Phase.WAITING), worse, rules)) == 0


def test_rule_6_a_rollback_waits_only_for_a_stable_without_pods():
    worse = analysis(Verdict.WORSE, 0, worse=BAD)
    status = after(in_flight(1), seen(analysis=worse, pods=pods(v1=0)))
    assert weight(status) == 50
    stalled = condition(status, "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "StableHasNoReadyPods")
    again = after(status, seen(pods=pods(v1=1)), now=later(60))
    assert (weight(again), again.refused[0].reason) == (0, "Worse")


def test_rule_6_a_rollback_needs_no_candidate_pods_and_no_prometheus():
    gone = seen(pods=pods(v2=0), analysis=analysis(Verdict.NO_DATA, 0, silence="away"))
    status = after(in_flight(1, condemned="Aborted"), gone)
    assert weight(status) == 0


def test_rule_6_a_mark_on_the_route_wins_over_the_status():
    facts = seen(route=route(rolled_back="fraud-1: Worse: errors: 9 times"))
    status = after(in_flight(1), facts)
    assert (status.phase, status.refused[0].message) == (Phase.ROLLED_BACK, "errors: 9 times")
    other = seen(route=route(rolled_back="fraud-0: Worse: old"))
    assert after(in_flight(1), other).candidate is not None


def test_states_of_steps_tell_the_story():
    status = after(in_flight(0), seen(analysis=analysis()))
    assert [s.state for s in status.steps] == [StepState.PASSED, StepState.RUNNING]
    status = after(status, seen(analysis=analysis(Verdict.WORSE, 0, worse=BAD)))
    assert [s.state for s in status.steps] == [StepState.PASSED, StepState.FAILED]


def test_the_forecast_becomes_times_and_a_deadline_too_short_is_said():
    eta = {0: (timedelta(hours=3), timedelta(hours=5))}
    status = after(in_flight(0), seen(analysis=analysis(Verdict.LEARNING, 0, eta=eta)))
    assert status.steps[0].eta == (later(3 * 3600), later(5 * 3600))
    said = condition(status, "SufficientTraffic")
    assert (said.status, said.reason) == ("False", "DeadlineTooShort")
    assert "3h" in said.message
