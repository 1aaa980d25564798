"""The alerts that are known now, and who is woken when one begins or ends.

They are in memory only: after a restart Alertmanager's next repetition, or the first poll, brings
them back. What an alert has decided is in the status of the Rollout.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from penstock.core import alerts
from penstock.core.alerts import Alarm, Book, Payload
from penstock.core.kinds import Key, Manifest, key_of


class Wake(Protocol):
    """Runs a turn of a Rollout soon; an urgent one interrupts a turn that waits for metrics."""

    def __call__(self, key: Key, *, urgent: bool = False) -> None:
        """Wake the Rollout."""
        ...


@dataclass
class Alarms:
    """Implements `penstock.ports.Alarms`.

    Attributes:
        rollouts: Returns all Rollouts, without I/O.
        wake: Wakes one.
        clock: Returns the time.
    """

    rollouts: Callable[[], Sequence[Manifest]]
    wake: Wake
    clock: Callable[[], datetime]
    book: Book = field(default_factory=Book)

    def told(self, payload: Payload) -> None:
        """Take what one delivery says into the book and wake whom it concerns."""
        self._turn_to(self.book.with_payload(payload, self.clock()))

    def shown(self, source: str, alarms: Iterable[Alarm]) -> None:
        """Take a poll, which shows all firing alerts of a source, into the book; wake as above."""
        self._turn_to(self.book.with_poll(source, alarms, self.clock()))

    def known(self, namespace: str) -> tuple[Alarm, ...]:
        """Return the alarms of a namespace that have fired, resolved ones for a while."""
        return self.book.known(namespace, self.clock())

    def _turn_to(self, book: Book) -> None:
        before, self.book = self.book, book
        changed: dict[str, list[Alarm]] = {}
        for alarm in alerts.news(before, book):
            changed.setdefault(alarm.namespace, []).append(alarm)
        for rollout in self.rollouts() if changed else ():
            key = key_of(rollout)
            mine = [one for one in changed.get(key.namespace, ()) if _concerns(rollout, one)]
            if mine:
                self.wake(key, urgent=any(alarm.firing for alarm in mine))


def _concerns(rollout: Manifest, alarm: Alarm) -> bool:
    """Return whether a rule of the Rollout names the alarm; a spec may be unreadable."""
    rules: Any = rollout.get("spec", {}).get("alerts")
    matches = [rule.get("match") for rule in rules or () if isinstance(rule, Mapping)]
    return any(alarm.matches(match) for match in matches if isinstance(match, Mapping))
