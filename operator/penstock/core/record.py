"""The record of one proportion in one release: the data that every verdict is computed from."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from penstock.core import asked, evidence, looks
from penstock.core.evidence import Evidence
from penstock.core.folded import NOTHING_FOLDED, Folded, FoldedSide, answers, baked_looks
from penstock.core.looks import COLUMNS, ROW_BYTES, Counts, Look, Table
from penstock.core.terms import Calibration, Terms, Tolerance

__all__ = ["KEPT_LOOKS", "Calibration", "Counts", "Look", "Record", "Terms", "Tolerance"]

KEPT_LOOKS = 512


@dataclass(frozen=True, slots=True)
class Record:
    """The looks of one proportion: the newest 512 as they were counted, older ones folded.

    A value: a longer record is a new one. Looks are never merged or cut anew: evidence that is cut
    after the outcomes are known has no guarantee.

    Attributes:
        terms: What was fixed before the first look.
        rows: The looks kept, packed, oldest first.
        folded: What is left of the looks before them.
    """

    terms: Terms
    rows: bytes = b""
    folded: Folded = NOTHING_FOLDED

    def __len__(self) -> int:
        """Return how many looks are kept."""
        return len(self.rows) // ROW_BYTES

    @property
    def table(self) -> Table:
        """The looks kept, as columns."""
        return Table.of(self.rows)

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks kept, oldest first."""
        starts = range(0, len(self.rows), ROW_BYTES)
        return tuple(looks.unpack(self.rows[start : start + ROW_BYTES]) for start in starts)

    @property
    def last_number(self) -> int:
        """The number of the newest look; 0 for none."""
        return looks.unpack(self.rows[-ROW_BYTES:]).number if self.rows else self.folded.number

    @property
    def stable(self) -> Counts:
        """Stable's answers over all looks."""
        table = self.table
        return self.folded.stable + Counts(
            int(table.stable_total.sum()), int(table.stable_bad.sum())
        )

    @property
    def stable_rate(self) -> float:
        """Stable's share of bad answers as known by now, in (0, 1)."""
        known = self.terms.calibration.history + self.stable
        return (known.bad + asked.PRIOR_BAD) / (known.total + asked.PRIOR_TOTAL)

    @property
    def tolerated(self) -> tuple[float, float]:
        """The least and the greatest share of the candidate that is tolerable by `stable_rate`."""
        rate, tolerance = self.stable_rate, self.terms.tolerance
        return tolerance.least(rate), tolerance.most(rate)

    def with_look(self, look: Look) -> "Record":
        """Return the record with one look more; the same record when the look is not newer."""
        if look.number <= self.last_number:
            return self
        longer = replace(self, rows=self.rows + looks.pack(look))
        return longer.keeping(KEPT_LOOKS)

    def until(self, number: int) -> "Record":
        """Return the record without the looks after the one of that number."""
        kept = int((self.table.number <= number).sum())
        return replace(self, rows=self.rows[: kept * ROW_BYTES])

    def keeping(self, count: int) -> "Record":
        """Return the record with all looks but the newest `count` (at least 1) folded."""
        cut = max(len(self) - max(count, 1), 0) * ROW_BYTES
        if not cut:
            return self
        folded = evidence.fold(self.terms, self.folded, Table.of(self.rows[:cut]))
        return replace(self, rows=self.rows[cut:], folded=folded)

    def weigh(self, step: int) -> Evidence:
        """Return the evidence after all looks; "safe?" is asked for the next exposure of `step`."""
        return evidence.weigh(self.terms, self.folded, self.table, step)

    def baked_seconds(self, step: int) -> float:
        """Return the time of looks with data in a step."""
        baked = baked_looks(self.folded, self.table)
        return baked[step] * self.terms.interval_seconds if step < len(baked) else 0.0

    def answers(self, step: int) -> tuple[int, int]:
        """Return how many answers the candidate and stable gave in the newest step."""
        return answers(self.folded, self.table, step)

    def unreached(self, step: int, seconds: float) -> tuple[int, int]:
        """Return how many requests reached no pod, and how many there were, in the newest looks.

        Args:
            step: Only looks of this step.
            seconds: How far back from the newest look.
        """
        table = self.table
        newest = table.number > self.last_number - seconds / self.terms.interval_seconds
        rows = newest & (table.step == step)
        lost = int(table.unreached[rows].sum())
        return lost, lost + int((table.candidate_total + table.stable_total)[rows].sum())

    def payload(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        columns = looks.integers(self.rows)
        columns[0] = np.diff(columns[0], prepend=self.folded.number)
        payload = asdict(self.terms) | dict(zip(COLUMNS, columns.tolist(), strict=True))
        return payload | ({"folded": asdict(self.folded)} if self.folded.number else {})


def record_of(payload: dict[str, Any]) -> Record:
    """Return the record that `Record.payload` gave, in this version or an older one.

    Raises:
        KeyError, TypeError, AttributeError: Something is missing or garbled.
    """
    terms = Terms(
        interval_seconds=payload["interval_seconds"],
        tolerance=Tolerance(**payload["tolerance"]),
        exposures=tuple(payload["exposures"]),
        calibration=_calibration(payload["calibration"]),
    )
    folded = _folded(payload["folded"]) if "folded" in payload else NOTHING_FOLDED
    none = [0] * len(payload["number"])
    columns = np.array([payload.get(name, none) for name in COLUMNS], dtype=np.int64)
    columns[0] = folded.number + np.cumsum(columns[0])
    return Record(terms, looks.rows_of(columns), folded)


def _calibration(payload: dict[str, Any]) -> Calibration:
    return Calibration(**_known(payload) | {"history": Counts(**payload["history"])})


def _folded(payload: dict[str, Any]) -> Folded:
    """Return what was folded; version 1 knew one direction, kept beside the sums."""
    sides = payload.get("sides", [payload])
    return Folded(
        number=payload["number"],
        step=payload["step"],
        stable=Counts(**payload["stable"]),
        answers=tuple(payload["answers"]),
        baked=tuple(payload["baked"]),
        sides=tuple(_folded_side(side) for side in sides),
    )


def _folded_side(payload: dict[str, Any]) -> FoldedSide:
    return FoldedSide(*(tuple(payload[entry.name]) for entry in fields(FoldedSide)))


def _known(payload: dict[str, Any]) -> dict[str, Any]:
    names = {entry.name for entry in fields(Calibration)}
    return {key: value for key, value in payload.items() if key in names}
