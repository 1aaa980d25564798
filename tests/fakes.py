"""In-memory outside systems, behind the same ports as the real ones, in virtual time."""

import pickle
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from penstock.core.kinds import (
    METRIC_TEMPLATE,
    POD,
    RELEASE,
    ROLLOUT,
    SERVICE,
    VIRTUAL_SERVICE,
    Key,
    key_of,
)
from penstock.core.samples import Sample
from penstock.core.traffic.target import MANAGER
from penstock.ports import ConflictError, TransientError

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
NAMESPACE, CATALOGUE = "ml", "penstock-system"
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def copied(value):
    """Return a deep copy; for what JSON can hold this is many times as fast as `copy.deepcopy`."""
    return pickle.loads(pickle.dumps(value))


@dataclass
class Clock:
    """Virtual time."""

    now: datetime = START

    def __call__(self):
        return self.now

    def pass_time(self, time):
        self.now += time


class CrashError(BaseException):
    """The process dies here."""


@dataclass
class Cluster:
    """The API server: implements `Objects` and `Writes`.

    Attributes:
        before: Called before each write with (number, kind, what); may raise.
        after: The same after the write has been done.
        shares: (time, share in percent by version) of the route, for each change.
    """

    clock: Clock
    before: object = None
    after: object = None
    objects: dict = field(default_factory=dict)
    writes: list = field(default_factory=list)
    shares: list = field(default_factory=list)
    version: int = 100

    # reads

    async def get(self, kind, key):
        return copied(self.objects.get((kind, key)))

    def peek(self, kind, key):
        return copied(self.objects.get((kind, key)))

    def known(self, kind):
        return [copied(o) for (k, _), o in self.objects.items() if k == kind]

    async def select(self, kind, namespace, selector):
        return [
            o
            for o in self.known(kind)
            if key_of(o).namespace == namespace
            and selector.items() <= o["metadata"].get("labels", {}).items()
        ]

    # writes

    async def create(self, kind, manifest):
        with self._write(kind, f"create {kind.name}"):
            key = key_of(manifest)
            if (kind, key) in self.objects:
                raise ConflictError(f"{key} exists")
            made = copied(manifest)
            made["metadata"] |= {
                "uid": f"uid-{self.version}",
                "generation": 1,
                "creationTimestamp": self.clock.now.isoformat(),
            }
            return self._store(kind, made, MANAGER)

    async def apply(self, kind, manifest, resource_version):
        with self._write(kind, f"apply {kind.name}"):
            live = self._fresh(kind, key_of(manifest), resource_version)
            meta = {**live["metadata"], **copied(manifest["metadata"])}
            for part in ("labels", "annotations"):
                meta[part] = {**live["metadata"].get(part, {}), **meta.get(part, {})}
            return self._store(kind, {**live, **copied(manifest), "metadata": meta}, MANAGER)

    async def patch(self, kind, key, operations, resource_version):
        with self._write(kind, f"patch {kind.name}"):
            live = copied(self._fresh(kind, key, resource_version))
            for operation in operations:
                _patch(live, operation)
            meta = live["metadata"]
            if meta.get("deletionTimestamp") and not meta.get("finalizers"):
                del self.objects[kind, key]
                return live
            return self._store(kind, live, MANAGER)

    async def write_status(self, kind, manifest):
        with self._write(kind, f"status {kind.name}"):
            key = key_of(manifest)
            live = self._fresh(kind, key, manifest["metadata"]["resourceVersion"])
            content = copied({**live, "status": manifest["status"]})
            return self._store(kind, content, None)

    async def delete(self, kind, key, resource_version):
        with self._write(kind, f"delete {kind.name}"):
            self._fresh(kind, key, resource_version)
            del self.objects[kind, key]

    def _write(self, kind, what):
        return _Write(self, kind, what)

    def _fresh(self, kind, key, resource_version):
        live = self.objects.get((kind, key))
        if live is None or live["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError(f"{kind.name} {key}")
        return live

    def _store(self, kind, manifest, manager):
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)
        if manager:
            _own(manifest, manager, self.clock.now)
        self.objects[kind, key_of(manifest)] = manifest
        if kind == VIRTUAL_SERVICE:
            self._note_share(manifest)
        return copied(manifest)

    def _note_share(self, manifest):
        shares = shares_of(manifest)
        if not self.shares or self.shares[-1][1] != shares:
            self.shares.append((self.clock.now, shares))

    def requests(self):
        """Return (time, share of the requests in percent by version), for each change."""
        return self.shares

    # what users and controllers do

    def put(self, kind, manifest):
        """Create or replace an object as somebody else would."""
        old = self.objects.get((kind, key_of(manifest)))
        made = copied(manifest)
        meta = made["metadata"]
        meta.setdefault("uid", old["metadata"]["uid"] if old else f"uid-{self.version}")
        meta.setdefault("creationTimestamp", self.clock.now.isoformat())
        generation = old["metadata"].get("generation", 0) if old else 0
        meta["generation"] = generation + 1
        if old and "status" in old and "status" not in made:
            made["status"] = old["status"]
        return self._store(kind, made, None)

    def edit(self, kind, key, change, manager="somebody"):
        """Change an object as another field manager."""
        live = copied(self.objects[kind, key])
        change(live)
        live["metadata"]["managedFields"] = []
        return self._store(kind, live, manager)

    def pods(self, version, ready=1):
        """Let a version have so many ready pods."""
        for kind, key in list(self.objects):
            if kind == POD and key.name.startswith(f"fraud-{version}-"):
                del self.objects[kind, key]
        for number in range(ready):
            name = f"fraud-{version}-{number}"
            labels = {"app": "fraud", "version": version}
            owner = {"controller": True, "name": f"fraud-{version}"}
            meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
            meta |= {"ownerReferences": [owner], "creationTimestamp": START.isoformat()}
            spec = {"containers": [{"image": f"fraud:{version}"}]}
            self.put(POD, {"metadata": meta, "spec": spec, "status": READY})

    def weights(self, version="v2"):
        """Return the shares of a version that the route had, in order, without repetitions."""
        found = [shares.get(version, 0) for _, shares in self.shares]
        return [share for n, share in enumerate(found) if n == 0 or share != found[n - 1]]


class _Write:
    """One write: `before` and `after` may fail it or kill the process."""

    def __init__(self, cluster, kind, what):
        self.cluster, self.kind, self.what = cluster, kind, what

    def __enter__(self):
        cluster = self.cluster
        cluster.writes.append(self.what)
        self.number = len(cluster.writes) - 1
        if cluster.before:
            cluster.before(self.number, self.kind, self.what)

    def __exit__(self, kind, *_):
        if kind is None and self.cluster.after:
            self.cluster.after(self.number, self.kind, self.what)


def _patch(live, operation):
    node, parts = live, operation["path"].strip("/").split("/")
    for part in parts[:-1]:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    last = int(parts[-1]) if isinstance(node, list) else parts[-1]
    node[last] = copied(operation["value"])


def _own(manifest, manager, now):
    whole = now.replace(microsecond=0).isoformat()
    entry = {"manager": manager, "time": whole, "fieldsV1": {"f:spec": {"f:http": {}}}}
    others = [e for e in manifest["metadata"].get("managedFields", []) if e["manager"] != manager]
    manifest["metadata"]["managedFields"] = [] if manager != MANAGER else others
    manifest["metadata"]["managedFields"].append(entry)


def shares_of(virtual_service):
    """Return the share that each version gets in the first route, in percent."""
    entries = virtual_service["spec"]["http"][0].get("route", [])
    units = {}
    for entry in entries:
        version = entry["destination"].get("subset", "")
        units[version] = units.get(version, 0) + (entry.get("weight", 0) if entries[1:] else 1)
    total = sum(units.values())
    return {version: round(100 * part / total, 2) for version, part in units.items()}


@dataclass
class Prometheus:
    """Counters that grow with the weight in force: implements `Metrics`.

    Attributes:
        errors: Share of bad answers by arm, as a function of the time since the start.
        silent: Whether it does not answer.
        value: What a plain query gives.
    """

    cluster: Cluster
    rate: float = 200.0
    errors: dict = field(default_factory=lambda: {"stable": 0.02, "candidate": 0.02})
    bad_from: datetime | None = None
    silent: bool = False
    value: float | None = None
    past: tuple = ()

    def lag_seconds(self, connection):
        return 0.0 if connection == "prometheus" else None

    async def read(self, queries):
        return [self._answer(query) for query in queries]

    async def history(self, query):
        return self.past

    def _answer(self, query):
        if self.silent:
            return ()
        if "label_replace" not in query.expression:
            return () if self.value is None else (Sample({}, self.value),)
        found = re.search(r"offset (\d+)ms", query.expression)
        back = int(found[1]) / 1000 if found else 0.0
        versions = re.findall(
            r'revision="(\w+)"[^}]*}, "penstock", "total/(\w+)"', query.expression
        )
        return tuple(self._rows(query.at, back, versions))

    def _rows(self, at, back, versions):
        labels = {"job": "envoy", "instance": "edge"}
        yield Sample({"penstock": "offset/bad"}, back)
        yield Sample(labels | {"penstock": "sampled"}, at.timestamp())
        yield Sample(labels | {"penstock": "started"}, START.timestamp() - 3600)
        if back:
            yield Sample(labels | {"penstock": "before"}, at.timestamp() - back)
            yield Sample(labels | {"penstock": "known"}, 4.0)
        for version, arm in versions:
            total, bad = self._counted(version, arm, at)
            mine = labels | {"destination_canonical_revision": version}
            yield Sample(mine | {"penstock": f"total/{arm}", "code": "200"}, total)
            yield Sample(mine | {"penstock": f"bad/{arm}", "code": "500"}, bad)

    def _counted(self, version, arm, at):
        """Return requests and bad ones since the start, a pure function of the route's history."""
        changes = [*self.cluster.requests(), (at, None)]
        total = bad = 0.0
        for (begin, shares), (end, _) in pairwise(changes):
            part = shares.get(version, 0) / 100
            seconds = max((min(end, at) - begin).total_seconds(), 0.0)
            total += self.rate * part * seconds
            bad += self.rate * part * self._bad_seconds(arm, begin, min(end, at))
        return float(int(total)), float(int(bad))

    def _bad_seconds(self, arm, begin, end):
        """Return the time from begin to end, each second weighed by the share of bad answers."""
        whole = max((end - begin).total_seconds(), 0.0) * self.errors[arm]
        if arm == "stable" or self.bad_from is None or end <= self.bad_from:
            return whole
        late = (end - max(begin, self.bad_from)).total_seconds()
        return whole + late * (0.5 - self.errors[arm])


@dataclass
class Reports:
    """Remembers what was told."""

    events: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    figures: tuple = ()

    def event(self, rollout, *, warning, reason, message):
        self.events.append((reason, message))

    def rollout(self, key, figures):
        self.figures = figures

    def gone(self, key):
        self.figures = ()

    def timing(self, name, seconds):
        assert seconds >= 0

    def failed(self, operation):
        self.failures.append(operation)

    def finished(self, outcome, cause):
        self.outcomes.append((outcome, cause))


def refuse(*words):
    """Return a hook that refuses the writes whose description has one of the words."""

    def hook(number, kind, what):
        if any(word in what for word in words):
            raise TransientError(f"refused: {what}")

    return hook


SPEC = {
    "version": "v1",
    "traffic": {
        "service": "fraud",
        "endpoints": {"label": "version"},
        "route": {"delegate": "fraud-split"},
    },
    "strategy": {
        "canary": {"steps": [{"weight": w, "bake": "10s"} for w in (1, 5, 25, 50)]},
    },
    "analysis": {
        "interval": "5s",
        "warmUp": "0s",
        "metrics": [{"template": "istio-errors", "maxIncrease": 100, "slack": 1}],
    },
    "afterPromotion": {"keepOld": "2m"},
}
KEY = Key(NAMESPACE, "fraud")
SPLIT = Key(NAMESPACE, "fraud-split")


def furnished(clock):
    """Return a cluster with the service, a template and ready pods of v1 and v2, no Rollout."""
    cluster = Cluster(clock)
    meta = {"name": "fraud", "namespace": NAMESPACE}
    cluster.put(SERVICE, {"metadata": meta, "spec": {"selector": {"app": "fraud"}}})
    proportion = {
        "total": 'istio_requests_total{reporter="$reporter",$variant}',
        "bad": 'istio_requests_total{reporter="$reporter",response_code=~"5..",$variant}',
    }
    meta = {"name": "istio-errors", "namespace": CATALOGUE}
    cluster.put(METRIC_TEMPLATE, {"metadata": meta, "spec": {"proportion": proportion}})
    cluster.pods("v1", 2)
    return cluster


def rollout(**spec):
    """Return a Rollout."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "spec": copied(SPEC) | spec,
    }


def status(cluster):
    """Return the status of the Rollout."""
    return cluster.objects[ROLLOUT, KEY].get("status", {})


def release(cluster, number):
    """Return a Release."""
    return cluster.objects[RELEASE, Key(NAMESPACE, f"fraud-{number}")]


def seconds(number):
    return timedelta(seconds=number)


class Http:
    """Servers that answer with a status, or with a sentence why they do not."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def status(self, url, timeout):
        self.asked.append((url, timeout))
        if not self.answers:
            return "no answer within 5 s"
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Notices:
    """Those who are told of releases: keeps what it was shown."""

    def __init__(self):
        self.heeded, self.forgotten = [], []

    def heed(self, rollout, spec, status, now):
        self.heeded.append((key_of(rollout), status))

    def forget(self, key):
        self.forgotten.append(key)
