"""A Prometheus, or two of them, over counters whose every event is known."""

import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
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
    """Scrapes each target every `interval` seconds from `phase` on.

    `outages` are (target, begin, end): between these times its scrapes of the target fail.
    """

    interval: float
    phase: float
    outages: tuple[tuple[str, float, float], ...] = ()

    def last_scrape(self, at):
        """The time of the newest attempt; before the phase there is none."""
        number = (at - self.phase) // self.interval
        return self.phase + number * self.interval if number >= 0 else None

    def view(self, target, at):
        """The time of the sample that an instant query sees, and the counters in it."""
        time = self.last_scrape(at)
        if time is None or at - time >= LOOKBACK or target.started(time) is None:
            return None, Counter()
        if any(name == target.name and begin <= time <= end for name, begin, end in self.outages):
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


@dataclass(frozen=True)
class World:
    """Targets, the replicas that scrape them, and when they are looked at, with how many gaps."""

    targets: list[Target]
    replicas: list[Replica]
    since: float
    instants: list[float]
    good: bool


def busy_world(seed):
    """A world with much traffic, restarts, outages and, at times, two replicas."""
    dice = random.Random(seed)
    span = dice.choice([300.0, 600.0, 2000.0])
    targets = [_busy_target(dice, f"t{number}", span) for number in range(dice.randint(1, 3))]
    interval = dice.choice([5.0, 15.0, 30.0])
    replicas = [
        Replica(interval, dice.uniform(0, interval), _outages(dice, targets, span))
        for _ in range(dice.choice([1, 2, 2]))
    ]
    since, between = dice.uniform(0, span / 3), dice.choice([1.0, 5.0, 10.0, 20.0])
    every = [since + number * between for number in range(1, int((span - since) / between))]
    instants = [at for at in every if dice.random() > 0.05]
    return World(targets, replicas, since, instants, dice.random() < 0.5)


def _busy_target(dice, name, span):
    first = dice.uniform(-span, span / 2)
    anew = [dice.uniform(first, span) for _ in range(dice.choice([0, 0, 1, 2, 5]))]
    rate, bad_share = dice.choice([0.05, 0.3, 1.0]), dice.choice([0, 0.1, 0.5, 1])
    share, released = dice.choice([0, 0.1, 0.5]), dice.uniform(-span, span)
    events, time = [], -span
    while (time := time + dice.expovariate(rate)) < span:
        new = time > released and dice.random() < share
        events.append((time, "candidate" if new else "stable", dice.random() < bad_share))
    return Target(name, (first, *sorted(anew)), tuple(events), dice.random() < 0.3)


def _outages(dice, targets, span):
    begins = [
        (one.name, dice.uniform(0, span))
        for one in targets
        for _ in range(dice.choice([0, 0, 1, 2]))
    ]
    return tuple((name, begin, begin + dice.choice([20, 100, 1200])) for name, begin in begins)
