"""Alerts: one that began during a release acts on it, one that fired before keeps it waiting."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.v1alpha1.rollout_status import Ended, Phase, Previous, Proven
from penstock.core.alerts import NEVER, Alarm
from penstock.core.facts import Command, Finding
from penstock.core.problems import of_alerts
from penstock.core.rollout import alarms
from penstock.core.rollout.decide import decide
from penstock.core.rollout.turn import Turn
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    RELEASE,
    WITH_APPROVAL,
    after,
    analysis,
    as_written,
    condition,
    idle,
    in_flight,
    later,
    pods,
    promoted,
    seen,
    spec,
    weight,
)

BURN = {"match": {"alertname": "Burn"}, "action": "Rollback"}
SLOW = {"match": {"alertname": "Slow", "severity": "page"}, "action": "Suspend"}
RULES = spec(alerts=[BURN, SLOW])
WAIT = later(60)


def alarm(name="Burn", began=30, resolved=None, **labels):
    """Return an alarm; times are seconds after the release's start."""
    names = {"alertname": name, "namespace": "ml", "severity": "page", **labels}
    return Alarm(
        fingerprint=f"{name}{labels}",
        labels=tuple(sorted(names.items())),
        began=later(began),
        resolved=NEVER if resolved is None else later(resolved),
        until=later(9999),
    )


def told(*found, **more):
    return seen(RULES, alarms=found, **more)


def step(status, *found, now=WAIT, rules=RULES, **more):
    return after(status, told(*found, **more), rules, now)


def said(verb, target=RELEASE, id_="a"):
    return (Command(verb, target, id_, "ann"),)


def test_an_alert_that_began_after_the_release_rolls_it_back_and_says_which():
    status = step(in_flight(0), alarm(pod="x"))
    assert (status.phase, weight(status), status.candidate) == (Phase.ROLLED_BACK, 0, None)
    refusal = status.refused[0]
    assert (refusal.version, refusal.reason) == ("v2", "Alert")
    assert refusal.message == (
        'alert Burn {pod="x", severity="page"}, firing since 2026-11-24T12:00:30+00:00'
    )
    assert refusal.message in condition(status, "Stalled").message


@pytest.mark.parametrize(
    "facts",
    [
        {"analysis": analysis(Verdict.NO_DATA, 0, silence="Prometheus is away")},
        {"analysis": analysis(Verdict.SAFE)},
        {"pods": pods(v2=0)},
    ],
)
def test_an_alert_acts_whatever_metrics_and_pods_say(facts):
    assert step(in_flight(0), alarm(), **facts).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("status", [in_flight(-1), in_flight(2, phase=Phase.PROMOTING)])
def test_an_alert_acts_before_the_first_weight_and_at_100(status):
    assert step(status, alarm()).refused[0].reason == "Alert"


def test_an_alert_that_has_been_resolved_meanwhile_acts_too():
    """It has fired during the release; the turn has only come late."""
    assert step(in_flight(0), alarm(resolved=40)).phase is Phase.ROLLED_BACK


def test_the_end_of_an_alert_after_the_rollback_changes_nothing():
    before = step(in_flight(0), alarm())
    ended = step(before, alarm(resolved=70), snapshot=None, now=later(90))
    assert (ended.phase, ended.refused) == (before.phase, before.refused)


@pytest.mark.parametrize("found", [alarm("Other"), alarm("Slow", severity="info"), alarm(began=0)])
def test_an_alert_that_no_rule_names_or_that_began_before_does_nothing(found):
    status = step(in_flight(0), found)
    assert (status.phase, weight(status)) == (Phase.PROGRESSING, 5)


def test_rules_of_the_live_spec_act_not_those_of_the_snapshot():
    status = after(in_flight(0), seen(spec(), alarms=(alarm(),)), RULES, WAIT)
    assert status.phase is Phase.ROLLED_BACK
    status = after(in_flight(0), told(alarm()), spec(), WAIT)
    assert status.phase is Phase.PROGRESSING


def test_an_alert_waits_like_all_else_for_a_stable_that_can_take_the_traffic():
    status = step(in_flight(0), alarm(), pods=pods(v1=0))
    assert (weight(status), status.candidate.condemned) == (5, "Alert")


def test_suspend_holds_until_an_approval_which_answers_nothing_else():
    held = step(in_flight(0), alarm("Slow"), analysis=analysis())
    assert (held.phase, weight(held)) == (Phase.WAITING, 5)
    assert "held by alert Slow" in held.message
    assert "say approve, promote or abort" in held.message
    again = step(held, alarm("Slow"), analysis=analysis())
    assert again.candidate == held.candidate
    gone = step(held, alarm("Slow", resolved=50), analysis=analysis())
    assert gone.phase is Phase.WAITING, "its end is not an approval"
    on = step(held, alarm("Slow"), commands=said("approve"))
    assert (on.phase, on.candidate.suspended_by, on.steps[0].by) == (Phase.PROGRESSING, "", "")
    assert on.commands[0].taken


def test_after_an_approval_the_same_alert_holds_no_more_but_a_new_one_does():
    held = step(in_flight(0), alarm("Slow"))
    on = step(held, alarm("Slow"), commands=said("approve"))
    assert step(on, alarm("Slow")).phase is Phase.PROGRESSING
    assert step(on, alarm("Slow", began=50)).phase is Phase.WAITING, "it fires anew"
    other = step(on, alarm("Slow"), alarm("Slow", pod="x"))
    assert other.phase is Phase.WAITING


def test_an_approval_of_a_step_is_asked_for_after_the_one_that_answers_the_alert():
    rules = spec(steps=WITH_APPROVAL, alerts=[SLOW])
    held = step(in_flight(1, rules, Phase.WAITING), alarm("Slow"), rules=rules)
    assert "held by alert Slow" in held.message
    first = step(held, alarm("Slow"), commands=said("approve"), rules=rules)
    assert "waiting for penstock.dev/approve" in first.message


def test_suspend_holds_before_the_first_weight_and_can_be_approved_there():
    held = step(in_flight(-1), alarm("Slow"))
    assert (held.phase, held.candidate.step) == (Phase.WAITING, -1)
    on = step(held, alarm("Slow"), commands=said("approve"))
    assert on.candidate.step == 0


def test_a_promotion_by_command_goes_on_in_spite_of_suspend_but_not_of_rollback():
    held = step(in_flight(0), alarm("Slow"))
    on = step(held, alarm("Slow"), alarm("Slow", pod="x"), commands=said("promote"))
    assert weight(on) == 100
    assert step(on, alarm()).phase is Phase.ROLLED_BACK


def test_rollback_wins_over_suspend():
    assert step(in_flight(0), alarm("Slow"), alarm()).phase is Phase.ROLLED_BACK


def start(*found, status=None, now=WAIT, rules=RULES, **more):
    return after(status or idle(), told(*found, snapshot=None, **more), rules, now)


@pytest.mark.parametrize("found", [alarm(began=-60), alarm("Slow", began=-60), alarm()])
def test_no_release_starts_while_an_alert_fires_and_it_says_so(found):
    status = start(found)
    assert (status.phase, status.candidate) == (Phase.WAITING, None)
    assert status.message == f"v2 waits until this is resolved: {found}"
    assert condition(status, "Reconciling").status == "True"
    assert condition(status, "Stalled").status == "False"


def test_it_starts_when_the_alert_is_resolved_and_is_looked_at_again_until_then():
    facts = told(alarm(began=-60), snapshot=None)
    decision = decide(RULES, idle(), facts, WAIT)
    assert decision.requeue_after == timedelta(seconds=10)
    assert start(alarm(began=-60, resolved=50), status=decision.status).candidate is not None
    assert start(status=decision.status).candidate is not None


def test_an_alert_that_concerns_nobody_keeps_nothing_waiting():
    assert start(alarm("Other")).candidate is not None
    assert decide(spec("v1"), idle(), told(alarm(), snapshot=None), WAIT).requeue_after is None


def test_a_return_is_the_cure_and_neither_waits_for_alerts_nor_ends_by_them():
    proven = (Proven(version="v2", until=later(999)),)
    back = start(alarm(began=-60), status=idle(proven=proven))
    assert back.candidate.straight
    assert step(back, alarm(began=90), now=later(120)).candidate is not None


ENDED = Ended(release=RELEASE, outcome="Promoted", cause="Proven", at=NOW)
KEPT = Previous(version="v1", release=RELEASE, until=later(3600), started=later(-600))


def kept(**more):
    return promoted(**{"ended": ENDED, "previous": KEPT, **more})


def test_within_keep_old_an_alert_that_began_after_the_promotion_undoes_it():
    status = step(kept(), alarm())
    assert (status.phase, status.stable.version) == (Phase.ROLLED_BACK, "v1")
    assert (status.refused[0].version, status.refused[0].reason) == ("v2", "Alert")


def test_an_alert_of_the_release_that_came_too_late_for_it_undoes_the_promotion():
    assert step(kept(), alarm(began=-30)).stable.version == "v1"


@pytest.mark.parametrize(
    ("status", "found", "more"),
    [
        (kept(), alarm(began=-601), {}),
        (kept(), alarm("Slow"), {}),
        (kept(), alarm(), {"pods": pods(v1=0)}),
        (kept(), alarm(), {"now": later(3601)}),
        (kept(ended=ENDED.model_copy(update={"cause": "Returned"})), alarm(), {}),
        (kept(ended=ENDED.model_copy(update={"release": "fraud-2"})), alarm(), {}),
        (kept(previous=KEPT.model_copy(update={"started": None})), alarm(began=-1), {}),
    ],
)
def test_else_a_promotion_stands(status, found, more):
    assert step(status, found, **more).stable.version == "v2"


def test_a_promotion_notes_when_its_release_started():
    status = step(in_flight(2, phase=Phase.PROMOTING), now=later(600))
    assert status.previous.started == NOW


def test_only_what_is_to_be_acted_on_presses():
    def presses(status, *found):
        return alarms.press(status, Turn(RULES, told(*found), WAIT))

    assert presses(in_flight(0), alarm())
    assert presses(in_flight(0), alarm("Slow"))
    assert presses(kept(), alarm())
    assert not presses(in_flight(0), alarm(began=0))
    assert not presses(step(in_flight(0), alarm("Slow")), alarm("Slow"))
    assert not presses(idle(), alarm())


found_alarms = st.lists(
    st.builds(
        alarm,
        st.sampled_from(["Burn", "Slow", "Other"]),
        st.integers(-100, 0),
        st.one_of(st.none(), st.integers(-100, 50)),
        pod=st.sampled_from("xy"),
    ),
    max_size=5,
)


@given(found_alarms, st.integers(-1, 1), st.sampled_from([analysis(), analysis(Verdict.LEARNING)]))
def test_an_alert_that_began_before_the_release_changes_nothing_in_it(found, index, metrics):
    status = in_flight(index)
    assert step(status, *found, analysis=metrics) == step(status, analysis=metrics)


@given(found_alarms, st.randoms())
def test_the_order_of_alerts_does_not_matter(found, random):
    shuffled = random.sample(found, len(found))
    fresh = [alarm("Slow"), *shuffled]
    assert step(in_flight(0), alarm("Slow"), *found) == step(in_flight(0), *fresh)


def test_what_is_written_about_alerts_is_read_again():
    held = step(in_flight(0), alarm("Slow"))
    on = step(held, alarm("Slow"), commands=said("approve"))
    for status in (held, on):
        assert type(status).model_validate(as_written(status)) == status


def test_a_metric_that_is_worse_and_an_alert_end_a_release_once():
    worse = analysis(Verdict.WORSE, 0, worse=Finding("errors", "Rollback", "4 times"))
    status = step(in_flight(0), alarm(), analysis=worse)
    assert [r.reason for r in status.refused] == ["Alert"]


def test_alerts_that_nobody_would_hear_keep_a_release_from_starting():
    (problem,) = of_alerts(RULES, "ml", frozenset({"shop"}))
    assert (problem.reason, "alertReceiver" in problem.message) == ("AlertsNotHeard", True)
    assert start(problems=(problem,)).message == problem.message
    assert of_alerts(RULES, "ml", None) == of_alerts(RULES, "ml", {"ml"}) == ()
    assert of_alerts(spec(), "ml", frozenset()) == ()
