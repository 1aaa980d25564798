"""Rules 1 and 2: which version serves, which is released, which is refused."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Proven, Refusal, RolloutStatus
from penstock.core.facts import Problem
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
    from penstock.core.facts import Finding

    broken = analysis(Verdict.WORSE, worse=Finding("cpu", "Rollback", "cpu: 2, at most 1"))
    status = after(promoted(), seen(snapshot=None, analysis=broken))
    assert (status.stable.version, status.phase) == ("v1", Phase.ROLLED_BACK)
    assert status.refused[0].message == "cpu: 2, at most 1"
