"""Looks at metrics: asks for what is due, counts, keeps the ledger of each release in flight.

What it remembers between looks can be had again: the ledger from the Release's last checkpoint,
the looks since then from the metrics system at the same instants.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from penstock.core import classes, judging, ledger, outlook, queries
from penstock.core.counters import Baseline, take_look
from penstock.core.ledger import Guardrail, Ledger
from penstock.core.means.counters import MeanBaseline, take_mean_look
from penstock.core.means.queries import mean_query
from penstock.core.queries import Subject, Unusable
from penstock.core.question import Question
from penstock.core.readings import NoLook
from penstock.core.rows import ROW_LABEL
from penstock.core.samples import Answer, Query, Unreadable
from penstock.historian import Historian
from penstock.ports import InterruptedTurnError, Metrics
from penstock.watched import Haste, Sight, Watched, look_of, mean_look_of

LOG = logging.getLogger("penstock")
MOST_LOOKS = 60
LEAST_GRACE = timedelta(seconds=5)
ETA_AGE = timedelta(minutes=1)


@dataclass
class Memory:
    """What is remembered of one release in flight."""

    release: str
    ledger: Ledger
    done: int
    baselines: dict[str, tuple[Baseline | None, ...]] = field(default_factory=dict)
    means: dict[str, MeanBaseline | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    step: int = -2
    eta: Mapping[int, tuple[timedelta, timedelta]] = field(default_factory=dict)
    eta_at: datetime | None = None


class Observer:
    """Keeps one memory per release in flight."""

    def __init__(self, metrics: Metrics) -> None:
        """Look through this port."""
        self._metrics = metrics
        self._historian = Historian(metrics)
        self._memories: dict[tuple[str, str], Memory] = {}

    def forget(self, namespace: str, release: str) -> None:
        """Drop what is remembered of a release that has ended."""
        self._memories.pop((namespace, release), None)
        self._historian.forget(namespace, release)

    async def shows_stable(
        self, subject: Subject, rails: Sequence[Guardrail], now: datetime
    ) -> bool:
        """Return whether a metric has series of stable under these matchers, now."""
        asked: list[Query | Unusable] = []
        for rail in rails:
            subject_, at = subject.with_args(rail.args), now - self._lag([rail])
            for one in rail.counted:
                asked.append(
                    queries.proportion_query(one.proportion, rail.connection, subject_, at, None)
                )
            if rail.mean:
                asked.append(mean_query(rail.mean, rail.connection, subject_, at, None))
        usable = [query for query in asked if isinstance(query, Query)]
        for answer in await self._metrics.read(usable):
            rows = () if isinstance(answer, Unreadable) else answer
            if any(row.labels.get(ROW_LABEL) == "total/stable" for row in rows):
                return True
        return False

    async def observe(
        self, namespace: str, watched: Watched, records: Mapping[str, str], haste: "Haste"
    ) -> Sight:
        """Return what the metrics say, after all looks that are due have been taken.

        Args:
            namespace: The Rollout's namespace.
            watched: What is looked at.
            records: The last checkpoint, read when nothing is remembered.
            haste: The time, and whether there is any to look at metrics.

        Raises:
            InterruptedTurnError: Something more urgent has come up while metrics were asked.
        """
        now = haste.now
        memory = self._memory(namespace, watched, records)
        lag = self._lag(watched.rails)
        due = watched.number_at(now - lag)
        if watched.step != memory.step:
            memory.step, memory.eta_at = watched.step, None
            memory.baselines.clear()
            memory.means.clear()
            memory.newest.clear()
        waiting = watched.end_of(memory.done + 1) + lag
        looks = bool(memory.baselines or memory.means) and waiting <= now and not haste.pressing
        if not haste.pressing:
            self._calibrate(namespace, memory, watched)
            if watched.step >= 0 and isinstance(watched.subject, Subject):
                await self._catch_up(memory, watched, due, haste.urgent)
            memory.done = max(memory.done, due)
        sight = self._sight(memory, watched, now, lag)
        return replace(sight, due=waiting) if looks else sight

    def _calibrate(self, namespace: str, memory: Memory, watched: Watched) -> None:
        """Fix what stable's history says, if it is known before the first look."""
        if memory.ledger.last_number or watched.step >= len(watched.steps):
            return
        for rail in watched.rails:
            if (known := ledger.known(rail, memory.ledger)).counted or rail.mean:
                self._historian.begin(namespace, watched, known)
        learned = self._historian.learned(namespace, watched.release)
        memory.ledger = memory.ledger.calibrated(learned)

    def _memory(self, namespace: str, watched: Watched, records: Mapping[str, str]) -> Memory:
        key = (namespace, watched.release)
        found = self._memories.get(key)
        if found is None:
            book, damaged = ledger.decode(records, watched.spec, watched.rails)
            if damaged:
                LOG.error("%s: records begin anew, they were damaged: %s", key, damaged)
            found = Memory(watched.release, book, book.last_number)
            self._memories[key] = found
        return found

    def _lag(self, rails: Sequence[Guardrail]) -> timedelta:
        lags = [self._metrics.lag_seconds(rail.connection) or 0.0 for rail in rails]
        return timedelta(seconds=max(lags, default=0.0))

    async def _catch_up(
        self, memory: Memory, watched: Watched, due: int, urgent: asyncio.Event
    ) -> None:
        """Take the looks that are due, oldest first; the first reading is only compared with.

        Where nothing answers the rest is left: the next look that is answered counts from the
        last baseline on, so nothing is lost but the finer cut.
        """
        first = math.ceil((watched.since - watched.started) / watched.interval)
        start = max(memory.done + 1, first, due - MOST_LOOKS)
        if not (memory.baselines or memory.means):
            start = max(min(start, memory.ledger.last_number), first, due - MOST_LOOKS)
        for number in range(start, due + 1):
            if not await self._look(memory, watched, number, urgent):
                break

    async def _look(
        self, memory: Memory, watched: Watched, number: int, urgent: asyncio.Event
    ) -> bool:
        """Take one look; return whether anything answered."""
        asked: list[tuple[Guardrail, list[Query]]] = []
        for plain in watched.rails:
            rail = ledger.known(plain, memory.ledger)
            made = self._queries(memory, watched, rail, number)
            if isinstance(made, Unusable):
                memory.reasons[rail.name] = made.reason
            else:
                asked.append((rail, made))
        answers = list(await self._read([q for _, some in asked for q in some], urgent))
        answered = any(not isinstance(answer, Unreadable) for answer in answers)
        for rail, some in asked:
            mine, answers = answers[: len(some)], answers[len(some) :]
            if rail.counted:
                self._count(memory, watched, rail, number, mine)
            elif rail.mean:
                self._count_mean(memory, watched, rail, number, mine[0])
            elif rail.categories:
                self._choose_classes(memory, watched, rail, mine[0])
            else:
                self._note_value(memory, watched, rail, number, mine[0])
        return answered

    async def _read(self, asked: Sequence[Query], urgent: asyncio.Event) -> Sequence[Answer]:
        """Return the answers, unless something urgent comes first: a rollback does not wait."""
        reading = asyncio.ensure_future(self._metrics.read(asked))
        calling = asyncio.ensure_future(urgent.wait())
        await asyncio.wait({reading, calling}, return_when=asyncio.FIRST_COMPLETED)
        calling.cancel()
        if not reading.done():
            reading.cancel()
            raise InterruptedTurnError
        return reading.result()

    def _queries(
        self, memory: Memory, watched: Watched, rail: Guardrail, number: int
    ) -> list[Query] | Unusable:
        """Return what is asked for a look: one query per proportion, or the one of a threshold."""
        subject, at = watched.subject, watched.end_of(number)
        if isinstance(subject, Unusable):
            return subject
        subject = subject.with_args(rail.args)
        made: list[Query] = []
        for counted, before in zip(rail.counted, self._baselines(memory, rail), strict=True):
            previous = before.at if before else None
            query = queries.proportion_query(
                counted.proportion, rail.connection, subject, at, previous
            )
            if isinstance(query, Unusable):
                return query
            made.append(query)
        if rail.mean:
            last = memory.means.get(rail.name)
            query = mean_query(rail.mean, rail.connection, subject, at, last.at if last else None)
            return query if isinstance(query, Unusable) else [query]
        if rail.categories and not made:
            query = classes.query(rail.categories, rail.connection, subject, at)
            return query if isinstance(query, Unusable) else [query]
        if rail.threshold:
            query = queries.value_query(rail.threshold.query, rail.connection, subject, at)
            return query if isinstance(query, Unusable) else [query]
        return made

    def _baselines(self, memory: Memory, rail: Guardrail) -> tuple[Baseline | None, ...]:
        return memory.baselines.get(rail.name, (None,) * len(rail.counted))

    def _count(
        self,
        memory: Memory,
        watched: Watched,
        rail: Guardrail,
        number: int,
        answers: Sequence[Answer],
    ) -> None:
        """Count one look of all proportions of a metric, or of none of them.

        What one of them gained while another could not be counted stays for the next look.
        """
        taken = [
            take_look(before, answer, watched.end_of(number), watched.since, rail.by)
            for before, answer in zip(self._baselines(memory, rail), answers, strict=True)
        ]
        counts = [one for one, _ in taken if not isinstance(one, NoLook)]
        whole = len(counts) == len(taken)
        memory.baselines[rail.name] = tuple(
            after if whole or isinstance(one, NoLook) else before
            for before, (one, after) in zip(self._baselines(memory, rail), taken, strict=True)
        )
        reasons = [one.reason for one, _ in taken if isinstance(one, NoLook)]
        if reasons:
            memory.reasons[rail.name] = reasons[0]
            return
        record = memory.ledger.proportions[rail.name]
        looks = [
            look_of(one, watched, number, part.record)
            for one, part in zip(counts, record.parts, strict=True)
        ]
        if not looks[0].has_data:
            memory.reasons[rail.name] = "no requests"
            return
        memory.newest[rail.name] = number
        record = record.with_looks(looks, counts)
        if rail.by:
            record = record.with_segments(counts[0].segments)
        memory.ledger = memory.ledger.with_proportion(rail.name, record)

    def _count_mean(
        self, memory: Memory, watched: Watched, rail: Guardrail, number: int, answer: Answer
    ) -> None:
        """Count one look of a mean."""
        before = memory.means.get(rail.name)
        said, after = take_mean_look(before, answer, watched.end_of(number), watched.since)
        memory.means[rail.name] = after
        look = None if isinstance(said, NoLook) else mean_look_of(said, watched, number)
        if look is None or not look.has_data:
            memory.reasons[rail.name] = said.reason if isinstance(said, NoLook) else "no requests"
            return
        memory.newest[rail.name] = number
        record = memory.ledger.means[rail.name].with_look(look)
        memory.ledger = memory.ledger.with_mean(rail.name, record)

    def _choose_classes(
        self, memory: Memory, watched: Watched, rail: Guardrail, answer: Answer
    ) -> None:
        """Fix the classes that are compared, from what stable has answered so far."""
        if rail.categories is None or isinstance(answer, Unreadable):
            memory.reasons[rail.name] = getattr(answer, "reason", "nothing was read yet")
            return
        names = classes.choose(rail.categories, answer)
        if not names:
            memory.reasons[rail.name] = "stable has not counted enough answers of any class"
            return
        record = ledger.empty_record(watched.spec, rail.of_classes(names))
        memory.ledger = memory.ledger.with_proportion(rail.name, record)

    def _note_value(
        self, memory: Memory, watched: Watched, rail: Guardrail, number: int, answer: Answer
    ) -> None:
        if rail.threshold is None:
            return
        value = _single(answer)
        record = memory.ledger.thresholds[rail.name]
        record = record.with_look(number, watched.step, value, rail.threshold)
        memory.ledger = memory.ledger.with_threshold(rail.name, record)

    def _sight(self, memory: Memory, watched: Watched, now: datetime, lag: timedelta) -> Sight:
        question = Question(
            spec=watched.spec,
            rails=watched.rails,
            steps=watched.steps,
            step=min(watched.step, len(watched.steps) - 1),
            quiet=self._quiet(memory, watched, now, lag),
            at=watched.end_of(memory.done) if memory.done > 0 else None,
            pods=watched.versions,
        )
        said = judging.opinions(memory.ledger, question)
        together = judging.together(memory.ledger, question, said)
        together = replace(together, eta=self._eta(memory, watched, question, now))
        next_look = watched.end_of(max(memory.done, watched.number_at(now - lag)) + 1) + lag
        return Sight(together, said, memory.ledger, next_look)

    def _quiet(
        self, memory: Memory, watched: Watched, now: datetime, lag: timedelta
    ) -> dict[str, str]:
        """Return why there is no data, by metric, where that has lasted longer than a few looks."""
        if watched.step < 0:
            return {}
        if isinstance(watched.subject, Unusable):
            return {rail.name: watched.subject.reason for rail in watched.rails}
        grace = max(3 * watched.interval, LEAST_GRACE) + lag
        quiet = {}
        for rail in watched.rails:
            number = memory.newest.get(rail.name)
            heard = watched.since if number is None else watched.end_of(number)
            if rail.compares and now - max(heard, watched.since) > grace:
                quiet[rail.name] = memory.reasons.get(rail.name, "nothing was read yet")
        return quiet

    def _eta(
        self, memory: Memory, watched: Watched, question: Question, now: datetime
    ) -> Mapping[int, tuple[timedelta, timedelta]]:
        """Return the forecast, made anew once a minute and when a step has its first data."""
        fresh = memory.eta_at is not None and now - memory.eta_at < ETA_AGE
        if not fresh:
            memory.eta = outlook.eta(memory.ledger, question, max(now - watched.since, ETA_AGE * 0))
            memory.eta_at = now if memory.eta else None
        past = now - memory.eta_at if memory.eta_at else timedelta(0)
        zero = timedelta(0)
        return {
            index: (max(middle - past, zero), max(late - past, zero))
            for index, (middle, late) in memory.eta.items()
        }


def _single(answer: Answer) -> float | None:
    if isinstance(answer, Unreadable) or len(answer) != 1:
        return None
    value = answer[0].value
    return value if math.isfinite(value) else None
