"""Alerts of Alertmanager: the book of what is known. What it says is read in `alert_payloads`.

Alertmanager delivers at least once: in any order, repeatedly, from several of its replicas. The
book joins what it hears by maxima only, so the order and the number of deliveries do not matter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

NEVER = datetime.min.replace(tzinfo=UTC)
MOST_ALARMS = 2000
"""More of one namespace are not kept; those that were heard of longest ago go first."""

REMEMBERED = timedelta(minutes=10)
"""How long an alarm that a poll no longer shows is remembered, so that no turn misses it."""

_MOST_TEXT = 300
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that has fired, or has been resolved.

    Attributes:
        fingerprint: Alertmanager's hash of the labels.
        labels: Names and values, sorted.
        began: When it began to fire, the newest time; NEVER while that has not been heard.
        resolved: When it was resolved, the newest time; NEVER while that has not been heard.
        until: How long it is believed without being heard of again.
    """

    fingerprint: str
    labels: Labels
    began: datetime = NEVER
    resolved: datetime = NEVER
    until: datetime = NEVER

    @property
    def firing(self) -> bool:
        """Return whether it fires, as far as is known."""
        return self.began > self.resolved

    @property
    def namespace(self) -> str:
        """Return its label `namespace`; empty where it has none."""
        return next((value for name, value in self.labels if name == "namespace"), "")

    @property
    def episode(self) -> str:
        """Return a name for this time of firing: it is another when the alert fires anew."""
        return f"{self.fingerprint}@{self.began.isoformat()}"

    def matches(self, wanted: Mapping[str, str]) -> bool:
        """Return whether it has these labels with these values; an absent one is empty."""
        have = dict(self.labels)
        return all(have.get(name, "") == value for name, value in wanted.items())

    def joined(self, other: "Alarm") -> "Alarm":
        """Return what this and another report of the same alarm say together."""
        return replace(
            self,
            began=max(self.began, other.began),
            resolved=max(self.resolved, other.resolved),
            until=max(self.until, other.until),
        )

    def __str__(self) -> str:
        have = dict(self.labels)
        name = have.pop("alertname", "without a name")
        have.pop("namespace", None)
        more = ", ".join(f'{label}="{value}"' for label, value in have.items())
        text = f"alert {name}" + (f" {{{more[:_MOST_TEXT]}}}" if more else "")
        return f"{text}, firing since {self.began.isoformat(timespec='seconds')}"


@dataclass(frozen=True, slots=True)
class Payload:
    """What one delivery says. `truncated` alerts were cut off: nothing is known about them."""

    alarms: tuple[Alarm, ...]
    truncated: int = 0


_Key = tuple[str, Labels]
Page = Mapping[_Key, Alarm]
Pages = Mapping[str, Page]


@dataclass(frozen=True, slots=True)
class Book:
    """The alarms that are known, by namespace; those without one are nobody's.

    Attributes:
        told: What deliveries have said, joined.
        shown: What the newest poll of each source shows. Absence there means resolved; absence
            in a delivery means nothing.
    """

    told: Pages = field(default_factory=dict)
    shown: Mapping[str, Pages] = field(default_factory=dict)

    def with_payload(self, payload: Payload, now: datetime) -> "Book":
        """Return the book after one delivery."""
        return replace(self, told=_believed(_joined(self.told, payload.alarms), now))

    def with_poll(self, source: str, alarms: Iterable[Alarm], now: datetime) -> "Book":
        """Return the book after a poll that shows all firing alarms of a source."""
        before, shown = self.shown.get(source, {}), _joined({}, alarms)
        gone = [
            replace(alarm, resolved=now, until=now + REMEMBERED)
            for namespace, page in before.items()
            for key, alarm in page.items()
            if key not in shown.get(namespace, {})
        ]
        told = _believed(_joined(self.told, gone), now)
        return Book(told, {**self.shown, source: _believed(shown, now)})

    def known(self, namespace: str, now: datetime) -> tuple[Alarm, ...]:
        """Return the alarms of a namespace that have fired, resolved ones included for a while."""
        alarms = self.page(namespace).values()
        return tuple(alarm for alarm in alarms if alarm.until > now and alarm.began > NEVER)

    def page(self, namespace: str) -> Page:
        """Return all that is known of a namespace; what a poll shows is the newest word."""
        found = dict(self.told.get(namespace, {}))
        for pages in self.shown.values():
            found |= pages.get(namespace, {})
        return found

    def namespaces(self) -> frozenset[str]:
        """Return the namespaces of which something is known."""
        return frozenset(self.told).union(*self.shown.values())


def news(before: Book, after: Book) -> tuple[Alarm, ...]:
    """Return the alarms that began to fire or ceased to, as they are now known."""
    found: list[Alarm] = []
    for namespace in before.namespaces() | after.namespaces():
        old, new = before.page(namespace), after.page(namespace)
        for key, alarm in {**old, **new}.items():
            if old.get(key) is not new.get(key) and _state(old, key) != _state(new, key):
                found.append(alarm)
    return tuple(found)


def _state(page: Page, key: _Key) -> tuple[datetime, bool]:
    alarm = page.get(key)
    return (alarm.began, alarm.firing) if alarm else (NEVER, False)


def _joined(before: Pages, alarms: Iterable[Alarm]) -> dict[str, Page]:
    """Return the pages with further reports."""
    found = dict(before)
    changed: dict[str, dict[_Key, Alarm]] = {}
    for alarm in alarms:
        if namespace := alarm.namespace:
            page = changed.setdefault(namespace, dict(before.get(namespace, {})))
            key = (alarm.fingerprint, alarm.labels)
            page[key] = page[key].joined(alarm) if key in page else alarm
    return found | changed


def _believed(pages: Pages, now: datetime) -> dict[str, Page]:
    """Return the pages without what is believed no longer, nor too much."""
    found: dict[str, Page] = {}
    for namespace, page in pages.items():
        live = [(key, alarm) for key, alarm in page.items() if alarm.until > now]
        if len(live) > MOST_ALARMS:
            live = sorted(live, key=lambda item: item[1].until)[-MOST_ALARMS:]
        if live:
            found[namespace] = dict(live)
    return found
