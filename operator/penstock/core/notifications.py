"""What there is to tell of a Rollout: read from one status, so nothing is lost between two.

Each notification has a place (release, step, occasion) and is told once for it, however often the
phase goes back and forth. After a restart only what is younger than `RECENT` is told again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from penstock.api.v1alpha1.notifications import Occasion
from penstock.api.v1alpha1.release import Outcome
from penstock.api.v1alpha1.rollout_status import (
    Candidate,
    Ended,
    Phase,
    RolloutStatus,
    StepState,
    StepStatus,
)
from penstock.core import plan
from penstock.core.verdict import Verdict

RECENT = timedelta(minutes=5)
MOST_PLACES = 300
_ENDINGS = {
    Outcome.PROMOTED: Occasion.PROMOTED,
    Outcome.OBSERVED: Occasion.OBSERVED,
    Outcome.REVERTED: Occasion.WITHDRAWN,
    Outcome.SUPERSEDED: Occasion.WITHDRAWN,
    Outcome.DELETED: Occasion.WITHDRAWN,
}


class Place(NamedTuple):
    """What a notification is told once for; `step` is empty where it is about the release."""

    release: str
    step: str
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell.

    Attributes:
        place: What it is told once for.
        at: When it came to be, as far as the status knows.
        version: The version that it is about; empty where the status does not name it.
        message: What happened and why, in a sentence.
        stable: The version that serves the rest; empty while unknown.
        weight: The candidate's share, in percent.
        mirror: Share of stable's requests that are copied, in percent.
    """

    place: Place
    at: datetime
    version: str
    message: str
    stable: str = ""
    weight: float = 0
    mirror: float = 0


def notifications(status: RolloutStatus, wanted: str, now: datetime) -> tuple[Notification, ...]:
    """Return all that a status gives reason to tell, in the order in which it came to be.

    Args:
        status: As it was written.
        wanted: The version in the spec.
        now: Aware UTC time; for what has no time of its own in the status.
    """
    found = [*_endings(status), *_contested(status, now)]
    if status.candidate is None:
        found += _at_rest(status, wanted, now)
    else:
        found += _in_flight(status, status.candidate, now)
    return tuple(sorted(found, key=lambda one: one.at))


def news(
    found: Sequence[Notification], told: Iterable[Place] | None, now: datetime
) -> tuple[tuple[Notification, ...], tuple[Place, ...]]:
    """Return what is to be told now, and what is then to be remembered as told.

    Args:
        found: What the status gives reason to tell.
        told: What has been told before; None where nobody remembers, after a restart.
        now: Aware UTC time.
    """
    places = tuple(one.place for one in found)
    if told is None:
        return tuple(one for one in found if now - one.at < RECENT), places
    before = tuple(told)
    fresh = tuple(one for one in found if one.place not in before)
    past = tuple(place for place in before if place not in places)
    return fresh, (*past[-MOST_PLACES:], *places)


def _endings(status: RolloutStatus) -> Iterator[Notification]:
    stable = status.stable.version if status.stable else ""
    for one in status.refused:
        if one.at is not None:
            place = Place(one.release, "", Occasion.ROLLED_BACK)
            message = f"{one.reason}: {one.message}"
            yield Notification(place, one.at, one.version, message, stable)
    ended = status.ended
    occasion = _occasion(ended.outcome) if ended else None
    if ended is not None and occasion is not None:
        place, version = Place(ended.release, "", occasion), _version(status, ended)
        yield Notification(place, ended.at, version, ended.message, stable)


def _occasion(outcome: str) -> Occasion | None:
    """Return what an outcome is told as; rollbacks are told by what they refused."""
    return _ENDINGS.get(Outcome(outcome)) if outcome in set(Outcome) else None


def _version(status: RolloutStatus, ended: Ended) -> str:
    previous, observed = status.previous, status.observed
    if previous is not None and previous.release == ended.release and status.stable is not None:
        return status.stable.version
    return observed.version if observed and observed.release == ended.release else ""


def _contested(status: RolloutStatus, now: datetime) -> Iterator[Notification]:
    if status.contested:
        last = status.reverts[-1] if status.reverts else None
        place = Place(_number(status), last.edit if last else "", Occasion.CONTESTED)
        stable = status.stable.version if status.stable else ""
        yield Notification(place, last.at if last else now, "", status.message, stable)


def _number(status: RolloutStatus) -> str:
    """Return what stands for the release where none is in flight."""
    return f"after {status.releases}"


def _at_rest(status: RolloutStatus, wanted: str, now: datetime) -> Iterator[Notification]:
    if status.phase is Phase.WAITING and not status.contested:
        place = Place(_number(status), wanted, Occasion.WAITING)
        stable = status.stable.version if status.stable else ""
        yield Notification(place, now, wanted, status.message, stable)


def _in_flight(
    status: RolloutStatus, candidate: Candidate, now: datetime
) -> Iterator[Notification]:
    step = status.steps[candidate.step] if 0 <= candidate.step < len(status.steps) else None
    yield _told(status, candidate, Occasion.STARTED, candidate.since, step="")
    entered = (step.since if step else None) or candidate.since
    if step is not None and step.exposes:
        yield _told(status, candidate, Occasion.ADVANCED, entered)
    if candidate.silent_since is not None:
        yield _told(status, candidate, Occasion.NO_DATA, candidate.silent_since)
    if status.analysis.verdict == Verdict.UNTRUSTED and plan.is_exposed(status):
        yield _told(status, candidate, Occasion.UNTRUSTED, entered)
    if status.phase is Phase.WAITING:
        yield from _waits(status, candidate, step, now)


def _waits(
    status: RolloutStatus, candidate: Candidate, step: StepStatus | None, now: datetime
) -> Iterator[Notification]:
    """Return what a person must see to: pods that start and gates that are shut are not."""
    if candidate.condemned:
        yield _told(status, candidate, Occasion.WAITING, now, step="end")
        return
    held = bool(candidate.held_by or candidate.suspended_by)
    if step is None:
        if held or candidate.unready_since is None:
            yield _told(status, candidate, Occasion.WAITING, candidate.since)
        return
    entered = step.since or candidate.since
    over = entered + plan.deadline(step)
    if not held and not step.approval and now >= over:
        yield _told(status, candidate, Occasion.INCONCLUSIVE, over)
    elif held or not step.gate or step.state is StepState.PASSED:
        yield _told(status, candidate, Occasion.WAITING, entered)


def _told(
    status: RolloutStatus,
    candidate: Candidate,
    occasion: Occasion,
    at: datetime,
    step: str | None = None,
) -> Notification:
    where = str(candidate.step) if step is None else step
    return Notification(
        Place(candidate.release, where, occasion),
        at,
        candidate.version,
        status.message,
        status.stable.version if status.stable else "",
        status.traffic.weight,
        status.traffic.mirror,
    )
