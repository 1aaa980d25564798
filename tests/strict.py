"""A cluster that notes whatever would break a mesh, and a stage for every form of a route."""

from dataclasses import dataclass, field

from penstock.core.kinds import (
    DESTINATION_RULE,
    ENVOY_FILTER,
    METRIC_TEMPLATE,
    ROLLOUT,
    SERVICE,
    VIRTUAL_SERVICE,
    Key,
    key_of,
)
from penstock.core.traffic.target import MANAGER
from tests import fakes
from tests.fakes import NAMESPACE
from tests.test_reconciler import SETTINGS, Stage

SERVICES = {"v1": "fraud-a", "v2": "fraud-b", "v3": "fraud-c"}
ROUTES = {
    "delegate": {"delegate": "fraud-split"},
    "own": {"own": {"hosts": ["fraud.example.com"], "gateways": ["mesh"]}},
    "existing": {"existing": {"virtualService": "shop", "http": ["primary", "fallback"]}},
}
NAMES = {"delegate": "fraud-split", "own": "fraud", "existing": "shop"}
OURS = {"existing": ("primary", "fallback")}
RULE = "penstock-ml_fraud:"
ALSO = {"virtualService": "edge", "http": ["edge"], "tls": ["fraud.example.com"], "tcp": [9000]}
BETA = [{"headers": {"x-group": {"exact": "beta"}}}, {"cookies": {"a": {"exact": "1"}}}]
LADDER = [{"weight": w, "bake": "10s"} for w in (1, 5, 25, 50)]
EXPOSURES = {
    "match": {"match": BETA, "steps": LADDER},
    "mirror": {"steps": [{"mirror": {"percent": 50}, "bake": "10s"}, *LADDER]},
    "mirror-match": {
        "match": BETA,
        "steps": [{"mirror": {"percent": 100, "match": BETA}, "bake": "10s"}, *LADDER],
    },
}
"""Canaries that expose the candidate in other ways than by weight."""


@dataclass
class StrictCluster(fakes.Cluster):
    """Looks at each write of ours with the eyes of a proxy.

    Attributes:
        route: Key of the VirtualService that carries the weights.
        also: Keys of more that do.
        ours: Names of the http routes whose destinations are ours.
        faults: What would have broken the mesh, or somebody else's work.
    """

    route: Key = fakes.SPLIT
    also: tuple = ()
    ours: tuple = ("penstock-ml_fraud",)
    faults: list = field(default_factory=list)
    labelled: bool = True
    subsets: dict = field(default_factory=dict)
    marks: dict = field(default_factory=dict)
    counted: list = field(default_factory=list)

    def requests(self):
        """Return the shares with the copies, which a destination counts, too."""
        return self.counted

    async def apply(self, kind, manifest, resource_version):
        """Apply as the server does: what we no longer say goes, what others say stays."""
        where, given = (kind, key_of(manifest)), set(manifest["metadata"].get("annotations", {}))
        live = self.objects.get(where)
        if live is not None and live["metadata"]["resourceVersion"] == resource_version:
            for name in self.marks.get(where, set()) - given:
                live["metadata"].get("annotations", {}).pop(name, None)
        self.marks[where] = given
        spec = {**(live or {}).get("spec", {}), **manifest["spec"]}
        return await super().apply(kind, {**manifest, "spec": spec}, resource_version)

    def _store(self, kind, manifest, manager):
        where = kind, key_of(manifest)
        before = fakes.copied(self.objects.get(where))
        if manager == MANAGER and kind == VIRTUAL_SERVICE and where[1] in (self.route, *self.also):
            self.faults += self._of_route(before, manifest)
        if kind == DESTINATION_RULE:
            if manager == MANAGER:
                self.faults += self._of_rule(manifest)
            self._note_subsets(manifest)
        if kind == ENVOY_FILTER and self.lists(self.objects.get((VIRTUAL_SERVICE, self.route))):
            self.faults += self._of_filter()
        return super()._store(kind, manifest, manager)

    def lose(self, kind, key):
        """Delete an object as somebody else would."""
        self.objects.pop((kind, key), None)
        if kind == DESTINATION_RULE:
            self.subsets.clear()

    def _note_share(self, manifest):
        if key_of(manifest) == self.route and self.lists(manifest):
            shares = self.shares_of(manifest)
            if not self.shares or self.shares[-1][1] != shares:
                self.shares.append((self.clock.now, shares))
            counted = {**shares, **copies_of(manifest)}
            if not self.counted or self.counted[-1][1] != counted:
                self.counted.append((self.clock.now, counted))

    def lists(self, virtual_service):
        """Return the destination lists that are ours."""
        spec = virtual_service["spec"] if virtual_service else {}
        http = [r for r in spec.get("http", []) if r.get("name") in self.ours]
        found = [*http, *spec.get("tls", []), *spec.get("tcp", [])]
        return [r["route"] for r in found if r.get("route")]

    def named(self, virtual_service):
        """Return the versions that any list of ours names, a preview or a mirror, too."""
        http = virtual_service["spec"].get("http", []) if virtual_service else []
        ours = [r for r in http if r.get("name", "").startswith((RULE, *self.ours))]
        lists = [*self.lists(virtual_service), *(r.get("route", []) for r in ours)]
        lists += [r.get("mirrors", []) for r in ours]
        return {version_of(e) for one in lists for e in one} - {"", None}

    def shares_of(self, virtual_service):
        """Return the share of each version in the first list of ours, in percent of ours."""
        first = self.lists(virtual_service)[0]
        units = {}
        for entry in first:
            version = version_of(entry)
            if version is not None:
                weight = entry.get("weight", 0) if first[1:] else 100
                units[version] = units.get(version, 0) + weight
        total = sum(units.values()) or 1
        return {version: round(100 * part / total, 2) for version, part in units.items()}

    # what a proxy would find wrong

    def _of_route(self, before, after):
        found = []
        for one in self.lists(after):
            weights = [entry["weight"] for entry in one]
            if min(weights) < 0 or sum(weights) not in (100, 10_000):
                found.append(f"weights {weights}")
            if len(one) == 1 and self._filtered():
                found.append("a list of one where a filter matches")
        for version in self.named(after) - self.named(before):
            found += self._of_new_version(version)
            if before and not self._ready(version) and self.shares_of(after).get(version, 1) > 0:
                found.append(f"{version} gets traffic without a ready pod")
        found += self._of_shares(before, after)
        found += self._of_rules(after)
        return found + _of_the_rest(before, after, self.ours)

    def _of_shares(self, before, after):
        """Nobody gets more than the written status says, and what is refused gets no more."""
        status = self.objects[ROLLOUT, fakes.KEY].get("status", {})
        stable = status.get("stable", {}).get("version")
        old = self.shares_of(before) if self.lists(before) else {}
        new, found = self.shares_of(after), []
        candidate = status.get("candidate", {}).get("version")
        allowed = {candidate: status.get("traffic", {}).get("weight", 0)}
        if "penstock.dev/rolled-back" in after["metadata"].get("annotations", {}):
            allowed[status.get("previous", {}).get("version")] = 100
        refused = {r["version"] for r in status.get("refused", [])}
        for version, share in new.items():
            grown = share > old.get(version, 0)
            if version != stable and grown and share > allowed.get(version, 0):
                found.append(f"{version} gets {share} %, more than the status says")
            if version in refused - {stable} and grown:
                found.append(f"{version} gets {share} % and is refused")
        return found

    def _of_rules(self, after):
        """Previews, copies and cookies: only for a release in flight, each before its split."""
        status = self.objects[ROLLOUT, fakes.KEY].get("status", {})
        http, found = after["spec"].get("http", []), []
        for index, route in enumerate(http):
            exposed = route.get("name", "").startswith(RULE) or _mirrors_ours(route)
            if exposed and not status.get("candidate"):
                found.append(f"{route['name']} exposes a candidate that there is not")
            if route.get("name", "").startswith(RULE):
                found += self._of_rule_before(route, http[index + 1 :])
        return found

    def _of_rule_before(self, rule, after):
        """The next route that is no rule of ours is the split whose settings the rule has."""
        split = next((r for r in after if not r.get("name", "").startswith(RULE)), {})
        if split.get("name") not in self.ours:
            return [f"{rule['name']} stands before {split.get('name')}, which is not ours"]
        own = ("name", "match", "route", "mirrors")
        settings = [{k: v for k, v in r.items() if k not in own} for r in (rule, split)]
        if settings[0] != settings[1]:
            return [f"{rule['name']} serves otherwise than {split['name']}"]
        return [] if rule.get("match") else [f"{rule['name']} takes everything"]

    def _of_new_version(self, version):
        if self.labelled:
            since = self.subsets.get(version)
            if since is None:
                return [f"{version} is named without a subset"]
            if since + SETTINGS.propagation > self.clock.now:
                return [f"{version} is named before every proxy knows its subset"]
        return []

    def _of_rule(self, manifest):
        there = {subset["name"] for subset in manifest["spec"]["subsets"]}
        places = [(VIRTUAL_SERVICE, key) for key in (self.route, *self.also)]
        lost = set().union(*(self.named(self.objects.get(where)) for where in places)) - there
        return [f"the subset of {version} goes while a route names it" for version in lost]

    def _of_filter(self):
        live = self.objects[VIRTUAL_SERVICE, self.route]
        short = [one for one in self.lists(live) if len(one) < 2]
        return ["a filter matches a list of one"] if short else []

    def _filtered(self):
        return bool(self.known(ENVOY_FILTER))

    def _note_subsets(self, manifest):
        there = {subset["name"] for subset in manifest["spec"]["subsets"]}
        kept = {name: since for name, since in self.subsets.items() if name in there}
        self.subsets = {**dict.fromkeys(there, self.clock.now), **kept}

    def _ready(self, version):
        prefix = f"fraud-{version}-"
        return any(k.plural == "pods" and key.name.startswith(prefix) for k, key in self.objects)


def version_of(entry):
    """Return the version of a destination; "" for the whole service, None for somebody else's."""
    place = entry["destination"]
    host = place["host"].split(".")[0]
    if place.get("subset"):
        return place["subset"]
    found = next((version for version, name in SERVICES.items() if name == host), None)
    return "" if host == "fraud" else found


def copies_of(virtual_service):
    """Return the share of requests that are copied to each version, in percent."""
    mirrors = [m for r in virtual_service["spec"].get("http", []) for m in r.get("mirrors", [])]
    ours = [m for m in mirrors if version_of(m) in SERVICES]
    return {version_of(m): m["percentage"]["value"] for m in ours}


def _mirrors_ours(route):
    return any(version_of(entry) in SERVICES for entry in route.get("mirrors", []))


def _of_the_rest(before, after, ours):
    if before is None:
        return []
    found = []
    old, new = (
        [r for r in vs["spec"].get("http", []) if not r.get("name", "").startswith(RULE)]
        for vs in (before, after)
    )
    if len(old) > len(new):
        found.append("a route of somebody else is gone")
    for one, other in zip(old, new, strict=False):
        if one.get("name") not in ours and one.get("name") and one != other:
            found.append(f"the route {one['name']} of somebody else was changed")
        own = ("route", "name") + (
            ("mirrors",) if _mirrors_ours(one) or _mirrors_ours(other) else ()
        )
        rest = [{k: v for k, v in r.items() if k not in own} for r in (one, other)]
        if one.get("name") in ours and rest[0] != rest[1]:
            found.append(f"what somebody else wrote into {one['name']} is gone")
        third = [[e["destination"] for e in r.get("route", []) if version_of(e) is None]
                 for r in (one, other)]  # fmt: skip
        if third[0] != third[1]:
            found.append("a third destination is gone")
    return found


def _to_cdn():
    return {"destination": {"host": "cdn"}}


class StrictStage(Stage):
    """A stage whose route has one of the forms; `faults` must stay empty."""

    def __init__(
        self, route="delegate", services=False, sticky=False, also=False, exposure="", **spec
    ):
        self.clock = fakes.Clock()
        self.cluster = StrictCluster(
            self.clock,
            route=Key(NAMESPACE, NAMES[route]),
            also=(Key(NAMESPACE, "edge"),) if also else (),
            ours=(*OURS.get(route, ("penstock-ml_fraud",)), *(("edge",) if also else ())),
            labelled=not services,
        )
        self.cluster.objects = fakes.furnished(self.clock).objects
        self.metrics = fakes.Prometheus(self.cluster)
        self.reports = fakes.Reports()
        self.start()
        self._furnish(route, services, sticky)
        if also:
            self._furnish_edge("fraud-a" if services else "fraud")
        traffic = {
            "service": "fraud",
            "route": {**ROUTES[route], **({"also": [ALSO]} if also else {})},
        }
        traffic["endpoints"] = {"services": SERVICES} if services else {"label": "version"}
        if sticky:
            cookie = {"name": "v", "issue": True}
            traffic["sticky"] = (
                {"cookie": cookie} if sticky == "cookie" else {"header": "x-user-id"}
            )
        if exposure:
            spec = {"strategy": {"canary": EXPOSURES[exposure]}, **spec}
            self._separate_routes()
        self.cluster.put(ROLLOUT, fakes.rollout(**{"traffic": traffic, **spec}))

    def _separate_routes(self):
        """Let the template tell which route a request took."""
        where = METRIC_TEMPLATE, Key(fakes.CATALOGUE, "istio-errors")
        made = fakes.copied(self.cluster.objects[where])
        routed = {
            name: text.replace("{", '{route_name=~"$route",', 1)
            for name, text in made["spec"]["proportion"].items()
        }
        made["spec"] = {"proportion": routed, "separates": ["route"]}
        self.cluster.put(METRIC_TEMPLATE, made)

    def _furnish(self, route, services, sticky):
        if services:
            for version, name in SERVICES.items():
                spec = {"selector": {"app": "fraud", "version": version}}
                self._put(SERVICE, name, spec)
        if route == "existing":
            host = "fraud-a" if services else "fraud"
            http = [
                {"name": "static", "route": [{"destination": {"host": "cdn"}}]},
                {"name": "primary", "timeout": "3s", "route": [{"destination": {"host": host}}]},
                {"name": "fallback", "route": [{"destination": {"host": host}}]},
            ]
            self._put(VIRTUAL_SERVICE, "shop", {"hosts": ["shop.example.com"], "http": http})
        if sticky is True and route == "delegate":
            delegate = {"name": "fraud-split", "namespace": NAMESPACE}
            self._put(VIRTUAL_SERVICE, "root", {"http": [{"name": "all", "delegate": delegate}]})

    def _furnish_edge(self, host):
        """A second VirtualService of the user, with a route of each protocol."""
        route = [{"destination": {"host": host, "port": {"number": 80}}}]
        http = [
            {"name": "admin", "match": [{"uri": {"prefix": "/admin"}}], "route": [_to_cdn()]},
            {
                "name": "edge",
                "match": [{"uri": {"prefix": "/api"}}, {"method": {"exact": "POST"}}],
                "retries": {"attempts": 2},
                "route": route,
            },
            {"name": "rest", "route": [_to_cdn()]},
        ]
        tls = [{"match": [{"port": 443, "sniHosts": ["fraud.example.com"]}], "route": route}]
        tcp = [{"match": [{"port": 9000}], "route": route}]
        self._put(VIRTUAL_SERVICE, "edge", {"hosts": ["*"], "http": http, "tls": tls, "tcp": tcp})

    def _put(self, kind, name, spec):
        meta = {"name": name, "namespace": NAMESPACE}
        self.cluster.put(kind, {"metadata": meta, "spec": spec})

    @property
    def faults(self):
        return self.cluster.faults

    @property
    def live(self):
        """Return the VirtualService that carries the weights."""
        return self.cluster.objects.get((VIRTUAL_SERVICE, self.cluster.route))

    def condition(self, type_):
        """Return a condition of the Rollout as (status, reason, message)."""
        found = next((c for c in self.status.get("conditions", []) if c["type"] == type_), {})
        return found.get("status"), found.get("reason"), found.get("message", "")

    def edit(self, change, manager="somebody"):
        """Change the VirtualService as another field manager."""
        self.cluster.edit(VIRTUAL_SERVICE, self.cluster.route, change, manager)
