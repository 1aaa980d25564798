"""Decision 14: who keeps a cookie, who is drawn anew, and that the shares come out right."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.v1alpha1.rollout_status import (
    Candidate,
    RolloutStatus,
    Serving,
    StepStatus,
    TrafficStatus,
)
from penstock.api.v1alpha1.traffic import StickyCookie
from penstock.core.traffic import cookies, routes, shares
from tests.core.traffic.test_traffic import NOW, other, ours, target, to, virtual

FORM = StickyCookie(name="v", issue=True)
WEIGHTS = (1.0, 5.0, 25.0, 50.0)


def at(step, weights=WEIGHTS, release="fraud-1"):
    """Return the status on a step; after the last one all traffic is the candidate's."""
    candidate = Candidate(version="v2", release=release, since=NOW, step=step)
    weight = weights[step] if step < len(weights) else 100.0
    return RolloutStatus(
        stable=Serving(version="v1"),
        candidate=candidate,
        steps=tuple(StepStatus(weight=w) for w in weights),
        traffic=TrafficStatus(weight=weight),
    )


def http(status, *more, form=FORM):
    """Return the http routes that a status calls for."""
    where = target(cookie=form)
    want = shares.wanted(status, cookie=form)
    live = virtual(ours(to("v1", 100), *more))
    return routes.composed(live, want, where, where.places[0])["http"]


class Browser:
    """Sends its cookie, keeps what it is given."""

    def __init__(self):
        self.cookie = ""

    def ask(self, found, dice):
        """Return the version that answers: the first route that fits, a destination by weight."""
        route = next(r for r in found if self._fits(r))
        weights = [entry["weight"] for entry in route["route"]]
        entry = dice.choices(route["route"], weights)[0]
        added = entry.get("headers", {}).get("response", {}).get("add", {})
        if "set-cookie" in added:
            self.cookie = added["set-cookie"].split(";")[0]
        return entry["destination"].get("subset", "other")

    def _fits(self, route):
        blocks = route.get("match", [{}])
        patterns = [b.get("headers", {}).get("cookie", {}).get("regex", "") for b in blocks]
        return any(not p or re.fullmatch(p, self.cookie) for p in patterns)


@given(st.lists(st.integers(1, 9999).map(lambda w: w / 100), min_size=2, max_size=6, unique=True))
def test_whoever_had_stable_moves_with_the_chance_that_makes_the_shares_right(weights):
    weights = sorted(weights)
    steps = [StepStatus(weight=w) for w in weights]
    for step, chance in cookies.redrawn(steps[:-1], weights[-1]):
        assert 0 < chance <= 100
        whole = weights[step] + (100 - weights[step]) * chance / 100
        assert whole == pytest.approx(weights[-1])


def test_approvals_and_mirrors_between_the_weights_draw_nobody():
    steps = [StepStatus(mirror=50), StepStatus(weight=10), StepStatus(approval=True)]
    assert [step for step, _ in cookies.redrawn(steps, 50)] == [1]


def test_users_stay_with_the_candidate_and_its_share_of_users_is_the_weight():
    """Old users, new ones at each step, and some who skip steps."""
    dice = random.Random(3)
    browsers, had = [], set()
    for step, weight in enumerate(WEIGHTS):
        browsers += [Browser() for _ in range(8000)]
        found = http(at(step))
        seen = [b for b in browsers if dice.random() < 0.8]
        now = {b for b in seen if b.ask(found, dice) == "v2"}
        assert had & set(seen) <= now, "nobody leaves the candidate"
        share = 100 * len(now) / len(seen)
        error = 4 * (weight * (100 - weight) / len(seen)) ** 0.5
        assert abs(share - weight) < error + 0.01
        again = {b for b in seen if b.ask(found, dice) == "v2"}
        assert again == now, "on one step everybody stays"
        had |= now


def test_no_cookie_is_issued_nor_obeyed_before_the_release_and_after_it():
    plain = [ours(to("v1", 100))]
    rolled_back = at(1).model_copy(update={"candidate": None, "traffic": TrafficStatus()})
    assert http(rolled_back) == plain
    assert http(at(-1).model_copy(update={"traffic": TrafficStatus()})) == plain
    assert http(at(len(WEIGHTS))) == [ours(to("v2", 100))]


def test_a_cookie_of_another_release_is_never_obeyed():
    browser, dice = Browser(), random.Random(1)
    browser.cookie = "v=fraud-1.c"
    found = http(at(1, release="fraud-2"))
    assert [r["name"].rpartition(":")[2] for r in found if browser._fits(r)] == [
        "penstock-ml_fraud"
    ]
    browser.ask(found, dice)
    assert browser.cookie.startswith("v=fraud-2.")


def test_a_third_destination_keeps_its_share_of_users_with_a_cookie_too():
    for route in http(at(1), other(50)):
        units = [e["weight"] for e in route["route"] if e["destination"]["host"] == "other"]
        assert sum(units) / sum(e["weight"] for e in route["route"]) == pytest.approx(
            1 / 3, abs=0.01
        )


def test_the_attributes_are_those_of_a_cookie_for_one_site():
    form = StickyCookie(name="v", issue=True, max_age="90m", secure=True)
    made = cookies.of_step(form, at(0))
    text = made.issued(made.candidate)
    assert text == "v=fraud-1.c; Max-Age=5400; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert cookies.is_ours(text)
    assert not cookies.is_ours("session=1; Path=/")


def test_what_others_wrote_into_a_destination_stays_when_our_cookie_comes_and_goes():
    where, headers = target(cookie=FORM), {"response": {"add": {"x-a": "1"}}}
    entry = {**to("v1", 100), "headers": headers}
    want = shares.wanted(at(0), cookie=FORM)
    with_ours = shares.destinations([entry], want, where)
    added = [e["headers"]["response"]["add"] for e in with_ours]
    assert [(one["x-a"], one["set-cookie"][:11]) for one in added] == [
        ("1", "v=fraud-1.c"),
        ("1", "v=fraud-1.0"),
    ]
    assert shares.same(with_ours, shares.destinations(with_ours, want, where))
    assert not shares.same(with_ours, shares.destinations([entry], shares.wanted(at(0)), where))
    after = RolloutStatus(stable=Serving(version="v1"))
    assert shares.destinations(with_ours, shares.wanted(after), where) == [entry]
    taken = {**entry, "headers": {"response": {"add": {"set-cookie": "mine=1"}}}}
    assert shares.destinations([taken], shares.wanted(after), where) == [taken]
