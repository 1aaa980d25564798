"""What is told as an event, what is worth a write, and what may go before the status."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.rollout_status import (
    AnalysisStatus,
    CommandRecord,
    Ended,
    MetricStatus,
    Phase,
    Revert,
    RolloutStatus,
)
from penstock.core.facts import Command, Finding
from penstock.core.rollout.news import essence, falls_back, moves_forward, notices
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    after,
    analysis,
    idle,
    in_flight,
    later,
    pods,
    promoted,
    route,
    seen,
    spec,
)

WORSE = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "errors: 4 times"))


def told(before, after_):
    return [(notice.warning, notice.reason) for notice in notices(before, after_)]


def test_nothing_new_is_no_event():
    status = after(in_flight(0), seen())
    assert notices(status, after(status, seen(), now=later(10))) == ()


def test_a_start_and_a_promotion_are_told_and_are_no_warning():
    started = after(idle(), seen(snapshot=None))
    assert told(idle(), started) == [(False, "Progressing")]
    full = in_flight(2, phase=Phase.PROMOTING)
    assert told(full, after(full, seen())) == [(False, "Promoted")]


def test_a_rollback_is_a_warning_with_its_numbers():
    before = in_flight(0)
    (notice,) = notices(before, after(before, seen(analysis=WORSE)))
    assert (notice.warning, notice.reason) == (True, "RolledBack")
    assert "4 times" in notice.message


def test_a_release_that_ends_within_one_phase_is_told_by_its_outcome():
    before = in_flight(0)
    superseded = after(before, seen(pods=pods(v3=1)), rules=spec("v3"))
    assert told(before, superseded) == [(False, "ReleaseSuperseded")]
    aborted = Ended(release="fraud-2", outcome="Aborted", message="by ann", at=NOW)
    assert told(idle(), idle(ended=aborted)) == [(True, "ReleaseAborted")]


def test_rule_10_a_refused_command_is_told_once():
    before = in_flight(0)
    facts = seen(commands=(Command("abort", "fraud-9", "a", "ann"),))
    first = after(before, facts)
    (notice,) = notices(before, first)
    assert (notice.warning, notice.reason) == (True, "CommandRefused")
    assert notice.message.startswith("abort fraud-9#a by ann: the release in flight is fraud-1")
    assert notices(first, after(first, facts)) == ()


def test_rule_10_a_command_that_was_taken_is_no_refusal():
    record = CommandRecord(verb="approve", target="fraud-1", id="a", at=NOW)
    assert notices(idle(), idle(commands=(record,))) == ()


def test_rule_8_each_edit_that_is_put_back_is_told_even_when_an_old_one_is_forgotten():
    old = Revert(manager="kubectl", at=NOW - timedelta(minutes=10), edit="1")
    before = in_flight(0).model_copy(update={"reverts": (old,)})
    edited = seen(route=route(as_wanted=False, editor="argocd", version="2"))
    status = after(before, edited)
    assert [r.manager for r in status.reverts] == ["argocd"]
    (notice,) = notices(before, status)
    assert notice.reason == "WeightsPutBack"
    assert "argocd" in notice.message
    assert notices(status, after(status, edited)) == (), "the same edit is told once"


def test_rule_8_a_route_that_becomes_contested_is_a_warning_with_the_cure():
    reverts = tuple(Revert(manager="argocd", at=NOW, edit=str(n)) for n in range(3))
    before = idle(reverts=reverts)
    edited = seen(
        snapshot=None,
        route=route(as_wanted=False, editor="argocd", version="9"),
        contested_text="ignoreDifferences",
    )
    status = after(before, edited, rules=spec("v1"))
    found = [(n.warning, n.message) for n in notices(before, status)]
    assert found == [(True, "ignoreDifferences")]


@pytest.mark.parametrize(
    "change",
    [
        {"message": "another sentence"},
        {"analysis": AnalysisStatus(verdict="Safe", metrics=(MetricStatus(name="m", ratio=(1,)),))},
    ],
)
def test_rule_9_numbers_that_change_with_every_look_are_no_reason_to_write(change):
    status = after(in_flight(0), seen())
    assert essence(status.model_copy(update=change)) == essence(status)


def test_rule_9_shares_forecasts_and_images_are_no_reason_to_write():
    status = after(in_flight(0), seen())
    eta = {0: (timedelta(minutes=1), timedelta(minutes=2))}
    facts = seen(
        analysis=analysis(Verdict.SAFE, 30, eta=eta, observed_share=5.1),
        route=route(shares={"v2": 5.0}),
    )
    shown = after(status, facts, now=later(10))
    assert (shown.steps[0].eta, shown.traffic.observed_share) != ((), None)
    assert essence(shown) == essence(status)


@pytest.mark.parametrize(
    "facts",
    [
        {"analysis": analysis(Verdict.NO_DATA, 0, silence="away")},
        {"analysis": analysis(Verdict.UNTRUSTED, 0, mistrust="odd")},
        {"analysis": analysis()},
        {"analysis": WORSE},
        {"pods": pods(v1=0)},
        {"commands": (Command("abort", "fraud-9", "a"),)},
    ],
)
def test_rule_9_decisions_and_alarms_are_written_at_once(facts):
    status = after(in_flight(0), seen())
    assert essence(after(status, seen(**facts), now=later(1))) != essence(status)


def test_the_record_must_be_safe_before_a_step_is_entered():
    status = in_flight(0)
    assert moves_forward(status, after(status, seen(analysis=analysis())))
    full = in_flight(2, phase=Phase.PROMOTING)
    assert moves_forward(full, after(full, seen()))
    assert not moves_forward(status, after(status, seen()))
    assert not moves_forward(status, after(status, seen(analysis=WORSE)))
    assert not moves_forward(idle(), after(idle(), seen(snapshot=None)))


def test_rule_6_only_a_candidate_that_loses_traffic_goes_before_the_status():
    status = in_flight(0)
    assert falls_back(status, after(status, seen(analysis=WORSE)))
    assert falls_back(status, after(status, rules=spec("v1")))
    assert not falls_back(status, after(status, seen(analysis=analysis())))
    waiting = in_flight(-1)
    assert not falls_back(waiting, after(waiting, rules=spec("v1"))), "it had no traffic"
    full = in_flight(2, phase=Phase.PROMOTING)
    assert not falls_back(full, after(full, seen())), "a promotion keeps the traffic"
    assert not falls_back(RolloutStatus(), promoted())
