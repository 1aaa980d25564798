"""One release, from its start to its end or to the horizon."""

import numpy as np

from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core.rollout.decide import decide
from penstock.core.simulation import screen
from penstock.core.simulation.chronicle import Chronicle
from penstock.core.simulation.course import Course, Event, Path
from penstock.core.simulation.rhythm import instant
from penstock.core.simulation.setting import Setting
from penstock.core.simulation.state import State, place
from penstock.core.simulation.view import seen
from penstock.core.simulation.wake import next_turn


def simulate(
    setting: Setting, rng: np.random.Generator, *, drawn: bool = False, thorough: bool = False
) -> Course:
    """Return one run.

    Args:
        setting: What is released, and against which traffic.
        rng: Source of chance.
        drawn: Whether the evidence after each look is to be returned.
        thorough: Whether a turn is taken at each look, also where it cannot change anything.
    """
    run = _Run(setting, rng, thorough)
    run.play()
    return run.course(drawn)


class _Run:
    """One release. All times are in seconds since its start."""

    def __init__(self, setting: Setting, rng: np.random.Generator, thorough: bool) -> None:
        self._state, self._thorough = State(setting, rng), thorough
        self._chronicle = Chronicle(self._state)
        self._requests = self._bad = 0

    def play(self) -> None:
        """Take turns until the release has ended, or to the horizon."""
        state, time = self._state, 0.0
        while time < state.rhythm.horizon and state.status.ended is None:
            self._turn(time)
            time = next_turn(state, self._thorough)
        if state.status.ended is None:
            self._turn(state.rhythm.horizon)
        if state.status.ended is None:
            self._leave(state.now)
            self._chronicle.say(Event.WAITING, state.status.message)

    def course(self, drawn: bool) -> Course:
        """Return what happened."""
        ended, moments = self._state.status.ended, self._chronicle.moments
        stable = self._requests * self._state.setting.traffic.stable_rate
        return Course(
            outcome=moments[-1].event,
            cause=ended.cause if ended else "",
            seconds=self._state.now,
            weight=max(one.weight for one in moments),
            requests=self._requests,
            bad=self._bad,
            excess=self._bad - stable,
            moments=tuple(moments),
            notes=self._chronicle.notes,
            path=self._path() if drawn else None,
        )

    def _path(self) -> Path:
        """Return the evidence of all phases, one after the other."""
        state, rhythm = self._state, self._state.rhythm
        weights = np.array([step.weight or 0.0 for step in state.status.steps])
        return Path.joined(
            screen.path(made, rhythm.ends(made.column("number")) + rhythm.lag, weights)
            for made in (*state.over, state.made)
        )

    def _turn(self, now: float) -> None:
        """Let the operator decide, and do what it says."""
        state = self._state
        state.now, state.turns = now, state.turns + 1
        before, facts = state.status, seen(state)
        state.status = decide(state.setting.spec, before, facts, instant(now)).status
        if place(state.status) != place(before) or state.status.ended is not None:
            self._move(before)
        self._chronicle.tell(before, facts)

    def _move(self, before: RolloutStatus) -> None:
        """Follow a new state of the traffic."""
        state, status = self._state, self._state.status
        begins, promoted = state.now + state.rhythm.propagation, before.traffic.weight >= 100
        self._leave(state.now if promoted else begins)
        if status.candidate is not None:
            state.enter(place(status), begins)

    def _leave(self, until: float) -> None:
        """Count what users were answered by the candidate until now."""
        requests, bad = self._state.leave(until)
        self._requests, self._bad = self._requests + requests, self._bad + bad
