"""What the sections need to have simulated, and how two processes share it.

A job is a value: sections that need the same one share its outcomes.
"""

import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Protocol

from tests.bench_evidence import ours
from tests.bench_evidence.ladder import Climb
from tests.bench_evidence.outcomes import Climbs, Fates, joined
from tests.bench_evidence.peers import LATENCY_RULES, RULES, SHARE_RULES
from tests.bench_evidence.streams import (
    ENVOY_EDGES,
    LatencyScenario,
    Scenario,
    ShareScenario,
    draw,
    draw_latency,
    draw_shares,
)

SLACKS = (0.1, 0.0)
EDGES = (250.0, 1000.0)
PROCESSES, CHUNK = 2, 100
OURS = "Penstock"

Results = Mapping["Job", Mapping[str, Fates | Climbs]]
Say = Callable[[str], None]


class Job(Protocol):
    """Something to simulate; hashable.

    Attributes:
        name: What progress calls it.
        times: How many times the usual number of replicates it needs.
    """

    name: str
    times: float

    def run(self, replicates: int, seed: int) -> dict[str, Fates | Climbs]:
        """Return the outcomes by rule; another seed, other replicates."""


def called(slack: float) -> str:
    """Return what the tables call our rule with a slack in percentage points."""
    return f"{OURS}, slack {slack:g}"


@dataclass(frozen=True, slots=True)
class Errors:
    """Streams of bad answers, followed at given weights."""

    scenario: Scenario
    interval: float = 60.0
    minutes: float = 60.0
    peers: bool = False
    times: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.scenario.name}, looks of {self.interval:g} s"

    def run(self, replicates: int, seed: int) -> dict[str, Fates]:
        looks = math.ceil(self.minutes * 60 / self.interval)
        streams = draw(self.scenario, replicates, seed, self.interval, looks)
        rules = RULES if self.peers else {}
        found = {name: Fates.of(streams, rule(streams)) for name, rule in rules.items()}
        settings = [ours.setup(self.interval, slack) for slack in SLACKS]
        return found | dict(zip(map(called, SLACKS), ours.fates(streams, *settings), strict=True))


@dataclass(frozen=True, slots=True)
class Latency:
    """Streams of latencies; our rule judges the edges of 250 and 1,000 ms."""

    scenario: LatencyScenario
    interval: float = 60.0
    warm_up: float = 0.0
    ladder: tuple[float, ...] = ours.LADDER
    peers: bool = False
    times: float = 1.0

    @property
    def name(self) -> str:
        return f"latency, {self.scenario.name}, looks of {self.interval:g} s"

    def run(self, replicates: int, seed: int) -> dict[str, Fates]:
        looks, edges = math.ceil(3600 / self.interval), ENVOY_EDGES if self.peers else EDGES
        streams = draw_latency(
            self.scenario, replicates, seed, self.interval, looks=looks, edges=edges
        )
        rules = LATENCY_RULES if self.peers else {}
        found = {name: Fates.of(streams, rule(streams)) for name, rule in rules.items()}
        labels = [f"over {edge:g} ms" for edge in EDGES]
        settings = [
            ours.setup(self.interval, slack, self.warm_up, labels, self.ladder) for slack in SLACKS
        ]
        kept = ours.at_edges(streams, EDGES)
        return found | dict(zip(map(called, SLACKS), ours.fates(kept, *settings), strict=True))


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of traffic; `verdicts` asks for the verdict `Untrusted`, with and without sticky."""

    scenario: ShareScenario
    interval: float = 60.0
    verdicts: bool = False
    times: float = 1.0

    @property
    def name(self) -> str:
        return f"shares, {self.scenario.name}, looks of {self.interval:g} s"

    def run(self, replicates: int, seed: int) -> dict[str, Fates]:
        looks = math.ceil(3600 / self.interval)
        streams = draw_shares(self.scenario, replicates, seed, self.interval, looks)
        found = {
            name: Fates.of_shares(streams, rule(streams)) for name, rule in SHARE_RULES.items()
        }
        found[OURS] = Fates.of_shares(streams, ours.mistrusted(streams))
        if self.verdicts:
            found["verdict"] = Fates.of_shares(streams, ours.untrusted(streams))
            found["sticky"] = Fates.of_shares(streams, ours.untrusted(streams, sticky=True))
        return found


@dataclass(frozen=True, slots=True)
class Driven:
    """Releases that are driven up the ladder by our rule."""

    climb: Climb
    times: float = 1.0

    @property
    def name(self) -> str:
        return f"ladder, {self.climb.name}"

    def run(self, replicates: int, seed: int) -> dict[str, Climbs]:
        return {OURS: self.climb.climbs(replicates, seed)}


def executor() -> Executor:
    """Return two processes, which share nothing with this one."""
    return ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"))


def simulate(jobs: Iterable[Job], replicates: int, say: Say) -> Results:
    """Return the outcomes of every job, simulated by two processes.

    Args:
        jobs: What to simulate; equal ones once.
        replicates: Releases per job.
        say: Is told of progress.
    """
    wanted = dict.fromkeys(jobs)
    with executor() as pool:
        futures: dict[Future, tuple[Job, int]] = {}
        for job in wanted:
            for seed, size in enumerate(_chunks(math.ceil(replicates * job.times))):
                futures[pool.submit(job.run, size, seed)] = job, seed
        parts = _collected(futures, say)
    return {job: _merged(parts[job]) for job in wanted}


def _chunks(replicates: int) -> list[int]:
    return [min(CHUNK, replicates - first) for first in range(0, replicates, CHUNK)]


def _collected(futures: dict[Future, tuple[Job, int]], say: Say) -> dict[Job, dict[int, dict]]:
    parts: dict[Job, dict[int, dict]] = {}
    chunks = Counter(job for job, _ in futures.values())
    began = time.monotonic()
    for done, future in enumerate(as_completed(futures), 1):
        job, seed = futures[future]
        parts.setdefault(job, {})[seed] = future.result()
        if len(parts[job]) == chunks[job]:
            percent = 100 * done / len(futures)
            say(f"{percent:.0f} % after {time.monotonic() - began:.0f} s: {job.name}")
    return parts


def _merged(parts: Mapping[int, Mapping[str, Fates | Climbs]]) -> dict[str, Fates | Climbs]:
    ordered = [parts[seed] for seed in sorted(parts)]
    return {rule: joined([part[rule] for part in ordered]) for rule in ordered[0]}
