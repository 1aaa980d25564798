"""One Pod of the kubelet's stand-in: its process, its readiness, its place in the mesh."""

import asyncio
import contextlib
import datetime as dt
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.bed.kubelet.api import Cluster, log
from tests.bed.kubelet.manifests import Life, Manifest, entry, is_job, status, target, version
from tests.bed.processes import die_with_parent

_ANNOTATION = "bed.penstock.dev"
_LEAVE_SECONDS = 0.15  # between leaving the mesh and SIGTERM, so that no request is cut off
_BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0)


@dataclass
class Node:
    """What all Pods share: the way to the API server, addresses, behaviours, targets."""

    cluster: Cluster
    backend: str
    targets_file: Path
    addresses: Iterator[str] = field(default_factory=lambda: _addresses())
    behaviours: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    runners: dict[str, "Runner"] = field(default_factory=dict)
    leaving: set[asyncio.Task[None]] = field(default_factory=set)

    def behaviour(self, namespace: str, version: str) -> Manifest:
        return self.behaviours.get((namespace, version), {})

    def write_targets(self) -> None:
        """Tell Prometheus which backends there are."""
        targets = [runner.target() for runner in self.runners.values() if runner.ports]
        partial = self.targets_file.with_suffix(".new")
        partial.write_text(json.dumps(targets))
        partial.rename(self.targets_file)


class Runner:
    """One Pod: its process, its readiness and its place in the mesh."""

    def __init__(self, node: Node, pod: Manifest) -> None:
        self.node, self.pod = node, pod
        meta = pod["metadata"]
        self.namespace, self.name = meta["namespace"], meta["name"]
        self.annotations: dict[str, str] = meta.get("annotations") or {}
        self.version = version(pod)
        self.address = next(node.addresses)
        self.ports: dict[str, int] = {}
        self.restarts = 0
        self.started = dt.datetime.now(dt.UTC)
        self.process: asyncio.subprocess.Process | None = None
        self.told = asyncio.Event()  # the behaviour changed
        self.task = asyncio.create_task(self._run(), name=self.name)

    async def _run(self) -> None:
        try:
            if is_job(self.pod):
                await self._run_job()
            while not is_job(self.pod):
                await self._run_once()
                await self._crashed()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log(f"{self.namespace}/{self.name}: {error!r}")

    async def _run_job(self) -> None:
        await self._report("Running", ready=True)
        await asyncio.sleep(_seconds(self.annotations.get(f"{_ANNOTATION}/exit-after", "100ms")))
        await self._report("Succeeded", ready=False)

    async def _run_once(self) -> None:
        """Return when the process has ended."""
        await self._start_process()
        assert self.process is not None
        ended = asyncio.create_task(self.process.wait())
        lives = asyncio.create_task(self._live())
        crash = self.annotations.get(f"{_ANNOTATION}/crash-after")
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                timeout = _seconds(crash) if crash else None
                await asyncio.wait_for(asyncio.shield(ended), timeout)
        finally:
            lives.cancel()
            await asyncio.gather(lives, return_exceptions=True)
            if self.process.returncode is None and not _cancelled():
                self.process.kill()
        await ended

    async def _start_process(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            self.node.backend, "-address", self.address, "-version", self.version,
            "-pod", self.name,
            "-behaviour", json.dumps(self.node.behaviour(self.namespace, self.version)),
            stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.ports = json.loads(await self.process.stdout.readline())
        self.node.write_targets()

    async def _live(self) -> None:
        """Become ready when the annotation says so, and follow `ready` of the behaviour."""
        after = self.annotations.get(f"{_ANNOTATION}/ready-after", "0s")
        if after != "0s":
            await self._report("Running", ready=False)
            await asyncio.sleep(float("inf") if after == "never" else _seconds(after))
        ready = None
        while True:
            self.told.clear()
            wanted = self.node.behaviour(self.namespace, self.version).get("ready", True)
            if wanted != ready:
                ready = wanted
                await self._set_ready(ready)
            await self.told.wait()

    async def _set_ready(self, ready: bool) -> None:
        if ready:
            await self._report("Running", ready=True)
            await self.node.cluster.enter_mesh(entry(self.pod, self.address, self.ports["http"]))
        else:
            await self._report("Running", ready=False)
            await self.node.cluster.leave_mesh(self.pod)

    async def _crashed(self) -> None:
        """Leave the mesh, report the crash loop, wait as the kubelet does (but shorter)."""
        self.ports = {}
        self.node.write_targets()
        await self.node.cluster.leave_mesh(self.pod)
        backoff = _BACKOFF_SECONDS[min(self.restarts, len(_BACKOFF_SECONDS) - 1)]
        self.restarts += 1
        await self._report("Running", ready=False, crashed=True)
        await asyncio.sleep(backoff)

    async def behave(self) -> None:
        """Hand the behaviour to the process that runs now."""
        self.told.set()
        if not self.ports:
            return
        body = self.node.behaviour(self.namespace, self.version)
        url = f"http://{self.address}:{self.ports['admin']}/_behave"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.post(url, json=body):
                pass

    async def end(self) -> None:
        """Leave the mesh, then end the process gently."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.node.cluster.leave_mesh(self.pod)
        await asyncio.sleep(_LEAVE_SECONDS)
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    async def _report(self, phase: str, *, ready: bool, crashed: bool = False) -> None:
        life = Life(phase, ready, crashed, self.restarts, self.started)
        await self.node.cluster.write_status(self.pod, status(self.pod, self.address, life))

    def target(self) -> Manifest:
        """Return this Pod in the form of Prometheus' file_sd."""
        return target(self.pod, f"{self.address}:{self.ports['http']}", self.version)


def _addresses() -> Iterator[str]:
    """Yield loopback addresses from a random start, so that two beds rarely share one."""
    for number in itertools.count(random.randrange(2**22)):
        number %= 2**22
        yield f"127.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def _seconds(text: str) -> float:
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(f"not a duration: {text!r} (write 300ms, 5s or 2m)")


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
