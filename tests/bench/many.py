"""Many Rollouts at once: what they cost while idle, after a restart, and while releases run."""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psutil

from tests.bed import workloads
from tests.bed.place import Place
from tests.bed.processes import wait_until
from tests.bench import made_up
from tests.bench.rig import Cost, Rig, Row
from tests.e2e import stage as stages

PLACES = 4
IDLE, MANY, BUSY, CROWD = 200, 1000, (10, 100), 1000
QUIET_SECONDS, IDLE_SECONDS, BUSY_SECONDS, SETTLE_SECONDS = 10.0, 120.0, 60.0, 20.0
RESTART_TARGET, LATE_TARGET, MEMORY_TARGET = 60.0, 2.0, 400.0
INTERVAL = 10
RATE, MOST_PER_SECOND = 300.0, 10.0
KNOWN = "penstock_rollout_last_reconcile_timestamp_seconds"
TIMINGS = "penstock_operation_seconds"
LATENESS = {"operation": "look_lateness"}
APP = "shared"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Many Rollouts in a few places. Each has a Service of its own; all Pods are shared."""

    rig: Rig
    places: tuple[Place, ...]
    names: tuple[tuple[Place, str], ...]

    @classmethod
    def of(
        cls,
        rig: Rig,
        size: int,
        versions: tuple[str, ...],
        analysis: dict[str, Any],
        *,
        exported: bool = True,
    ) -> "Fleet":
        """Make the Rollouts of v1, wait until v1 is stable everywhere, then deploy the others.

        Services that are not exported are none of the edge's business.
        """
        places = tuple(rig.bed.place(f"many-{number}") for number in range(PLACES))
        names = tuple((places[number % PLACES], f"r{number:04}") for number in range(size))
        fleet = cls(rig, places, names)
        fleet._deploy("v1")
        rig.say(f"{size} Rollouts")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: _make(*one, analysis, exported), names))
        fleet.await_status(lambda status: bool(status.get("stable")), "stable", 300)
        for version in versions[1:]:
            fleet._deploy(version)
        return fleet

    def _deploy(self, version: str) -> None:
        for place in self.places:
            place.deploy(APP, version)

    def first(self, size: int) -> "Fleet":
        """Return some of the Rollouts."""
        return Fleet(self.rig, self.places, self.names[:size])

    def statuses(self) -> Iterator[dict[str, Any]]:
        """Yield the status of every Rollout."""
        names = {(place.namespace, name) for place, name in self.names}
        for place in self.places:
            for found in place.objects("rollout"):
                if (place.namespace, found["metadata"]["name"]) in names:
                    yield found.get("status", {})

    def await_status(self, there: Any, what: str, timeout: float) -> None:
        """Wait until every Rollout's status is so."""

        def everywhere() -> bool:
            count = sum(there(status) for status in self.statuses())
            self.rig.say(f"{what}: {count} of {len(self.names)}")
            return count == len(self.names)

        wait_until(what, everywhere, timeout, every=5)

    def await_quiet(self) -> None:
        """Wait until the operator has asked the API server nothing for a while."""
        self.rig.say("waiting until all is quiet")
        calm = lambda: not self.rig.asked(time.time() - QUIET_SECONDS)  # noqa: E731
        wait_until("quiet", calm, 180, every=2)


def _make(place: Place, name: str, analysis: dict[str, Any], exported: bool) -> None:
    service = workloads.service(name)
    if not exported:
        service["metadata"]["annotations"] = {"networking.istio.io/exportTo": "."}
    service["spec"]["selector"] = {"app": APP}
    place.apply(service)
    manifest = stages.rollout(plan=[stages.step(10, "30m")], analysis=analysis)
    manifest["metadata"]["name"] = name
    manifest["spec"]["traffic"] = {"service": name, "route": {"delegate": f"{name}-split"}}
    place.apply(manifest)


def idle(rig: Rig) -> list[Row]:
    """Idle Rollouts ask nothing."""
    fleet = Fleet.of(rig, IDLE, ("v1",), {})
    fleet.await_quiet()
    cost = rig.cost(IDLE_SECONDS, f"{IDLE} idle Rollouts")
    asked = cost.asked.total()
    what = f"{IDLE} idle Rollouts, {IDLE_SECONDS:.0f} s: API requests other than watches"
    said = f"{asked}" + (f" ({cost.most_asked} per second)" if asked else "")
    return [
        Row(what, said, "0", asked == 0),
        Row("  queries to Prometheus", str(cost.queries), "0", cost.queries == 0),
        Row("  CPU and memory", f"{cost.cpu:.1f} % of a core, {cost.rss_mib:.0f} MiB"),
    ]


def restart(rig: Rig) -> list[Row]:
    """Time until all of many Rollouts have been reconciled after a restart."""
    fleet = Fleet.of(rig, MANY, ("v1",), {})
    fleet.await_quiet()
    rig.operator.kill()
    began = time.time()
    rig.operator.start(wait=False)
    wait_until("all known", lambda: _known(rig) == MANY, 600, every=0.5)
    took = time.time() - began
    used = psutil.Process(rig.operator.pid).cpu_times()
    rig.say(f"all known after {took:.1f} s")
    asked = rig.asked(began)
    fleet.await_quiet()
    cost = rig.cost(IDLE_SECONDS / 2, f"{MANY} idle Rollouts")
    return [
        Row(f"{MANY} idle Rollouts: restart → all reconciled", f"{took:.1f} s",
            f"≤ {RESTART_TARGET:.0f} s", took <= RESTART_TARGET),
        Row("  CPU time and API requests until then",
            f"{used.user + used.system:.1f} s, {asked.total()} requests"),
        Row("  afterwards, idle", f"{cost.cpu:.1f} % of a core, {cost.rss_mib:.0f} MiB, "
            f"{cost.asked.total()} API requests in {cost.seconds:.0f} s"),
    ]  # fmt: skip


def _known(rig: Rig) -> int:
    count = len(rig.families()[KNOWN].samples)
    rig.say(f"known: {count} of {MANY}")
    return count


METRICS = [{"template": "istio-errors"}, {"template": "istio-slow-requests", "slack": 1}]
ANALYSIS = {"interval": f"{INTERVAL}s", "metrics": METRICS}


def busy(rig: Rig) -> list[Row]:
    """Many releases in progress: every look on time. All of it is real; pods are shared."""
    fleet = Fleet.of(rig, max(BUSY), ("v1", "v2"), ANALYSIS)
    fleet.places[0].apply(_root(fleet))
    rows: list[Row] = []
    for size in BUSY:
        part = fleet.first(size)
        with part.places[0].load(RATE, users=size):
            _release(part, "v2", 10)
            rows += _cost_rows(size, *_looks(part))
            _release(part, "v1", 0)
    return rows


def crowd(rig: Rig) -> list[Row]:
    """1,000 releases in progress. The API and Prometheus are real, what is counted is made up."""
    fleet = Fleet.of(rig, CROWD, ("v1", "v2"), ANALYSIS, exported=False)
    root = _root(fleet)
    root["spec"]["gateways"] = [
        "mesh"
    ]  # not the edge: it would take in 1,000 routes at each change
    fleet.places[0].apply(root)
    hosts = [f"{name}.{place.namespace}.svc.cluster.local" for place, name in fleet.names]
    with made_up.prometheus(hosts, rig.bed.files()[0]) as url:
        rig.let_ask(url)
        _release(fleet, "v2", 10)
        return _cost_rows(CROWD, *_looks(fleet))


@dataclass(frozen=True, slots=True)
class Looks:
    """How many looks were at most so many seconds late, by bound, in a span of time."""

    late: dict[float, float]
    seconds: float


def _release(fleet: Fleet, version: str, weight: float) -> None:
    """Name a version in every spec, one after the other; wait for the weight."""
    began, over = time.time(), max(INTERVAL, len(fleet.names) / MOST_PER_SECOND)
    for number, (place, name) in enumerate(fleet.names):
        time.sleep(max(began + over * number / len(fleet.names) - time.time(), 0))
        place.merge("rollout", name, {"spec": {"version": version}})
    there = lambda status: status.get("traffic", {}).get("weight", 0) == weight  # noqa: E731
    fleet.await_status(there, f"{version} named, weight {weight:g}", 300)


def _looks(fleet: Fleet) -> tuple[Looks, Cost]:
    """Watch all looks for a while, when the releases have settled."""
    rig, size = fleet.rig, len(fleet.names)
    time.sleep(SETTLE_SECONDS)
    began, before = time.time(), _lateness(rig)
    cost = rig.cost(BUSY_SECONDS, f"{size} releases")
    seconds, after = time.time() - began, _lateness(rig)
    return Looks({bound: n - before[bound] for bound, n in after.items()}, seconds), cost


def _late(size: int, looks: Looks) -> tuple[str, bool]:
    """Return the lateness in words, and whether every look was taken and in time."""
    total, expected = looks.late[math.inf], size * looks.seconds / INTERVAL
    p50, p99, most = (
        next(bound for bound in sorted(looks.late) if looks.late[bound] >= share * total)
        for share in (0.5, 0.99, 1.0)
    )
    text = (
        f"{looks.late[LATE_TARGET]:.0f} of {total:.0f} ({expected:.0f} were due); "
        f"late by p50 ≤ {p50:g}, p99 ≤ {p99:g}, max ≤ {most:g} s"
    )
    return text, looks.late[LATE_TARGET] == total and total >= 0.98 * expected


def _cost_rows(size: int, looks: Looks, cost: Cost) -> list[Row]:
    text, met = _late(size, looks)
    what = f"{size} releases, interval {INTERVAL}s, 2 metrics: looks in time ({LATE_TARGET:g} s)"
    asked = cost.asked.total() / cost.seconds
    small = cost.cpu <= 100 and cost.rss_mib <= MEMORY_TARGET
    return [
        Row(what, text, "all", met),
        Row("  CPU and memory", f"{cost.cpu:.0f} % of a core, {cost.rss_mib:.0f} MiB",
            f"≤ {MEMORY_TARGET:.0f} MiB", small),
        Row("  API requests per second", f"{asked:.1f} ({cost.most_asked})"),
        Row("  Prometheus queries per second", f"{cost.queries / cost.seconds:.1f}"),
    ]  # fmt: skip


def _lateness(rig: Rig) -> dict[float, float]:
    """Return how many looks were at most so many seconds late, by bound."""
    return {
        float(sample.labels["le"]): sample.value
        for sample in rig.families()[TIMINGS].samples
        if sample.name.endswith("_bucket") and sample.labels.items() >= LATENESS.items()
    }


def _root(fleet: Fleet) -> dict[str, Any]:
    """Return one root for all: the user's name in the header says which Rollout serves."""
    root = stages.root(fleet.places[0])
    root["spec"]["http"] = [
        {
            "name": name,
            "match": [{"headers": {"x-user-id": {"exact": f"user-{number}"}}}],
            "delegate": {"name": f"{name}-split", "namespace": place.namespace},
        }
        for number, (place, name) in enumerate(fleet.names)
    ]
    return root
