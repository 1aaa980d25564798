"""What the bed has only for tests that ask for it: users, Alertmanager and other programs."""

import contextlib
import functools
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.bed.alertmanager import Alertmanager
from tests.bed.control_plane import ControlPlane, Folders
from tests.bed.fickle import FicklePrometheus
from tests.bed.kubectl import run_kubectl
from tests.bed.mesh import Mesh
from tests.bed.prometheus import Prometheus
from tests.bed.streams import Streams, new_streams

Part = TypeVar("Part", Alertmanager, Prometheus, FicklePrometheus)
_NOBODY = "127.0.0.1:9"  # no port that anybody listens on


class OnDemand:
    """The part of `Bed` that costs nothing until it is used."""

    plane: ControlPlane
    mesh: Mesh
    prometheus: Prometheus
    folders: Folders
    _programs: Mapping[str, Path]
    _users: dict[tuple[str, ...], Path]
    _alertmanager_port: int
    _stack: contextlib.ExitStack

    def _until_the_end(self, part: Part) -> Part:
        self._stack.callback(part.stop)
        return part

    def kubectl_as(
        self, user: str, *arguments: str, groups: Sequence[str] = (), input: str | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run kubectl as this user of these groups, who may do what RBAC says.

        Raises:
            BedError: it failed and `check` is true.
        """
        program, mine = self._programs["kubectl"], self.kubeconfig_of(user, *groups)
        return run_kubectl(program, arguments, mine, input, check)

    def kubeconfig_of(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig with a client certificate of this user and these groups."""
        key = (user, *groups)
        if key not in self._users:
            self._users[key] = self.plane.kubeconfig(user, groups)
        return self._users[key]

    def streams(self, namespace: str, hostname: str) -> Streams:
        """Return ports for TCP and TLS; see Place.streams."""
        return new_streams(self.mesh.streams, namespace, hostname, self.plane.authority.ca)

    def second_prometheus(self) -> Prometheus:
        """Return the other one of an HA pair: same targets, scraped at other moments; no alerts.

        It starts when first asked for, and knows nothing of the time before.
        """
        return self._second

    @functools.cached_property
    def _second(self) -> Prometheus:
        program, folders = self._programs["prometheus"], self.folders
        second = Prometheus(program, folders, _NOBODY, first=self.prometheus)
        self._until_the_end(second).start()
        second.wait_ready()
        return second

    def fickle_prometheus(self) -> FicklePrometheus:
        """Return a new proxy before the pair, which asks the two in turn and can misbehave."""
        pair = (self.prometheus.url, self.second_prometheus().url)
        return self._until_the_end(FicklePrometheus(pair))

    @functools.cached_property
    def alertmanager(self) -> Alertmanager:
        """The Alertmanager of the bed's Prometheus, started by the first who asks for it."""
        program, port = self._programs["alertmanager"], self._alertmanager_port
        return self._until_the_end(Alertmanager(program, self.folders, port))
