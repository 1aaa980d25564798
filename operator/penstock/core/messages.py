"""The words of a notification: the same for every kind of destination."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.api.v1alpha1.notifications import Occasion
from penstock.core.kinds import ROLLOUT, Manifest
from penstock.core.notifications import Notification

TYPE_PREFIX = "dev.penstock.release."
MOST_TEXT = 800


class Tone(StrEnum):
    """How a message is coloured."""

    INFO = "info"
    GOOD = "success"
    ATTENTION = "warning"
    BAD = "failure"


_WORDS = {
    Occasion.STARTED: (Tone.INFO, "release of {version} started"),
    Occasion.ADVANCED: (Tone.INFO, "{version} gets more traffic"),
    Occasion.WAITING: (Tone.ATTENTION, "{version} waits"),
    Occasion.NO_DATA: (Tone.ATTENTION, "no data about {version}"),
    Occasion.UNTRUSTED: (Tone.ATTENTION, "data about {version} not trusted"),
    Occasion.INCONCLUSIVE: (Tone.ATTENTION, "no proof for {version} in time"),
    Occasion.CONTESTED: (Tone.BAD, "the route is contested"),
    Occasion.ROLLED_BACK: (Tone.BAD, "{version} rolled back"),
    Occasion.PROMOTED: (Tone.GOOD, "{version} promoted"),
    Occasion.OBSERVED: (Tone.GOOD, "{version} observed"),
    Occasion.WITHDRAWN: (Tone.INFO, "release of {version} withdrawn"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent.

    Attributes:
        id: The same for every attempt and after a restart, so that a receiver can tell a copy.
        source: The Rollout, as a path of its API.
        type: The occasion, as CloudEvents name it.
        at: When it came to be.
        tone: How it is coloured.
        title: One line.
        text: A sentence, and a line with the weights.
        data: The same for programs.
    """

    id: str
    source: str
    type: str
    at: datetime
    tone: Tone
    title: str
    text: str
    data: Mapping[str, Any]

    @property
    def cloud_event(self) -> dict[str, Any]:
        """Return it as a CloudEvent 1.0 in structured form."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.data["release"] or self.data["rollout"],
            "time": self.data["time"],
            "datacontenttype": "application/json",
            "data": dict(self.data),
        }


def message(rollout: Manifest, told: Notification) -> Message:
    """Return what is sent of a Rollout."""
    meta, place = rollout["metadata"], told.place
    namespace, name = meta["namespace"], meta["name"]
    at_rest = place.occasion is Occasion.CONTESTED or place.release.startswith("after ")
    release = "" if at_rest else place.release
    tone, words = _WORDS[place.occasion]
    headline = words.format(version=told.version or release or "the new version")
    title, weights = f"{namespace}/{name}: {headline}", _weights(told)
    sentence = _short(told.message)
    identity = (meta["uid"], place.release.replace(" ", "-"), place.step, str(place.occasion))
    return Message(
        id="/".join(part for part in identity if part),
        source=f"/apis/{ROLLOUT.api_version}/namespaces/{namespace}/{ROLLOUT.plural}/{name}",
        type=f"{TYPE_PREFIX}{str(place.occasion).lower()}",
        at=told.at,
        tone=tone,
        title=title,
        text="\n".join(part for part in (sentence, weights) if part),
        data={
            "event": str(place.occasion),
            "id": "/".join(part for part in identity if part),
            "namespace": namespace,
            "rollout": name,
            "release": release,
            "version": told.version,
            "stable": told.stable,
            "step": int(place.step) if release and place.step.isdigit() else None,
            "weight": told.weight,
            "mirror": told.mirror,
            "time": told.at.isoformat().replace("+00:00", "Z"),
            "title": title,
            "message": sentence,
        },
    )


def _weights(told: Notification) -> str:
    if told.weight > 0:
        stable = told.stable or "stable"
        return f"{told.version} {told.weight:g} %, {stable} {100 - told.weight:g} %"
    serves = f"{told.stable} 100 %" if told.stable else ""
    return f"{serves}, copies to {told.version} {told.mirror:g} %" if told.mirror > 0 else serves


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
