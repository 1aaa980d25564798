"""What is worth telling between two statuses: events, log lines, and whether to write at all."""

from dataclasses import dataclass
from typing import Any

from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.core import plan
from penstock.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Notice:
    """One event: `reason` is one word, `message` a sentence with its numbers."""

    warning: bool
    reason: str
    message: str


def notices(before: RolloutStatus, after: RolloutStatus) -> tuple[Notice, ...]:
    """Return the events between two statuses: new phases, refused commands, edits put back."""
    found = []
    same_phase = after.phase is before.phase
    if same_phase and after.ended != before.ended and after.ended is not None:
        bad = after.ended.outcome in ("RolledBack", "Aborted")
        text = f"{after.ended.release}: {after.ended.message}"
        found.append(Notice(bad, f"Release{after.ended.outcome}", text))
    if not same_phase or after.contested != before.contested:
        bad = after.phase is Phase.ROLLED_BACK or bool(after.contested)
        found.append(Notice(bad, str(after.phase), after.message))
    known = {(c.verb, c.id, c.target) for c in before.commands}
    for command in after.commands:
        if not command.taken and (command.verb, command.id, command.target) not in known:
            what = f"{command.verb} {command.target}#{command.id} by {command.by}"
            found.append(Notice(True, "CommandRefused", f"{what}: {command.message}"))
    for revert in after.reverts[-1:] if after.reverts[-1:] != before.reverts[-1:] else ():
        text = f"field manager {revert.manager} changed our weights; they were put back"
        found.append(Notice(True, "WeightsPutBack", text))
    return tuple(found)


def essence(status: RolloutStatus) -> dict[str, Any]:
    """Return what makes a status worth a write at once; the rest waits for a checkpoint.

    Left out are numbers that change with every look: rates, forecasts, shares, and the messages
    of a release in flight. At rest no checkpoint comes, so what is said then is said at once.
    """
    content = status.model_dump(exclude={"analysis", "message"})
    content["conditions"] = [
        (c.type, c.status, c.reason)
        for c in status.conditions
        if c.type != "SufficientTraffic" or c.status == "False"
    ]
    if status.candidate is None:
        content["texts"] = (status.message, *(c.message for c in status.conditions))
    content["steps"] = [
        (s.weight, s.mirror, s.state, s.since, s.by, s.answer) for s in status.steps
    ]
    traffic = status.traffic
    content["traffic"] = (traffic.weight, traffic.mirror, traffic.total)
    if content["candidate"]:
        for name in ("images", "workloads"):
            del content["candidate"][name]
    trusted = status.analysis.verdict not in (Verdict.LEARNING, Verdict.SAFE)
    content["verdict"] = status.analysis.verdict if trusted else ""
    return content


def moves_forward(before: RolloutStatus, after: RolloutStatus) -> bool:
    """Return whether a step was entered: the record must be safe before that is written."""
    if before.candidate is None or after.candidate is None:
        ends = after.phase in (Phase.PROMOTED, Phase.OBSERVED)
        return before.candidate is not None and ends
    return after.candidate.step > before.candidate.step


def falls_back(before: RolloutStatus, after: RolloutStatus) -> bool:
    """Return whether a version loses its traffic to the one before: that effect may go first."""
    if before.candidate is None:
        back = before.previous.version if before.previous else None
        stable = [status.stable.version if status.stable else "" for status in (before, after)]
        return stable[0] != stable[1] == back
    gone = after.candidate is None and after.phase is not Phase.PROMOTED
    return plan.is_exposed(before) and gone
