"""The outside systems, as the reconciler needs them. Adapters implement these."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from penstock.core.kinds import Key, Kind, Manifest
from penstock.core.samples import Answer, Query, RangeQuery, Tracks


class TransientError(Exception):
    """An outside system did not answer, or refused. The same call may succeed later."""


class ConflictError(TransientError):
    """The object has changed since it was read. A newer version is on its way."""


class InterruptedTurnError(Exception):
    """Something more urgent than the metrics has come up: run the turn again at once."""


class ForbiddenError(TransientError):
    """Our rights do not reach so far."""


class Objects(Protocol):
    """Objects of the Kubernetes API, read from watches where we watch, else from the server."""

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """Return an object, None where there is none."""
        ...

    def peek(self, kind: Kind, key: Key) -> Manifest | None:
        """Return an object that the watches have shown; None where they have not. No I/O."""
        ...

    def known(self, kind: Kind) -> Sequence[Manifest]:
        """Return all objects of a kind that the watches have shown. No I/O."""
        ...

    async def select(
        self, kind: Kind, namespace: str, selector: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Return the objects with these labels, from the server."""
        ...


class Writes(Protocol):
    """Writes to the Kubernetes API; each has a precondition and returns the object written."""

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object; ConflictError where it exists."""
        ...

    async def apply(self, kind: Kind, manifest: Manifest, resource_version: str) -> Manifest:
        """Apply an object on the server under our field manager."""
        ...

    async def patch(
        self, kind: Kind, key: Key, operations: Sequence[Mapping[str, Any]], resource_version: str
    ) -> Manifest:
        """Patch an object by JSON patch operations."""
        ...

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replace the status of an object by the one in the manifest."""
        ...

    async def delete(self, kind: Kind, key: Key, resource_version: str) -> None:
        """Delete an object; nothing happens where it is gone."""
        ...


class Metrics(Protocol):
    """Systems that hold time series."""

    async def read(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Return one answer per query, in order. Never raises: silence is an answer too."""
        ...

    async def history(self, query: RangeQuery) -> Tracks:
        """Return the series of an expression over a time. Never raises."""
        ...

    def lag_seconds(self, connection: str) -> float | None:
        """Return how old data must be to be complete; None for an unknown connection."""
        ...


class Reports(Protocol):
    """What people and their monitoring are told. Never fails, never waits."""

    def event(self, rollout: Manifest, *, warning: bool, reason: str, message: str) -> None:
        """Publish a Kubernetes event about a Rollout."""
        ...

    def rollout(self, key: Key, facts: Mapping[str, Any]) -> None:
        """Show the numbers of one Rollout as metrics."""
        ...

    def gone(self, key: Key) -> None:
        """Forget the numbers of a Rollout."""
        ...

    def timing(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        ...

    def finished(self, key: Key, outcome: str, cause: str) -> None:
        """Note that a release has ended, and why in a word."""
        ...
