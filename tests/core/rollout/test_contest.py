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


def test_the_same_edit_counts_once_however_often_it_is_seen():
    status = in_flight(0)
    for second in range(20):
        status = after(status, edited("7"), now=later(second))
    assert (len(status.reverts), status.contested) == (1, "")


def test_edits_count_only_after_the_route_was_as_wanted_once():
    status = in_flight(0).model_copy(update={"routed": False})
    for number in range(9):
        status = after(status, edited(str(number)), now=later(number))
    assert (status.reverts, status.contested) == ((), "")
    status = after(status, seen(), now=later(10))
    assert status.routed
    assert len(after(status, edited("x"), now=later(11)).reverts) == 1


def test_a_route_that_is_gone_is_no_edit():
    facts = seen(route=route(exists=False, as_wanted=False, editor="kubectl", version=""))
    assert after(in_flight(0), facts).reverts == ()


def test_edits_change_nothing_in_the_release():
    before = after(in_flight(0), seen())
    status = after(before, edited("7"), now=later(1))
    assert status.candidate == before.candidate
    assert (weight(status), status.steps) == (5, before.steps)


def test_a_fight_at_rest_is_ended_too_without_refusing_anything():
    status = idle("v2")
    for number in range(4):
        status = after(status, edited(str(number), snapshot=None), now=later(number))
    assert (status.contested, status.refused, status.stable.version) == ("argocd", (), "v2")
    assert condition(status, "Stalled").reason == "Contested"
    assert condition(status, "Ready").status == "False"


def test_a_contested_route_stays_so_until_retry_or_a_newer_version():
    status = fight(in_flight(0), 4)
    for hours in (1, 50):
        status = after(status, seen(snapshot=None), now=later(3600 * hours))
        assert status.contested == "argocd"
    status = after(status, seen(snapshot=None, next_release=2), spec("v3"), later(4000_00))
    assert (status.contested, status.yielded, status.reverts) == ("", False, ())
    assert status.candidate.version == "v3"


def test_edits_older_than_five_minutes_are_forgotten():
    status = after(in_flight(0), edited("1"))
    for second, edit in ((290, "2"), (295, "3"), (301, "4")):
        status = after(status, edited(edit), now=later(second))
    assert (status.contested, [r.edit for r in status.reverts]) == ("", ["2", "3", "4"])
    assert after(status, edited("5"), now=later(302)).contested == "argocd"
