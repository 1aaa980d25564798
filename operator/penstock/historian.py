"""Asks for stable's past beside the looks, once per release; never in the way of a decision."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock.core import analysis, history
from penstock.core.ledger import Guardrail
from penstock.core.means.calibration import MeanChance
from penstock.core.queries import Subject, Unusable
from penstock.core.samples import RangeQuery, Track, Unreadable
from penstock.core.terms import Calibration
from penstock.ports import Metrics
from penstock.watched import Watched

Known = tuple[Calibration, ...] | MeanChance
Learned = Mapping[str, Known]
Asked = asyncio.Task[Known]


@dataclass
class Historian:
    """What stable's history says of each release, as soon as it is known.

    A release whose first look comes earlier goes on as if there were no history: what is fixed
    before the first look must not change after it.
    """

    metrics: Metrics
    _asked: dict[tuple[str, str], dict[str, Asked]] = field(default_factory=dict)

    def begin(self, namespace: str, watched: Watched, rail: Guardrail) -> None:
        """Ask for the hour before a release, if that was not done for this metric."""
        asked = self._asked.setdefault((namespace, watched.release), {})
        if rail.name not in asked and isinstance(watched.subject, Subject):
            asked[rail.name] = asyncio.create_task(self._ask(watched, watched.subject, rail))

    def learned(self, namespace: str, release: str) -> Learned:
        """Return the calibration per proportion by name of the metric, of what is known by now."""
        asked = self._asked.get((namespace, release), {})
        return {name: task.result() for name, task in asked.items() if task.done()}

    def forget(self, namespace: str, release: str) -> None:
        """Drop what is remembered of a release that has ended."""
        for task in self._asked.pop((namespace, release), {}).values():
            task.cancel()

    async def _ask(self, watched: Watched, subject: Subject, rail: Guardrail) -> Known:
        acting = sum(1 for one in watched.rails if one.acts and one.compares)
        alpha = analysis.guardrail_alpha(watched.spec.analysis.false_alarm_rate, acting)
        subject, pods = subject.with_args(rail.args), watched.stable_pods
        if rail.mean is not None:
            mean = history.mean_query(rail.mean, rail.connection, subject, watched.started)
            interval = watched.interval.total_seconds()
            return history.calibrate_mean(await self._tracks(mean), pods, alpha, interval)
        found = []
        for counted in rail.counted:
            query = history.query(counted.proportion, rail.connection, subject, watched.started)
            found.append(history.calibrate(await self._tracks(query), pods, alpha))
        return tuple(found)

    async def _tracks(self, query: RangeQuery | Unusable) -> Sequence[Track]:
        tracks = await self.metrics.history(query) if isinstance(query, RangeQuery) else ()
        return () if isinstance(tracks, Unreadable) else tracks
