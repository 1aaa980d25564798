"""After a promotion: thresholds and alerts stay live, the old version a target of `undo`."""

from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core.rollout import alarms, commands
from penstock.core.rollout.turn import Turn


def watch_promoted(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after one turn of the time in which the old version is kept."""
    previous = status.previous
    if previous is None or status.candidate is not None:
        return status
    if previous.until is None or previous.until <= turn.now:
        return status.model_copy(update={"previous": None})
    if alarm := alarms.undoes(status, turn):
        return commands.undo(status, alarms.ALERT, alarm, turn)
    finding = turn.seen.analysis.worse
    if finding is not None and turn.seen.ready(previous.version) > 0:
        return commands.undo(status, "Worse", finding.why, turn)
    return status
