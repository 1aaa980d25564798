"""The pods of a namespace from one watch, while its Rollouts ask for theirs again and again.

Who asks seldom, or while nothing is watched yet, lists its own. Of a pod only that is kept which
`core.pods` reads.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.core.kinds import Manifest
from penstock.ports import ForbiddenError, TransientError

LOG = logging.getLogger("penstock")
MOST_LISTS, LISTS_SECONDS = 60, 60.0
"""More lists than these, in so many seconds, are dearer than a watch."""

IDLE_SECONDS = 60.0
STREAM_SECONDS = 50
AGAIN_SECONDS = 1.0

List = Callable[[str], Awaitable[Manifest]]
Stream = Callable[[str, str, int], AsyncIterator[bytes]]


@dataclass
class _Watch:
    """One namespace; `pods` is None while they are not known."""

    asked: float
    task: asyncio.Task[None] | None = None
    pods: dict[str, Manifest] | None = None
    version: str = ""


@dataclass
class PodWatches:
    """Watches namespaces while they are asked about often, and none when idle.

    Attributes:
        list_: Returns the list of all pods of a namespace.
        stream: Yields the lines of a watch of a namespace from a version on, for some seconds.
    """

    list_: List
    stream: Stream
    clock: Callable[[], float] = time.monotonic
    _watches: dict[str, _Watch] = field(default_factory=dict)
    _lists: dict[str, deque[float]] = field(default_factory=dict)
    _forbidden: bool = False

    def select(self, namespace: str, labels: Mapping[str, str]) -> Sequence[Manifest] | None:
        """Return the pods with these labels as the watch has shown them; None without one."""
        now, watch = self.clock(), self._watches.get(namespace)
        if watch is None:
            self._note_list(namespace, now)
            return None
        watch.asked = now
        if watch.pods is None:
            return None
        return [
            pod
            for pod in watch.pods.values()
            if labels.items() <= pod["metadata"].get("labels", {}).items()
        ]

    async def close(self) -> None:
        """End all watches."""
        tasks = [watch.task for watch in self._watches.values() if watch.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note_list(self, namespace: str, now: float) -> None:
        newest = self._lists.setdefault(namespace, deque(maxlen=MOST_LISTS))
        often = len(newest) == MOST_LISTS and newest[0] > now - LISTS_SECONDS
        newest.append(now)
        if often and not self._forbidden:
            del self._lists[namespace]
            watch = self._watches[namespace] = _Watch(now)
            watch.task = asyncio.get_running_loop().create_task(self._keep(namespace, watch))

    async def _keep(self, namespace: str, watch: _Watch) -> None:
        """Watch until nobody has asked for a while, or it is forbidden."""
        try:
            while self.clock() - watch.asked < IDLE_SECONDS and not self._forbidden:
                await self._follow(namespace, watch)
        finally:
            del self._watches[namespace]

    async def _follow(self, namespace: str, watch: _Watch) -> None:
        try:
            if watch.pods is None:
                found = await self.list_(namespace)
                watch.version = found["metadata"]["resourceVersion"]
                watch.pods = {pod["metadata"]["name"]: _lean(pod) for pod in found["items"]}
            async for line in self.stream(namespace, watch.version, STREAM_SECONDS):
                _take(watch, json.loads(line))
        except ForbiddenError:
            LOG.info("pods may not be watched here: each Rollout in flight lists its own")
            self._forbidden = True
        except Exception as error:  # Whatever it is: unknown pods are listed, never guessed.
            if not isinstance(error, TransientError):
                LOG.warning("the watch of the pods of %s begins anew: %r", namespace, error)
            watch.pods = None
            await asyncio.sleep(AGAIN_SECONDS)


def _take(watch: _Watch, event: Mapping[str, Any]) -> None:
    """Follow one event of the watch.

    Raises:
        TransientError: The watch can go on only with a new list.
    """
    kind, shown = event["type"], event["object"]
    if kind == "ERROR" or watch.pods is None:
        raise TransientError(f"watch of pods: {shown.get('message', kind)}")
    watch.version = shown["metadata"]["resourceVersion"]
    if kind == "DELETED":
        watch.pods.pop(shown["metadata"]["name"], None)
    elif kind in ("ADDED", "MODIFIED"):
        watch.pods[shown["metadata"]["name"]] = _lean(shown)


def _lean(pod: Manifest) -> Manifest:
    meta, status = pod["metadata"], pod.get("status", {})
    kept = ("name", "namespace", "labels", "creationTimestamp", "deletionTimestamp")
    images = [{"image": one.get("image", "")} for one in pod["spec"].get("containers", [])]
    return {
        "metadata": {
            **{name: meta[name] for name in kept if name in meta},
            "ownerReferences": [
                {name: owner.get(name) for name in ("name", "controller")}
                for owner in meta.get("ownerReferences", [])
            ],
        },
        "spec": {"containers": images},
        "status": {
            **{name: status[name] for name in ("phase", "podIP") if name in status},
            "conditions": [
                {name: one.get(name) for name in ("type", "status")}
                for one in status.get("conditions") or []
            ],
        },
    }
