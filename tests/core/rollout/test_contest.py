"""Rule 8: somebody else's edit is undone three times; then we yield, once, at weight 0."""

from datetime import timedelta

from penstock.api.v1alpha1.rollout_status import Phase, Refusal
from penstock.core.facts import Command
from penstock.core.rollout.news import notices
from tests.core.rollout.builders import (
    NOW,
    after,
    condition,
    idle,
    in_flight,
    later,
    route,
    seen,
    spec,
    weight,
)


def edited(version, manager="argocd", **more):
    return seen(route=route(as_wanted=False, editor=manager, version=version), **more)


def fight(status, rounds, every=10):
    for number in range(rounds):
        status = after(status, edited(str(number)), now=later(every * number))
        if not status.contested:
            status = after(status, seen(), now=later(every * number + 1))
    return status


def test_an_edit_is_put_on_record_once_and_the_release_goes_on():
    before = in_flight(0)
    status = after(before, edited("7"))
    assert [r.manager for r in status.reverts] == ["argocd"]
    assert status.candidate is not None
    assert [n.reason for n in notices(before, status)] == ["WeightsPutBack"]
    again = after(status, edited("7"), now=later(1))
    assert len(again.reverts) == 1, "the same edit, seen twice, counts once"


def test_three_edits_are_borne_and_the_fourth_ends_the_release_contested():
    status = fight(in_flight(0), 3)
    assert (weight(status), len(status.reverts), status.contested) == (5, 3, "")
    status = fight(in_flight(0), 4)
    assert (weight(status), status.contested, status.phase) == (0, "argocd", Phase.ROLLED_BACK)
    stalled = condition(status, "Stalled")
    assert (stalled.reason, stalled.message) == ("Contested", "somebody fights: ignoreDifferences")


def test_slow_edits_are_no_fight():
    status = fight(in_flight(0), 8, every=150)
    assert status.contested == ""


def test_edits_of_two_managers_are_counted_apart():
    status = in_flight(0)
    for number in range(6):
        manager = ("argocd", "kubectl")[number % 2]
        status = after(status, edited(str(number), manager), now=later(number))
    assert status.contested == ""


def test_taking_over_a_route_is_no_edit():
    status = after(idle(routed=False), edited("1"), rules=spec("v1"))
    assert status.reverts == ()


def test_our_own_write_that_was_lost_is_no_edit():
    facts = seen(route=route(as_wanted=False, editor=""))
    assert after(in_flight(0), facts).reverts == ()


def test_after_yielding_once_nothing_more_is_written():
    status = fight(in_flight(0), 4)
    assert not status.yielded
    status = after(status, seen(snapshot=None), now=later(60))
    assert status.yielded
    assert after(status, edited("99"), now=later(70)).reverts == status.reverts


def test_retry_ends_the_contest():
    contested = idle(
        contested="argocd",
        yielded=True,
        refused=(Refusal(version="v2", release="fraud-1", reason="Contested"),),
    )
    facts = seen(snapshot=None, commands=(Command("retry", "fraud-1", "a"),))
    status = after(contested, facts, now=NOW + timedelta(hours=1))
    assert (status.contested, status.candidate.version) == ("", "v2")
