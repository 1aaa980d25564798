"""The record of one metric: of one proportion, or of several that are judged together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from penstock.core import evidence, record_text, targets
from penstock.core.counters import LookCounts
from penstock.core.evidence import Evidence
from penstock.core.looks import NO_COUNTS, Counts, Look
from penstock.core.record import Record, record_of
from penstock.core.targets import Sums, Target
from penstock.core.terms import Calibration

_FIT_STEP = 32
MOST_SEGMENTS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """One proportion of a metric.

    Attributes:
        label: What is counted as bad, where the metric has several: "over 250 ms".
        record: Its looks; all parts of a metric have the same ones.
        targets: The candidate's answers by scrape target, over all looks.
    """

    label: str
    record: Record
    targets: tuple[Target, ...] = ()

    @property
    def sums(self) -> Sums:
        """The counts over all looks."""
        return Sums(self.targets, self.record.stable, self.record.stable_rate)


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
        apart: Each scrape target counts one version only, so shares of requests cannot be told.
    """

    parts: tuple[Part, ...]
    segments: tuple[Segment, ...] = ()
    apart: bool = False

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

    def with_looks(
        self, looks: Sequence[Look], counted: Sequence[LookCounts] = ()
    ) -> "MetricRecord":
        """Return the record with one look more; both are given per part.

        Args:
            looks: The look.
            counted: What it was made of, by scrape target; none where that is not known.
        """
        longer = [part.record.with_look(look) for part, look in zip(self.parts, looks, strict=True)]
        grown = self._with(longer)
        if not counted or grown.last_number == self.last_number:
            return grown
        parts = [
            replace(part, targets=targets.added(part.targets, one))
            for part, one in zip(grown.parts, counted, strict=True)
        ]
        apart = self.apart if counted[0].apart is None else counted[0].apart
        return replace(grown, parts=tuple(parts), apart=apart)

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
        """Return the record as it was after the look of that number, which must be kept.

        Sums over all looks cannot be taken back: targets are left out where looks are.
        """
        if number >= self.last_number:
            return self
        parts = tuple(Part(part.label, part.record.until(number)) for part in self.parts)
        return replace(self, parts=parts)

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
                tuple(_part(part) for part in _some(parts)),
                tuple(_segment(one) for one in payload.get("segments", [])),
                bool(payload.get("apart", False)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the record lacks or garbles {error}") from error

    def _text(self) -> str:
        parts = [_payload(part) for part in self.parts]
        segments = [asdict(one) for one in self.segments]
        apart = {"apart": True} if self.apart else {}
        return record_text.to_text({"parts": parts, "segments": segments, **apart})

    def _with(self, records: Iterable[Record]) -> "MetricRecord":
        parts = tuple(replace(p, record=r) for p, r in zip(self.parts, records, strict=True))
        return replace(self, parts=parts)


def _payload(part: Part) -> dict[str, Any]:
    by_target = {"targets": targets.to_payload(part.targets)} if part.targets else {}
    return {"label": part.label, **part.record.payload(), **by_target}


def _part(payload: dict[str, Any]) -> Part:
    found = targets.of_payload(payload.get("targets", ()))
    return Part(payload["label"], record_of(payload), found)


def _segment(payload: dict[str, Any]) -> Segment:
    arms = (Counts(**payload[arm]) for arm in ("candidate", "stable"))
    return Segment(payload["name"], *arms)


def _some(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not parts:
        raise ValueError("the record has no part")
    return parts
