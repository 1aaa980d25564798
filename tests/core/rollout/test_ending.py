"""Rule 6: how a release ends; a rollback waits for nothing but a stable without any ready pod."""

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Revert
from penstock.core.facts import Analysis, Command, Finding
from penstock.core.rollout.decide import decide
from penstock.core.traffic import shares
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
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

WORSE = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "errors: 4 times"))
GONE = {"v1": 0}


def mark(text):
    return route(as_wanted=False, rolled_back=text)


@pytest.mark.parametrize(
    "facts",
    [
        {"pods": pods(v2=0)},
        {"finalizer": False},
        {"prepared": False},
        {"route": route(exists=False)},
        {"route": route(as_wanted=False, editor="argocd")},
        {"snapshot": None},
    ],
)
def test_rule_6_a_rollback_waits_for_nothing_of_the_candidate(facts):
    status = after(in_flight(1), seen(analysis=WORSE, **facts))
    assert (weight(status), status.candidate, status.phase) == (0, None, Phase.ROLLED_BACK)


def test_rule_6_a_rollback_works_while_the_release_is_suspended():
    status = after(in_flight(1), seen(analysis=WORSE), spec(suspend=True))
    assert (weight(status), status.phase) == (0, Phase.ROLLED_BACK)


@pytest.mark.parametrize("phase", [Phase.PROMOTING])
def test_rule_6_a_candidate_at_100_may_still_be_rolled_back(phase):
    status = after(in_flight(2, phase=phase), seen(analysis=WORSE))
    assert (weight(status), status.stable.version) == (0, "v1")


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("fraud-1: Worse: errors: 4 times", "Worse", "errors: 4 times"),
        ("fraud-1: NotReady", "NotReady", "NotReady"),
        ("fraud-1", "Aborted", ""),
    ],
)
def test_rule_6_a_mark_on_the_route_wins_at_the_next_read(text, reason, message):
    status = after(in_flight(1), seen(route=mark(text), analysis=analysis()))
    assert (weight(status), status.phase) == (0, Phase.ROLLED_BACK)
    assert (status.refused[0].reason, status.refused[0].message) == (reason, message)


def test_rule_6_a_mark_wins_over_a_promotion_in_the_same_turn():
    facts = seen(route=route(rolled_back="fraud-1: Worse: bad"))
    status = after(in_flight(2, phase=Phase.PROMOTING), facts)
    assert (status.stable.version, weight(status)) == ("v1", 0)
    commanded = seen(
        route=mark("fraud-1: Worse: bad"), commands=(Command("promote", "fraud-1", "a"),)
    )
    assert weight(after(in_flight(1), commanded)) == 0


def test_rule_6_a_mark_of_another_release_says_nothing():
    facts = seen(route=route(rolled_back="fraud-10: Worse: bad"))
    assert after(in_flight(1), facts).candidate is not None
    assert after(promoted(), seen(snapshot=None, route=route(rolled_back="fraud-1: x"))).stable


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({"analysis": WORSE}, spec()),
        ({"commands": (Command("abort", "fraud-1", "a"),)}, spec()),
        ({}, spec("v1")),
        ({}, spec("v3")),
        ({"route": mark("fraud-1: Worse: bad")}, spec()),
    ],
)
def test_rule_6_whoever_asks_a_stable_without_ready_pods_stops_the_rollback(facts, rules):
    status = after(in_flight(1), seen(pods=pods(**GONE), **facts), rules)
    assert (weight(status), status.candidate.version) == (50, "v2")
    assert condition(status, "Stalled").reason == "StableHasNoReadyPods"
    assert "bring stable's pods back" in condition(status, "Stalled").message
    assert condition(status, "RollbackCapacity").status == "False"


def test_rule_6_a_stopped_rollback_is_never_forgotten_and_goes_on_when_stable_is_back():
    status = after(in_flight(1), seen(pods=pods(**GONE), analysis=WORSE))
    better = seen(pods=pods(**GONE), analysis=analysis())
    for second in range(1, 5):
        status = after(status, better, now=later(second))
        assert weight(status) == 50, "neither on nor back"
    status = after(status, seen(analysis=analysis()), now=later(60))
    assert (weight(status), status.refused[0].message) == (0, "errors: 4 times")


def test_rule_6_where_the_candidate_has_no_pods_either_nobody_loses_by_going_back():
    status = after(in_flight(1), seen(pods=pods(v1=0, v2=0), analysis=WORSE))
    assert (weight(status), status.phase) == (0, Phase.ROLLED_BACK)


def test_rule_6_a_candidate_without_traffic_leaves_even_when_stable_has_no_pods():
    status = after(in_flight(-1), seen(pods=pods(**GONE)), spec("v1"))
    assert (status.candidate, status.phase) == (None, Phase.IDLE)


def test_rules_6_and_8_a_contested_route_keeps_its_traffic_while_stable_has_no_pods():
    reverts = tuple(Revert(manager="argocd", at=NOW, edit=str(n)) for n in range(3))
    before = in_flight(1).model_copy(update={"reverts": reverts})
    fourth = seen(pods=pods(**GONE), route=route(as_wanted=False, editor="argocd", version="9"))
    status = after(before, fourth)
    assert (status.contested, weight(status)) == ("argocd", 50)
    assert dict(shares.wanted(status).shares) == {"v2": 50.0, "v1": 50.0}
    status = after(status, seen(pods=pods(**GONE)), now=later(1))
    assert not status.yielded, "weight 0 is not in force yet"
    status = after(status, seen(), now=later(2))
    assert (weight(status), status.candidate, status.yielded) == (0, None, False)
    assert after(status, seen(snapshot=None), now=later(3)).yielded


@pytest.mark.parametrize(
    ("facts", "rules", "outcome", "refused"),
    [
        ({"analysis": WORSE}, spec(), "RolledBack", True),
        ({"commands": (Command("abort", "fraud-1", "a"),)}, spec(), "Aborted", True),
        ({}, spec("v1"), "Reverted", False),
        ({}, spec("v3"), "Superseded", False),
        ({"deleting": True}, spec(), "Deleted", False),
    ],
)
def test_rule_1_a_version_is_refused_for_what_it_did_not_for_a_change_of_mind(
    facts, rules, outcome, refused
):
    status = after(in_flight(1), seen(**facts), rules)
    assert (status.ended.release, status.ended.outcome) == ("fraud-1", outcome)
    assert bool(status.refused) is refused
    assert status.traffic.weight == 0


def test_a_version_is_refused_once_with_the_newest_reason():
    first = after(in_flight(1), seen(analysis=WORSE))
    again = in_flight(1, release="fraud-2").model_copy(update={"refused": first.refused})
    status = after(again, seen(commands=(Command("abort", "fraud-2", "a"),)))
    assert [(r.version, r.release, r.reason) for r in status.refused] == [
        ("v2", "fraud-2", "Aborted")
    ]


def test_the_first_reason_to_go_back_is_the_one_on_record():
    both = seen(analysis=WORSE, commands=(Command("abort", "fraud-1", "a"),))
    assert after(in_flight(1), both).refused[0].reason == "Aborted"
    stuck = after(in_flight(1), seen(pods=pods(**GONE), analysis=WORSE))
    aborted = after(stuck, seen(commands=(Command("abort", "fraud-1", "a"),)), now=later(1))
    assert aborted.refused[0].reason == "Worse"


def test_the_sum_of_weights_outlives_the_release_so_that_users_stay_in_place():
    before = in_flight(1)
    before = before.model_copy(
        update={"traffic": before.traffic.model_copy(update={"total": 10_000})}
    )
    assert after(before, seen(analysis=WORSE)).traffic.total == 10_000


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PROMOTING])
def test_deletion_returns_the_traffic_and_the_finalizer_stands_until_the_route_says_so(phase):
    status = in_flight(2 if phase is Phase.PROMOTING else 1, phase=phase)
    first = decide(spec(), status, seen(deleting=True), NOW)
    assert (first.status.traffic.weight, first.status.candidate) == (0, None)
    assert first.finalizer
    written = seen(deleting=True, snapshot=None, route=route(as_wanted=False))
    second = decide(spec(), first.status, written, later(1))
    assert second.finalizer, "the route still has the candidate"
    assert second.requeue_after is not None
    read_back = seen(deleting=True, snapshot=None)
    assert not decide(spec(), second.status, read_back, later(2)).finalizer


def test_deletion_of_an_idle_rollout_keeps_nobody_waiting():
    decision = decide(spec("v2"), promoted(), seen(deleting=True, finalizer=False), NOW)
    assert not decision.finalizer
    assert decision.status.stable.version == "v2"


def test_a_deleted_rollout_obeys_no_command_and_starts_nothing():
    command = (Command("promote", "fraud-1", "a"),)
    status = after(in_flight(1), seen(deleting=True, commands=command), spec("v3"))
    assert (status.candidate, status.commands, status.ended.outcome) == (None, (), "Deleted")


def test_a_deletion_whose_route_is_gone_too_ends():
    facts = seen(deleting=True, snapshot=None, route=route(exists=False, as_wanted=False))
    assert not decide(spec(), after(in_flight(1), seen(deleting=True)), facts, NOW).finalizer


def test_after_the_end_the_last_numbers_stay_to_be_read():
    status = after(in_flight(1), seen(analysis=WORSE))
    assert status.analysis.verdict == "Worse"
    quiet = after(status, seen(snapshot=None, analysis=Analysis()), now=later(10))
    assert quiet.analysis.verdict == "Worse"
