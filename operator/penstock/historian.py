"""Asks for stable's past beside the looks, once per release; never in the way of a decision."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.core import analysis, history
from penstock.core.ledger import Guardrail
from penstock.core.queries import Subject
from penstock.core.samples import RangeQuery, Unreadable
from penstock.core.terms import Calibration
from penstock.ports import Metrics
from penstock.watched import Watched

Learned = Mapping[str, tuple[Calibration, ...]]
NOTHING: Learned = {}


@dataclass
class Historian:
    """What stable's history says of each release, as soon as it is known.

    A release whose first look comes earlier goes on as if there were no history: what is fixed
    before the first look must not change after it.
    """

    metrics: Metrics
    _asked: dict[tuple[str, str], asyncio.Task[Learned]] = field(default_factory=dict)

    def begin(self, namespace: str, watched: Watched) -> None:
        """Ask for the hour before a release, if that was not done."""
        key = namespace, watched.release
        if key not in self._asked and isinstance(watched.subject, Subject):
            self._asked[key] = asyncio.create_task(self._ask(watched, watched.subject))

    def learned(self, namespace: str, release: str) -> Learned:
        """Return the calibration per proportion by name of the metric; empty until it is known."""
        task = self._asked.get((namespace, release))
        return task.result() if task is not None and task.done() else NOTHING

    def forget(self, namespace: str, release: str) -> None:
        """Drop what is remembered of a release that has ended."""
        task = self._asked.pop((namespace, release), None)
        if task is not None:
            task.cancel()

    async def _ask(self, watched: Watched, subject: Subject) -> Learned:
        acting = sum(1 for rail in watched.rails if rail.acts and rail.counted)
        alpha = analysis.guardrail_alpha(watched.spec.analysis.false_alarm_rate, acting)
        return {
            rail.name: await self._calibrations(watched, subject, rail, alpha)
            for rail in watched.rails
            if rail.counted
        }

    async def _calibrations(
        self, watched: Watched, subject: Subject, rail: Guardrail, alpha: float
    ) -> tuple[Calibration, ...]:
        found = []
        for counted in rail.counted:
            query = history.query(
                counted.proportion, rail.connection, subject.with_args(rail.args), watched.started
            )
            tracks = await self.metrics.history(query) if isinstance(query, RangeQuery) else ()
            known = () if isinstance(tracks, Unreadable) else tracks
            found.append(history.calibrate(known, watched.stable_pods, alpha))
        return tuple(found)
