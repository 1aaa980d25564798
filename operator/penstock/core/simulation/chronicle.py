"""What is told of a run: its moments, each with why it came."""

from collections.abc import Sequence

from penstock.api.v1alpha1.analysis import OnInconclusive
from penstock.api.v1alpha1.release import Outcome
from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.core import plan
from penstock.core.facts import Analysis, Seen
from penstock.core.simulation.course import Event, Moment
from penstock.core.simulation.state import State, place
from penstock.core.verdict import Verdict

_ENDS = {Outcome.PROMOTED: Event.PROMOTED, Outcome.OBSERVED: Event.OBSERVED}


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
            event = _ENDS.get(Outcome(after.ended.outcome), Event.ROLLED_BACK)
            self.say(event, f"{after.ended.cause}: {after.ended.message}")
            return
        if seen.commands:
            self.say(Event.APPROVED)
        if seen.gate is not None:
            self.say(Event.GATE_OPEN)
        if place(after) != place(before):
            left = place(before)
            late = left >= 0 and seen.analysis.verdict is not Verdict.SAFE
            late = late and plan.needs_proof(self._state.setting.spec, before.steps, left)
            over = ["the deadline is over: onInconclusive says Advance"] if late else []
            self.say(self._traffic(), *over, *(whys if left >= 0 else []))
        self._tell_waiting(before, seen.analysis, whys)

    def _traffic(self) -> Event:
        """Return which kind of traffic is in force now."""
        traffic = self._state.status.traffic
        return Event.WEIGHT if traffic.weight else Event.MIRROR if traffic.mirror else Event.PREVIEW

    def _tell_waiting(self, before: RolloutStatus, found: Analysis, whys: Sequence[str]) -> None:
        """Note what the release begins to wait for: a person, a gate, a metric, or just time."""
        state, status, step = self._state, self._state.status, self._state.step
        candidate, old = status.candidate, before.candidate
        if candidate is None or old is None:
            return
        if step is not None and candidate.step > old.step and not step.exposes:
            if step.gate:
                self.say(Event.GATE_ASKED, step.gate, *whys)
            else:
                self.say(Event.ASKED, *whys)
        if candidate.held_by and not old.held_by:
            self.say(Event.HELD, found.held.why if found.held else candidate.held_by)
        waits = state.overdue and status.phase is Phase.WAITING and not candidate.held_by
        if waits and self.moments[-1].event is not Event.OVERDUE:
            choice = state.setting.spec.analysis.on_inconclusive
            needs = ", which needs data" if choice is OnInconclusive.ADVANCE else ""
            says = f"onInconclusive says {choice}{needs}"
            if step is not None and step.gate:
                says = f"{step.gate} has not opened, and no gate is passed by time"
            self.say(Event.OVERDUE, f"the traffic stays: {says}", *whys)

    def say(self, event: Event, *why: str) -> None:
        """Note that something has happened now."""
        traffic = self._state.status.traffic
        weight = 100.0 if event is Event.PROMOTED else traffic.weight
        self.moments.append(Moment(self._state.now, event, weight, why, traffic.mirror))


def _whys(found: Analysis) -> list[str]:
    """Return what each metric says, each with its name."""
    return [
        one.why if one.why.startswith(one.name) else f"{one.name}: {one.why}"
        for one in found.metrics
        if one.why
    ]
