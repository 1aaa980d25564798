"""Rules 3 to 7: what moves a release on, holds it, or ends it."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Previous, StepState
from penstock.core.facts import Command, Finding
from penstock.core.rollout.decide import decide
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    LADDER,
    NOW,
    WITH_APPROVAL,
    after,
    analysis,
    condition,
    in_flight,
    later,
    pods,
    promoted,
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
    held = seen(
        analysis=analysis(Verdict.WORSE, 600, held=Finding("slow", "Hold", "slow: 3 times"))
    )
    status = after(in_flight(0), held)
    assert (weight(status), status.phase) == (5, Phase.WAITING)
    assert "held by slow: 3 times; say approve" in status.message
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


def approval_first():
    return spec(steps=({"approval": {}}, *LADDER))


def test_a_candidate_without_traffic_has_its_ready_deadline_at_a_first_approval_too():
    rules = approval_first()
    facts = seen(rules, pods=pods(v2=0))
    status = after(in_flight(0, rules, Phase.WAITING), facts, rules)
    assert after(status, facts, rules, later(599)).candidate is not None
    ended = after(status, facts, rules, later(600))
    assert (ended.refused[0].reason, weight(ended)) == ("NotReady", 0)


def test_a_candidate_that_was_ready_in_time_gets_the_deadline_anew_while_it_waits():
    rules = spec(suspend=True)
    status = after(in_flight(-1), seen(), rules, later(3600))
    gone = seen(pods=pods(v2=0))
    status = after(status, gone, rules, later(3601))
    assert status.candidate is not None
    assert after(status, gone, rules, later(3601 + 599)).candidate is not None
    assert after(status, gone, rules, later(3601 + 600)).refused[0].reason == "NotReady"


def test_rule_4_a_first_approval_without_traffic_is_no_silence():
    policy = {"onNoData": {"after": "10m", "then": "Rollback"}}
    rules = spec(steps=({"approval": {}}, *LADDER), analysis=policy)
    silent = seen(rules, analysis=analysis(Verdict.NO_DATA, 0, silence="no requests yet"))
    status = after(in_flight(0, rules, Phase.WAITING), silent, rules)
    assert after(status, silent, rules, later(9999)).candidate is not None


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"analysis": analysis(Verdict.LEARNING, 0)}, id="no look yet"),
        pytest.param(
            {"analysis": analysis(Verdict.LEARNING, 60), "route": route(as_wanted=False)},
            id="the weight is not in force",
        ),
        pytest.param({"analysis": analysis(Verdict.UNTRUSTED, 600)}, id="not trusted"),
        pytest.param({"analysis": analysis(Verdict.NO_DATA, 600)}, id="no data"),
        pytest.param({"analysis": analysis(Verdict.LEARNING, 60), "pods": pods(v2=0)}, id="no pod"),
    ],
)
def test_rules_4_and_5_advance_at_the_deadline_is_for_data_that_do_not_suffice(facts):
    rules = spec(analysis={"onInconclusive": "Advance"})
    assert weight(after(in_flight(0, rules), seen(rules, **facts), rules, later(3600))) == 5


def test_advance_passes_the_last_step_to_100():
    rules = spec(analysis={"onInconclusive": "Advance"})
    facts = seen(rules, analysis=analysis(Verdict.LEARNING, 60))
    assert weight(after(in_flight(1, rules), facts, rules, later(3600))) == 100


def test_rule_4_the_deadline_runs_on_while_there_is_no_data():
    rules = spec(analysis={"onInconclusive": "Rollback"})
    silent = seen(rules, analysis=analysis(Verdict.NO_DATA, 0, silence="away"))
    status = after(in_flight(0, rules), silent, rules, later(3600))
    assert (weight(status), status.refused[0].reason) == (0, "Inconclusive")


def test_rule_4_a_silence_of_one_step_counts_on_in_the_next_only_without_a_look_between():
    silent = seen(analysis=analysis(Verdict.NO_DATA, 0, silence="away"))
    status = after(in_flight(0), silent)
    again = after(status, silent, now=later(30))
    assert again.candidate.silent_since == NOW


@pytest.mark.parametrize("missing", [{"finalizer": False}, {"prepared": False}])
def test_rule_7_later_weights_stand_on_the_same_ground(missing):
    status = after(in_flight(0), seen(analysis=analysis(), **missing))
    assert weight(status) == 5
    assert weight(after(status, seen(analysis=analysis()))) == 50


def test_rule_7_a_candidate_without_ready_pods_never_gets_100():
    rules = spec()
    straight = in_flight(-1, rules, straight=True)
    assert weight(after(straight, seen(pods=pods(v2=0)))) == 0
    commanded = in_flight(0, rules, commanded=True)
    assert weight(after(commanded, seen(pods=pods(v2=0)))) == 5


@pytest.mark.parametrize(
    ("since", "as_wanted", "at", "phase"),
    [
        (NOW, True, 1.9, Phase.PROMOTING),
        (NOW, True, 2, Phase.PROMOTED),
        (NOW, False, 60, Phase.PROMOTING),
        (None, True, 60, Phase.PROMOTING),
    ],
)
def test_rule_5_a_promotion_needs_the_read_back_and_the_propagation(since, as_wanted, at, phase):
    facts = seen(route=route(since=since, as_wanted=as_wanted))
    status = after(in_flight(2, phase=Phase.PROMOTING), facts, now=later(at))
    assert status.phase is phase


def test_rule_5_a_suspended_spec_does_not_stop_a_promotion_that_is_in_force():
    status = after(in_flight(2, phase=Phase.PROMOTING), rules=spec(suspend=True))
    assert status.phase is Phase.PROMOTED


def test_rule_3_an_approved_step_asks_for_proof_of_now_and_for_the_whole_bake():
    rules = spec(steps=WITH_APPROVAL)
    approved = seen(
        rules, analysis=analysis(Verdict.SAFE, 59), commands=(Command("approve", "fraud-1/1", "a"),)
    )
    status = after(in_flight(1, rules, Phase.WAITING), approved, rules)
    assert weight(status) == 5
    bad = seen(rules, analysis=analysis(Verdict.LEARNING, 600))
    assert weight(after(status, bad, rules)) == 5
    assert weight(after(status, seen(rules, analysis=analysis()), rules)) == 50


def test_two_approvals_in_a_row_take_two_commands():
    rules = spec(steps=(LADDER[0], {"approval": {}}, {"approval": {}}, LADDER[1]))
    status = in_flight(1, rules, Phase.WAITING)
    for number, expected in ((1, 5), (2, 50)):
        command = (Command("approve", f"fraud-1/{number}", str(number)),)
        status = after(status, seen(rules, analysis=analysis(), commands=command), rules)
        assert (weight(status), status.candidate.step) == (expected, number + 1)


def test_an_approval_at_the_end_comes_before_100():
    rules = spec(steps=(*LADDER, {"approval": {}}))
    facts = seen(rules, analysis=analysis())
    status = after(in_flight(1, rules), facts, rules)
    assert (weight(status), status.phase) == (50, Phase.WAITING)
    command = (Command("approve", "fraud-1/2", "a"),)
    status = after(status, seen(rules, analysis=analysis(), commands=command), rules)
    assert (weight(status), status.phase) == (100, Phase.PROMOTING)


def test_a_held_release_is_waved_through_by_a_command_for_this_step_only():
    held = analysis(Verdict.WORSE, 60, held=Finding("slow", "Hold", "3 times"))
    status = after(in_flight(0), seen(analysis=held))
    status = after(status, seen(analysis=held, commands=(Command("approve", "fraud-1/0", "a"),)))
    assert weight(status) == 50
    status = after(status, seen(analysis=held), now=later(10))
    assert (weight(status), status.phase) == (50, Phase.WAITING)


def test_min_stable_ready_counts_from_the_pods_at_the_start():
    rules = spec(strategy={"minStableReady": 50})
    facts = seen(rules, pods=pods(v1=2), analysis=analysis())
    assert weight(after(in_flight(0, rules, stable_pods=4), facts, rules)) == 50
    assert weight(after(in_flight(0, rules, stable_pods=5), facts, rules)) == 5


def test_the_weight_in_force_is_shown_as_read_back_only_while_it_is():
    facts = seen(route=route(shares={"v2": 5.0, "v1": 95.0}))
    assert after(in_flight(0), facts).traffic.read_back == 5.0
    other = seen(route=route(as_wanted=False, shares={"v2": 9.0, "v1": 91.0}))
    assert after(in_flight(0), other).traffic.read_back is None


def test_rule_1_nothing_is_entered_before_the_release_with_its_snapshot_is_there():
    """The plan is the snapshot's: a step of another plan must not be taken before it."""
    early = spec(steps=({"approval": {}}, {"weight": 72}))
    status = after(in_flight(-1, early, recorded=False), seen(snapshot=None), early)
    assert status.candidate.step == -1
    rules = spec()
    status = after(status, seen(rules), early, later(1))
    assert ([s.weight for s in status.steps], weight(status)) == ([5, 50], 5)


@pytest.mark.parametrize(
    ("status", "facts", "at_most"),
    [
        (in_flight(-1), seen(pods=pods(v2=0)), 1),
        (in_flight(0), seen(), 10),
        (in_flight(2, phase=Phase.PROMOTING), seen(route=route(since=NOW)), 0.5),
        (in_flight(1, condemned="Worse"), seen(pods=pods(v1=0)), 1),
        (in_flight(0), seen(deleting=True), 1),
    ],
)
def test_a_release_in_flight_is_looked_at_again_as_soon_as_it_matters(status, facts, at_most):
    wait = decide(spec(), status, facts, NOW).requeue_after
    assert timedelta(0) < wait <= timedelta(seconds=at_most)


def test_an_old_version_is_forgotten_on_time():
    wait = decide(spec(), promoted(), seen(snapshot=None), later(3000)).requeue_after
    assert timedelta(seconds=600) < wait < timedelta(seconds=601)
    overdue = promoted(previous=Previous(version="v1", until=later(-5)))
    assert decide(spec("v2"), overdue, seen(snapshot=None), NOW).requeue_after is None


def test_a_place_beyond_the_plan_of_an_older_version_is_brought_into_it():
    lost = in_flight(0).model_copy(update={"steps": ()})
    lost = lost.model_copy(update={"candidate": lost.candidate.model_copy(update={"step": 7})})
    status = after(lost, seen())
    assert (status.candidate.step, len(status.steps), weight(status)) == (1, 2, 5)
    full = in_flight(2, phase=Phase.PROMOTING)
    assert after(full, seen(route=route(since=NOW))).candidate.step == 2


def test_the_rest_of_the_time_on_a_step_counts_against_its_deadline():
    eta = {0: (timedelta(minutes=50), timedelta(minutes=90))}
    facts = seen(analysis=analysis(Verdict.LEARNING, 0, eta=eta))
    early = condition(after(in_flight(0), facts), "SufficientTraffic")
    assert early.status == "True"
    late = condition(after(in_flight(0), facts, now=later(900)), "SufficientTraffic")
    assert (late.status, late.reason) == ("False", "DeadlineTooShort")
    assert "about 50m more on this step, 90m" in late.message.replace("1h30m", "90m")
