"""One Pod of the kubelet's stand-in: its process, its readiness, its place in the mesh."""

import asyncio
import contextlib
import datetime as dt
import itertools
import json
import random
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiohttp

from tests.bed.kubelet.api import Cluster, log
from tests.bed.kubelet.manifests import Life, Manifest, entry, is_job, status, target, version
from tests.bed.kubelet.sidecar import METRICS_PORT, PORT, Sidecar
from tests.bed.processes import die_with_parent

_ANNOTATION = "bed.penstock.dev"
_LEAVE_SECONDS = 0.15  # between leaving the mesh and SIGTERM, so that no request is cut off
_KILLED = 137
_BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files go: Prometheus' targets (two files), what ends with the bed, logs."""

    backends: Path
    sidecars: Path
    work: Path
    logs: Path


@dataclass
class Node:
    """What all Pods share: the way to the API server, addresses, behaviours, targets."""

    cluster: Cluster
    backend: str
    tls: tuple[str, str]  # files of the backends' certificate and key
    folders: Folders
    addresses: Iterator[str] = field(default_factory=lambda: _addresses())
    behaviours: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    runners: dict[str, "Runner"] = field(default_factory=dict)
    leaving: set[asyncio.Task[None]] = field(default_factory=set)

    def behaviour(self, namespace: str, version: str) -> Manifest:
        return self.behaviours.get((namespace, version), {})

    def do(self, work: Coroutine[None, None, None]) -> None:
        """Do this in the background."""
        task = asyncio.create_task(work)
        self.leaving.add(task)
        task.add_done_callback(self.leaving.discard)

    def write_targets(self) -> None:
        """Tell Prometheus which backends and inbound proxies there are."""
        runners = self.runners.values()
        _replace(self.folders.backends, [r.target("http") for r in runners if r.ports])
        _replace(
            self.folders.sidecars,
            [r.target("sidecar") for r in runners if r.sidecar and r.sidecar.running],
        )


def _replace(file: Path, targets: list[Manifest]) -> None:
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(targets))
    partial.rename(file)


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
        self.sidecar = self._sidecar()
        self.restarts = 0
        self.exit: int | None = None
        self.started = dt.datetime.now(dt.UTC)
        self.process: asyncio.subprocess.Process | None = None
        self._port = 0  # a process that is started again has the port of the first
        self.told = asyncio.Event()  # the behaviour changed
        self.task = asyncio.create_task(self._run(), name=self.name)

    def _sidecar(self) -> Sidecar | None:
        if self.annotations.get(f"{_ANNOTATION}/inbound") != "true":
            return None
        return Sidecar(self.pod, self.address, self.node.folders.work, self.node.folders.logs)

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
        await asyncio.sleep(float(self.annotations.get(f"{_ANNOTATION}/seconds", "0.1")))
        await self._finish(int(self.annotations.get(f"{_ANNOTATION}/exit", "0")))

    async def _finish(self, code: int) -> None:
        self.exit = code
        await self._report("Failed" if code else "Succeeded", ready=False)

    async def terminate(self) -> None:
        """End a Job's Pod that is to be deleted and that the Job controller still holds."""
        if is_job(self.pod) and self.exit is None:
            self.task.cancel()
            await self._finish(_KILLED)

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
            "-pod", self.name, "-port", str(self._port),
            "-behaviour", json.dumps(self.node.behaviour(self.namespace, self.version)),
            *self._tls(), stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.ports = json.loads(await self.process.stdout.readline())
        self._port = self.ports["http"]
        if self.sidecar and not self.sidecar.running:
            await self.sidecar.start(self.ports["http"])
        self.node.write_targets()

    def _tls(self) -> tuple[str, ...]:
        if self.annotations.get(f"{_ANNOTATION}/tls") != "true":
            return ()
        return ("-cert", self.node.tls[0], "-key", self.node.tls[1])

    def _mesh_ports(self) -> dict[str, int]:
        ports = {name: port for name, port in self.ports.items() if name != "admin"}
        return ports | ({"http": PORT} if self.sidecar else {})

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
            ports = self._mesh_ports()
            await self.node.cluster.enter_mesh(entry(self.pod, self.address, ports))
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
        if self.sidecar:
            await self.sidecar.kill()

    async def _report(self, phase: str, *, ready: bool, crashed: bool = False) -> None:
        life = Life(phase, ready, crashed, self.restarts, self.started, self.exit or 0)
        await self.node.cluster.write_status(self.pod, status(self.pod, self.address, life))

    def target(self, port: Literal["http", "sidecar"]) -> Manifest:
        """Return this Pod's backend or inbound proxy in the form of Prometheus' file_sd."""
        number = METRICS_PORT if port == "sidecar" else self.ports["http"]
        return target(self.pod, f"{self.address}:{number}", self.version)


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
