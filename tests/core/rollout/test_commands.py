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
