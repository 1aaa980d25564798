"""Somebody else changes our weights: put back three times, then yielded at weight 0 (rule 8)."""

from datetime import timedelta

from penstock.api.v1alpha1.rollout_status import Revert, RolloutStatus
from penstock.core.rollout import commands, ending
from penstock.core.rollout.turn import Turn

WITHIN = timedelta(minutes=5)
PATIENCE = 3


def answer_edits(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with a foreign edit on record; the fourth of one manager ends the fight.

    The edit itself is undone by the effect: the route is written as the status calls for.
    """
    route = turn.seen.route
    if status.contested:
        at_zero = status.candidate is None and route.as_wanted
        return status.model_copy(update={"yielded": status.yielded or at_zero})
    if route.as_wanted:
        return status.model_copy(update={"routed": True})
    known = status.stable is not None and status.routed and route.exists
    seen_before = bool(status.reverts) and status.reverts[-1].edit == route.version
    if not known or seen_before or not route.editor:
        return status
    recent = tuple(r for r in status.reverts if r.at > turn.now - WITHIN)
    if sum(r.manager == route.editor for r in recent) < PATIENCE:
        revert = Revert(manager=route.editor, at=turn.now, edit=route.version)
        return status.model_copy(update={"reverts": (*recent, revert)[-20:]})
    contested = status.model_copy(update={"contested": route.editor, "yielded": False})
    return ending.condemn(contested, ending.CONTESTED, turn.seen.contested_text)


def obey_mark(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after a rollback that was written to the route before the status."""
    candidate, previous = status.candidate, status.previous
    release, _, message = turn.seen.route.rolled_back.partition(": ")
    reason, _, text = message.partition(": ")
    if candidate is not None and release == candidate.release:
        return ending.condemn(status, reason or ending.ABORTED, text or message)
    if candidate is None and previous is not None and release == previous.release:
        return commands.undo(status, reason or commands.UNDONE, text or message, turn)
    return status
