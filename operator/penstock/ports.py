"""The outside systems, as the reconciler needs them. Adapters implement these."""

from collections.abc import Sequence
from typing import Protocol

from penstock.core.samples import Answer, Query


class TransientError(Exception):
    """An outside system did not answer. The same call may succeed later."""


class ConflictError(TransientError):
    """The object has changed since it was read. A newer version is on its way."""


class Metrics(Protocol):
    """Systems that hold time series."""

    async def read(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Return one answer per query, in order. Never raises: silence is an answer too."""
        ...
