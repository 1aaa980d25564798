"""A Prometheus, or two of them, over counters whose every event is known."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from penstock.core.samples import Sample

EPOCH = datetime(2026, 11, 24, tzinfo=UTC)
LOOKBACK = 300.0


def instant(seconds):
    return EPOCH + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Target:
    """A process that counts, and is started anew at times.

    `events` are (time, arm, bad); those from before the first start did not happen. A `shy` target
    does not tell when it started.
    """

    name: str
    starts: tuple[float, ...]
    events: tuple[tuple[float, str, bool], ...]
    shy: bool = False

    @property
    def happened(self):
        return [event for event in self.events if event[0] >= self.starts[0]]

    def started(self, at):
        index = bisect_right(self.starts, at)
        return self.starts[index - 1] if index else None

    def counters(self, at):
        """The counters by (arm, bad), as they are exposed: none before its first event."""
        start = self.started(at)
        return Counter((arm, bad) for time, arm, bad in self.events if start <= time <= at)

    def happened_between(self, begin, end, arm, bad=None):
        """The truth: events in [begin, end]."""
        return sum(
            1
            for time, of, was_bad in self.happened
            if begin <= time <= end and of == arm and (bad is None or bad == was_bad)
        )


@dataclass(frozen=True)
class Replica:
    """Scrapes each target every `interval` seconds from `phase` on; some scrapes fail."""

    interval: float
    phase: float
    failed: frozenset[int] = field(default_factory=frozenset)

    def last_scrape(self, at):
        """The time of the newest attempt, and whether it succeeded."""
        number = int((at - self.phase) // self.interval)
        time = self.phase + number * self.interval
        return (time, number not in self.failed) if number >= 0 else (None, False)

    def view(self, target, at):
        """The time of the sample that an instant query sees, and the counters in it."""
        time, fine = self.last_scrape(at)
        if not fine or at - time >= LOOKBACK or target.started(time) is None:
            return None, Counter()
        return time, target.counters(time)


def answer(replica, targets, at, previous, good=False):
    """What `queries.proportion_query` gets; a series per arm and outcome."""
    back = at - previous if previous is not None else 0.0
    rows = [Sample({"penstock": "offset/good" if good else "offset/bad"}, back)]
    for target in targets:
        sampled, counters = replica.view(target, at)
        if counters:
            rows += _counters(target, counters, good)
            rows += _facts(replica, target, at, sampled, at - back if back else None)
    return tuple(rows)


def _counters(target, counters, good):
    for (arm, bad), value in counters.items():
        labels = {"job": "j", "instance": target.name, "code": "500" if bad else "200"}
        labels["version"] = arm
        yield Sample(labels | {"penstock": f"total/{arm}"}, float(value))
        if bad != good:
            part = "good" if good else "bad"
            yield Sample(labels | {"penstock": f"{part}/{arm}"}, float(value))


def _facts(replica, target, at, sampled, previous):
    labels = {"job": "j", "instance": target.name}
    yield Sample(labels | {"penstock": "sampled"}, sampled + EPOCH.timestamp())
    if not target.shy:
        start = target.started(sampled) + EPOCH.timestamp()
        yield Sample(labels | {"penstock": "started"}, start)
    if previous is not None:
        time, counters = replica.view(target, previous)
        if time is not None:
            yield Sample(labels | {"penstock": "before"}, time + EPOCH.timestamp())
        if counters:
            yield Sample(labels | {"penstock": "known"}, float(len(counters)))
