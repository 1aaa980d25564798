"""Where a release is: what the operator has decided, and the looks that are made for it."""

import math
from datetime import datetime

import numpy as np

from penstock.api.v1alpha1.rollout_status import (
    Phase,
    RolloutStatus,
    Serving,
    StepState,
    StepStatus,
)
from penstock.core import plan
from penstock.core.looks import Floats
from penstock.core.simulation.looks import Looks, Span
from penstock.core.simulation.rhythm import NEARLY, START, Rhythm, instant, seconds_of
from penstock.core.simulation.screen import Screen
from penstock.core.simulation.setting import Setting

LEAST_AHEAD, MOST_AHEAD = 24, 4096


def place(status: RolloutStatus) -> int:
    """Return the step whose traffic a status calls for.

    -1 stands for none, the number of steps for all traffic after the last one.
    """
    if status.candidate is None:
        return -1
    if status.phase is Phase.PROMOTING:
        return len(status.steps)
    return plan.traffic_step(status.steps, status.candidate.step)


class State:
    """A release at one moment; all times are in seconds since its start.

    Attributes:
        setting: What is released, and against which traffic.
        rails: Its guardrails.
        rhythm: Its times.
        stable: The version that serves before it.
        status: What the operator has decided.
        now: The moment.
        turns: How often the operator has decided.
        made: The looks of the phase that is judged, some of them ahead of time.
        over: The looks of the phases before it.
        screen: What they may allow.
        span: The traffic in force; None for none.
    """

    def __init__(self, setting: Setting, rng: np.random.Generator) -> None:
        """Return the state before the first turn."""
        self.setting, self.rails, self.rhythm = setting, setting.rails, Rhythm.of(setting)
        self.stable = "stable" if setting.spec.version != "stable" else "before"
        self.status = RolloutStatus(stable=Serving(version=self.stable, since=START), routed=True)
        self.now, self.turns = 0.0, 0
        self._needed = setting.log_needed
        self.made, self.over = Looks(setting, rng), list[Looks]()
        self.screen = Screen.of(self.made, self._needed)
        self.span: Span | None = None
        self._warm_until = math.inf

    @property
    def step(self) -> StepStatus | None:
        """The step that the release is at; None before the first and after the last."""
        candidate, steps = self.status.candidate, self.status.steps
        at_one = candidate is not None and 0 <= candidate.step < len(steps)
        return steps[candidate.step] if candidate and at_one else None

    @property
    def awaited(self) -> float | None:
        """When the approval comes, or the gate opens, that is asked for; None where none is."""
        step = self.step
        if step is None or step.state is StepState.PASSED or not step.since:
            return None
        wait = self.setting.comes_after(step)
        return None if wait is None else seconds_of(step.since) + wait.total_seconds()

    @property
    def deadline(self) -> datetime | None:
        """When the deadline of the step is over; None where it has none."""
        step = self.step
        if step is None or step.approval or step.since is None:
            return None
        return step.since + plan.deadline(step)

    @property
    def overdue(self) -> bool:
        """Whether the deadline of the step is over."""
        return self.deadline is not None and instant(self.now) >= self.deadline

    @property
    def looked(self) -> int:
        """The number of the newest look that can be taken by now."""
        return self.rhythm.due(self.now)

    def heard(self) -> Floats:
        """Return the ends of the looks with answers in this span."""
        base = self.span.base if self.span else 0
        numbers = self.made.column("number")
        return self.rhythm.ends(numbers[(numbers > base) & self.made.with_data])

    def bake(self, span: Span) -> float:
        """Return the least time with data on the step of a span."""
        return plan.bake(self.status.steps[span.step]).total_seconds()

    @property
    def previewed(self) -> float | None:
        """When the preview in force has baked; None where there is none."""
        span, steps = self.span, self.status.steps
        if span is None or span.step >= len(steps) or not steps[span.step].preview:
            return None
        return span.begins + self.bake(span)

    def needs_proof(self, span: Span) -> bool:
        """Return whether a span ends only when it is proven Safe."""
        return plan.needs_proof(self.setting.spec, self.status.steps, span.step)

    def enter(self, step: int, begins: float) -> None:
        """Begin the traffic of a step, in force from a moment on: looks after that are about it."""
        base, traffic = math.ceil(begins / self.rhythm.interval - NEARLY), self.status.traffic
        copied = any(one.mirror for one in self.status.steps[: max(step, 0)])
        self.span = Span(step, traffic.weight, begins, base, traffic.mirror)
        if traffic.weight and copied and not self.over:
            self.over, self.made = [self.made], self.made.anew()
            self.screen = Screen.of(self.made, self._needed)
        if math.isinf(self._warm_until):
            self._warm_until = begins + self.setting.spec.analysis.warm_up.total_seconds()

    def leave(self, until: float) -> tuple[int, int]:
        """End the span; return what users were answered in it, and how much of it badly.

        What was made beyond now is forgotten.
        """
        self.made.cut(self.looked)
        self.screen = self.screen.first(len(self.made.with_data))
        span, self.span = self.span, None
        return self.made.answered(span, until) if span else (0, 0)

    def extend(self, span: Span) -> None:
        """Make more looks of a span: enough to pass at the best, then twice as many."""
        count = self.made.last - span.base
        if count <= 0:
            cold = max(self._warm_until - span.base * self.rhythm.interval, 0.0)
            count = max(self.rhythm.looks(self.bake(span) + cold) + 2, LEAST_AHEAD)
        left = self.rhythm.looks(self.rhythm.horizon) + 1 - max(self.made.last, span.base)
        self.made.extend(span, max(min(count, left, MOST_AHEAD), 1), self._warm_until)
        self.screen = Screen.of(self.made, self._needed)
