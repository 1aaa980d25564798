"""Properties over random specs, statuses, facts and sequences of them."""

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus, StepStatus
from penstock.core import plan
from penstock.core.facts import Command, Finding, GateSaid, GateState, Problem
from penstock.core.rollout import commands
from penstock.core.rollout.decide import decide
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    NOW,
    analysis,
    as_written,
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
    if dice.random() < 0.3:
        found.insert(0, {"mirror": {"percent": 50}, "bake": "10s"})
    for _ in range(dice.randint(0, 2)):
        wait = dice.choice([{"approval": {}}, {"gate": a_gate(dice), "deadline": "1h"}])
        found.insert(dice.randint(0, len(found)), wait)
    return found


def a_gate(dice):
    return {"job": {"fromCronJob": "smoke"}, "onFailure": dice.choice(["Hold", "Rollback"])}


def a_strategy(dice):
    form = dice.choice(["canary", "canary", "canary", "blueGreen", "shadow"])
    if form == "canary":
        return {}
    preview = {"preview": [{"cookies": {"group": {"exact": "beta"}}}]}
    gate = {"gate": a_gate(dice)} if dice.random() < 0.5 else {}
    approval = {"approval": {}} if dice.random() < 0.5 else {}
    blue_green = {"bake": "10s", **preview, **gate, **approval}
    return {form: blue_green if form == "blueGreen" else {"percent": 50, "bake": "10s"}}


def a_spec(dice):
    return spec(
        dice.choice(VERSIONS),
        steps(dice),
        suspend=dice.random() < 0.2,
        strategy={"minStableReady": dice.choice([0, 50, 100]), **a_strategy(dice)},
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
        gate=dice.choice([None, *(GateSaid(state, "says so") for state in GateState)]),
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
        copied = status.traffic.mirror if status.candidate else 0
        return {stable: 100.0} | ({status.candidate.version: copied} if copied else {})
    weight = status.traffic.weight
    return {status.candidate.version: weight, stable: 100.0 - weight}


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_a_refused_version_never_gets_traffic(seed):
    for before, _, _, decision in played(seed):
        after = decision.status
        for refusal in after.refused:
            new = refusal not in before.refused
            if not new and after.stable and refusal.version != after.stable.version:
                assert serving(after).get(refusal.version, 0) == 0


@settings(max_examples=150, deadline=None)
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


@settings(max_examples=150, deadline=None)
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


@settings(max_examples=100, deadline=None)
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


@settings(max_examples=100, deadline=None)
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
        found = seen(
            snapshot=rules if candidate else None,
            analysis=said,
            commands=says,
            gate=GateSaid(GateState.OPEN),
        )
        status = decide(rules, status, found, now).status
    assert status.candidate is None
    ended = Phase.ROLLED_BACK if status.refused else Phase.PROMOTED
    assert status.phase is ended
    assert bad or ended is Phase.PROMOTED


def rank(status):
    """Return how many of the planned weights are at or below the weight in force."""
    planned = [s.weight for s in status.steps if s.weight is not None]
    return sum(weight <= status.traffic.weight for weight in [*planned, 100])


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_a_weight_rises_by_one_step_of_one_release_and_only_on_firm_ground(seed):
    for before, rules, found, decision in played(seed):
        old, new = before.candidate, decision.status.candidate
        if new is None or decision.status.traffic.weight == 0:
            continue
        assert old is not None, "a release starts at weight 0"
        assert new.release == old.release
        if decision.status.traffic.weight <= before.traffic.weight:
            continue
        assert new.commanded or new.straight or rank(decision.status) == rank(before) + 1
        assert found.ready(new.version)
        assert found.finalizer
        assert found.prepared
        assert found.route.exists
        assert found.snapshot is not None
        assert not rules.suspend
        assert new.condemned == new.held_by == ""
        assert found.analysis.worse is None


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_what_serves_is_refused_by_nobody_and_what_is_refused_is_not_released(seed):
    for _, _, _, decision in played(seed):
        status = decision.status
        refused = [refusal.version for refusal in status.refused]
        assert len(refused) == len(set(refused))
        if status.stable:
            assert status.stable.version not in refused
        if status.candidate:
            assert status.candidate.version not in refused
            assert status.candidate.version != status.stable.version


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_stable_changes_only_by_promotion_by_undo_or_at_first_sight(seed):
    for before, _, found, decision in played(seed):
        old, new = before.stable, decision.status.stable
        if old == new:
            continue
        assert new is not None
        if old is None:
            continue
        ended = decision.status.ended
        promoted_now = (
            before.candidate is not None
            and before.traffic.weight == 100
            and (new.version, ended.outcome) == (before.candidate.version, "Promoted")
            and found.route.as_wanted
        )
        undone = before.previous is not None and new.version == before.previous.version
        assert promoted_now or undone


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_rule_6_worse_takes_the_traffic_at_once_or_says_that_stable_has_no_pods(seed):
    for before, _, found, decision in played(seed):
        if before.candidate is None or found.analysis.worse is None:
            continue
        after = decision.status
        same = after.candidate is not None and after.candidate.release == before.candidate.release
        if same:
            assert found.ready(before.stable.version) == 0
            assert after.candidate.condemned
            assert after.traffic.weight == before.traffic.weight
        else:
            assert after.traffic.weight == 0


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_the_plan_and_the_place_in_it_fit_together(seed):
    for _, _, _, decision in played(seed):
        status = decision.status
        if status.candidate is None:
            assert status.traffic.weight == 0
            continue
        assert status.steps
        assert -1 <= status.candidate.step <= len(status.steps)
        index = plan.traffic_step(status.steps, status.candidate.step)
        step = status.steps[index] if index >= 0 else StepStatus()
        at_full = status.traffic.weight == 100
        assert at_full or status.traffic.weight == (step.weight or 0)
        assert status.traffic.mirror == (0 if at_full else step.mirror or 0)
        if status.candidate.step == len(status.steps):
            assert status.traffic.weight == 100
        assert decision.finalizer or found_deleting(decision)


def found_deleting(decision):
    """Return whether the turn was a deletion that nothing can wait for: stable has no pods."""
    return decision.status.candidate.condemned != ""


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_what_is_written_is_read_back_and_nothing_grows_without_bound(seed):
    for _, rules, found, decision in played(seed):
        read = RolloutStatus.model_validate(as_written(decision.status))
        later_ = NOW + timedelta(days=3)
        assert decide(rules, read, found, later_) == decide(rules, decision.status, found, later_)
        assert len(read.refused) <= 20
        assert len(read.reverts) <= 20
        assert len(read.proven) <= 10
        assert len(read.commands) <= commands.KEPT + 2


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_the_same_facts_twice_lead_no_further_but_for_the_time(seed):
    """A turn that is run again, as after a crash before its effects, takes no second step.

    The verdict that let a step pass is of the step that was left: the gatherer asks anew.
    """
    for _, rules, found, decision in played(seed):
        status = decision.status
        if status.candidate is None or found.deleting:
            continue
        fresh = replace(
            found, analysis=analysis(Verdict.LEARNING, 0), route=replace(found.route, since=None)
        )
        again = decide(rules, status, fresh, NOW).status
        if again.candidate is None or again.candidate.release != status.candidate.release:
            continue
        assert again.commands == status.commands
        commanded = again.candidate.commanded or again.candidate.straight
        passed = again.candidate.step > status.candidate.step
        steps_ = status.steps[max(status.candidate.step, 0) :][:1]
        approved = bool(steps_) and (steps_[0].approval or bool(steps_[0].gate))
        first = status.candidate.step < 0
        assert commanded or first or approved or not passed


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["good", "bad"]))
def test_a_release_ends_in_a_world_with_faults_that_pass(seed, version):
    """The route follows the status one turn late; pods, Prometheus, writes fail now and then."""
    dice = random.Random(seed)
    rules = spec(steps=[s for s in steps(dice) if "weight" in s])
    status, now, in_mesh, place, since = idle(), NOW, 0.0, -1, NOW
    seen_weights = []
    for turn in range(140):
        now += timedelta(seconds=10)
        calm = turn > 90
        candidate = status.candidate
        here = candidate.step if candidate else -1
        if here != place:
            place, since = here, now
        baked = (now - since).total_seconds()
        ready = 1 if calm or dice.random() < 0.9 else 0
        silent = not calm and dice.random() < 0.2
        said = analysis(Verdict.SAFE, baked)
        if silent:
            said = analysis(Verdict.NO_DATA, baked, silence="away")
        elif version == "bad" and candidate and here >= 0 and baked >= 10:
            said = analysis(Verdict.WORSE, baked, worse=Finding("m", "Rollback", "why"))
        found = seen(
            snapshot=rules if candidate and (calm or dice.random() < 0.95) else None,
            finalizer=status.candidate is not None,
            prepared=calm or dice.random() < 0.8,
            pods=pods(v1=1, v2=ready),
            route=route(as_wanted=in_mesh == status.traffic.weight),
            analysis=said,
        )
        status = decide(rules, status, found, now).status
        if calm or dice.random() < 0.7:
            in_mesh = status.traffic.weight
        seen_weights.append(status.traffic.weight)
    assert status.candidate is None
    if version == "good":
        unlucky = status.refused and status.refused[0].reason == "NotReady"
        assert status.phase is Phase.PROMOTED or unlucky
    else:
        assert (status.phase, status.stable.version) == (Phase.ROLLED_BACK, "v1")
        assert 100 not in seen_weights
