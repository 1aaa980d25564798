"""Commands, one annotation each (rule 10): `penstock.dev/<verb>: <release>[/<step>]#<id>`."""

from collections.abc import Callable, Mapping

from penstock.api.v1alpha1 import GROUP
from penstock.api.v1alpha1.rollout_status import (
    CommandRecord,
    Phase,
    Refusal,
    RolloutStatus,
    StepState,
)
from penstock.core import plan
from penstock.core.facts import Command
from penstock.core.rollout import alarms, ending, first_sight
from penstock.core.rollout.turn import Turn

VERBS = ("abort", "approve", "promote", "retry", "undo", "adopt")
KEPT = 30
UNDONE = "Undone"

Answer = RolloutStatus | str


def parse(annotations: Mapping[str, str]) -> tuple[Command, ...]:
    """Return the commands in an object's annotations; one without an id has an empty id."""
    found = []
    for verb in VERBS:
        text = annotations.get(f"{GROUP}/{verb}")
        if text:
            target, _, id_ = text.partition("#")
            by = annotations.get(f"{GROUP}/{verb}-by", "unverified")
            found.append(Command(verb, target.strip(), id_.strip(), by))
    return tuple(found)


def obey(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after the commands that have not been taken or refused yet."""
    for command in turn.seen.commands:
        if not any((c.verb, c.id, c.target) == _key(command) for c in status.commands):
            status = _obey(status, command, turn)
    return status


def _key(command: Command) -> tuple[str, str, str]:
    return command.verb, command.id, command.target


def _obey(status: RolloutStatus, command: Command, turn: Turn) -> RolloutStatus:
    answer: Answer
    if not command.id or not command.target:
        answer = f"write it as <release>#<id>, with an id of your own: got {command.target!r}"
    elif any((c.verb, c.id) == (command.verb, command.id) for c in status.commands):
        answer = f"the id {command.id} was used before; give each command an id of its own"
    else:
        answer = _RULES[command.verb](status, command, turn)
    taken = not isinstance(answer, str)
    record = CommandRecord(
        verb=command.verb,
        target=command.target,
        id=command.id,
        at=turn.now,
        by=command.by,
        taken=taken,
        message=answer if isinstance(answer, str) else "",
    )
    result = status if isinstance(answer, str) else answer
    return result.model_copy(update={"commands": _kept((*result.commands, record), turn)})


def _kept(records: tuple[CommandRecord, ...], turn: Turn) -> tuple[CommandRecord, ...]:
    """Return the newest records, and those whose annotation still stands: it is taken once."""
    standing = {_key(command) for command in turn.seen.commands}
    old, new = records[:-KEPT], records[-KEPT:]
    return (*(r for r in old if (r.verb, r.id, r.target) in standing), *new)


def _for_release(status: RolloutStatus, command: Command) -> str:
    """Return why a command is not for the release in flight; empty when it is."""
    if status.candidate is None:
        return f"no release is in flight, so {command.target} cannot be meant"
    release, _, step = command.target.partition("/")
    if release != status.candidate.release:
        return f"the release in flight is {status.candidate.release}, not {release}"
    if step and step != str(status.candidate.step):
        return f"{release} is at step {status.candidate.step}, not {step}"
    return ""


def _abort(status: RolloutStatus, command: Command, turn: Turn) -> Answer:
    return _for_release(status, command) or ending.condemn(
        status, ending.ABORTED, f"aborted by {command.by}"
    )


def _onward(status: RolloutStatus, command: Command) -> str:
    """Return why a release cannot be sent on by a command; empty when it can."""
    candidate = status.candidate
    if candidate is not None and candidate.condemned:
        return f"{candidate.release} is to be rolled back: {candidate.condemned_because}"
    return _for_release(status, command)


def _promote(status: RolloutStatus, command: Command, turn: Turn) -> Answer:
    if status.candidate is None or _onward(status, command):
        return _onward(status, command)
    going = alarms.dismissed(status.candidate, turn)
    candidate = going.model_copy(update={"commanded": True, "held_by": ""})
    return status.model_copy(update={"candidate": candidate})


def _approve(status: RolloutStatus, command: Command, turn: Turn) -> Answer:
    if status.candidate is None or _onward(status, command):
        return _onward(status, command)
    if status.candidate.suspended_by:
        going = alarms.dismissed(status.candidate, turn)
        return status.model_copy(update={"candidate": going})
    index = status.candidate.step
    if not 0 <= index < len(status.steps):
        return "no step is running yet"
    step = status.steps[index]
    if step.exposes and not status.candidate.held_by:
        return f"step {index} does not wait for an approval"
    state = step.state if step.exposes else StepState.PASSED
    return status.model_copy(
        update={
            "steps": plan.with_state(status.steps, index, state, by=command.by),
            "candidate": status.candidate.model_copy(update={"held_by": ""}),
        }
    )


def _retry(status: RolloutStatus, command: Command, turn: Turn) -> Answer:
    observed = status.observed
    if observed and observed.release == command.target.partition("/")[0]:
        phase = status.phase if status.candidate else Phase.IDLE
        return status.model_copy(update={"observed": None, "phase": phase})
    at_rest = status.contested and not any(r.reason == ending.CONTESTED for r in status.refused)
    if not at_rest and not any(_is_meant(r, command) for r in status.refused):
        return f"no refused version has the release {command.target}"
    refused = tuple(r for r in status.refused if not _is_meant(r, command))
    return status.model_copy(
        update={
            "refused": refused,
            "contested": "",
            "yielded": False,
            "reverts": (),
            "phase": status.phase if status.candidate else Phase.IDLE,
        }
    )


def _is_meant(refusal: Refusal, command: Command) -> bool:
    return refusal.release == command.target.partition("/")[0]


def _undo(status: RolloutStatus, command: Command, turn: Turn) -> Answer:
    previous = status.previous
    if any(r.release == command.target and r.at == turn.now for r in status.refused):
        return status
    if previous is None or previous.until is None or previous.until <= turn.now:
        return "the old version is no longer kept (afterPromotion.keepOld is over)"
    if status.candidate is not None:
        return f"release {status.candidate.release} is in flight: abort it first"
    if command.target != previous.release:
        return f"the release that can be undone is {previous.release}, not {command.target}"
    if turn.seen.ready(previous.version) == 0:
        return f"{previous.version} has no ready pod to go back to"
    return undo(status, UNDONE, f"undone by {command.by}", turn)


def undo(status: RolloutStatus, reason: str, message: str, turn: Turn) -> RolloutStatus:
    """Return the status with the previous version stable again and the one it left refused."""
    previous, left = status.previous, status.stable
    if previous is None or left is None:
        return status
    refusal = Refusal(
        version=left.version,
        release=previous.release,
        reason=reason,
        message=message,
        at=turn.now,
    )
    both = (left.version, previous.version)
    back = first_sight.adopt(status, previous.version, turn)
    return back.model_copy(
        update={
            "refused": (*(r for r in status.refused if r.version not in both), refusal),
            "previous": None,
            "proven": tuple(p for p in status.proven if p.version != previous.version),
            "phase": Phase.ROLLED_BACK,
        }
    )


def _adopt(status: RolloutStatus, command: Command, turn: Turn) -> Answer:
    if status.stable is not None:
        return f"stable is known already: {status.stable.version}"
    if turn.seen.ready(command.target) == 0:
        return f"{command.target} has no ready pod, so it cannot be what serves"
    return first_sight.adopt(status, command.target, turn)


_RULES: dict[str, Callable[[RolloutStatus, Command, Turn], Answer]] = {
    "abort": _abort,
    "approve": _approve,
    "promote": _promote,
    "retry": _retry,
    "undo": _undo,
    "adopt": _adopt,
}
