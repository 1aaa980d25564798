"""Many runs of one setting."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import typer

from penstock.core.simulation.course import Course
from penstock.core.simulation.run import simulate
from penstock.core.simulation.setting import Setting
from penstock.core.simulation.summary import Summary, summary

PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Told:
    """What is printed: the setting, the run that is shown, and all runs."""

    setting: Setting
    shown: Course
    summary: Summary
    seed: int


def play(setting: Setting, runs: int, seed: int) -> Told:
    """Return what so many runs have given, at least one; the first one is shown."""
    courses = _courses(setting, runs, seed)
    return Told(setting, courses[0], summary(courses), seed)


def _courses(setting: Setting, runs: int, seed: int) -> Sequence[Course]:
    """Return so many runs; the first one with its evidence."""
    progress, courses = _Progress(runs), []
    for index, source in enumerate(np.random.SeedSequence(seed).spawn(runs)):
        courses.append(simulate(setting, np.random.default_rng(source), drawn=index == 0))
        progress.show(len(courses))
    return courses


@dataclass
class _Progress:
    """Says on stderr how far it is, where that takes long enough to wonder."""

    runs: int
    shown: float = field(default_factory=time.monotonic)

    def show(self, done: int) -> None:
        """Say so, at most every two seconds."""
        now = time.monotonic()
        if now - self.shown >= PATIENCE and done < self.runs:
            self.shown = now
            typer.echo(f"penstock simulate: {done} of {self.runs} runs", err=True)
