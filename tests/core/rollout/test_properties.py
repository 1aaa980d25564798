"""Properties over random specs, statuses, facts and sequences of them."""

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.core.facts import Command, Finding, Problem
from penstock.core.rollout.decide import decide
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    analysis,
    idle,
    pods,
    promoted,
    route,
    seen,
    spec,
)

VERSIONS = ("v1", "v2", "v3")
VERBS = ("abort", "approve", "promote", "retry", "undo", "adopt")


def steps(dice):
    weights = sorted(dice.sample(range(1, 100), dice.randint(1, 4)))
    found = [{"weight": w, "bake": "10s", "deadline": "1h"} for w in weights]
    for _ in range(dice.randint(0, 2)):
        found.insert(dice.randint(0, len(found)), {"approval": {}})
    return found


def a_spec(dice):
    return spec(
        dice.choice(VERSIONS),
        steps(dice),
        suspend=dice.random() < 0.2,
        strategy={"minStableReady": dice.choice([0, 50, 100])},
        analysis={
            "onInconclusive": dice.choice(["Hold", "Advance", "Rollback"]),
            "onNoData": {"after": "1m", "then": dice.choice(["Hold", "Rollback"])},
        },
    )


def opinion(dice):
    verdict = dice.choice(list(Verdict))
    worse = verdict is Verdict.WORSE
    acts = dice.choice(["Rollback", "Hold", ""])
    return analysis(
        verdict,
        dice.randint(0, 200),
        worse=Finding("m", "Rollback", "why") if worse and acts == "Rollback" else None,
        held=Finding("m", "Hold", "why") if worse and acts == "Hold" else None,
        silence="away" if verdict is Verdict.NO_DATA else "",
        mistrust="odd" if verdict is Verdict.UNTRUSTED else "",
    )


def a_route(dice):
    return route(
        exists=dice.random() < 0.9,
        as_wanted=dice.random() < 0.8,
        since=dice.choice([None, NOW - timedelta(hours=1), NOW]),
        editor=dice.choice(["", "", "argocd"]),
        version=dice.choice("12345"),
        rolled_back=dice.choice(["", "", "", "", "fraud-1: Worse: why"]),
        shares=dice.choice([{}, {"v1": 100.0}, {"v1": 90.0, "v2": 10.0}, {"": 100.0}]),
    )


def command(dice):
    targets = ["fraud-1", "fraud-2", "fraud-1/0", "fraud-2/1", "v1", "v2", ""]
    return Command(dice.choice(VERBS), dice.choice(targets), dice.choice("abcdefgh"))


def facts(dice, rules):
    return seen(
        snapshot=dice.choice([rules, rules, rules, None]),
        finalizer=dice.random() < 0.9,
        prepared=dice.random() < 0.9,
        deleting=dice.random() < 0.05,
        pods=pods(dice.randint(0, 3), dice.randint(0, 3), v3=dice.randint(0, 3)),
        route=a_route(dice),
        analysis=opinion(dice),
        commands=tuple(command(dice) for _ in range(dice.choice([0, 0, 0, 1, 2]))),
        problems=dice.choice([(), (), (), (Problem("NoSuch", "mend it"),)]),
    )


def history(seed):
    """Return a first status, and turns of (spec, facts, seconds passed)."""
    dice = random.Random(seed)
    rules, turns = a_spec(dice), []
    for _ in range(dice.randint(1, 25)):
        if dice.random() < 0.15:
            rules = a_spec(dice)
        turns.append((rules, facts(dice, rules), dice.choice([0, 1, 20, 100, 4000])))
    return dice.choice([RolloutStatus(), idle(), promoted()]), turns


seeds = st.integers(0, 2**32)


def played(seed):
    """Return (before, spec, facts, decision) of each turn."""
    status, turns = history(seed)
    now = NOW
    for rules, found, passed in turns:
        now += timedelta(seconds=passed)
        decision = decide(rules, status, found, now)
        yield status, rules, found, decision
        status = decision.status


def serving(status):
    """Return the share of each version that a status calls for."""
    stable = status.stable.version if status.stable else ""
    if status.candidate is None or not status.traffic.weight:
        return {stable: 100.0}
    weight = status.traffic.weight
    return {status.candidate.version: weight, stable: 100.0 - weight}


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_a_refused_version_never_gets_traffic(seed):
    for before, _, _, decision in played(seed):
        after = decision.status
        for refusal in after.refused:
            new = refusal not in before.refused
            if not new and after.stable and refusal.version != after.stable.version:
                assert serving(after).get(refusal.version, 0) == 0


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_the_weights_of_the_plan_are_never_exceeded_nor_skipped(seed):
    for before, _, found, decision in played(seed):
        after = decision.status
        planned = [s.weight for s in after.steps if s.weight is not None]
        weight, old = after.traffic.weight, before.traffic.weight
        assert weight in {0, 100, *planned}
        if weight <= old or after.candidate is None:
            continue
        jump = after.candidate.commanded or after.candidate.straight
        index = ([0.0, *planned, 100]).index(weight)
        assert jump or ([0.0, *planned, 100])[index - 1] == old or old == 0
        assert found.ready(after.candidate.version) > 0


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_every_state_has_a_sentence_and_a_person_knows_what_to_do(seed):
    for _, _, found, decision in played(seed):
        status = decision.status
        assert status.message
        if found.deleting:
            continue
        types = {c.type: c for c in status.conditions}
        assert {"Ready", "Reconciling", "Stalled", "Accepted"} <= types.keys()
        truths = [types[name].status == "True" for name in ("Ready", "Reconciling", "Stalled")]
        assert sum(truths) == 1, "one of the three says what is the matter"
        if types["Stalled"].status == "True":
            assert types["Stalled"].message
        if status.phase in (Phase.PROGRESSING, Phase.PROMOTING) and status.candidate:
            assert decision.requeue_after is not None


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_a_decision_is_the_same_every_time_and_survives_the_way_through_the_api(seed):
    status, turns = history(seed)
    now = NOW
    for rules, found, passed in turns:
        now += timedelta(seconds=passed)
        decision = decide(rules, status, found, now)
        wire = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert decide(rules, RolloutStatus.model_validate(wire), found, now) == decision
        status = decision.status


@settings(max_examples=200, deadline=None)
@given(seeds, seeds)
def test_a_status_of_an_older_version_is_read_and_decided_on(seed, cut):
    dice = random.Random(cut)
    for before, rules, found, _ in played(seed):
        wire = before.model_dump(mode="json", by_alias=True, exclude_none=True)
        optional = sorted(set(wire) - {"stable", "candidate"})
        for name in dice.sample(optional, min(4, len(optional))):
            del wire[name]
        wire["fieldOfAnotherVersion"] = {"a": 1}
        assert decide(rules, RolloutStatus.model_validate(wire), found, NOW).status.message


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(0, 5), st.booleans())
def test_every_release_ends_promoted_or_rolled_back_where_the_world_is_kind(seed, at, bad):
    rules = spec(steps=steps(random.Random(seed)))
    status, now = idle(), NOW
    for turn in range(60):
        now += timedelta(minutes=1)
        worse = bad and status.candidate is not None and status.candidate.step >= at
        said = (
            analysis(Verdict.WORSE, 0, worse=Finding("m", "Rollback", "why"))
            if worse
            else analysis(Verdict.SAFE, 60)
        )
        candidate = status.candidate
        says = ()
        here = status.steps[candidate.step :][:1] if candidate and candidate.step >= 0 else ()
        if candidate and any(step.approval for step in here):
            says = (Command("approve", f"{candidate.release}/{candidate.step}", f"ok-{turn}"),)
        found = seen(snapshot=rules if candidate else None, analysis=said, commands=says)
        status = decide(rules, status, found, now).status
    assert status.candidate is None
    ended = Phase.ROLLED_BACK if status.refused else Phase.PROMOTED
    assert status.phase is ended
    assert bad or ended is Phase.PROMOTED
