"""Records the weights of a namespace's routes: as written in the API server, as used in Envoy.

The API server's side is a watch, so no change is missed. Envoy's side is polled, so it may miss a
weight that held for less than the poll; what it shows must be a subsequence of the written ones.
"""

import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import requests

from tests.bed.api import Api, Manifest, Watch
from tests.bed.envoy import Envoy, Split
from tests.bed.processes import wait_until

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """From `time` (epoch seconds) on, the route sends its traffic like this.

    `owner` is the VirtualService in the API server, and the edge router in Envoy.
    """

    time: float
    owner: str
    route: str
    split: Split

    def share(self, destination: str) -> float:
        """Return the percentage that a subset (or host) gets, 0..100."""
        total = sum(weight for _, weight in self.split)
        part = sum(weight for name, weight in self.split if name == destination)
        return round(100 * part / total, 4) if total else 0.0


class Recorder:
    """Starts at once; `stop` ends both threads. Reading is allowed at any time."""

    def __init__(self, api: Api, namespace: str, edge: Envoy | None, host: str) -> None:
        """Record all VirtualServices of the namespace, and Envoy's routes of the host."""
        self._api, self._namespace, self._edge, self._host = api, namespace, edge, host
        self.written: list[Change] = []
        self.used: list[Change] = []
        self.trouble: list[str] = []
        self._seen_version = 0
        self._stopped = threading.Event()
        self._rejected_before = edge.update_rejected() if edge else 0
        path = api.resource("virtualservice").path(namespace)
        listed = api.call("GET", path)
        for found in listed["items"]:
            self._note_written(found)
        since = listed["metadata"]["resourceVersion"]
        self._watch: Watch = api.watch("virtualservice", namespace, since)
        self._threads = [threading.Thread(target=self._follow, args=(since,), daemon=True)]
        if edge:
            self._threads.append(threading.Thread(target=self._poll, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._stopped.is_set():
            return
        self.sync()
        self._stopped.set()
        self._watch.close()
        for thread in self._threads:
            thread.join(5)

    def sync(self) -> None:
        """Wait until the watch has brought everything that the API server has now."""
        found = self._api.objects("virtualservice", self._namespace)
        newest = max((int(vs["metadata"]["resourceVersion"]) for vs in found), default=0)
        with contextlib.suppress(Exception):
            wait_until("recorder", lambda: self._seen_version >= newest, 2)

    def weights(self, destination: str, route: str | None = None) -> list[float]:
        """Return the shares (percent) written for a subset or host, without repetitions."""
        self.sync()
        return _shares(self.written, destination, route)

    def envoy_weights(self, destination: str, route: str | None = None) -> list[float]:
        """Return the shares (percent) that the edge router used, without repetitions.

        A route behind a delegate is found by the delegate's route name too.
        """
        return _shares(self.used, destination, route)

    def update_rejected(self) -> int:
        """Return how many configurations Envoy refused since the start; must be 0."""
        return self._edge.update_rejected() - self._rejected_before if self._edge else 0

    def assert_consistent(self, destination: str, route: str | None = None) -> None:
        """Fail unless Envoy took every update and used a subsequence of the written weights."""
        written = self.weights(destination, route)
        used = self.envoy_weights(destination, route)
        assert not self.trouble, self.trouble
        assert self.update_rejected() == 0, "Envoy refused a configuration"
        assert is_subsequence(used, written), f"Envoy used {used}, written were {written}"

    def _follow(self, since: str) -> None:
        try:
            while True:
                for kind, found in self._watch:
                    if kind == "ERROR":
                        raise ValueError(found.get("message"))
                    since = found["metadata"]["resourceVersion"]
                    self._note_written(found)
                if self._stopped.is_set():
                    return
                self._watch = self._api.watch("virtualservice", self._namespace, since)
                if self._stopped.is_set():
                    self._watch.close()
        except (OSError, ValueError) as error:
            self._complain(f"watch of VirtualServices: {error!r}")

    def _complain(self, text: str) -> None:
        if not self._stopped.is_set():
            self.trouble.append(text)

    def _note_written(self, found: Manifest) -> None:
        meta = found["metadata"]
        for route in found["spec"].get("http", ()):
            split = _written_split(route.get("route", ()))
            if split:
                change = Change(time.time(), meta["name"], route.get("name", ""), split)
                _append(self.written, change)
        self._seen_version = max(self._seen_version, int(meta["resourceVersion"]))

    def _poll(self) -> None:
        assert self._edge is not None
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                routes = self._edge.routes(self._host)
            except requests.RequestException:
                continue
            now = time.time()
            for name, split in routes.items():
                _append(self.used, Change(now, self._edge.name, name, split))


def _append(changes: list[Change], change: Change) -> None:
    """Add the change unless the route stood like this already."""
    for earlier in reversed(changes):
        if (earlier.owner, earlier.route) == (change.owner, change.route):
            if earlier.split == change.split:
                return
            break
    changes.append(change)


def _written_split(destinations: Sequence[dict[str, Any]]) -> Split:
    alone = len(destinations) == 1
    return tuple(
        (
            entry["destination"].get("subset") or entry["destination"]["host"],
            100 if alone else entry.get("weight", 0),
        )
        for entry in destinations
    )


def _shares(changes: Iterable[Change], destination: str, route: str | None) -> list[float]:
    shares: list[float] = []
    for change in list(changes):
        if route is None or change.route == route or change.route.endswith(f"-{route}"):
            share = change.share(destination)
            if not shares or shares[-1] != share:
                shares.append(share)
    return shares


def is_subsequence(part: Sequence[float], whole: Sequence[float]) -> bool:
    """Return whether `part` comes out of `whole` by leaving elements out."""
    rest = iter(whole)
    return all(element in rest for element in part)
