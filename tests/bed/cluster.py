"""What a place needs of the cluster that it lies in: the bed, or another (external.py)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

from tests.bed.api import Api
from tests.bed.envoy import Envoy
from tests.bed.streams import Streams


class Cluster(Protocol):
    """A cluster with places; what it cannot do raises BedError."""

    domain: str
    gateway: str

    @property
    def api(self) -> Api: ...

    def image(self, version: str) -> str: ...
    def edge_url(self) -> str: ...
    def edge(self) -> Envoy | None: ...
    def streams(self, namespace: str, hostname: str) -> Streams: ...
    def tell_backends(self, namespace: str, version: str, behaviour: Mapping[str, Any]) -> None: ...
    def files(self) -> tuple[Path, Path]: ...
    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> CompletedProcess[str]: ...
    def kubectl_as(
        self, user: str, *arguments: str, groups: Sequence[str] = (), input: str | None = None,
        check: bool = True,
    ) -> CompletedProcess[str]: ...  # fmt: skip
