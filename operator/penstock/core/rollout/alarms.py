"""Alerts that began during a release: they roll it back or hold it, whatever the metrics say.

One that was firing before is not the candidate's doing: no release starts while it fires, and it
never ends one. A return to a version that was stable a short while ago is the cure for what fires,
so alerts neither keep it waiting nor end it: they look back, and would blame it for the other.
"""

from collections.abc import Iterator
from datetime import datetime

from penstock.api.v1alpha1.alerts import AlertAction
from penstock.api.v1alpha1.rollout_status import Candidate, RolloutStatus
from penstock.core.alerts import Alarm
from penstock.core.rollout import ending
from penstock.core.rollout.turn import Turn

ALERT = "Alert"
_MOST_HEARD = 100


def heed(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with the release condemned or held if an alert that began in it says so."""
    candidate = status.candidate
    if candidate is None or candidate.condemned or candidate.straight:
        return status
    if alarm := next(_since(candidate.since, AlertAction.ROLLBACK, turn), None):
        return ending.condemn(status, ALERT, str(alarm))
    if candidate.suspended_by or candidate.commanded:
        return status
    for alarm in _since(candidate.since, AlertAction.SUSPEND, turn):
        if alarm.episode not in candidate.heard:
            held = candidate.model_copy(update={"suspended_by": str(alarm)})
            return status.model_copy(update={"candidate": held})
    return status


def dismissed(candidate: Candidate, turn: Turn) -> Candidate:
    """Return the candidate that goes on in spite of the alerts that are known now.

    An approval that answers an alert answers nothing else: the metrics' proof is still needed.
    """
    if not candidate.suspended_by:
        return candidate
    known = [alarm.episode for alarm in _since(candidate.since, AlertAction.SUSPEND, turn)]
    heard = tuple(dict.fromkeys((*candidate.heard, *known)))[-_MOST_HEARD:]
    return candidate.model_copy(update={"suspended_by": "", "heard": heard})


def bars(status: RolloutStatus, turn: Turn) -> str:
    """Return which alert keeps a release from starting, in a sentence; empty for none."""
    wanted = turn.spec.version
    if any(p.version == wanted and p.until > turn.now for p in status.proven):
        return ""
    for alarm in _oldest_first(turn):
        if alarm.firing and any(alarm.matches(rule.match) for rule in turn.spec.alerts):
            return f"{wanted} waits until this is resolved: {alarm}"
    return ""


def undoes(status: RolloutStatus, turn: Turn) -> str:
    """Return which alert undoes the newest promotion, in a sentence; empty for none.

    It began after the release did: one that came too late to roll it back counts too. Once another
    release has ended, nobody can tell whose doing an alert is.
    """
    previous, ended = status.previous, status.ended
    if previous is None or ended is None or status.candidate is not None:
        return ""
    kept = previous.until is not None and previous.until > turn.now
    newest = ended.release == previous.release and ended.cause != ending.RETURNED
    if not kept or not newest or turn.seen.ready(previous.version) == 0:
        return ""
    alarm = next(_since(previous.started or ended.at, AlertAction.ROLLBACK, turn), None)
    return str(alarm) if alarm else ""


def press(status: RolloutStatus, turn: Turn) -> bool:
    """Return whether an alert is to be acted on before any metric is asked."""
    return heed(status, turn) != status or bool(undoes(status, turn))


def _since(time: datetime, action: AlertAction, turn: Turn) -> Iterator[Alarm]:
    """Yield the alarms that began after a time and ask for an action, in the order of the rules."""
    for rule in turn.spec.alerts:
        if rule.action is action:
            for alarm in _oldest_first(turn):
                if alarm.began > time and alarm.matches(rule.match):
                    yield alarm


def _oldest_first(turn: Turn) -> list[Alarm]:
    return sorted(turn.seen.alarms, key=lambda one: (one.began, one.fingerprint, one.labels))
