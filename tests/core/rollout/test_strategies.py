"""Mirrors, blue/green, shadows and gates: what each step is, and what ends it."""

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, StepState
from penstock.core import plan
from penstock.core.exposure import exposure
from penstock.core.facts import Command, Finding, GateSaid, GateState
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    LADDER,
    NOW,
    RELEASE,
    after,
    analysis,
    in_flight,
    later,
    pods,
    route,
    seen,
    spec,
    weight,
)

BETA = {"headers": {"x-group": {"exact": "beta"}}}
MIRRORED = spec(steps=({"mirror": {"percent": 20}, "bake": "5m"}, *LADDER))
PREVIEW = {"preview": [BETA], "bake": "10m", "gate": {"job": {"fromCronJob": "smoke"}}}
BLUE_GREEN = spec(strategy={"blueGreen": {**PREVIEW, "approval": {}}})
SHADOW = spec(strategy={"shadow": {"percent": 100, "bake": "1h"}})
GATE = {"gate": {"service": "qa-bot", "path": "/ok", "onFailure": "Rollback"}, "deadline": "30m"}
GATED = spec(steps=(LADDER[0], GATE, LADDER[1]))
OPEN, CLOSED = GateSaid(GateState.OPEN), GateSaid(GateState.CLOSED, "answered 503")
FAILED = GateSaid(GateState.FAILED, "job smoke failed")


def states(status):
    return [str(step.state) for step in status.steps]


def exposed(status, rules):
    found = exposure(status, rules)
    return weight(status), found.mirror, len(found.match)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(MIRRORED, ["mirror 20", "weight 5", "weight 50"], id="canary with a mirror"),
        pytest.param(BLUE_GREEN, ["preview", "job smoke", "approval"], id="blue/green"),
        pytest.param(SHADOW, ["mirror 100"], id="shadow"),
        pytest.param(GATED, ["weight 5", "service qa-bot:80/ok", "weight 50"], id="gate"),
    ],
)
def test_each_strategy_expands_to_one_list_of_steps(rules, expected):
    assert [_told(step) for step in plan.expand(rules)] == expected


def _told(step):
    if step.weight is not None:
        return f"weight {step.weight:g}"
    if step.mirror is not None:
        return f"mirror {step.mirror:g}"
    return "preview" if step.preview else step.gate or "approval"


def test_a_mirror_copies_its_share_and_gives_no_weight_then_the_weight_ends_the_copies():
    status = after(in_flight(-1, MIRRORED), seen(MIRRORED), MIRRORED)
    assert exposed(status, MIRRORED) == (0, 20, 0)
    proven = seen(MIRRORED, analysis=analysis(baked=300))
    assert exposed(after(status, proven, MIRRORED), MIRRORED) == (5, 0, 0)


def test_a_mirror_must_prove_that_the_first_weight_is_safe():
    learning = seen(MIRRORED, analysis=analysis(Verdict.LEARNING, 4000))
    assert states(after(in_flight(0, MIRRORED), learning, MIRRORED))[0] == "Running"
    assert plan.next_exposures(plan.expand(MIRRORED))[0] == 0.05


def test_what_is_mirrored_needs_ready_pods_as_a_weight_does():
    unready = seen(MIRRORED, pods=pods(v2=0))
    assert exposed(after(in_flight(-1, MIRRORED), unready, MIRRORED), MIRRORED) == (0, 0, 0)
    gone = after(in_flight(0, MIRRORED), unready, MIRRORED)
    assert after(gone, unready, MIRRORED, later(30)).phase is Phase.ROLLED_BACK


def test_blue_green_previews_waits_for_the_gate_and_for_people_then_switches_at_once():
    status = after(in_flight(-1, BLUE_GREEN), seen(BLUE_GREEN), BLUE_GREEN)
    assert exposed(status, BLUE_GREEN) == (0, 0, 1)
    trail = [(0, CLOSED), (601, CLOSED), (700, CLOSED), (800, OPEN), (801, OPEN)]
    for seconds, said in trail:
        status = after(status, _blue_green(said), BLUE_GREEN, later(seconds))
    assert states(status) == ["Passed", "Passed", "Running"]
    assert (status.phase, weight(status)) == (Phase.WAITING, 0)
    approve = _blue_green(OPEN, commands=(Command("approve", RELEASE, "a", "ann"),))
    status = after(status, approve, BLUE_GREEN, later(900))
    assert (status.phase, weight(status)) == (Phase.PROMOTING, 100)


def _blue_green(said, **more):
    return seen(BLUE_GREEN, gate=said, route=route(since=NOW), **more)


def test_a_preview_bakes_by_its_time_in_the_mesh_since_nothing_is_compared():
    status = in_flight(0, BLUE_GREEN)
    late = seen(BLUE_GREEN, route=route(since=later(100)))
    assert states(after(status, late, BLUE_GREEN, later(700)))[0] == "Running"
    assert states(after(status, late, BLUE_GREEN, later(703)))[0] == "Passed"


@pytest.mark.parametrize("verdict", [Verdict.NO_DATA, Verdict.UNTRUSTED])
def test_a_preview_whose_threshold_is_silent_does_not_switch(verdict):
    facts = seen(BLUE_GREEN, analysis=analysis(verdict, 0))
    status = after(in_flight(0, BLUE_GREEN), facts, BLUE_GREEN, later(3000))
    assert states(status)[0] == "Running"


def test_a_threshold_that_is_bad_in_a_preview_ends_it():
    bad = analysis(Verdict.WORSE, 0, worse=Finding("cpu", "Rollback", "cpu: 0.97"))
    status = after(in_flight(0, BLUE_GREEN), seen(BLUE_GREEN, analysis=bad), BLUE_GREEN)
    assert (status.phase, exposed(status, BLUE_GREEN)) == (Phase.ROLLED_BACK, (0, 0, 0))


@pytest.mark.parametrize("verdict", [Verdict.SAFE, Verdict.LEARNING])
def test_a_shadow_ends_observed_and_never_serves(verdict):
    status = after(in_flight(-1, SHADOW), seen(SHADOW), SHADOW)
    assert exposed(status, SHADOW) == (0, 100, 0)
    baked = seen(SHADOW, analysis=analysis(verdict, 3600))
    status = after(status, baked, SHADOW)
    assert (status.phase, status.candidate, status.ended.outcome) == (
        Phase.OBSERVED,
        None,
        "Observed",
    )
    again = after(status, baked, SHADOW, later(10_000))
    assert (again.phase, again.candidate, again.stable.version) == (Phase.OBSERVED, None, "v1")


def test_a_shadow_that_was_observed_is_tried_again_by_retry_and_released_by_a_canary():
    observed = after(in_flight(0, SHADOW), seen(SHADOW, analysis=analysis(baked=3600)), SHADOW)
    retry = seen(SHADOW, snapshot=None, commands=(Command("retry", RELEASE, "r"),))
    assert after(observed, retry, SHADOW).candidate.release == "fraud-2"
    canary = after(observed, seen(snapshot=None), spec())
    assert (canary.candidate.version, canary.phase) == ("v2", Phase.PROGRESSING)


def test_a_shadow_that_is_worse_is_refused():
    bad = analysis(Verdict.WORSE, 10, worse=Finding("errors", "Rollback", "4 times"))
    status = after(in_flight(0, SHADOW), seen(SHADOW, analysis=bad), SHADOW)
    assert (status.phase, status.refused[0].version) == (Phase.ROLLED_BACK, "v2")


def test_a_gate_is_asked_after_the_step_before_it_has_passed_and_holds_its_weight():
    status = after(in_flight(0, GATED), seen(GATED, analysis=analysis()), GATED)
    assert (status.phase, weight(status), states(status)[:2]) == (
        Phase.WAITING,
        5,
        ["Passed", "Running"],
    )
    status = after(status, seen(GATED, gate=CLOSED), GATED, later(60))
    assert (status.phase, weight(status)) == (Phase.WAITING, 5)
    assert "waiting for service qa-bot:80/ok (answered 503)" in status.message


def test_a_gate_that_has_opened_stays_open_but_the_weight_must_be_safe_now():
    status = after(in_flight(1, GATED), seen(GATED, gate=OPEN), GATED)
    assert (weight(status), status.steps[1].state) == (5, StepState.PASSED)
    status = after(status, seen(GATED, gate=CLOSED, analysis=analysis()), GATED)
    assert weight(status) == 50


def test_metrics_go_on_judging_behind_a_gate():
    bad = analysis(Verdict.WORSE, 10, worse=Finding("errors", "Rollback", "4 times"))
    status = after(in_flight(1, GATED), seen(GATED, gate=CLOSED, analysis=bad), GATED)
    assert (status.phase, weight(status)) == (Phase.ROLLED_BACK, 0)


@pytest.mark.parametrize(
    ("on_failure", "phase"), [("Rollback", Phase.ROLLED_BACK), ("Hold", Phase.WAITING)]
)
def test_a_gate_that_has_failed_rolls_back_or_holds_as_it_says(on_failure, phase):
    gate = {"gate": {"job": {"fromCronJob": "smoke"}, "onFailure": on_failure}}
    rules = spec(steps=(LADDER[0], gate, LADDER[1]))
    status = after(in_flight(1, rules), seen(rules, gate=FAILED), rules)
    assert status.phase is phase


def test_somebody_may_open_a_gate_by_approve():
    approve = seen(GATED, gate=CLOSED, commands=(Command("approve", f"{RELEASE}/1", "a", "ann"),))
    status = after(in_flight(1, GATED), approve, GATED)
    assert (status.steps[1].state, status.steps[1].by) == (StepState.PASSED, "ann")


@pytest.mark.parametrize("choice", ["Hold", "Advance", "Rollback"])
def test_no_gate_is_passed_by_time(choice):
    rules = spec(steps=(LADDER[0], GATE, LADDER[1]), analysis={"onInconclusive": choice})
    facts = seen(rules, gate=CLOSED, analysis=analysis())
    status = after(in_flight(1, rules), facts, rules, later(1800))
    assert (weight(status) == 0) == (choice == "Rollback")
    assert status.traffic.weight in (0, 5)


def test_matched_requests_get_the_candidate_at_every_step_and_nobody_does_afterwards():
    rules = spec(strategy={"canary": {"match": [BETA], "steps": list(LADDER)}})
    for step in (0, 1):
        assert len(exposure(in_flight(step, rules), rules).match) == 1
    assert exposure(in_flight(-1, rules), rules).match == ()
    bad = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "4 times"))
    assert exposure(after(in_flight(1, rules), seen(rules, analysis=bad), rules), rules).match == ()
