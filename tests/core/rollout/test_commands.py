"""Rule 10: commands, each id once, one for another release or step refused."""

import pytest

from penstock.api.v1alpha1.rollout_status import Phase, Refusal, RolloutStatus
from penstock.core.facts import Command, Finding
from penstock.core.rollout import commands
from penstock.core.verdict import Verdict
from tests.core.rollout.builders import (
    WITH_APPROVAL,
    after,
    analysis,
    as_written,
    idle,
    in_flight,
    later,
    pods,
    promoted,
    seen,
    spec,
    weight,
)


def say(verb, target="fraud-1", id_="a", by="ann"):
    return (Command(verb, target, id_, by),)


def test_commands_are_read_from_annotations():
    notes = {
        "penstock.dev/abort": "fraud-1#x",
        "penstock.dev/abort-by": "ann",
        "penstock.dev/adopt": "v1#y",
        "penstock.dev/other": "z",
    }
    assert commands.parse(notes) == (
        Command("abort", "fraud-1", "x", "ann"),
        Command("adopt", "v1", "y", "unverified"),
    )


def test_abort_takes_all_traffic_back_and_refuses_the_version():
    status = after(in_flight(1), seen(commands=say("abort")))
    assert (weight(status), status.phase) == (0, Phase.ROLLED_BACK)
    assert status.refused[0].reason == "Aborted"
    assert (status.commands[0].taken, status.commands[0].by) == (True, "ann")


def test_promote_goes_to_100_now():
    status = after(in_flight(0), seen(commands=say("promote")))
    assert (weight(status), status.phase) == (100, Phase.PROMOTING)


def test_promote_waits_for_what_a_route_stands_on():
    status = after(in_flight(-1), seen(commands=say("promote"), pods=pods(v2=0)))
    assert weight(status) == 0
    assert weight(after(status, seen(), now=later(1))) == 100


def test_approve_passes_the_approval_and_the_next_weight_still_asks_for_proof():
    rules = spec(steps=WITH_APPROVAL)
    facts = seen(rules, commands=say("approve", "fraud-1/1"))
    status = after(in_flight(1, rules, Phase.WAITING), facts, rules)
    assert weight(status) == 5
    assert status.steps[1].by == "ann"
    proven = seen(rules, analysis=analysis())
    assert weight(after(status, proven, rules)) == 50


def test_approve_lets_a_held_step_pass():
    held = analysis(Verdict.WORSE, 60, held=Finding("slow", "Hold", "3 times"))
    status = after(in_flight(0), seen(analysis=held))
    assert weight(status) == 5
    status = after(status, seen(analysis=held, commands=say("approve")))
    assert weight(status) == 50


def test_retry_starts_a_release_of_its_own():
    refused = idle(
        phase=Phase.ROLLED_BACK,
        releases=1,
        refused=(Refusal(version="v2", release="fraud-1", reason="Worse"),),
    )
    status = after(refused, seen(snapshot=None, commands=say("retry"), next_release=2))
    assert (status.candidate.release, status.refused) == ("fraud-2", ())


def test_undo_goes_back_at_once_and_refuses_what_it_leaves():
    status = after(promoted(), seen(snapshot=None, commands=say("undo")))
    assert (status.stable.version, status.phase) == ("v1", Phase.ROLLED_BACK)
    assert status.refused[0].version == "v2"


def test_adopt_says_what_is_stable():
    status = after(RolloutStatus(), seen(snapshot=None, commands=say("adopt", "v1")))
    assert status.stable.version == "v1"


@pytest.mark.parametrize(
    ("status", "command", "words"),
    [
        (in_flight(0), say("abort", "fraud-7"), "is fraud-1, not fraud-7"),
        (in_flight(0), say("abort", "fraud-1/1"), "at step 0, not 1"),
        (idle("v2"), say("abort"), "no release is in flight"),
        (in_flight(0), say("approve"), "does not wait for an approval"),
        (in_flight(-1), say("approve"), "no step is running"),
        (in_flight(0), say("promote", "fraud-9"), "not fraud-9"),
        (idle("v2"), say("retry"), "no refused version"),
        (promoted(previous=None), say("undo"), "no longer kept"),
        (promoted(), say("undo", "fraud-9"), "is fraud-1, not fraud-9"),
        (idle("v2"), say("adopt", "v1"), "known already"),
        (RolloutStatus(), say("adopt", "v9"), "no ready pod"),
        (in_flight(0), say("abort", "fraud-1", ""), "write it as"),
        (in_flight(0), say("abort", ""), "write it as"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence_and_changes_nothing(
    status, command, words
):
    without = after(status, seen(snapshot=spec() if status.candidate else None))
    facts = seen(snapshot=spec() if status.candidate else None, commands=command)
    refused = after(status, facts)
    assert not refused.commands[-1].taken
    assert words in refused.commands[-1].message
    assert refused.model_copy(update={"commands": ()}) == without


def test_a_command_that_still_stands_is_taken_once():
    facts = seen(snapshot=None, commands=say("retry"))
    refusal = Refusal(version="v2", release="fraud-1", reason="Worse")
    status = after(idle(refused=(refusal,)), facts)
    status = after(status.model_copy(update={"candidate": None, "refused": (refusal,)}), facts)
    assert status.candidate is None, "the same annotation does not retry twice"
    assert len(status.commands) == 1


def test_an_id_is_taken_once_even_with_another_target():
    status = after(in_flight(0), seen(commands=say("approve", "fraud-1")))
    status = after(status, seen(commands=say("approve", "fraud-1/0")))
    assert "was used before" in status.commands[-1].message


def test_records_of_commands_are_bounded_but_those_that_stand_are_kept():
    status = in_flight(0)
    for number in range(50):
        status = after(status, seen(commands=say("approve", "fraud-9", f"id-{number}")))
    assert len(status.commands) == commands.KEPT
    standing = say("approve", "fraud-9", "id-0")
    for number in range(50):
        more = standing + say("approve", "fraud-9", f"more-{number}")
        status = after(status, seen(commands=more))
    assert sum(c.id == "id-0" for c in status.commands) == 1


def test_an_undo_needs_pods_to_go_back_to():
    facts = seen(snapshot=None, commands=say("undo"), pods=pods(v1=0))
    status = after(promoted(), facts)
    assert status.stable.version == "v2"
    assert "no ready pod" in status.commands[0].message


@pytest.mark.parametrize("text", ["fraud-1", "#a", "#"])
def test_a_command_without_its_id_or_its_release_is_on_record_and_read_again(text):
    facts = seen(commands=commands.parse({"penstock.dev/abort": text}))
    status = after(in_flight(0), facts)
    assert not status.commands[0].taken
    read = RolloutStatus.model_validate(as_written(status))
    assert read.commands == status.commands
    assert after(read, facts, now=later(10)).commands == status.commands


@pytest.mark.parametrize("verb", ["promote", "approve"])
def test_a_release_that_is_to_be_rolled_back_goes_nowhere_else_and_says_so(verb):
    stuck = in_flight(1, condemned="Worse", condemned_because="errors: 4 times")
    status = after(stuck, seen(pods=pods(v1=0), commands=say(verb)))
    assert not status.commands[-1].taken
    assert "errors: 4 times" in status.commands[-1].message
    assert (weight(status), status.candidate.commanded) == (50, False)


def test_abort_and_promote_at_once_abort():
    facts = seen(commands=(*say("abort"), *say("promote", id_="b")))
    status = after(in_flight(0), facts)
    assert (weight(status), [c.taken for c in status.commands]) == (0, [True, False])


def test_after_an_approval_the_message_asks_for_none():
    rules = spec(steps=WITH_APPROVAL)
    facts = seen(rules, commands=say("approve", "fraud-1/1"))
    status = after(in_flight(1, rules, Phase.WAITING), facts, rules)
    assert (weight(status), status.phase) == (5, Phase.PROGRESSING)
    assert "approve" not in status.message


def test_rule_8_retry_ends_a_contest_that_began_without_a_release():
    contested = idle("v2", contested="argocd", yielded=True)
    status = after(contested, seen(snapshot=None, commands=say("retry", "fraud")))
    assert (status.contested, status.yielded, status.commands[0].taken) == ("", False, True)


def test_commands_wait_for_no_readiness_but_go_through_the_same_gates():
    rules = spec(suspend=True)
    status = after(in_flight(0), seen(commands=say("promote")), rules)
    assert (weight(status), status.candidate.commanded) == (5, True)
    assert weight(after(status, seen(), now=later(1))) == 100


def test_every_verb_of_the_documentation_is_known():
    assert set(commands.VERBS) == {"approve", "promote", "abort", "retry", "undo", "adopt"}
    assert set(commands._RULES) == set(commands.VERBS)
