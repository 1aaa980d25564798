"""What is told of a run: its moments, each with why it came."""

from collections.abc import Sequence

from penstock.api.v1alpha1.analysis import OnInconclusive
from penstock.api.v1alpha1.release import Outcome
from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.core.facts import Analysis, Seen
from penstock.core.simulation.course import Event, Moment
from penstock.core.simulation.state import State
from penstock.core.verdict import Verdict


class Chronicle:
    """The moments of one run, in order.

    Attributes:
        moments: What has happened so far.
        notes: What the verdicts could not tell or promise, as of late.
    """

    def __init__(self, state: State) -> None:
        """Begin an empty chronicle of a release."""
        self._state = state
        self.moments: list[Moment] = []
        self.notes: tuple[str, ...] = ()

    def tell(self, before: RolloutStatus, seen: Seen) -> None:
        """Note what has happened in a turn that began with a status."""
        after, whys = self._state.status, _whys(seen.analysis)
        self.notes = seen.analysis.notes or self.notes
        if after.ended is not None:
            good = after.ended.outcome == Outcome.PROMOTED
            event = Event.PROMOTED if good else Event.ROLLED_BACK
            self.say(event, f"{after.ended.cause}: {after.ended.message}")
            return
        if seen.commands:
            self.say(Event.APPROVED)
        if after.traffic.weight != before.traffic.weight:
            begun = before.traffic.weight > 0
            late = begun and seen.analysis.verdict is not Verdict.SAFE
            over = ["the deadline is over: onInconclusive says Advance"] if late else []
            self.say(Event.WEIGHT, *over, *(whys if begun else []))
        self._tell_waiting(before, seen.analysis, whys)

    def _tell_waiting(self, before: RolloutStatus, found: Analysis, whys: Sequence[str]) -> None:
        """Note what the release begins to wait for: a person, a metric, or nothing but time."""
        state, status = self._state, self._state.status
        candidate, old = status.candidate, before.candidate
        if candidate is None or old is None:
            return
        if state.asked is not None and candidate.step > old.step:
            self.say(Event.ASKED, *whys)
        if candidate.held_by and not old.held_by:
            self.say(Event.HELD, found.held.why if found.held else candidate.held_by)
        waits = state.overdue and status.phase is Phase.WAITING and not candidate.held_by
        if waits and self.moments[-1].event is not Event.OVERDUE:
            choice = state.setting.spec.analysis.on_inconclusive
            needs = ", which needs data" if choice is OnInconclusive.ADVANCE else ""
            self.say(Event.OVERDUE, f"the weight stays: onInconclusive says {choice}{needs}", *whys)

    def say(self, event: Event, *why: str) -> None:
        """Note that something has happened now."""
        weight = 100.0 if event is Event.PROMOTED else self._state.status.traffic.weight
        self.moments.append(Moment(self._state.now, event, weight, why))


def _whys(found: Analysis) -> list[str]:
    """Return what each metric says, each with its name."""
    return [
        one.why if one.why.startswith(one.name) else f"{one.name}: {one.why}"
        for one in found.metrics
        if one.why
    ]
