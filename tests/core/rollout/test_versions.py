"""Rules 1 and 2: which version serves, which is released, which is refused."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Proven, Refusal, RolloutStatus
from penstock.core.facts import Command, Finding, Problem
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
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
    weight,
)


@pytest.mark.parametrize(
    ("facts", "stable"),
    [
        pytest.param({"route": route(stable_mark="v1")}, "v1", id="a mark of ours"),
        pytest.param({"route": route(shares={"v1": 100.0})}, "v1", id="the live route"),
        pytest.param({"route": route(shares={"v1": 100.0, "v2": 0.0})}, "v1", id="all on one"),
        pytest.param({"pods": pods(v1=1, v2=0)}, "v1", id="the only one with pods"),
        pytest.param(
            {"pods": pods(v1=1, v2=0), "route": route(shares={"": 100.0})}, "v1", id="no subset"
        ),
        pytest.param({"pods": pods(v1=1, v2=1)}, None, id="two with pods"),
        pytest.param({"route": route(shares={"v1": 95.0, "v2": 5.0})}, None, id="split, no mark"),
        pytest.param({"pods": pods(v1=0, v2=0)}, None, id="no pods"),
    ],
)
def test_rule_2_first_sight_adopts_what_serves_and_never_the_version_in_the_spec(facts, stable):
    status = after(RolloutStatus(), seen(snapshot=None, **facts))
    assert (status.stable.version if status.stable else None) == stable
    if stable is None:
        assert condition(status, "Stalled").reason == "StableUnknown"
        assert "adopt" in status.message


def test_rule_2_the_mark_wins_over_a_split_route():
    facts = seen(snapshot=None, route=route(shares={"v1": 95.0, "v2": 5.0}, stable_mark="v1"))
    status = after(RolloutStatus(), facts)
    assert status.stable.version == "v1"
    assert status.candidate.version == "v2"


def test_rule_1_a_new_version_starts_a_release_at_weight_0():
    status = after(idle(), seen(snapshot=None, next_release=4))
    assert (status.candidate.release, weight(status)) == ("fraud-4", 0)
    assert [step.weight for step in status.steps] == [5, 50]


def test_rule_1_the_stable_version_again_ends_the_release_and_refuses_nothing():
    status = after(in_flight(), rules=spec("v1"))
    assert (status.phase, status.candidate, weight(status)) == (Phase.IDLE, None, 0)
    assert (status.ended.outcome, status.refused) == ("Reverted", ())


def test_rule_1_a_newer_version_supersedes_and_starts_from_weight_0():
    status = after(in_flight(1), seen(pods=pods(v3=1)), rules=spec("v3"))
    assert status.ended.outcome == "Superseded"
    assert (status.candidate.version, status.candidate.step, weight(status)) == ("v3", -1, 0)
    assert not status.candidate.recorded, "the snapshot at hand is of the other release"


def test_rule_1_a_refused_version_is_not_tried_again():
    refused = idle(refused=(Refusal(version="v2", release="fraud-1", reason="Worse"),))
    status = after(refused, seen(snapshot=None))
    assert (status.phase, status.candidate) == (Phase.ROLLED_BACK, None)
    assert "retry" in status.message


def test_rule_1_what_may_not_start_says_why():
    wrong = Problem("TemplateNotFound", "there is no such template")
    status = after(idle(), seen(snapshot=None, problems=(wrong,)))
    assert status.candidate is None
    assert condition(status, "Stalled").reason == "TemplateNotFound"
    assert condition(status, "Accepted").status == "False"
    assert status.message == "there is no such template"


def test_a_suspended_rollout_starts_nothing():
    status = after(idle(), seen(snapshot=None), rules=spec(suspend=True))
    assert (status.candidate, status.phase) == (None, Phase.WAITING)


def test_rule_1_a_release_runs_on_its_snapshot():
    other = spec(steps=({"weight": 90, "bake": "0s"},))
    status = after(in_flight(0), seen(analysis=analysis()), rules=other)
    assert weight(status) == 50


def test_rule_1_a_deleted_release_holds():
    facts = seen(snapshot=None, analysis=analysis())
    status = after(in_flight(0), facts)
    assert (weight(status), condition(status, "Stalled").reason) == (5, "ReleaseMissing")


def test_a_version_that_was_stable_a_short_while_ago_goes_straight_to_100():
    proven = idle(proven=(Proven(version="v2", until=later(60)),))
    started = after(proven, seen(snapshot=None))
    assert started.candidate.straight
    full = after(started, seen(), now=later(1))
    assert (full.phase, weight(full)) == (Phase.PROMOTING, 100)


def test_a_version_that_was_stable_long_ago_takes_the_steps():
    proven = idle(proven=(Proven(version="v2", until=NOW - timedelta(seconds=1)),))
    assert not after(proven, seen(snapshot=None)).candidate.straight


def test_a_promotion_waits_until_every_proxy_follows():
    status = in_flight(2, phase=Phase.PROMOTING)
    fresh = seen(route=route(since=NOW))
    assert after(status, fresh, now=later(1)).phase is Phase.PROMOTING
    done = after(status, fresh, now=later(2))
    assert (done.phase, done.stable.version) == (Phase.PROMOTED, "v2")
    assert (done.previous.version, done.candidate) == ("v1", None)
    assert done.ended.outcome == "Promoted"


def test_after_a_promotion_the_old_version_is_kept_and_then_forgotten():
    assert after(promoted(), seen(snapshot=None)).previous is not None
    assert after(promoted(), seen(snapshot=None), now=later(3601)).previous is None


def test_a_threshold_that_breaks_after_a_promotion_undoes_it():
    broken = analysis(Verdict.WORSE, worse=Finding("cpu", "Rollback", "cpu: 2, at most 1"))
    status = after(promoted(), seen(snapshot=None, analysis=broken))
    assert (status.stable.version, status.phase) == ("v1", Phase.ROLLED_BACK)
    assert status.refused[0].message == "cpu: 2, at most 1"


def test_rule_1_a_name_of_a_release_is_never_used_twice():
    status = after(idle(releases=7), seen(snapshot=None, next_release=3))
    assert (status.candidate.release, status.releases) == ("fraud-8", 8)
    status = after(idle(releases=3), seen(snapshot=None, next_release=9))
    assert (status.candidate.release, status.releases) == ("fraud-9", 9)


def test_rule_1_the_release_remembers_what_stable_had_and_what_it_was_started_from():
    candidate = after(idle(), seen(snapshot=None, generation=4, pods=pods(v1=3))).candidate
    assert (candidate.stable_pods, candidate.generation, candidate.since) == (3, 4, NOW)


def test_rule_1_a_refused_version_gives_way_to_another():
    refused = idle(refused=(Refusal(version="v2", release="fraud-1", reason="Worse"),))
    status = after(refused, seen(snapshot=None, pods=pods(v3=1)), rules=spec("v3"))
    assert status.candidate.version == "v3"
    assert [r.version for r in status.refused] == ["v2"], "v2 stays refused"


def test_rule_1_going_back_to_stable_after_a_refusal_is_healthy():
    refused = idle(
        phase=Phase.ROLLED_BACK,
        refused=(Refusal(version="v2", release="fraud-1", reason="Worse"),),
    )
    status = after(refused, seen(snapshot=None), rules=spec("v1"))
    assert (status.phase, condition(status, "Ready").status) == (Phase.IDLE, "True")


def test_rule_1_a_version_superseded_may_come_again_from_step_0():
    status = after(in_flight(1), seen(pods=pods(v3=1)), rules=spec("v3"))
    status = after(status, seen(snapshot=None, pods=pods(v3=1)), now=later(1))
    assert (status.candidate.version, status.candidate.step) == ("v2", -1)
    assert (status.ended.outcome, status.refused, weight(status)) == ("Superseded", (), 0)


def test_rule_1_a_mistake_found_later_does_not_end_a_release_in_flight():
    problem = Problem("TemplateNotFound", "gone")
    status = after(in_flight(0), seen(problems=(problem,), analysis=analysis()))
    assert weight(status) == 50


def test_return_within_begins_with_the_promotion_and_a_revert_needs_no_proof():
    rules = spec(returnWithin="1h")
    status = after(in_flight(2, rules, phase=Phase.PROMOTING), seen(rules), rules)
    assert [(p.version, p.until) for p in status.proven] == [("v1", later(3600))]
    for seconds, straight in ((3599, True), (3600, False)):
        back = after(status, seen(snapshot=None), spec("v1"), later(seconds))
        assert (back.candidate.version, back.candidate.straight) == ("v1", straight)


def test_a_return_is_still_judged_and_ends_as_returned():
    proven = idle(proven=(Proven(version="v2", until=later(60)),))
    full = after(after(proven, seen(snapshot=None)), seen(), now=later(1))
    done = after(full, seen(), now=later(5))
    assert (done.phase, done.ended.cause) == (Phase.PROMOTED, "Returned")
    worse = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "4 times"))
    assert after(full, seen(analysis=worse), now=later(2)).refused[0].version == "v2"


def test_an_undone_version_does_not_come_back_straight():
    status = promoted(proven=(Proven(version="v1", until=later(9999)),))
    undone = after(status, seen(snapshot=None, commands=(Command("undo", "fraud-1", "a"),)))
    assert (undone.stable.version, undone.proven) == ("v1", ())
    again = after(
        undone, seen(snapshot=None, commands=(Command("retry", "fraud-1", "b"),)), now=later(5)
    )
    assert (again.candidate.version, again.candidate.straight) == ("v2", False)


def test_after_a_promotion_a_release_in_flight_keeps_the_old_undo_for_its_own_end():
    status = after(promoted(), seen(snapshot=None, pods=pods(v3=1)), rules=spec("v3"))
    assert (status.candidate.version, status.previous.version) == ("v3", "v1")
    aborted = after(status, seen(pods=pods(v3=1)), rules=spec("v2"), now=later(9))
    assert (aborted.stable.version, aborted.previous.version) == ("v2", "v1")
