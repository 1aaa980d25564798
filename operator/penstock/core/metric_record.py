"""The record of one metric: of one proportion, or of several that are judged together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from penstock.core import evidence, record_text
from penstock.core.evidence import Evidence
from penstock.core.looks import NO_COUNTS, Counts, Look
from penstock.core.record import Record, record_of
from penstock.core.terms import Calibration

_FIT_STEP = 32
MOST_SEGMENTS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """One proportion of a metric.

    Attributes:
        label: What is counted as bad, where the metric has several: "over 250 ms".
        record: Its looks; all parts of a metric have the same ones.
    """

    label: str
    record: Record


@dataclass(frozen=True, slots=True)
class Segment:
    """The answers of a part of the users so far."""

    name: str
    candidate: Counts
    stable: Counts


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """The looks of one metric; never without a part.

    Attributes:
        parts: Its proportions.
        segments: The busiest segments, over all looks: reported, never decided on.
    """

    parts: tuple[Part, ...]
    segments: tuple[Segment, ...] = ()

    @classmethod
    def of(cls, *records: Record) -> "MetricRecord":
        """Return the record of a metric whose parts have no names."""
        return cls(tuple(Part("", record) for record in records))

    @property
    def first(self) -> Record:
        """The first part: what all parts share is read from it."""
        return self.parts[0].record

    @property
    def last_number(self) -> int:
        """The number of the newest look; 0 for none."""
        return self.first.last_number

    def with_looks(self, looks: Sequence[Look]) -> "MetricRecord":
        """Return the record with one look more, given per part."""
        longer = [part.record.with_look(look) for part, look in zip(self.parts, looks, strict=True)]
        return self._with(longer)

    def with_segments(self, counted: Mapping[str, tuple[Counts, Counts]]) -> "MetricRecord":
        """Return the record with more answers by segment; it keeps the busiest."""
        sums = {one.name: (one.candidate, one.stable) for one in self.segments}
        for name, (candidate, stable) in counted.items():
            before = sums.get(name, (NO_COUNTS, NO_COUNTS))
            sums[name] = before[0] + candidate, before[1] + stable
        busiest = sorted(sums, key=lambda name: (-sum(arm.total for arm in sums[name]), name))
        kept = tuple(Segment(name, *sums[name]) for name in busiest[:MOST_SEGMENTS])
        return replace(self, segments=kept)

    def calibrated(self, calibrations: Sequence[Calibration]) -> "MetricRecord":
        """Return the record with what a history says, per part; unchanged after its first look."""
        if self.last_number:
            return self
        return self._with(
            replace(part.record, terms=replace(part.record.terms, calibration=calibration))
            for part, calibration in zip(self.parts, calibrations, strict=True)
        )

    def keeping(self, count: int) -> "MetricRecord":
        """Return the record with all looks but the newest `count` (at least 1) folded."""
        return self._with(part.record.keeping(count) for part in self.parts)

    def until(self, number: int) -> "MetricRecord":
        """Return the record as it was after the look of that number, which must be kept."""
        return self._with(part.record.until(number) for part in self.parts)

    def weigh(self, step: int) -> Evidence:
        """Return the evidence of all parts together."""
        return evidence.together([part.record.weigh(step) for part in self.parts])

    def baked_seconds(self, step: int) -> float:
        """Return the time of looks with data in a step."""
        return self.first.baked_seconds(step)

    def answers(self, step: int) -> tuple[int, int]:
        """Return how many answers the candidate and stable gave in the newest step."""
        return self.first.answers(step)

    def encode(self) -> str:
        """Return the record as text of at most 16 KiB; looks that do not fit are folded."""
        kept = self
        text = kept._text()
        while len(text) > record_text.MAX_CHARACTERS and len(kept.first) > 1:
            kept = kept.keeping(len(kept.first) - _FIT_STEP)
            text = kept._text()
        return text

    @classmethod
    def decode(cls, text: str) -> "MetricRecord":
        """Return the record that `encode` wrote, in this or an older version.

        Raises:
            ValueError: The text is damaged or too new.
        """
        try:
            payload = record_text.from_text(text)
            parts = payload.get("parts", [{"label": "", **payload}])
            return cls(
                tuple(Part(part["label"], record_of(part)) for part in _some(parts)),
                tuple(_segment(one) for one in payload.get("segments", [])),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the record lacks or garbles {error}") from error

    def _text(self) -> str:
        parts = [{"label": part.label, **part.record.payload()} for part in self.parts]
        segments = [asdict(one) for one in self.segments]
        return record_text.to_text({"parts": parts, "segments": segments})

    def _with(self, records: Iterable[Record]) -> "MetricRecord":
        parts = tuple(Part(p.label, r) for p, r in zip(self.parts, records, strict=True))
        return replace(self, parts=parts)


def _segment(payload: dict[str, Any]) -> Segment:
    arms = (Counts(**payload[arm]) for arm in ("candidate", "stable"))
    return Segment(payload["name"], *arms)


def _some(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not parts:
        raise ValueError("the record has no part")
    return parts
