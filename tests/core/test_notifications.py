"""What of a status is told, in which words, and that nothing is told twice."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.v1alpha1.notifications import USUAL, Occasion
from penstock.api.v1alpha1.rollout_status import (
    AnalysisStatus,
    Ended,
    Observed,
    Phase,
    Refusal,
    Revert,
    RolloutStatus,
)
from penstock.core.facts import Command, Finding, GateSaid, GateState, Problem
from penstock.core.messages import MOST_TEXT, message
from penstock.core.notifications import MOST_PLACES, RECENT, news, notifications
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    RELEASE,
    WITH_APPROVAL,
    after,
    analysis,
    idle,
    in_flight,
    later,
    pods,
    promoted,
    seen,
    spec,
)

WORSE = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "errors: 4 times"))
WITH_GATE = ({"weight": 5, "bake": "1m"}, {"gate": {"rollout": "features"}})
ROLLOUT = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "fraud", "namespace": "ml", "uid": "u-1", "resourceVersion": "7"},
}


def found(status, now=NOW, wanted="v2"):
    return notifications(status, wanted, now)


def occasions(status, **more):
    return [one.place.occasion.value for one in found(status, **more)]


def fresh(before, status, now=NOW):
    """Return what is told when one status follows another."""
    told = [one.place for one in found(before, now)]
    return [one.place.occasion.value for one in news(found(status, now), told, now)[0]]


def test_a_rollout_at_rest_has_nothing_to_tell():
    assert found(idle()) == ()
    assert found(RolloutStatus()) == ()


def test_a_start_a_step_and_a_promotion_are_told_once_each():
    started = after(idle(), seen(snapshot=None))
    assert fresh(idle(), started) == ["Started"]
    first = in_flight(0)
    assert fresh(started, first) == ["Advanced"]
    assert fresh(first, after(first, seen())) == []
    second = after(first, seen(analysis=analysis()), now=later(1))
    assert second.candidate.step == 1
    assert fresh(first, second) == ["Advanced"]
    full = in_flight(2, phase=Phase.PROMOTING)
    end = after(full, seen())
    assert fresh(full, end) == ["Promoted"]
    (told,) = found(end)
    assert (told.version, told.stable) == ("v2", "v2")


def test_a_rollback_is_told_with_its_cause():
    before = in_flight(0)
    end = after(before, seen(analysis=WORSE))
    assert fresh(before, end) == ["RolledBack"]
    (told,) = found(end)
    assert (told.version, told.stable) == ("v2", "v1")
    assert told.message == "Worse: errors: 4 times"


def test_an_undo_is_told_as_a_rollback_of_the_version_that_it_leaves():
    facts = seen(commands=(Command("undo", RELEASE, "a", "ann"),), snapshot=None)
    before = promoted()
    end = after(before, facts)
    assert fresh(before, end) == ["RolledBack"]
    assert [one.version for one in found(end)] == ["v2"]


@pytest.mark.parametrize(
    ("outcome", "occasion"),
    [("Superseded", "Withdrawn"), ("Reverted", "Withdrawn"), ("Deleted", "Withdrawn")],
)
def test_a_release_that_nobody_wants_any_more_is_withdrawn(outcome, occasion):
    ended = Ended(release=RELEASE, outcome=outcome, message="the spec names v3", at=NOW)
    assert occasions(idle(ended=ended)) == [occasion]


def test_a_shadow_is_told_with_what_was_observed():
    ended = Ended(release=RELEASE, outcome="Observed", message="v2 was observed", at=NOW)
    observed = Observed(version="v2", release=RELEASE)
    (told,) = found(idle(phase=Phase.OBSERVED, ended=ended, observed=observed))
    assert (told.place.occasion, told.version) == (Occasion.OBSERVED, "v2")


def test_an_outcome_of_a_newer_operator_is_not_told():
    assert found(idle(ended=Ended(release=RELEASE, outcome="Levitated", at=NOW))) == ()


def test_an_approval_waits_for_a_person():
    rules = spec(steps=WITH_APPROVAL)
    status = after(in_flight(1, rules=rules), seen(rules), rules=rules)
    assert occasions(status) == ["Started", "Waiting"]
    assert "penstock.dev/approve" in found(status)[-1].message


def test_pods_that_start_and_a_gate_that_is_shut_are_not_told():
    waits = after(in_flight(-1), seen(pods=pods(v2=0)))
    assert waits.phase is Phase.WAITING
    assert occasions(waits) == ["Started"]
    rules = spec(steps=WITH_GATE)
    closed = seen(rules, gate=GateSaid(GateState.CLOSED, "serves v1"))
    status = after(in_flight(1, rules=rules), closed, rules=rules)
    assert status.phase is Phase.WAITING
    assert occasions(status) == ["Started"]
    late = occasions(status, now=later(3601))
    assert late == ["Started", "Inconclusive"]


def test_a_deadline_without_proof_is_inconclusive():
    over = later(3601)
    status = after(in_flight(0), seen(), now=over)
    assert status.phase is Phase.WAITING
    assert occasions(status, now=over) == ["Started", "Advanced", "Inconclusive"]


def test_a_suspended_release_and_a_problem_wait_for_a_person():
    suspended = spec(suspend=True)
    assert "Waiting" in occasions(after(in_flight(0), seen(), rules=suspended))
    problem = seen(snapshot=None, problems=(Problem("TemplateNotFound", "no template x"),))
    status = after(idle(), problem)
    (told,) = found(status)
    assert (told.place.occasion, told.message) == (Occasion.WAITING, "no template x")


def test_a_condemned_release_that_cannot_go_back_is_told_though_it_waited_before():
    rules = spec(steps=WITH_APPROVAL)
    waits = after(in_flight(1, rules=rules), seen(rules), rules=rules)
    stuck = after(waits, seen(rules, pods=pods(v1=0), analysis=WORSE), rules=rules)
    assert stuck.candidate.condemned
    assert fresh(waits, stuck) == ["Waiting"]


def test_silence_and_mistrust_are_told():
    quiet = after(in_flight(0), seen(analysis=analysis(Verdict.NO_DATA, 0, silence="away")))
    assert "NoData" in occasions(quiet)
    odd = in_flight(0).model_copy(update={"analysis": AnalysisStatus(verdict="Untrusted")})
    assert "Untrusted" in occasions(odd)


def test_each_fight_for_the_route_is_told():
    def contested(edit):
        revert = Revert(manager="argocd", at=NOW, edit=edit)
        return idle(contested="argocd", reverts=(revert,), message="ignoreDifferences")

    assert occasions(contested("1")) == ["Contested"]
    assert fresh(contested("1"), contested("1")) == []
    assert fresh(contested("1"), contested("2")) == ["Contested"]


def test_a_phase_that_goes_back_and_forth_is_told_once():
    held, free = spec(suspend=True), spec()
    status, told, said = in_flight(0), None, []
    for turn in range(6):
        now = later(turn)
        status = after(status, seen(), rules=(held, free)[turn % 2], now=now)
        new, told = news(found(status, now), told, now)
        said += [one.place.occasion.value for one in new]
    assert sorted(said) == ["Advanced", "Started", "Waiting"]


def test_after_a_restart_only_what_is_recent_is_told_again():
    ended = Ended(release=RELEASE, outcome="Promoted", message="v2 serves", at=NOW)
    status = promoted(ended=ended)
    first, told = news(found(status), None, NOW)
    assert [one.place.occasion.value for one in first] == ["Promoted"]
    assert news(found(status), told, NOW)[0] == ()
    late = NOW + RECENT
    assert news(found(status, late), None, late)[0] == ()


STATUSES = [
    idle(),
    in_flight(-1),
    in_flight(0),
    in_flight(1),
    in_flight(0, phase=Phase.WAITING),
    in_flight(0, phase=Phase.WAITING, held_by="errors"),
    in_flight(0, silent_since=NOW),
    in_flight(2, phase=Phase.PROMOTING),
    promoted(ended=Ended(release=RELEASE, outcome="Promoted", at=NOW)),
    idle(refused=(Refusal(version="v2", release=RELEASE, reason="Worse", at=NOW),)),
    in_flight(0, release="fraud-2"),
    idle(phase=Phase.WAITING, releases=1),
]


@given(st.lists(st.sampled_from(STATUSES), max_size=40))
def test_whatever_the_order_of_the_statuses_nothing_is_told_twice(statuses):
    told, said = (), []
    for number, status in enumerate(statuses):
        now = later(number)
        new, told = news(found(status, now), told, now)
        said += [one.place for one in new]
    assert len(said) == len(set(said))
    every = {one.place for status in statuses for one in found(status, later(len(statuses)))}
    assert set(said) | {p for p in every if p.occasion is Occasion.INCONCLUSIVE} >= every


def test_what_is_remembered_is_bounded():
    told = ()
    for number in range(2 * MOST_PLACES):
        _, told = news(found(in_flight(0, release=f"fraud-{number}")), told, NOW)
    assert len(told) <= MOST_PLACES + 2


def test_the_usual_events_are_those_that_ask_for_somebody():
    assert [one.value for one in USUAL] == [
        "Waiting",
        "NoData",
        "Untrusted",
        "Inconclusive",
        "Contested",
        "RolledBack",
        "Promoted",
        "Observed",
    ]


# The words


def test_a_message_names_the_rollout_the_version_the_cause_and_the_weights():
    first = in_flight(0).model_copy(update={"message": "v2 at 5 %: gathering evidence"})
    told = message(ROLLOUT, found(first)[-1])
    assert told.title == "ml/fraud: v2 gets more traffic"
    assert told.text == "v2 at 5 %: gathering evidence\nv2 5 %, v1 95 %"
    assert told.data["step"] == 0
    end = after(in_flight(0), seen(analysis=WORSE))
    told = message(ROLLOUT, found(end)[0])
    assert told.title == "ml/fraud: v2 rolled back"
    assert told.text == "Worse: errors: 4 times\nv1 100 %"
    assert told.tone == "failure"


def test_copies_are_named_as_copies():
    rules = spec(steps=({"mirror": {"percent": 10}}, {"weight": 5}))
    told = message(ROLLOUT, found(in_flight(0, rules=rules))[-1])
    assert told.text.endswith("v1 100 %, copies to v2 10 %")


def test_a_cloud_event_has_an_identity_that_no_attempt_changes():
    told = found(after(in_flight(0), seen(analysis=WORSE)))[0]
    event = message(ROLLOUT, told).cloud_event
    assert event == message(ROLLOUT, told).cloud_event
    assert (event["specversion"], event["type"]) == ("1.0", "dev.penstock.release.rolledback")
    assert event["source"] == "/apis/penstock.dev/v1alpha1/namespaces/ml/rollouts/fraud"
    assert (event["id"], event["subject"]) == ("u-1/fraud-1/RolledBack", "fraud-1")
    assert event["time"] == "2026-11-24T12:00:00Z"
    assert event["data"]["weight"] == 0


def test_a_long_sentence_is_cut_and_every_occasion_has_words():
    one = found(in_flight(0))[0]
    for occasion in Occasion:
        place = one.place._replace(occasion=occasion)
        told = type(one)(place, NOW - timedelta(1), "v2", "x" * 5000)
        assert len(message(ROLLOUT, told).text) == MOST_TEXT
        assert "{" not in message(ROLLOUT, told).title
