"""How many releases are in flight at once: the others wait for their turn."""

from collections.abc import Collection
from dataclasses import dataclass, field

from penstock.core.kinds import Key


@dataclass
class Slots:
    """Admits releases up to a number; a reservation stands for the rest of its turn.

    Until the status is written nobody else can see that a release has started.

    Attributes:
        most: Releases in flight at once, in all namespaces; None for any number.
    """

    most: int | None = None
    _admitted: set[Key] = field(default_factory=set)

    def queue(self, key: Key, in_flight: Collection[Key]) -> str:
        """Return why a Rollout may not start a release now, in a sentence; empty when it may."""
        if self.most is None:
            return ""
        taken = (self._admitted | set(in_flight)) - {key}
        if len(taken) < self.most:
            self._admitted.add(key)
            return ""
        return (
            f"waits for its turn: {len(taken)} releases are in flight, and "
            f"maxConcurrentReleases is {self.most}"
        )

    def forget(self, key: Key) -> None:
        """Drop the reservation of a Rollout, at the end of its turn."""
        self._admitted.discard(key)
