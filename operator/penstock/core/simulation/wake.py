"""When the operator looks again: as soon as anything may change, and not before."""

import math

import numpy as np

from penstock.api.v1alpha1.analysis import OnInconclusive, OnSilence
from penstock.api.v1alpha1.rollout_status import Phase
from penstock.core.simulation.looks import Span
from penstock.core.simulation.rhythm import MOMENT, NEARLY, seconds_of
from penstock.core.simulation.series import Flags
from penstock.core.simulation.state import State


def next_turn(state: State, thorough: bool) -> float:
    """Return when the next turn is taken, in seconds since the start; infinity for never.

    Args:
        state: The release; more looks are made for it where needed.
        thorough: Whether a turn is taken at each look, also where it cannot change anything.
    """
    candidate, propagation = state.status.candidate, state.rhythm.propagation
    if candidate is None:
        return math.inf
    if candidate.step < 0:
        return propagation if state.turns == 1 else math.inf
    if state.status.phase is Phase.PROMOTING:
        return state.now + propagation
    if state.span is None:
        return _timed(state)
    return _at_a_look(state, state.span, thorough)


def _at_a_look(state: State, span: Span, thorough: bool) -> float:
    """Return when the next turn is taken while the candidate gets requests."""
    while True:
        timed, number = _timed(state), _next_look(state, span, thorough)
        if number is not None:
            return min(timed, state.rhythm.taken(number))
        if timed <= state.rhythm.taken(max(state.made.last, span.base)):
            return timed
        state.extend(span)


def _timed(state: State) -> float:
    """Return the next moment at which something happens by itself: at the latest, the horizon."""
    times = [*_silences(state), state.rhythm.horizon]
    if state.awaited is not None:
        times.append(max(state.awaited, state.now + MOMENT))
    if state.previewed is not None:
        times.append(state.previewed + MOMENT)
    if state.deadline is not None:
        times.append(seconds_of(state.deadline))
    return min((time for time in times if time > state.now), default=state.rhythm.horizon)


def _silences(state: State) -> list[float]:
    """Return when silence begins and when it is too long, where that rolls back."""
    policy, rhythm = state.setting.spec.analysis.on_no_data, state.rhythm
    if state.span is None or policy.then is not OnSilence.ROLLBACK:
        return []
    heard = np.concatenate(([state.span.begins], state.heard()))
    silent = np.append(np.diff(heard) > rhythm.grace, True)
    begins = heard[silent] + rhythm.grace + rhythm.lag + MOMENT
    return [*begins.tolist(), *(begins + policy.after.total_seconds()).tolist()]


def _next_look(state: State, span: Span, thorough: bool) -> int | None:
    """Return the number of the next look after which something may change."""
    numbers = state.made.column("number")
    rows = numbers > max(span.base, state.looked)
    found = np.flatnonzero(rows if thorough else rows & _telling(state, span))
    return int(numbers[found[0]]) if found.size else None


def _telling(state: State, span: Span) -> Flags:
    """Return after which looks something may change."""
    candidate, screen, spec = state.status.candidate, state.screen, state.setting.spec
    telling, numbers = screen.worse.copy(), state.made.column("number")
    if spec.analysis.on_no_data.then is OnSilence.ROLLBACK:
        heard = np.concatenate(([span.begins], state.heard()))
        rows = (numbers > span.base) & state.made.with_data
        telling[rows] |= np.diff(heard) > state.rhythm.grace
    if candidate is None or candidate.held_by:
        return telling
    telling |= screen.held
    if state.awaited is None:
        baked = (numbers - span.base) * state.rhythm.interval >= state.bake(span) - NEARLY
        telling |= screen.safe & baked if state.needs_proof(span) else baked
    if state.overdue and spec.analysis.on_inconclusive is OnInconclusive.ADVANCE:
        telling |= state.made.with_data
    return telling
