"""What Alertmanager says about alerts: the body of its webhook, and the answer of its API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from penstock.core.alerts import NEVER, Alarm, Payload

VERSION = "4"


class PayloadError(ValueError):
    """What was sent cannot be used; the message is a sentence for whoever configures it."""


def read_payload(content: object, now: datetime, keep: timedelta) -> Payload:
    """Return what a webhook's body of version 4 says.

    Args:
        content: The body, parsed from JSON.
        now: When it came.
        keep: How long an alarm is believed without being repeated.

    Raises:
        PayloadError: It is not such a body.
    """
    body = _mapping(content, "the body")
    version = body.get("version")
    if version != VERSION:
        raise PayloadError(
            f'only payloads of version "4" are read, this one says {version!r}: leave the '
            f"receiver's payload as Alertmanager makes it"
        )
    truncated = body.get("truncatedAlerts", 0)
    if not isinstance(truncated, int) or truncated < 0:
        raise PayloadError("truncatedAlerts must be a count")
    alarms = [_told(one, f"alerts[{n}]", now + keep) for n, one in enumerate(_list(body, "alerts"))]
    return Payload(tuple(alarms), truncated)


def _told(content: object, where: str, until: datetime) -> Alarm:
    alert = _mapping(content, where)
    began, status = _time(alert, "startsAt", where), alert.get("status")
    if status == "firing":
        return replace(_alarm(alert, where), began=began, until=until)
    if status != "resolved":
        raise PayloadError(f"{where}.status must be firing or resolved, not {status!r}")
    resolved = max(began, _time(alert, "endsAt", where))
    return replace(_alarm(alert, where), resolved=resolved, until=until)


def read_alerts(content: object, now: datetime, keep: timedelta) -> tuple[Alarm, ...]:
    """Return the active alarms in an answer of Alertmanager's `GET /api/v2/alerts`.

    Silenced, inhibited and not yet processed alerts are left out. Each is believed for `keep`, or
    until Alertmanager itself would take it for resolved, if that is sooner.

    Raises:
        PayloadError: It is not such an answer.
    """
    if not isinstance(content, list):
        raise PayloadError("the answer must be a list of alerts")
    found = []
    for number, one in enumerate(content):
        where = f"alert {number}"
        alert = _mapping(one, where)
        if _mapping(alert.get("status"), f"{where}.status").get("state") == "active":
            began, ends = (_time(alert, name, where) for name in ("startsAt", "endsAt"))
            until = min(ends, now + keep) if ends > now else now + keep
            found.append(replace(_alarm(alert, where), began=began, until=until))
    return tuple(found)


def _alarm(alert: Mapping[str, object], where: str) -> Alarm:
    labels, fingerprint = _mapping(alert.get("labels"), f"{where}.labels"), alert.get("fingerprint")
    if not isinstance(fingerprint, str) or not 0 < len(fingerprint) <= 64:
        raise PayloadError(f"{where}.fingerprint is missing")
    pairs = [(name, value) for name, value in labels.items() if isinstance(value, str)]
    if len(pairs) < len(labels):
        raise PayloadError(f"{where}.labels must be texts")
    return Alarm(fingerprint, tuple(sorted(pairs)))


def _mapping(content: object, where: str) -> Mapping[str, object]:
    if not isinstance(content, dict):
        raise PayloadError(f"{where} must be an object with fields")
    return content


def _list(body: Mapping[str, object], name: str) -> Sequence[object]:
    found = body.get(name)
    if not isinstance(found, list):
        raise PayloadError(f"{name} must be a list")
    return found


def _time(alert: Mapping[str, object], name: str, where: str) -> datetime:
    """Return a time of an alert, in UTC."""
    text = alert.get(name)
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise PayloadError(f"{where}.{name} must be a time such as 2026-11-24T12:00:00Z")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return NEVER
