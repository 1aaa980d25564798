"""The outside systems, as the reconciler needs them. Adapters implement these."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core.alerts import Alarm
from penstock.core.destinations import Destination
from penstock.core.figures import Figure
from penstock.core.kinds import Key, Kind, Manifest
from penstock.core.messages import Message
from penstock.core.samples import Answer, Query, RangeQuery, Tracks

TURN, STATUS = FAILING = ("turn", "status")


class TransientError(Exception):
    """An outside system did not answer, or refused. The same call may succeed later."""


class ConflictError(TransientError):
    """The object has changed since it was read. A newer version is on its way."""


class InterruptedTurnError(Exception):
    """Something more urgent than the metrics has come up: run the turn again at once."""


class ForbiddenError(TransientError):
    """Our rights do not reach so far."""


class UndeliveredError(Exception):
    """A message was not taken; the text is a sentence without its address.

    Attributes:
        reason: The same in a word, for metrics.
        final: The same message would be refused again.
        after: How long the receiver wants to be left alone; None where it did not say.
    """

    def __init__(
        self, reason: str, text: str, *, final: bool = False, after: timedelta | None = None
    ) -> None:
        """Make the error."""
        super().__init__(text)
        self.reason, self.final, self.after = reason, final, after


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


class Alarms(Protocol):
    """The alerts that monitoring has told us of."""

    def known(self, namespace: str) -> Sequence[Alarm]:
        """Return the alerts of a namespace that have fired. No I/O."""
        ...


class Http(Protocol):
    """Servers that are asked for no more than a status."""

    async def status(self, url: str, timeout: timedelta) -> int | str:  # noqa: ASYNC109
        """Return the status of a GET, or in a sentence why there is none. Never raises."""
        ...


class Carrier(Protocol):
    """Carries messages to where people or programs read them."""

    async def carry(self, destination: Destination, message: Message) -> None:
        """Send a message once; UndeliveredError where it was not taken."""
        ...


class Notices(Protocol):
    """Those outside the cluster who are told of releases. Never fails, never waits."""

    def heed(
        self, rollout: Manifest, spec: RolloutSpec, status: RolloutStatus, now: datetime
    ) -> None:
        """Tell what is new in a status that was written."""
        ...

    def forget(self, key: Key) -> None:
        """Forget what was told of a Rollout that is gone."""
        ...


class Reports(Protocol):
    """What people and their monitoring are told. Never fails, never waits."""

    def event(self, rollout: Manifest, *, warning: bool, reason: str, message: str) -> None:
        """Publish a Kubernetes event about a Rollout."""
        ...

    def rollout(self, key: Key, figures: Sequence[Figure]) -> None:
        """Show these numbers of one Rollout as metrics, in place of those before."""
        ...

    def gone(self, key: Key) -> None:
        """Forget the numbers of a Rollout."""
        ...

    def timing(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        ...

    def failed(self, operation: str) -> None:
        """Note that something failed: one of FAILING."""
        ...

    def finished(self, outcome: str, cause: str) -> None:
        """Note that a release has ended, and why in a word."""
        ...
